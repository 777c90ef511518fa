"""What a running service remembers in its database, and what works at it: due work, outgoing events, dead letters."""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Callable, Sequence
from time import time
from typing import Any

import structlog

from ..protocol.errors import FailureClass, PayloadTooLargeError, ServiceUnavailableError
from ..protocol.link import MAX_FRAME_SIZE
from ..protocol.link_pb2 import Event
from ..protocol.link_values import read_identity
from .background import Background
from .events import EventHandler
from .link import Offline
from .relay import Relay
from .retry import Retry
from .safe_log import report
from .scheduled import Cron, Interval, JobHandler
from .store import DeadLetters, Keys, Outbox, Work, migrate
from .store.dead_letters import DeadLetter
from .store.outbox import Outgoing
from .store.work import Failure, Item
from .validation import Function, encode
from .work_headers import Headers, context_for, headers_of, write_headers
from .work_runner import Assignment, Recurrence, WorkRunner

log = structlog.get_logger("linkd.service")

_MOST_DEAD_LETTERS = 10_000
_CANCEL_TIMEOUT = 2.0  # seconds
_LONGEST_DELAY = 10 * 366 * 86_400.0  # seconds
_LONGEST_KEY = 200  # characters
_LONGEST_EVENT = MAX_FRAME_SIZE - 2**16  # bytes: a frame holds its headers, too
_SKIP_AFTER = 5.0  # seconds by which a job is late that is left out where it is
_REPLAY = Retry(attempts=1)


class Persistence:
    """The SDK's tables in a service's database, while the service runs.

    Args:
        db: The database, which is started.
        host: The running service.
        service: What its author wrote.

    Attributes:
        work: Work that is due at some time.
        outbox: Durable events on their way out.
        dead_letters: What could not be handled.
        keys: Of what was handled.
        stored: How much of each there was, not long ago.
    """

    def __init__(self, db: Any, host: Any, service: Any) -> None:
        self._db = db
        self._host = host
        self._service = service
        self.work = Work(db, service.name)
        self.outbox = Outbox(db, service.name)
        self.dead_letters = DeadLetters(db, service.name)
        self.keys = Keys(db, service.name)
        self.stored: dict[str, int] = {}
        # Apart from the author's tasks, which end first: while handlers finish, their leases have to be renewed.
        self._tasks = Background(host.dispatcher.context)
        self._runner = WorkRunner(
            work=self.work,
            db=db,
            dispatcher=host.dispatcher,
            assignments=self._assignments,
            context=lambda item: context_for(host, item),
            bury=self.bury,
            sweep=self._sweep,
            ready=lambda: not isinstance(host.link, Offline),
        )
        self._relay = Relay(self.outbox, host)

    async def start(self) -> None:
        """Bring the tables to this version, plan what runs by itself, and begin to work.

        Raises:
            SetupError: If the tables are of a later version.
        """
        await migrate(self._db)
        await self._plan()
        _ = self._tasks.start(self._runner.run(), "linkd-work")
        _ = self._tasks.start(self._relay.run(), "linkd-relay")

    def pause(self) -> None:
        """Begin nothing more, since the service stops."""
        self._runner.pause()

    async def stop(self) -> None:
        """Hand on what was not done. The handlers that worked at it have ended."""
        await self._tasks.close(_CANCEL_TIMEOUT)
        await self._runner.stop()

    # jobs

    async def after(self, delay: float, job: str | Function, data: Any, key: str | None) -> str:
        """See ``Outbound.after``."""
        name = self._service.jobs.name_of(job)
        if not 0 <= delay <= _LONGEST_DELAY:
            raise ValueError(f"delay lies between 0 and {_LONGEST_DELAY:g} seconds, not {delay!r}")
        if key is not None and not 0 < len(key) <= _LONGEST_KEY:
            raise ValueError(f"a key is a text of 1 to {_LONGEST_KEY} characters, not {key!r}")
        now = time()
        item = Item(
            id=secrets.token_hex(12), kind="job", name=name, key=key, data=encode(data) or b"null", due_at=now + delay
        )
        await self.work.add([item], now)
        self._runner.wake()
        return item.id

    async def cancel_job(self, job: str | Function, key: str) -> bool:
        """See ``Outbound.cancel_job``."""
        return await self.work.remove(self._service.jobs.name_of(job), key)

    async def _plan(self) -> None:
        """Have the rows of all jobs that run by themselves, due when the code of this version says."""
        now = time()
        for handler in self._service.jobs:
            if handler.schedule is None:
                continue
            id, first = _schedule_id(handler), handler.schedule.after(now)
            known = await self.work.find(id)
            if known is None:
                await self.work.add([Item(id=id, kind="job", name=handler.name, due_at=first)], now)
            elif known.due_at > first:
                await self.work.set_due(id, first)  # it was planned by a version with longer intervals

    # events

    async def emit(self, type: str, data: bytes, headers: Headers) -> None:
        """Write a durable event to the outbox."""
        if len(data) > _LONGEST_EVENT:
            raise PayloadTooLargeError(details={"limit": _LONGEST_EVENT})
        now = time()
        event = Outgoing(id=secrets.token_hex(16), type=type, data=data, headers=write_headers(headers), created_at=now)
        await self.outbox.add(event)
        self._relay.wake()

    def subscribers_changed(self) -> None:
        """Another service takes durable events."""
        self._relay.subscribers_changed()

    async def take(self, event: Event, handlers: Sequence[EventHandler]) -> None:
        """Store an event that was received, once for each of its durable handlers."""
        identity = read_identity(event.identity) if event.HasField("identity") else None
        headers = write_headers(
            Headers(
                id=event.id,
                type=event.type,
                identity=identity,
                source=event.source,
                traceparent=event.traceparent,
            )
        )
        now = time()
        items = [
            Item(
                id=f"{event.id}/{handler.id}",
                kind="event",
                name=handler.id,
                data=event.data,
                headers=headers,
                due_at=now,
            )
            for handler in handlers
        ]
        await self.work.add(items, now)
        self._runner.wake()

    # dead letters

    async def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter, and tell the service's hooks."""
        gone = await self.dead_letters.add(letter, _MOST_DEAD_LETTERS)
        self.stored["dead_letters"] = self.stored.get("dead_letters", 0) + 1 - gone
        if gone:
            log.error("dead_letters_lost", letters=gone, limit=_MOST_DEAD_LETTERS)
        log.error("dead_letter", kind=letter.kind, name=letter.name, id=letter.id, attempts=len(letter.errors))
        for hook in self._service.dead_letter_hooks:
            with contextlib.suppress(ServiceUnavailableError):  # the service stops: the letter is kept all the same
                _ = self._host.background.start(hook(self._service, letter), "linkd-dead-letter-hook")

    async def bury_call(self, kind: str, name: str, ctx: Any, error: BaseException, failure: FailureClass) -> None:
        """Keep a message or action that has failed; where that fails too, the log says so."""
        data, headers = headers_of(ctx)
        letter = DeadLetter(
            id=secrets.token_hex(12),
            kind=kind,
            name=name,
            data=data,
            headers=headers,
            errors=[Failure.of(error, failure)],
            failed_at=time(),
        )
        try:
            await self.bury(letter)
        except Exception as cause:
            report(log.error, "dead_letter_lost", kind=kind, name=name, exc_info=cause)

    async def _sweep(self) -> None:
        self.stored = {
            "dead_letters": await self.dead_letters.count(),
            "outbox": await self.outbox.count(),
            "work": await self.work.count(),
        }
        kept = [
            one.once for one in (*self._service.ws.handlers, *self._service.action.handlers) if one.once is not None
        ]
        if kept:
            window, most = max(once.window for once in kept), max(once.most for once in kept)
            await self.keys.forget(time() - window, most)

    # what this instance can do

    def _assignments(self) -> dict[tuple[str, str], Assignment]:
        found: dict[tuple[str, str], Assignment] = {}
        for job in self._service.jobs:
            found["job", job.name] = _of_job(job)
        for event in self._service.events.handlers:
            if event.durable:
                found["event", event.id] = Assignment(
                    handler=event, policy=event.policy, remembered=True, once=event.once
                )
        # Dead letters that are replayed: tried once, since whoever replays looks at what comes of it. What fails again
        # is kept as it was the first time (burying.py).
        for message in self._service.ws.handlers:
            if message.dead_letters:
                found["message", message.name] = Assignment(handler=message, policy=_REPLAY, dead_letters=False)
        for action in self._service.action.handlers:
            if action.dead_letters:
                found["action", action.name] = Assignment(handler=action, policy=_REPLAY, dead_letters=False)
        return found


def _of_job(job: JobHandler) -> Assignment:
    recurrence = None
    if job.schedule is not None:
        skips = _SKIP_AFTER if job.missed == "skip" else math.inf
        recurrence = Recurrence(id=_schedule_id(job), next_due=_next_due(job.schedule, job.missed), skips=skips)
    return Assignment(handler=job, policy=job.policy, dead_letters=job.dead_letters, recurrence=recurrence)


def _next_due(schedule: Interval | Cron, missed: str) -> Callable[[float, float], float]:
    def after(due_at: float, now: float) -> float:
        following = schedule.after(due_at)
        return following if missed == "all" or following > now else schedule.after(now)

    return after


def _schedule_id(job: JobHandler) -> str:
    return f"schedule:{job.name}"
