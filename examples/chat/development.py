"""Signing in by choosing a name, so that a demonstration needs no passwords. Never served in production."""

from __future__ import annotations

import os
import time
from typing import Annotated

import jwt
import msgspec
import sqlalchemy as sa

from pylinkd import HttpContext, NotFoundError, Service
from pylinkd.gateway.settings import DEVELOPMENT_SECRET

from .models import ChatDatabase, User
from .wire import VISIBLE, Wire

_LIFETIME = 12 * 60 * 60  # seconds


class UserView(Wire):
    """Somebody to sign in as."""

    id: str
    username: str


class UsersAnswer(Wire):
    """Everybody to sign in as."""

    users: list[UserView]


class SignIn(Wire):
    """Whom to sign in as: an id, or a name in any case."""

    user: Annotated[str, msgspec.Meta(pattern=VISIBLE)]


class SessionAnswer(Wire):
    """A token that the gateway accepts, and whose it is."""

    token: str
    user: UserView


async def list_users(ctx: HttpContext[ChatDatabase]) -> UsersAnswer:
    """The users that came first: the seeded ones, and some more."""
    users = await ctx.db.users.order_by("created_at", "name").limit(20).get()
    return UsersAnswer(users=[UserView(id=user.id, username=user.name) for user in users])


async def open_session(ctx: HttpContext[ChatDatabase], request: SignIn) -> SessionAnswer:
    """A token for a user, for the asking."""
    wanted = ctx.db.users.any_of(User.id == request.user, sa.func.lower(User.name) == request.user.lower())
    user = await wanted.order_by("created_at").first()
    if user is None:
        raise NotFoundError("There is no such user.", details={"user": request.user})
    secret = os.environ.get("LINKD_JWT_SECRET", DEVELOPMENT_SECRET)
    now = int(time.time())
    claims = {"sub": user.id, "name": user.name, "iat": now, "exp": now + _LIFETIME}
    token = jwt.encode(claims, secret, algorithm="HS256")
    return SessionAnswer(token=token, user=UserView(id=user.id, username=user.name))


async def show_links(service: Service[ChatDatabase]) -> None:
    """Print where to go, once there is somebody to answer."""
    port = os.environ.get("LINKD_PORT", "0")
    if port == "0":
        return  # only the gateway knows: ``linkd dev`` says it here, ``linkd run`` alone does not
    host = os.environ.get("LINKD_HOST", "127.0.0.1")
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}/"  # noqa: S104  compared, not bound
    # For the person at the terminal, who should not have to look for it in the log.
    print(  # noqa: T201
        f"\nLinkd chat: {address}\n  as Alice: {address}?user=alice\n  as Bob:   {address}?user=bob\n", flush=True
    )
