"""Signing in, staying signed in, and signing out: a form, an access token and a cookie.

Whoever signs in gets an access token, which the page keeps in memory and shows the gateway, and a refresh token in a
cookie that no script reads, which is worth another access token (refresh_tokens.py).

A page of somebody else's cannot use that cookie (cross-site request forgery):

- ``SameSite=Strict`` keeps browsers from sending it with requests of other sites.
- The gateway hands it on only where ``Origin`` says that the page may connect. Other ports and subdomains are of the
  same site, and may not.
- POST takes JSON alone, and ``Content-Type`` has to say so: browsers ask first whether a page of another origin may
  send that (CORS). This guards signing in, too, which needs no cookie: nobody signs visitors in as somebody else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec

from pylinkd import BadRequestError, ForbiddenError, HttpContext, Response, UnauthorizedError

from . import accounts, attempts, refresh_tokens, tokens
from .attempts import Allowance
from .development import DEMO_PASSWORD, DEMO_USERS
from .models import ChatDatabase
from .refresh_tokens import Kept
from .settings import DEVELOPMENT, REGISTRATION_OPEN
from .wire import UserName, Wire

COOKIE = "chat_refresh"

WRONG_OF_A_NAME = Allowance("wrong password of a name", 10, timedelta(minutes=10))
WRONG_OF_A_SITE = Allowance("wrong password of a site", 50, timedelta(minutes=10))
NEW_OF_A_SITE = Allowance("new account of a site", 20, timedelta(hours=1))

_PATH = "/chat/session"  # the cookie goes nowhere else
_LONGEST_PASSWORD = 256


class Credentials(Wire):
    """Who somebody says they are."""

    name: UserName
    password: Annotated[str, msgspec.Meta(max_length=_LONGEST_PASSWORD)]


class NewAccount(Wire):
    """Who somebody wants to be."""

    name: UserName
    password: Annotated[str, msgspec.Meta(min_length=8, max_length=_LONGEST_PASSWORD)]


class Renewal(Wire):
    """Whose session is to go on; ``None``: whoever is signed in in this browser."""

    user: str | None = None


class UserView(Wire):
    """A user of the chat."""

    id: str
    username: str


class SignedIn(Wire):
    """A token that the gateway accepts, how long it does, and whose it is."""

    token: str
    expires_in_ms: int
    user: UserView


class Demo(Wire):
    """Users to try the chat as, and their password."""

    users: list[UserView]
    password: str


class SignInForm(Wire):
    """What the form offers."""

    registration: bool
    demo: Demo | None


async def form(ctx: HttpContext[ChatDatabase]) -> SignInForm:
    """Whether one may register, and in development whom one may try."""
    demo = None
    if DEVELOPMENT:
        users = await ctx.db.users.where_in("id", list(DEMO_USERS)).order_by("name").get()
        demo = Demo([UserView(user.id, user.name) for user in users], DEMO_PASSWORD)
    return SignInForm(REGISTRATION_OPEN, demo)


async def register(ctx: HttpContext[ChatDatabase], wanted: NewAccount) -> Response:
    """Make an account, and sign in with it."""
    _require_json(ctx)
    if not REGISTRATION_OPEN:
        raise ForbiddenError("No new accounts are made here.", type="REGISTRATION_CLOSED")
    await attempts.take(ctx.db, NEW_OF_A_SITE, attempts.site(ctx.remote_address))
    account = await accounts.create(ctx.db, wanted.name, wanted.password)
    return _signed_in(ctx, await refresh_tokens.begin(ctx, account.user_id), status=201)


async def sign_in(ctx: HttpContext[ChatDatabase], shown: Credentials) -> Response:
    """An access token and a cookie for a name and its password.

    A name that nobody has is answered as a wrong password is, after as long a time, and counts like one.
    """
    _require_json(ctx)
    site, name = attempts.site(ctx.remote_address), accounts.name_key(shown.name)
    await attempts.take(ctx.db, WRONG_OF_A_SITE, site)
    await attempts.take(ctx.db, WRONG_OF_A_NAME, name)
    account = await accounts.authenticate(ctx.db, shown.name, shown.password)
    if account is None:
        raise UnauthorizedError("Name or password is wrong.", type="WRONG_PASSWORD")
    await attempts.give_back(ctx.db, WRONG_OF_A_SITE, site)
    await attempts.give_back(ctx.db, WRONG_OF_A_NAME, name)
    return _signed_in(ctx, await refresh_tokens.begin(ctx, account.user_id))


async def renew(ctx: HttpContext[ChatDatabase], wanted: Renewal) -> Response:
    """A new access token for the cookie, and a new cookie."""
    _require_json(ctx)
    return _signed_in(ctx, await refresh_tokens.renew(ctx, ctx.cookies.get(COOKIE, ""), wanted.user))


async def sign_out(ctx: HttpContext[ChatDatabase]) -> Response:
    """End the sign-in of the access token, or of the cookie where none is shown, with all its windows."""
    cookie = ctx.cookies.get(COOKIE)
    held = None if cookie is None else await refresh_tokens.holder(ctx.db, cookie)
    of_cookie = None if held is None else held.id
    ended = of_cookie if ctx.identity is None else tokens.sign_in_of(ctx.identity)
    if ended is not None:
        await refresh_tokens.end(ctx, ended)
    # In this browser somebody else may have signed in since, in another window: they stay.
    is_over = cookie is not None and of_cookie in (None, ended)
    return Response(status=204, cookies=[_cookie(ctx, "", timedelta(0))] if is_over else [])


def _signed_in(ctx: HttpContext[ChatDatabase], kept: Kept, status: int = 200) -> Response:
    access, user = tokens.issue(kept.sign_in), kept.sign_in.user
    return Response(
        SignedIn(access.token, round(access.lifetime * 1000), UserView(user.id, user.name)),
        status=status,
        headers={"Cache-Control": "no-store"},
        cookies=[_cookie(ctx, kept.token, refresh_tokens.LIFETIME)],
    )


def _cookie(ctx: HttpContext[ChatDatabase], value: str, lifetime: timedelta) -> str:
    # Over TLS alone, unless the page itself came without. Origin says how, whatever proxies lie between.
    secure = "" if ctx.headers.get("origin", "").startswith("http:") else "; Secure"
    seconds = round(lifetime.total_seconds())
    return f"{COOKIE}={value}; Path={_PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def _require_json(ctx: HttpContext[ChatDatabase]) -> None:
    media_type = ctx.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BadRequestError("Send JSON, as Content-Type: application/json.", code=415, type="UNSUPPORTED_MEDIA_TYPE")
