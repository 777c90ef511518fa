"""Attempts: how often something may be tried in a time, by an address or for a name.

Kept in the database, where all instances of the service count together and a restart forgets nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import timedelta
from typing import NamedTuple

from pylinkd import RateLimitedError

from .models import Attempt, ChatDatabase, now


class Allowance(NamedTuple):
    """So many attempts, and then none until the time since the first one is over.

    Attributes:
        of: What is counted, and by what.
        most: How many.
        period: In how long.
    """

    of: str
    most: int
    period: timedelta


async def take(db: ChatDatabase, allowance: Allowance, whose: str) -> None:
    """Count an attempt before it is made: a hundred that are made at once are not one.

    Raises:
        RateLimitedError: If there were too many.
    """
    time, key = now(), _key(allowance, whose)
    async with db.transaction():
        await db.attempts.where_equals("key", key).where_lt("ends_at", time).delete()
        attempt = await db.attempts.upsert({"key": key, "count": 0, "ends_at": time + allowance.period}, update=[])
        # Compared by the database, where another instance may count meanwhile.
        free = db.attempts.where_equals("key", key).where_lt("count", allowance.most)
        if not await free.update(count=Attempt.count + 1):
            wait = max(1.0, (attempt.ends_at - time).total_seconds())
            raise RateLimitedError("Too many attempts. Try again later.", retry_after=wait)


async def give_back(db: ChatDatabase, allowance: Allowance, whose: str) -> None:
    """Count an attempt no more, since it was a good one."""
    counted = db.attempts.where_equals("key", _key(allowance, whose)).where_gt("count", 0)
    await counted.update(count=Attempt.count - 1)


def site(address: str) -> str:
    """Where an address belongs: of IPv6 a network of 64 bits is one customer's (RFC 6177)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _key(allowance: Allowance, whose: str) -> str:
    # Hashed: people write passwords into fields for names, and no table should show them.
    return hashlib.sha256(f"{allowance.of}:{whose}".encode()).hexdigest()
