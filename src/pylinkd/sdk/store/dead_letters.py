"""What could not be handled, kept until somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from .rows import Rows
from .tables import DEAD_LETTERS
from .work import Failure, Item, Work, read_errors, write_errors

_REPLAYED = "replay:"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be handled.

    Attributes:
        id: By which it is replayed and discarded.
        kind: ``message``, ``action``, ``event`` or ``job``.
        name: Of what was to handle it.
        data: Its payload.
        headers: JSON: who sent it, and what else its handler is told.
        errors: How each attempt failed, the latest 20.
        failed_at: Unix seconds.
    """

    id: str
    kind: str
    name: str
    data: bytes
    headers: bytes
    errors: list[Failure]
    failed_at: float


class DeadLetters(Rows):
    """The table of dead letters."""

    table = DEAD_LETTERS

    async def add(self, letter: DeadLetter, most: int) -> int:
        """Keep a letter; how many of the oldest had to go for it.

        Args:
            letter: The letter.
            most: That are kept.
        """
        row = {**msgspec.structs.asdict(letter), "errors": write_errors(letter.errors), "service": self._service}
        async with self._db.transaction():
            await self._db.execute(self._db.insert(DEAD_LETTERS).values(**row).on_conflict_do_nothing())
            excess = await self.count() - most
            if excess <= 0:
                return 0
            oldest = sa.select(DEAD_LETTERS.c.id).where(self._mine).order_by(DEAD_LETTERS.c.failed_at).limit(excess)
            return (
                await self._db.execute(sa.delete(DEAD_LETTERS).where(self._mine, DEAD_LETTERS.c.id.in_(oldest)))
            ).rowcount

    async def list(self, limit: int, name: str | None = None) -> Sequence[DeadLetter]:
        """The latest, latest first.

        Args:
            limit: How many.
            name: Of one handler; ``None``: of all.
        """
        wanted = sa.select(DEAD_LETTERS).where(self._mine).order_by(DEAD_LETTERS.c.failed_at.desc()).limit(limit)
        if name is not None:
            wanted = wanted.where(DEAD_LETTERS.c.name == name)
        return [_read(row) for row in (await self._db.execute(wanted)).all()]

    async def find(self, id: str) -> DeadLetter | None:
        """The letter of this id."""
        row = (await self._db.execute(sa.select(DEAD_LETTERS).where(self._mine, DEAD_LETTERS.c.id == id))).one_or_none()
        return None if row is None else _read(row)

    async def discard(self, id: str) -> bool:
        """Remove a letter; whether there was one."""
        return (await self._db.execute(sa.delete(DEAD_LETTERS).where(self._mine, DEAD_LETTERS.c.id == id))).rowcount > 0

    async def replay(self, id: str, now: float) -> bool:
        """Make work of a letter again, whose attempts are counted anew; whether there was one.

        Both happen in one transaction, so that a letter that is replayed twice is handled once.
        """
        async with self._db.transaction():
            letter = await self.find(id)
            if letter is None or not await self.discard(id):
                return False
            base = id.removeprefix(_REPLAYED).partition("@")[0]
            item = Item(
                id=f"{_REPLAYED}{base}@{now:.6f}",
                kind=letter.kind,
                name=letter.name,
                data=letter.data,
                headers=letter.headers,
                due_at=now,
            )
            await Work(self._db, self._service).add([item], now)
        return True


def _read(row: sa.Row[tuple[object, ...]]) -> DeadLetter:
    values = {name: value for name, value in row._mapping.items() if name != "service"}
    return DeadLetter(**{**values, "errors": read_errors(values["errors"])})
