"""Runs stored work when it is due: takes it from the database, runs its handlers, and writes down what came of it."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Protocol

import structlog

from ..protocol.errors import FailureClass, HandlerTimeoutError, LinkdError
from ..protocol.identity import Requirement
from .context import Context
from .dispatch import Dispatcher, Job, torn_down
from .failures import class_of
from .polling import POLL, Poller
from .retry import Retry
from .safe_log import report
from .store.dead_letters import DeadLetter
from .store.work import Failure, Item, Work

log = structlog.get_logger("linkd.service")

_MOST_RUNNING = 64
_LEASE = 30.0  # seconds that an instance has something, unless it renews that
_RENEW_EVERY = 10.0
_SWEEP_EVERY = 30.0
_REMEMBER = 7 * 86_400.0  # seconds for which the ids of what was done are kept
_NOTE_ATTEMPTS = 3
_MOST_CRASHES = 3  # attempts beyond those that are asked for, where the process died in each


class WorkHandler(Protocol):
    """What the runner has to know of a handler (scheduled.JobHandler, events.EventHandler, and others)."""

    timeout: float | None
    requirement: Requirement
    call: Callable[[Any], Awaitable[Any]]
    retry_on: tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """Work that comes again.

    Attributes:
        id: Its one item's.
        next_due: When it is due again, of the time at which it was and the present.
        skips: Seconds of lateness beyond which a time is left out.
    """

    id: str
    next_due: Callable[[float, float], float]
    skips: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """How one kind and name of work is done.

    Attributes:
        handler: What runs.
        policy: How often.
        dead_letters: Whether what fails for good is kept.
        remembered: Whether the ids of what was done are kept, by which repetitions are known.
        once: Whether handler and note of it are one transaction.
        recurrence: What of it runs by itself; ``None``: nothing does.
    """

    handler: WorkHandler
    policy: Retry
    dead_letters: bool = True
    remembered: bool = False
    once: bool = False
    recurrence: Recurrence | None = None

    def recurrence_of(self, item: Item) -> Recurrence | None:
        """How an item comes again; ``None``: it does not, since somebody asked for it."""
        return self.recurrence if self.recurrence is not None and item.id == self.recurrence.id else None


class WorkRunner(Poller):
    """Runs what is due.

    Args:
        work: The table of work.
        db: Its database.
        dispatcher: Runs handlers.
        assignments: Tells what this instance can do now, by kind and name.
        context: Makes the context of a piece of work.
        bury: Keeps a dead letter.
        sweep: Forgets what else is old.
        ready: Whether handlers can be run: without a gateway most would fail.
    """

    def __init__(
        self,
        *,
        work: Work,
        db: Any,
        dispatcher: Dispatcher,
        assignments: Callable[[], dict[tuple[str, str], Assignment]],
        context: Callable[[Item], Context[Any]],
        bury: Callable[[DeadLetter], Awaitable[None]],
        sweep: Callable[[], Awaitable[None]],
        ready: Callable[[], bool],
    ) -> None:
        super().__init__("work_failed")
        self._work = work
        self._db = db
        self._dispatcher = dispatcher
        self._assignments = assignments
        self._context = context
        self._bury = bury
        self._sweep_others = sweep
        self._ready = ready
        self._owner = secrets.token_hex(8)
        self._running: dict[str, Item] = {}
        self._renewed_at = self._swept_at = float("-inf")
        self._paused = False

    def pause(self) -> None:
        """Begin nothing more."""
        self._paused = True

    async def stop(self) -> None:
        """Give back what was not done, so that another instance goes on at once."""
        self._paused = True
        left, self._running = list(self._running), {}
        if left:
            await self._work.release(self._owner, left)

    async def _step(self) -> float:
        """Take what is due; how many seconds to wait before the next look."""
        now = monotonic()
        if self._running and now - self._renewed_at >= _RENEW_EVERY:
            await self._work.renew(self._owner, list(self._running), time() + _LEASE)
            self._renewed_at = now
        if now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = now
            await self._sweep()
        assignments = self._assignments()
        kinds, room = list(assignments), _MOST_RUNNING - len(self._running)
        if not kinds or self._paused or room <= 0 or not self._ready():
            return POLL
        due_at = await self._work.next_due(kinds)
        if due_at is None:
            return POLL
        wait = due_at - time()
        if wait > 0:
            return min(wait, POLL)
        items = await self._work.lease(self._owner, kinds, time(), time() + _LEASE, room)
        for item in items:
            # What runs here still, since its lease has ended unnoticed, is not run twice.
            if item.id not in self._running:
                self._begin(item, assignments[item.kind, item.name])
        return 0.0 if len(items) == room else POLL / 20

    def _begin(self, item: Item, assignment: Assignment) -> None:
        if not self._running:
            self._renewed_at = monotonic()
        self._running[item.id] = item
        self._dispatcher.add(_WorkJob(self, item, assignment))

    async def _sweep(self) -> None:
        await self._work.forget(time() - _REMEMBER)
        await self._sweep_others()
        for name in await self._work.unknown(list(self._assignments()), time() - _REMEMBER):
            log.warning("work_unhandled", name=name)

    # what a job does

    async def handle(self, item: Item, assignment: Assignment) -> None:
        """Run the handler, and note that it is done."""
        lateness, recurrence = time() - item.due_at, assignment.recurrence_of(item)
        if recurrence is not None and lateness > recurrence.skips and item.attempts == 1:
            log.info("work_skipped", name=item.name, late=round(lateness, 1))
            await self._finish(item, assignment)
            return
        if item.attempts > assignment.policy.attempts + _MOST_CRASHES:
            raise RuntimeError("the process ended during each attempt")
        context = self._context(item)
        refusal = assignment.handler.requirement.refusal(context.identity)
        if refusal is not None:
            raise refusal
        if not assignment.once:
            await assignment.handler.call(context)
            await self._note_success(item, assignment)
            return
        async with self._db.transaction():
            await assignment.handler.call(context)
            await self._finish(item, assignment)

    async def _note_success(self, item: Item, assignment: Assignment) -> None:
        """Note that the handler has succeeded. That this fails is no failure of the handler's."""
        for attempt in range(_NOTE_ATTEMPTS):
            try:
                await self._finish(item, assignment)
            except Exception as error:
                if attempt == _NOTE_ATTEMPTS - 1:
                    raise NotNotedError from error
                await asyncio.sleep(POLL)
            else:
                return

    async def _finish(self, item: Item, assignment: Assignment) -> None:
        now, recurrence = time(), assignment.recurrence_of(item)
        if recurrence is not None:
            due_at = recurrence.next_due(item.scheduled_at, now)
            mine = await self._work.again(self._owner, item, due_at, (), fresh=True)
        else:
            mine = await self._work.finish(self._owner, item, now, keep=assignment.remembered)
        if not mine:
            log.warning("work_lease_lost", name=item.name, id=item.id)
            if assignment.once:
                raise LeaseLostError

    async def failed(self, item: Item, assignment: Assignment, error: BaseException) -> None:
        """Note that an attempt failed: it is due again, or has failed for good."""
        failure = class_of(error, assignment.handler.retry_on)
        errors = [*item.errors, Failure.of(error, failure, item.scheduled_at)]
        gives_up = failure is FailureClass.PERMANENT or item.attempts >= assignment.policy.attempts
        _log_failure(item, error, failure, gives_up=gives_up)
        if not gives_up:
            due_at = time() + assignment.policy.wait(item.attempts, random.random())  # noqa: S311
            await self._work.again(self._owner, item, due_at, errors)
            return
        if assignment.dead_letters and await self._work.holds(self._owner, item):  # else it is another's to say
            await self._bury(
                DeadLetter(
                    id=item.id if assignment.recurrence_of(item) is None else f"{item.id}@{item.scheduled_at:.6f}",
                    kind=item.kind,
                    name=item.name,
                    data=item.data,
                    headers=item.headers,
                    errors=errors,
                    failed_at=time(),
                )
            )
        await self._finish(item, assignment)

    def ended(self, item: Item) -> None:
        """Nothing of this attempt runs any more. Another may run already, if this one outlived its time."""
        if self._running.get(item.id) is item:
            del self._running[item.id]
        self.wake()


class NotNotedError(Exception):
    """The handler has succeeded, and that cannot be written down: its lease ends, and it runs again."""


class LeaseLostError(LinkdError):
    """Another instance has what this one works at, so that its transaction is undone."""

    default_code = 409
    default_type = "LEASE_LOST"


class _WorkJob(Job):
    """One attempt."""

    __slots__ = ("_assignment", "_item", "_runner")

    def __init__(self, runner: WorkRunner, item: Item, assignment: Assignment) -> None:
        super().__init__(None, assignment.handler.timeout)
        self._runner = runner
        self._item = item
        self._assignment = assignment

    async def run(self) -> None:
        """See Job."""
        try:
            await self._runner.handle(self._item, self._assignment)
        except LeaseLostError:
            pass
        except NotNotedError as error:
            report(log.error, "work_not_noted", name=self._item.name, id=self._item.id, exc_info=error.__cause__)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if torn_down(error):
                raise
            await self._note(error)
        self._runner.ended(self._item)

    async def _note(self, error: BaseException) -> None:
        try:
            await self._runner.failed(self._item, self._assignment, error)
        except Exception as cause:
            # The lease ends, and it is done again.
            report(log.error, "work_not_noted", name=self._item.name, id=self._item.id, exc_info=cause)

    def failed(self, error: BaseException) -> None:
        """See Job."""
        report(log.error, "work_not_noted", name=self._item.name, id=self._item.id, exc_info=error)
        self._runner.ended(self._item)

    def expired(self) -> None:
        """See Job."""
        self._end_with(HandlerTimeoutError())

    def cancelled(self) -> None:
        """See Job."""
        self._end_with(RuntimeError("the handler cancelled itself"))

    def _end_with(self, error: Exception) -> None:
        self._runner._dispatcher.add(_NoteJob(self, error))


class _NoteJob(Job):
    """Writes down that an attempt was cancelled, which its own task cannot any more."""

    __slots__ = ("_error", "_of")

    def __init__(self, of: _WorkJob, error: Exception) -> None:
        super().__init__(None, None)
        self._of = of
        self._error = error

    async def run(self) -> None:
        """See Job."""
        await self._of._note(self._error)
        self._of._runner.ended(self._of._item)


def _log_failure(item: Item, error: BaseException, failure: FailureClass, *, gives_up: bool) -> None:
    report(
        log.error if gives_up else log.warning,
        "work_attempt_failed",
        exc_info=error if failure is FailureClass.BUG else None,
        name=item.name,
        id=item.id,
        attempt=item.attempts,
        error=type(error).__name__,
        failure=failure.value,
        gives_up=gives_up,
    )
