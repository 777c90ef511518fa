"""Durable events on their way out: written with the emitter's own changes, removed once every service has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from ...db import Database
from .rows import Rows
from .tables import OUTBOX, SUBSCRIBERS


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A durable event.

    Attributes:
        id: By which its receivers tell repetitions apart.
        type: Of the event.
        data: JSON.
        headers: JSON: on whose behalf, and of which trace.
        created_at: Unix seconds.
        taken_by: Services that have stored it.
        attempts: How often it was sent.
    """

    id: str
    type: str
    data: bytes
    headers: bytes = b"{}"
    created_at: float = 0.0
    taken_by: frozenset[str] = frozenset()
    attempts: int = 0


class Outbox(Rows):
    """The tables of outgoing events, and of the services that take them."""

    table = OUTBOX

    def __init__(self, db: Database, service: str) -> None:
        super().__init__(db, service)
        self._own_subscribers = SUBSCRIBERS.c.service == service

    async def add(self, event: Outgoing) -> None:
        """Add an event, in the current transaction if there is one."""
        row = {
            "service": self._service,
            "id": event.id,
            "type": event.type,
            "data": event.data,
            "headers": event.headers,
            "created_at": event.created_at,
            "taken_by": b"[]",
            "due_at": event.created_at,
            "attempts": 0,
        }
        await self._db.execute(self._db.insert(OUTBOX).values(**row))

    async def lease(self, now: float, until: float, most: int) -> Sequence[Outgoing]:
        """Take what is due, what was tried least first, then the oldest; it is due again at ``until`` unless it is
        removed. So what waits for a service that is away holds nothing up.
        """
        due = (
            sa.select(OUTBOX.c.position)
            .where(self._mine, OUTBOX.c.due_at <= now)
            .order_by(OUTBOX.c.attempts, OUTBOX.c.position)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        taken = (
            sa.update(OUTBOX)
            .where(OUTBOX.c.position.in_(due))
            .values(due_at=until, attempts=OUTBOX.c.attempts + 1)
            .returning(OUTBOX)
        )
        rows = sorted((await self._db.execute(taken)).all(), key=lambda row: (row.attempts, row.position))
        return [_read(row) for row in rows]

    async def remove(self, id: str) -> None:
        """Every service has it."""
        await self._db.execute(sa.delete(OUTBOX).where(OUTBOX.c.id == id))

    async def postpone(self, id: str, due_at: float, taken_by: Iterable[str]) -> None:
        """Some service has still to take it."""
        stored = msgspec.json.encode(sorted(taken_by))
        await self._db.execute(sa.update(OUTBOX).where(OUTBOX.c.id == id).values(due_at=due_at, taken_by=stored))

    async def next_due(self) -> float | None:
        """When something is due; ``None``: there is nothing."""
        found: float | None = (
            await self._db.execute(sa.select(sa.func.min(OUTBOX.c.due_at)).where(self._mine))
        ).scalar()
        return found

    async def subscribers(self) -> Mapping[str, Sequence[str]]:
        """The services that take durable events, with their patterns."""
        wanted = sa.select(SUBSCRIBERS.c.subscriber, SUBSCRIBERS.c.pattern).where(self._own_subscribers)
        found: dict[str, list[str]] = {}
        for subscriber, pattern in (await self._db.execute(wanted)).all():
            found.setdefault(subscriber, []).append(pattern)
        return found

    async def note_subscribers(
        self, seen: Mapping[str, Sequence[str]], now: float, *, dropped_after: float, gone_after: float
    ) -> None:
        """Remember which services take durable events.

        Args:
            seen: Services that were seen, with their patterns.
            now: Unix seconds.
            dropped_after: Seconds after which a pattern is forgotten that its service has no more. It may have been a
                newer instance's, which is on its way back.
            gone_after: Seconds after which a service is forgotten that was not seen.
        """
        async with self._db.transaction():
            for subscriber, patterns in seen.items():
                for pattern in patterns:
                    row = {"service": self._service, "subscriber": subscriber, "pattern": pattern, "seen_at": now}
                    insert = self._db.insert(SUBSCRIBERS).values(**row)
                    same = ["service", "subscriber", "pattern"]
                    await self._db.execute(insert.on_conflict_do_update(index_elements=same, set_={"seen_at": now}))
            dropped = SUBSCRIBERS.c.subscriber.in_(list(seen)) & (SUBSCRIBERS.c.seen_at < now - dropped_after)
            gone = SUBSCRIBERS.c.seen_at < now - gone_after
            await self._db.execute(sa.delete(SUBSCRIBERS).where(self._own_subscribers, dropped | gone))


def _read(row: sa.Row[tuple[object, ...]]) -> Outgoing:
    values = row._mapping
    fields = {name: values[name] for name in ("id", "type", "data", "headers", "created_at", "attempts")}
    return Outgoing(**fields, taken_by=frozenset(msgspec.json.decode(values["taken_by"], type=list[str])))
