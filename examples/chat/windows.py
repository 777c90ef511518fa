"""Windows: the sessions of a sign-in, which end with it.

Each is in a room of the gateway's by which it is found, whatever instance of the service looks after it.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from pylinkd import CloseCode, Context, HttpContext, Next, NotFoundError, UnauthorizedError, WsContext

from .models import ChatDatabase
from .tokens import sign_in_of
from .users import remember


async def admit(ctx: WsContext[ChatDatabase]) -> None:
    """Let a window in whose user is signed in.

    Raises:
        UnauthorizedError: If they have signed out; their token lasts for some minutes more.
    """
    await remember(ctx)
    sign_in = sign_in_of(ctx.auth)
    if sign_in is not None:
        await ctx.join(_room(sign_in))  # before it is looked for: whoever ends it meanwhile finds this window
        await _require(ctx, sign_in)


async def connected(ctx: WsContext[ChatDatabase]) -> None:
    """Let a window in. On ``/ws``, which serves others as well, it may not have signed in yet; then ``rooms.join``
    does this.
    """
    if ctx.identity is not None:
        await admit(ctx)


async def signed_in(ctx: HttpContext[ChatDatabase], call_next: Next) -> Any:
    """Middleware around actions: the same for requests over HTTP."""
    sign_in = sign_in_of(ctx.auth)
    if sign_in is not None:
        await _require(ctx, sign_in)
    return await call_next(ctx)


async def close(ctx: Context[ChatDatabase], sign_in: uuid.UUID) -> None:
    """Close all windows of a sign-in, those whose clients are away among them."""
    for window in await ctx.members(_room(sign_in)):
        with contextlib.suppress(NotFoundError):  # it was closed meanwhile
            await ctx.disconnect(window.session, code=CloseCode.UNAUTHORIZED, reason="signed out")


async def _require(ctx: Context[ChatDatabase], sign_in: uuid.UUID) -> None:
    if not await ctx.db.sign_ins.where_equals("id", sign_in).exists():
        raise UnauthorizedError("You have signed out.")


def _room(sign_in: uuid.UUID) -> str:
    return f"sign-in:{sign_in}"
