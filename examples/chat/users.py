"""Users: whoever comes with a valid token is one."""

from __future__ import annotations

from pylinkd import Context

from .models import ChatDatabase


async def remember(ctx: Context[ChatDatabase]) -> None:
    """Give the caller a row, which rooms and messages refer to, with the name that the token has."""
    user, name = ctx.auth.user, ctx.auth.name
    # A token without a name says the id instead, which must not replace a name that is known.
    await ctx.db.users.upsert({"id": user, "name": name}, update=[] if name == user else ["name"])
