"""Rows whose time is over. Nothing believes them any more: they are only in the way."""

from __future__ import annotations

from pylinkd import JobContext

from .models import ChatDatabase, now

INTERVAL = 3600.0  # seconds


async def forget(ctx: JobContext[ChatDatabase]) -> None:
    """Forget sign-ins and attempts that have ended."""
    time = now()
    await ctx.db.sign_ins.where_lt("expires_at", time).delete()
    await ctx.db.attempts.where_lt("ends_at", time).delete()
