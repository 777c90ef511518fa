"""Work that is due at some time: scheduled jobs, durable events that were received, dead letters that are replayed.

One instance at a time has the lease of a row, and renews it while it works. A row that was done is removed, or kept for
a while where its id tells repetitions apart.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from time import time
from typing import TypeAlias

import msgspec
import sqlalchemy as sa

from ...protocol.errors import FailureClass
from .rows import Rows
from .tables import WORK

_MOST_ERRORS = 20  # that are kept of a row, the latest
_LONGEST_ERROR = 2000  # characters

# Of a row whose key comes again. Whoever has its lease has it no more.
_REPLACED = ("id", "data", "headers", "created_at", "due_at", "attempts", "errors", "leased_until", "lease", "done_at")


Kinds: TypeAlias = Sequence[tuple[str, str]]
"""Kinds of work, each with a name."""


class Failure(msgspec.Struct, frozen=True):
    """How an attempt failed.

    Attributes:
        at: Unix seconds.
        error: The error's type and text.
        trace: Where it was raised.
        failure: Its class, see failures.FailureClass.
        scheduled_at: When the first attempt was due, in Unix seconds; 0: it is not known.
    """

    at: float
    error: str
    trace: str = ""
    failure: str = "bug"
    scheduled_at: float = 0.0

    @classmethod
    def of(cls, error: BaseException, failure: FailureClass, scheduled_at: float = 0.0) -> Failure:
        """How an attempt failed, just now. Of what its caller has to change nobody wants to see where it was raised."""
        trace = "" if failure is FailureClass.PERMANENT else "".join(traceback.format_exception(error))
        text = f"{type(error).__name__}: {error}"
        return cls(at=time(), error=text, trace=trace, failure=failure.value, scheduled_at=scheduled_at)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work.

    Attributes:
        id: Unique for ever.
        kind: What its name is the name of: ``job``, ``event``, ``message`` or ``action``.
        name: Of the handler.
        key: Of several pieces of work for one handler there is one with this key; ``None``: any number.
        data: As the handler reads it.
        headers: JSON: what else its context is made of.
        due_at: Unix seconds.
        attempts: That were begun.
        errors: How they failed, the latest.
    """

    id: str
    kind: str
    name: str
    key: str | None = None
    data: bytes = b""
    headers: bytes = b"{}"
    due_at: float = 0.0
    attempts: int = 0
    errors: list[Failure] = []

    @property
    def scheduled_at(self) -> float:
        """When its first attempt was due, in Unix seconds."""
        known = self.errors[-1].scheduled_at if self.errors else 0.0
        return known or self.due_at


class Work(Rows):
    """The table of work."""

    table = WORK

    async def add(self, items: Iterable[Item], now: float) -> None:
        """Add work, in the current transaction if there is one. What is there already by its id stays as it is.

        One whose key is there already takes its place.
        """
        async with self._db.transaction():
            for item in items:
                row = {**msgspec.structs.asdict(item), "errors": write_errors(item.errors), "created_at": now}
                row["service"] = self._service
                insert = self._db.insert(WORK).values(**row, leased_until=0.0, lease=None, done_at=None)
                if item.key is None:
                    new = insert.on_conflict_do_nothing(index_elements=["service", "id"])
                else:
                    replaced = {name: insert.excluded[name] for name in _REPLACED}
                    new = insert.on_conflict_do_update(index_elements=["service", "name", "key"], set_=replaced)
                await self._db.execute(new)

    async def remove(self, name: str, key: str) -> bool:
        """Remove what has this key; whether there was something."""
        removed = await self._db.execute(sa.delete(WORK).where(self._mine, WORK.c.name == name, WORK.c.key == key))
        return removed.rowcount > 0

    async def lease(self, owner: str, kinds: Kinds, now: float, until: float, most: int) -> list[Item]:
        """Take what is due and nobody has, the longest due first.

        Args:
            owner: Who takes it.
            kinds: Kinds and names that it can do.
            now: Unix seconds.
            until: When the lease ends if it is not renewed.
            most: Items.
        """
        due = (
            sa.select(WORK.c.id)
            .where(self._mine, WORK.c.done_at.is_(None), WORK.c.due_at <= now, WORK.c.leased_until <= now)
            .where(sa.tuple_(WORK.c.kind, WORK.c.name).in_(kinds))
            .order_by(WORK.c.due_at, WORK.c.id)
            .limit(most)
            .with_for_update(skip_locked=True)  # SQLite, which has one writer, leaves it out
        )
        taken = (
            sa.update(WORK)
            .where(self._mine, WORK.c.id.in_(due))
            .values(leased_until=until, lease=owner, attempts=WORK.c.attempts + 1)
            .returning(WORK)
        )
        rows = (await self._db.execute(taken)).all()
        return sorted((_read(row) for row in rows), key=lambda item: (item.due_at, item.id))

    async def renew(self, owner: str, ids: Sequence[str], until: float) -> None:
        """Keep what one has."""
        await self._db.execute(
            sa.update(WORK).where(self._mine, WORK.c.id.in_(ids), WORK.c.lease == owner).values(leased_until=until)
        )

    async def release(self, owner: str, ids: Sequence[str]) -> None:
        """Give back what was not begun, or not ended: the attempt does not count."""
        await self._db.execute(
            sa.update(WORK)
            .where(self._mine, WORK.c.id.in_(ids), WORK.c.lease == owner)
            .values(leased_until=0.0, lease=None, attempts=WORK.c.attempts - 1)
        )

    async def holds(self, owner: str, item: Item) -> bool:
        """Whether the owner still has it."""
        found = sa.select(WORK.c.id).where(self._held(owner, item))
        return (await self._db.execute(found)).first() is not None

    async def finish(self, owner: str, item: Item, now: float, *, keep: bool) -> bool:
        """It is done; ``False``: somebody else has it by now.

        Args:
            owner: Who has it.
            item: Which, in the attempt that ends.
            now: Unix seconds.
            keep: Whether its id is remembered.
        """
        mine = self._held(owner, item)
        done = (
            sa.update(WORK).where(mine).values(done_at=now, lease=None, data=b"")
            if keep
            else sa.delete(WORK).where(mine)
        )
        return (await self._db.execute(done)).rowcount > 0

    async def again(
        self, owner: str, item: Item, due_at: float, errors: Sequence[Failure], *, fresh: bool = False
    ) -> bool:
        """It is due again; ``False``: somebody else has it by now.

        Args:
            owner: Who has it.
            item: Which, in the attempt that ends.
            due_at: Unix seconds.
            errors: How its attempts failed.
            fresh: Whether its attempts are counted anew.
        """
        values: dict[str, object] = {
            "due_at": due_at,
            "leased_until": 0.0,
            "lease": None,
            "errors": write_errors(errors),
        }
        if fresh:
            values["attempts"] = 0
        mine = self._held(owner, item)
        return (await self._db.execute(sa.update(WORK).where(mine).values(**values))).rowcount > 0

    def _held(self, owner: str, item: Item) -> sa.ColumnElement[bool]:
        """The row, if this attempt still has its lease."""
        this_attempt = (WORK.c.lease == owner) & (WORK.c.attempts == item.attempts)
        return self._mine & (WORK.c.id == item.id) & this_attempt

    async def set_due(self, id: str, due_at: float) -> None:
        """Have something be due at another time, if nobody has it."""
        await self._db.execute(
            sa.update(WORK).where(self._mine, WORK.c.id == id, WORK.c.lease.is_(None)).values(due_at=due_at)
        )

    async def find(self, id: str) -> Item | None:
        """What has this id and is not done."""
        row = (
            await self._db.execute(sa.select(WORK).where(self._mine, WORK.c.id == id, WORK.c.done_at.is_(None)))
        ).one_or_none()
        return None if row is None else _read(row)

    async def next_due(self, kinds: Kinds) -> float | None:
        """When something of these is due, or a lease ends; ``None``: there is nothing."""
        at = sa.case((WORK.c.leased_until > WORK.c.due_at, WORK.c.leased_until), else_=WORK.c.due_at)
        wanted = sa.select(sa.func.min(at)).where(
            self._mine, WORK.c.done_at.is_(None), sa.tuple_(WORK.c.kind, WORK.c.name).in_(kinds)
        )
        found: float | None = (await self._db.execute(wanted)).scalar()
        return found

    async def unknown(self, kinds: Kinds, before: float) -> Sequence[str]:
        """Names of what was due before a time and is none of these, such as a job that the service no longer has."""
        wanted = (
            sa.select(WORK.c.name)
            .where(self._mine, WORK.c.done_at.is_(None), WORK.c.due_at < before)
            .where(sa.tuple_(WORK.c.kind, WORK.c.name).not_in(kinds))
            .distinct()
            .limit(10)
        )
        return (await self._db.execute(wanted)).scalars().all()

    async def count(self) -> int:
        """How much is not done."""
        wanted = sa.select(sa.func.count()).select_from(WORK).where(self._mine, WORK.c.done_at.is_(None))
        return (await self._db.execute(wanted)).scalar_one()

    async def forget(self, before: float) -> int:
        """Forget what was done before a time; how much that was."""
        return (await self._db.execute(sa.delete(WORK).where(self._mine, WORK.c.done_at < before))).rowcount


def _read(row: sa.Row[tuple[object, ...]]) -> Item:
    values = row._mapping
    fields = {name: values[name] for name in ("id", "kind", "name", "key", "data", "headers", "due_at", "attempts")}
    return Item(**fields, errors=read_errors(values["errors"]))


def read_errors(stored: bytes) -> list[Failure]:
    """How attempts failed, as it is stored."""
    return msgspec.json.decode(stored or b"[]", type=list[Failure])


def write_errors(errors: Sequence[Failure]) -> bytes:
    """How attempts failed, as it is stored: the latest, and of each what is not too long."""
    cut = [
        msgspec.structs.replace(failure, error=failure.error[:_LONGEST_ERROR], trace=failure.trace[-_LONGEST_ERROR:])
        for failure in errors[-_MOST_ERRORS:]
    ]
    return msgspec.json.encode(cut)
