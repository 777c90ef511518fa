"""Refresh tokens: what keeps a browser signed in, renewed with each use.

A token is ``<family>.<secret>``: the family names the sign-in, the secret is new each time. Only hashes are stored, of
the secret that was shown last and of the one that was given for it. Both are good, since an answer may be lost on its
way. Any other was used before: somebody has a copy, and nobody can know who. Then the sign-in ends for both
(RFC 9700 §4.14.2).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import timedelta
from typing import NamedTuple

import sqlalchemy as sa

from pylinkd import ConflictError, Context, UnauthorizedError

from . import windows
from .models import ChatDatabase, SignIn, now

LIFETIME = timedelta(days=30)
"""How long a browser that does not come back stays signed in."""

_MOST = 20  # sign-ins of a user; the ones not used for longest end


class Kept(NamedTuple):
    """A sign-in that goes on.

    Attributes:
        sign_in: Whose.
        token: What to show next.
    """

    sign_in: SignIn
    token: str


async def begin(ctx: Context[ChatDatabase], user: str) -> Kept:
    """Sign a user in."""
    db, family, secret = ctx.db, secrets.token_urlsafe(16), secrets.token_urlsafe(32)
    sign_in = await db.sign_ins.insert(
        user_id=user, family=family, offered_hash=_hash(secret), expires_at=now() + LIFETIME
    )
    latest_first = await db.sign_ins.where_equals("user_id", user).order_by("-renewed_at").get()
    for excess in latest_first[_MOST:]:
        await end(ctx, excess.id)
    return Kept(await db.sign_ins.where_equals("id", sign_in.id).one(), f"{family}.{secret}")


async def renew(ctx: Context[ChatDatabase], token: str, user: str | None) -> Kept:
    """Go on with a sign-in.

    Args:
        ctx: Of the request.
        token: What was shown.
        user: Whose it is expected to be; ``None``: whoever's.

    Raises:
        UnauthorizedError: If the token is good no more.
        ConflictError: If it is somebody else's (type ``OTHER_USER``); nothing changes then.
    """
    family, _, secret = token.partition(".")
    async with ctx.db.transaction():
        sign_in = await _locked(ctx.db, family)
        if sign_in is None:
            raise UnauthorizedError()
        mine = ctx.db.sign_ins.where_equals("id", sign_in.id)
        if _is_good(sign_in, secret):
            if user not in (None, sign_in.user_id):
                raise ConflictError("Somebody else has signed in in this browser.", type="OTHER_USER")
            new = secrets.token_urlsafe(32)
            time = now()
            await mine.update(
                shown_hash=_hash(secret), offered_hash=_hash(new), renewed_at=time, expires_at=time + LIFETIME
            )
            return Kept(sign_in, f"{family}.{new}")
        await mine.delete()
    ctx.logger.warning("refresh_token_reused", sign_in=str(sign_in.id), of=sign_in.user_id)
    await windows.close(ctx, sign_in.id)
    raise UnauthorizedError()


async def holder(db: ChatDatabase, token: str) -> SignIn | None:
    """The sign-in that a token keeps; ``None``: none."""
    family, _, secret = token.partition(".")
    sign_in = await db.sign_ins.where_equals("family", family).where_gt("expires_at", now()).first()
    return sign_in if sign_in is not None and _is_good(sign_in, secret) else None


async def end(ctx: Context[ChatDatabase], sign_in: uuid.UUID) -> None:
    """End a sign-in, and its windows. It may have ended before."""
    await ctx.db.sign_ins.where_equals("id", sign_in).delete()
    await windows.close(ctx, sign_in)


async def _locked(db: ChatDatabase, family: str) -> SignIn | None:
    """The sign-in, held until the transaction ends: a token that two windows show at once is renewed twice."""
    statement = sa.select(SignIn).where(SignIn.family == family, SignIn.expires_at > now())
    return (await db.execute(statement.with_for_update(of=SignIn))).scalar_one_or_none()


def _is_good(sign_in: SignIn, secret: str) -> bool:
    shown = _hash(secret)
    return hmac.compare_digest(shown, sign_in.offered_hash) or hmac.compare_digest(shown, sign_in.shown_hash or "")


def _hash(secret: str) -> str:
    # No slow hash: nobody guesses 256 random bits.
    return hashlib.sha256(secret.encode()).hexdigest()
