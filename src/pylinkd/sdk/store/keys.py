"""Keys of what was handled, with the answers."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from .rows import Rows
from .tables import KEYS


class Stored(msgspec.Struct, frozen=True):
    """What is known of a key.

    Attributes:
        fingerprint: Of the payload that came with it.
        answer: What the handler answered; ``None``: it was not answered yet.
    """

    fingerprint: str
    answer: bytes | None


class Keys(Rows):
    """The table of keys."""

    table = KEYS

    async def claim(self, key: str, fingerprint: str, now: float, since: float) -> bool:
        """Write a key down, in the transaction in which its handler runs; ``False``: it is there already, stored since
        a time.

        Where another transaction has written it and not ended, PostgreSQL waits for that; SQLite has one writer.
        """
        await self._db.execute(sa.delete(KEYS).where(self._mine, KEYS.c.key == key, KEYS.c.stored_at < since))
        insert = self._db.insert(KEYS).values(
            service=self._service, key=key, fingerprint=fingerprint, answer=None, stored_at=now
        )
        return (await self._db.execute(insert.on_conflict_do_nothing(index_elements=["service", "key"]))).rowcount > 0

    async def answered(self, key: str, answer: bytes) -> None:
        """Add the answer, in the same transaction."""
        await self._db.execute(sa.update(KEYS).where(self._mine, KEYS.c.key == key).values(answer=answer))

    async def find(self, key: str, since: float) -> Stored | None:
        """What is known of a key that was stored since a time."""
        wanted = sa.select(KEYS.c.fingerprint, KEYS.c.answer).where(
            self._mine, KEYS.c.key == key, KEYS.c.stored_at >= since
        )
        row = (await self._db.execute(wanted)).one_or_none()
        return None if row is None else Stored(row.fingerprint, row.answer)

    async def forget(self, before: float, most: int) -> int:
        """Forget what is older than a time, and the oldest beyond a number; how many that were."""
        forgotten = (await self._db.execute(sa.delete(KEYS).where(self._mine, KEYS.c.stored_at < before))).rowcount
        excess = await self.count() - most
        if excess > 0:
            oldest = sa.select(KEYS.c.key).where(self._mine).order_by(KEYS.c.stored_at).limit(excess)
            forgotten += (await self._db.execute(sa.delete(KEYS).where(self._mine, KEYS.c.key.in_(oldest)))).rowcount
        return forgotten
