"""Who runs handlers, in which order and for how long.

Jobs of one mailbox run one after the other, jobs of different mailboxes concurrently. Jobs that are ready stand in
a queue; one worker task runs them back to back and costs nothing per job while handlers do not suspend. When one
suspends, the next worker of the pool takes over. So every handler has a real task (``current_task``,
``asyncio.timeout`` and cancellation work) without one being made for it. Where a handler has changed a context
variable, its worker ends with it: no job sees what another one set. Deadlines are checked by one sweep.

Calls of other services have a queue of their own. A handler that waits for a call's answer gives its place to one call:
the call may have come back to this service, directly or over others, and would wait for that very handler.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from functools import partial
from time import monotonic
from typing import ClassVar

import structlog

from .exits import contain, inside_handler
from .safe_log import report

log = structlog.get_logger("linkd.service")

DEFAULT_TIMEOUT = 30.0
"""Seconds that a handler may take by default."""

_SWEEP_INTERVAL = 0.05  # seconds; how late a deadline may be noticed
_STUBBORN_AFTER = 2.0  # seconds after its cancellation at which a handler that goes on counts as overdue anyway
_KEEP_IDLE = 32  # workers that wait for work; more of them end

# How many times max_concurrent may be suspended with calls: they nest a few levels deep, an endless recursion is
# refused. With a small max_concurrent the factor alone would refuse what is no recursion.
_CALL_FACTOR = 4
_FEWEST_WITH_CALLS = 64

# Jobs after which a worker lets the loop read and write: bounds how long a flood delays everything else.
_TURN = 32


class Mailbox:
    """The jobs of one session. Empty it is two words, since most sessions have nothing to do."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[Job] | None = None


class Job:
    """Something to run.

    Attributes:
        mailbox: Whose order it keeps; ``None``: nobody's.
        timeout: Seconds after which it is cancelled; ``None``: never.
        is_call: Whether a handler, here or in another service, waits for it. Such a job has no mailbox.
    """

    __slots__ = ("mailbox", "timeout")

    is_call: ClassVar[bool] = False

    def __init__(self, mailbox: Mailbox | None, timeout: float | None) -> None:
        self.mailbox = mailbox
        self.timeout = timeout

    async def run(self) -> None:
        """Do it. What leaves it, apart from CancelledError, is given to ``failed``."""
        raise NotImplementedError

    def failed(self, error: BaseException) -> None:
        """An error left ``run``."""
        report(log.error, "job_failed", exc_info=error)

    def expired(self) -> None:
        """It was cancelled because its time was up, or should have ended then and goes on."""

    def cancelled(self) -> None:
        """It was cancelled from within, by itself or by what it awaited."""

    def refused(self) -> None:
        """It is a call and was not begun: as many handlers as there may be wait for calls."""


class _Worker:
    __slots__ = ("calls", "cancelled_at", "deadline", "job", "parked", "stubborn", "task", "waits", "wake")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.job: Job | None = None
        self.calls = 0  # whose answers its handler waits for
        self.waits = 0  # for its client
        self.deadline = 0.0
        self.cancelled_at: float | None = None
        self.stubborn = False
        self.parked = False
        self.wake: asyncio.Future[None] | None = None


_worker: ContextVar[_Worker | None] = ContextVar("linkd_worker", default=None)
"""Whose handler this is, also in the tasks that the handler started."""


def time_left() -> float:
    """Seconds until the handler that runs is cancelled; infinite: it has no limit, or this is none."""
    worker = _worker.get()
    if worker is None or worker.job is None or worker.job.timeout is None:
        return math.inf
    return worker.deadline - monotonic()


def leave_worker() -> None:
    """From here on the present context is no handler's, though what the handler has set in it stays."""
    _worker.set(None)


class Dispatcher:
    """Runs jobs.

    Args:
        max_concurrent: Most handlers that may be suspended at once; further jobs wait. A call is begun beyond it for
            each handler that waits in ``ctx.call``, until four times as many handlers (at least 64) are suspended.
            Calls that come when all of those wait for calls are refused.

    Attributes:
        context: What context variables are where a job begins.
    """

    def __init__(self, max_concurrent: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.context = copy_context()  # that every job begins in
        contain(self._loop)
        self._max_concurrent = max_concurrent
        self._most = max(_CALL_FACTOR * max_concurrent, _FEWEST_WITH_CALLS)
        self._ready: deque[Job] = deque()
        self._calls: deque[Job] = deque()  # ready as well
        # Where jobs that become ready are put: there, or aside while nothing new is begun.
        self._entry, self._call_entry = self._ready, self._calls
        self._aside: deque[Job] = deque()
        self._calls_aside: deque[Job] = deque()
        self._active = 0  # workers that are not idle
        self._awaited = 0  # handlers that wait for answers to ctx.call
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._unfinished = 0
        self._checking = False
        self._yielding = False
        self._sweeping = False
        self._closed = False

    @property
    def unfinished(self) -> int:
        """Jobs that were added and have not ended."""
        return self._unfinished

    def add(self, job: Job) -> None:
        """Run the job when its mailbox's earlier ones have ended. Never blocks.

        After ``close`` nothing is run: the link ends, and the gateway answers in the service's stead.
        """
        if self._closed:
            return
        self._unfinished += 1
        mailbox = job.mailbox
        if mailbox is not None:
            if mailbox.busy:
                if mailbox.waiting is None:
                    mailbox.waiting = deque()
                mailbox.waiting.append(job)
                return
            mailbox.busy = True
        (self._call_entry if job.is_call else self._entry).append(job)
        self._schedule_check()

    def pause(self) -> None:
        """Begin nothing new, since nobody reads what is answered; what runs goes on."""
        self._entry, self._call_entry = self._aside, self._calls_aside
        for ready, aside in ((self._ready, self._aside), (self._calls, self._calls_aside)):
            aside.extend(ready)
            ready.clear()

    def resume(self) -> None:
        """Begin jobs again."""
        self._entry, self._call_entry = self._ready, self._calls
        for ready, aside in ((self._ready, self._aside), (self._calls, self._calls_aside)):
            ready.extend(aside)
            aside.clear()
        self._schedule_check()

    def discard(self, unwanted: Callable[[Job], bool], mailboxes: Iterable[Mailbox]) -> None:
        """Forget jobs that have not begun, as if they had never been added.

        Args:
            unwanted: Which.
            mailboxes: All that jobs may wait in.
        """
        for mailbox in mailboxes:
            if mailbox.waiting is not None:
                kept = deque(job for job in mailbox.waiting if not unwanted(job))
                self._unfinished -= len(mailbox.waiting) - len(kept)
                mailbox.waiting = kept or None
        for queue in (self._ready, self._calls, self._aside, self._calls_aside):
            for _ in range(len(queue)):
                job = queue.popleft()
                if unwanted(job):
                    self._end(job, released=False)  # which lets the next of its mailbox follow
                else:
                    queue.append(job)

    def call_began(self) -> None:
        """A handler waits for the answer to a call from now on, and gives its place to one that comes in. It has one
        place, for however many answers it waits.
        """
        worker = _worker.get()
        if worker is None:
            return  # it is no handler, and has no place
        worker.calls += 1
        if worker.calls > 1:
            return
        self._awaited += 1
        if self._calls:
            self._schedule_check()

    def call_ended(self) -> None:
        """It has the answer, or waits no more."""
        worker = _worker.get()
        if worker is None:
            return
        worker.calls -= 1
        if not worker.calls:
            self._awaited -= 1

    def wait_began(self) -> None:
        """A handler waits for its client from now on, which may take as long as that likes: its place is another's."""
        worker = _worker.get()
        if worker is None:
            return
        worker.waits += 1
        if worker.waits == 1:
            self._active -= 1
            self._schedule_check()

    def wait_ended(self) -> None:
        """It goes on, beyond ``max_concurrent`` if need be."""
        worker = _worker.get()
        if worker is None:
            return
        worker.waits -= 1
        if not worker.waits:
            self._active += 1

    async def drain(self, timeout: float) -> bool:
        """Wait until nothing is unfinished; ``False``: not within ``timeout`` seconds."""
        deadline = monotonic() + timeout
        while self._unfinished and not self._closed:
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def close(self, timeout: float) -> int:
        """Cancel whatever runs and end the workers; how many had not ended after ``timeout`` seconds."""
        self._closed = True
        for queue in (self._ready, self._calls, self._aside, self._calls_aside):
            queue.clear()
        tasks = {worker.task for worker in self._workers if worker.task is not None}
        for task in tasks:
            task.cancel()
        if not tasks:
            return 0
        _, pending = await asyncio.wait(tasks, timeout=timeout)
        return len(pending)

    # waking workers

    def _schedule_check(self) -> None:
        if not self._checking:
            self._checking = True
            self._loop.call_soon(self._check)

    def _check(self) -> None:
        """Wake a worker if jobs wait. Runs once per loop turn while they do: a worker that suspended inside a
        handler has left the queue to others."""
        self._checking = False
        if self._yielding or self._closed:
            return
        if not self._room():
            return  # the first worker that ends a job goes on with the queue
        if self._idle:
            worker = self._idle.pop()
            assert worker.wake is not None
            if not worker.wake.done():  # else it was cancelled and is gone
                worker.parked = False
                self._active += 1
                worker.wake.set_result(None)
        else:
            worker = _Worker()
            self._workers.add(worker)
            self._active += 1
            worker.task = self._loop.create_task(self._work(worker), name="linkd-handler", context=self.context.copy())
        self._schedule_check()

    def _room(self) -> bool:
        """Whether a job waits that one more worker may begin."""
        if self._active < self._max_concurrent:
            return bool(self._ready or self._calls)
        if not self._calls:
            return False
        if self._active >= self._most:
            if self._awaited >= self._active:
                self._refuse_calls()  # nobody who could end would make room for them
            return False
        return self._active - self._awaited < self._max_concurrent

    def _refuse_calls(self) -> None:
        while self._calls:
            self._unfinished -= 1
            _tell(self._calls.popleft().refused)

    # a worker

    async def _work(self, worker: _Worker) -> None:
        ready, calls, limit = self._ready, self._calls, self._max_concurrent
        task = worker.task
        assert task is not None
        budget = _TURN
        inside_handler.set(True)
        _worker.set(worker)
        unchanged = copy_context()
        try:
            while not self._closed:
                if calls and self._is_turn_of_calls(budget):
                    queue = calls
                elif ready and self._active <= limit:
                    queue = ready
                else:
                    if len(self._idle) >= _KEEP_IDLE:
                        return
                    await self._park(worker)
                    budget = _TURN
                    continue
                if not budget:
                    budget = _TURN
                    await self._yield()
                    continue
                budget -= 1
                job = queue.popleft()
                worker.job = job
                if job.timeout is not None:
                    worker.deadline = monotonic() + job.timeout
                    if not self._sweeping:
                        self._begin_sweeps()
                try:
                    await job.run()
                except BaseException as error:
                    self._left_by(error, worker, job)
                finally:
                    worker.job = None
                    self._end(job, worker.stubborn)
                if task.cancelling() and not self._closed:
                    await _forget_cancellation(task)
                worker.cancelled_at = None
                worker.stubborn = False
                if copy_context() != unchanged:  # two copies of the same are compared by identity
                    self._schedule_check()
                    return
        finally:
            self._workers.discard(worker)
            if not worker.parked:
                self._active -= 1

    def _left_by(self, error: BaseException, worker: _Worker, job: Job) -> None:
        """The error boundary of last resort: a worker outlives whatever leaves a job, SystemExit too, but not its own
        end.
        """
        if isinstance(error, asyncio.CancelledError):
            if self._closed:
                raise error
            _tell(job.cancelled if worker.cancelled_at is None else job.expired)
        elif torn_down(error):
            raise error
        else:
            _tell(partial(job.failed, error))

    async def _park(self, worker: _Worker) -> None:
        """Wait until there is a job for this worker."""
        worker.wake = self._loop.create_future()
        worker.parked = True
        self._active -= 1
        self._idle.append(worker)
        await worker.wake

    async def _yield(self) -> None:
        """Let the loop read and write; no other worker takes over meanwhile."""
        self._yielding = True
        try:
            await asyncio.sleep(0)
        finally:
            self._yielding = False
            self._schedule_check()

    def _is_turn_of_calls(self, budget: int) -> bool:
        """Whether a worker takes a call next. Calls and other jobs take turns, so that neither keeps the other waiting;
        a worker beyond the limit is there for calls only."""
        if self._active - self._awaited > self._max_concurrent:
            return False
        return bool(budget & 1) or not self._ready or self._active > self._max_concurrent

    def _end(self, job: Job, released: bool) -> None:
        self._unfinished -= 1
        if job.mailbox is not None and not released:
            self._release(job.mailbox)

    def _release(self, mailbox: Mailbox) -> None:
        """Let the next job of the mailbox run."""
        if mailbox.waiting:
            self._entry.append(mailbox.waiting.popleft())
            if not mailbox.waiting:
                mailbox.waiting = None
            self._schedule_check()
        else:
            mailbox.busy = False

    def _begin_sweeps(self) -> None:
        self._sweeping = True
        self._loop.call_later(_SWEEP_INTERVAL, self._sweep)

    def _sweep(self) -> None:
        now = monotonic()
        self._sweeping = False
        for worker in self._workers:
            job = worker.job
            if job is not None and job.timeout is not None:
                self._sweeping = True
                self._judge(worker, job, now)
        self._sweeping = self._sweeping and not self._closed
        if self._sweeping:
            self._begin_sweeps()

    def _judge(self, worker: _Worker, job: Job, now: float) -> None:
        """Cancel a job whose time is up; give up waiting for one that goes on all the same."""
        if worker.cancelled_at is None:
            if now >= worker.deadline:
                assert worker.task is not None
                worker.cancelled_at = now
                worker.task.cancel()
        elif not worker.stubborn and now - worker.cancelled_at >= _STUBBORN_AFTER:
            # It caught the cancellation and goes on. Its client gets an answer all the same, and the
            # session's other messages need not wait for it.
            worker.stubborn = True
            _tell(job.expired)
            if job.mailbox is not None:
                self._release(job.mailbox)


def torn_down(error: BaseException) -> bool:
    """Whether ``error`` says that the coroutine is closed after its loop has ended; else a handler raised it.

    A coroutine that goes on after such a GeneratorExit is an error of its own (PEP 342).
    """
    if not isinstance(error, GeneratorExit):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def _tell(what: Callable[[], None]) -> None:
    try:
        what()
    except BaseException as error:
        report(log.error, "job_failed", exc_info=error)  # neither the worker nor the sweep may end with it


async def _forget_cancellation(task: asyncio.Task[None]) -> None:
    """Make a task that was cancelled inside a job go on to the next as if nothing had been."""
    try:
        # Where the job ended before the cancellation reached it, it would hit the next job instead.
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        pass
    while task.cancelling():
        task.uncancel()
