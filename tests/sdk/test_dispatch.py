"""Who runs handlers, in which order and for how long. Real tasks; time passes where a deadline is the matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.sdk import dispatch
from pylinkd.sdk.dispatch import Dispatcher, Job, Mailbox

Work = Callable[[], Awaitable[object]]


class Task(Job):
    """A job that notes what becomes of it."""

    def __init__(self, log: list[str], name: str, work: Work | None = None, **options: object) -> None:
        mailbox, timeout = options.get("mailbox"), options.get("timeout")
        assert mailbox is None or isinstance(mailbox, Mailbox)
        assert timeout is None or isinstance(timeout, float)
        super().__init__(mailbox, timeout)
        self._log, self._name, self._work = log, name, work
        self.task: asyncio.Task[object] | None = None

    async def run(self) -> None:
        self.task = asyncio.current_task()
        self._log.append(f"+{self._name}")
        if self._work is not None:
            await self._work()
        self._log.append(f"-{self._name}")

    def expired(self) -> None:
        self._log.append(f"!{self._name}")

    def cancelled(self) -> None:
        self._log.append(f"x{self._name}")


@pytest.fixture
async def dispatcher() -> AsyncIterator[Dispatcher]:
    """With room for three suspended handlers; closed afterwards."""
    dispatcher = Dispatcher(3)
    yield dispatcher
    await dispatcher.close(1.0)


async def turns(count: int = 10) -> None:
    """Let the loop run what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_jobs_of_one_mailbox_run_one_after_the_other(dispatcher: Dispatcher) -> None:
    """In order, however long the first one takes."""
    log: list[str] = []
    gate, mailbox = asyncio.Event(), Mailbox()
    for name, work in (("a", gate.wait), ("b", None), ("c", None)):
        dispatcher.add(Task(log, name, work, mailbox=mailbox))
    await turns()
    assert log == ["+a"]

    gate.set()
    await dispatcher.drain(1.0)

    assert log == ["+a", "-a", "+b", "-b", "+c", "-c"]
    assert not mailbox.busy


async def test_jobs_of_different_mailboxes_overlap(dispatcher: Dispatcher) -> None:
    """And those without one."""
    log: list[str] = []
    gate = asyncio.Event()
    for name, mailbox in (("a", Mailbox()), ("b", Mailbox()), ("c", None)):
        dispatcher.add(Task(log, name, gate.wait, mailbox=mailbox))
    await turns()

    assert log == ["+a", "+b", "+c"]
    gate.set()


async def test_no_more_than_the_limit_are_suspended(dispatcher: Dispatcher) -> None:
    """The others wait until one ends."""
    log: list[str] = []
    gates = [asyncio.Event() for _ in range(5)]
    for number, gate in enumerate(gates):
        dispatcher.add(Task(log, str(number), gate.wait))
    await turns()
    assert log == ["+0", "+1", "+2"]

    gates[1].set()
    await turns()
    assert log == ["+0", "+1", "+2", "-1", "+3"]

    for gate in gates:
        gate.set()
    assert await dispatcher.drain(1.0)


async def test_handlers_that_do_not_suspend_share_a_task(dispatcher: Dispatcher) -> None:
    """No task is made for each."""
    jobs = [Task([], str(number)) for number in range(10)]
    for job in jobs:
        dispatcher.add(job)
    await dispatcher.drain(1.0)

    assert len({job.task for job in jobs}) == 1


async def test_flood_leaves_the_loop_its_turns(dispatcher: Dispatcher) -> None:
    """However many jobs are ready, the loop reads and writes in between."""
    log: list[str] = []
    for number in range(1000):
        dispatcher.add(Task(log, str(number)))
    seen: list[int] = []
    while dispatcher.unfinished:
        await asyncio.sleep(0)
        seen.append(len(log) // 2)

    steps = [after - before for before, after in zip([0, *seen], seen, strict=False)]
    assert max(steps) <= 64
    assert seen[-1] == 1000


async def test_job_that_fails_costs_the_others_nothing(dispatcher: Dispatcher) -> None:
    """It is logged, its mailbox goes on."""
    log: list[str] = []
    mailbox = Mailbox()

    async def fail() -> None:
        raise RuntimeError("x")

    dispatcher.add(Task(log, "a", fail, mailbox=mailbox))
    dispatcher.add(Task(log, "b", mailbox=mailbox))
    with structlog.testing.capture_logs() as logs:
        await dispatcher.drain(1.0)

    assert log == ["+a", "+b", "-b"]
    assert [line["event"] for line in logs] == ["job_failed"]


# deadlines and cancellation


async def test_job_that_takes_too_long_is_cancelled(dispatcher: Dispatcher) -> None:
    """And told; one without a deadline is not, and the worker goes on."""
    log: list[str] = []
    gate, mailbox = asyncio.Event(), Mailbox()
    dispatcher.add(Task(log, "never", gate.wait))
    dispatcher.add(Task(log, "late", asyncio.Event().wait, mailbox=mailbox, timeout=0.01))
    dispatcher.add(Task(log, "next", mailbox=mailbox))
    async with asyncio.timeout(2):
        while dispatcher.unfinished > 1:
            await asyncio.sleep(0.01)

    assert log == ["+never", "+late", "!late", "+next", "-next"]
    gate.set()


async def test_cancelled_worker_runs_the_next_job_undisturbed(dispatcher: Dispatcher) -> None:
    """Its task is the same and carries no cancellation over."""
    log: list[str] = []
    mailbox = Mailbox()

    async def check() -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        async with asyncio.timeout(1):
            await asyncio.sleep(0)

    late = Task(log, "late", asyncio.Event().wait, mailbox=mailbox, timeout=0.01)
    following = Task(log, "next", check, mailbox=mailbox, timeout=5.0)
    dispatcher.add(late)
    dispatcher.add(following)
    assert await dispatcher.drain(2.0)

    assert log == ["+late", "!late", "+next", "-next"]
    assert following.task is late.task


async def test_job_may_clean_up_after_its_deadline(dispatcher: Dispatcher) -> None:
    """It catches the cancellation and ends normally."""
    log: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cleaned")

    dispatcher.add(Task(log, "a", careful, timeout=0.01))
    assert await dispatcher.drain(2.0)

    assert log == ["+a", "cleaned", "-a"]


async def test_stubborn_job_frees_its_session(dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """It swallows its cancellation and goes on: told once as expired, and the mailbox's other jobs run."""
    monkeypatch.setattr(dispatch, "_STUBBORN_AFTER", 0.05)
    log: list[str] = []
    gate, mailbox = asyncio.Event(), Mailbox()

    async def stubborn() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                log.append("swallowed")

    dispatcher.add(Task(log, "a", stubborn, mailbox=mailbox, timeout=0.01))
    dispatcher.add(Task(log, "b", mailbox=mailbox))
    async with asyncio.timeout(2):
        while "-b" not in log:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.12)
    gate.set()
    assert await dispatcher.drain(1.0)

    assert log == ["+a", "swallowed", "!a", "+b", "-b", "-a"]
    assert not mailbox.busy


@pytest.mark.parametrize("how", ["raises", "awaits", "cancels itself"])
@pytest.mark.parametrize("limit", [1, 3])
async def test_job_that_is_cancelled_from_within_is_told(how: str, limit: int) -> None:
    """By what it awaited, or by itself; the queue behind it goes on, with a single worker too."""
    dispatcher = Dispatcher(limit)
    log: list[str] = []

    async def cancelled() -> None:
        await asyncio.sleep(0)
        if how == "raises":
            raise asyncio.CancelledError
        if how == "awaits":
            inner = asyncio.ensure_future(asyncio.sleep(60))
            inner.cancel()
            await inner
        else:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(60)

    dispatcher.add(Task(log, "a", cancelled))
    dispatcher.add(Task(log, "b"))
    assert await dispatcher.drain(2.0)

    assert sorted(log) == ["+a", "+b", "-b", "xa"]
    assert await dispatcher.close(1.0) == 0


async def test_timeouts_inside_of_jobs_work(dispatcher: Dispatcher) -> None:
    """``asyncio.timeout`` needs a real task, and gets one."""
    log: list[str] = []

    async def impatient() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            log.append("timeout")

    dispatcher.add(Task(log, "a", impatient, timeout=5.0))
    assert await dispatcher.drain(2.0)

    assert log == ["+a", "timeout", "-a"]


async def test_drain_gives_up_in_time(dispatcher: Dispatcher) -> None:
    """And says so."""
    dispatcher.add(Task([], "a", asyncio.Event().wait))

    assert not await dispatcher.drain(0.02)
    assert dispatcher.unfinished == 1


async def test_close_cancels_what_runs() -> None:
    """Nothing runs afterwards, nor is anything taken; those that will not end are counted."""
    dispatcher = Dispatcher(3)
    log: list[str] = []
    gate, mailbox = asyncio.Event(), Mailbox()

    async def stuck() -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                pass

    dispatcher.add(Task(log, "a", asyncio.Event().wait, mailbox=mailbox))
    dispatcher.add(Task(log, "b", mailbox=mailbox))
    dispatcher.add(Task(log, "stuck", stuck))
    await turns()

    assert await dispatcher.close(0.05) == 1
    dispatcher.add(Task(log, "late"))
    gate.set()
    await turns()

    assert log == ["+a", "+stuck", "-stuck"]


@given(
    jobs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=40), limit=st.integers(1, 4)
)
def test_every_job_runs_once_and_in_order(jobs: list[tuple[int, int, bool]], limit: int) -> None:
    """Whatever suspends or fails: each mailbox keeps its order, no two of it overlap, the limit holds."""

    async def scenario() -> None:
        dispatcher = Dispatcher(limit)
        mailboxes: list[Mailbox | None] = [None, Mailbox(), Mailbox(), Mailbox()]
        began: list[list[int]] = [[], [], [], []]
        running: list[int] = [0, 0, 0, 0]

        class Step(Job):
            def __init__(self, number: int, box: int, suspends: int, fails: bool) -> None:
                super().__init__(mailboxes[box], None)
                self._all = number, box, suspends, fails

            async def run(self) -> None:
                number, box, suspends, fails = self._all
                began[box].append(number)
                running[box] += 1
                assert box == 0 or running[box] == 1
                assert sum(running) <= limit
                for _ in range(suspends):
                    await asyncio.sleep(0)
                running[box] -= 1
                if fails:
                    raise asyncio.CancelledError

        for number, (box, suspends, fails) in enumerate(jobs):
            dispatcher.add(Step(number, box, suspends, fails))
            if number % 7 == 6:
                await asyncio.sleep(0)
        assert await dispatcher.drain(5.0)
        for box in range(4):
            assert began[box] == [number for number, job in enumerate(jobs) if job[0] == box]
        assert await dispatcher.close(1.0) == 0

    asyncio.run(scenario())


# calls of one's own service


class Called(Task):
    """A job that a handler waits for."""

    is_call = True

    def refused(self) -> None:
        self._log.append(f"/{self._name}")


async def calling(dispatcher: Dispatcher, job: Task) -> None:
    """What ctx.call does: have the job done, and wait for it."""
    ended = asyncio.Event()
    work, refused = job._work, job.refused

    async def run() -> None:
        if work is not None:
            await work()
        ended.set()

    def refuse() -> None:
        refused()
        ended.set()

    job._work = run
    job.refused = refuse  # type: ignore[method-assign]
    dispatcher.call_began()
    try:
        dispatcher.add(job)
        await ended.wait()
    finally:
        dispatcher.call_ended()


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("depth", [1, 3])
async def test_handlers_that_wait_for_their_own_service_get_their_answer(limit: int, depth: int) -> None:
    """However many there are: each gives its place to a call."""
    dispatcher = Dispatcher(limit)
    log: list[str] = []

    async def work(name: str, left: int) -> None:
        await asyncio.sleep(0)
        if left:
            await calling(dispatcher, Called(log, f"{name}.", lambda: work(f"{name}.", left - 1)))

    for number in range(4 * limit):
        name = str(number)
        dispatcher.add(Task(log, name, lambda name=name: work(name, depth)))  # type: ignore[misc]
    assert await dispatcher.drain(2.0)

    assert sum(entry.startswith("-") for entry in log) == 4 * limit * (depth + 1)
    assert not any(entry.startswith("/") for entry in log)
    assert await dispatcher.close(1.0) == 0


async def test_places_of_waiting_handlers_are_for_calls_only(dispatcher: Dispatcher) -> None:
    """Another message waits as before; another call comes in, and not more calls than there are places."""
    log: list[str] = []
    gate = asyncio.Event()
    for number in range(3):
        called = Called(log, f"c{number}", gate.wait)
        dispatcher.add(Task(log, str(number), lambda called=called: calling(dispatcher, called)))  # type: ignore[misc]
    dispatcher.add(Task(log, "message"))
    await turns()
    for number in range(3, 5):
        dispatcher.add(Called(log, f"c{number}", gate.wait))
    await turns()

    assert log == ["+0", "+1", "+2", "+c0", "+c1", "+c2"]
    gate.set()
    assert await dispatcher.drain(2.0)
    assert {"-message", "-c3", "-c4"} <= set(log)


async def test_handler_that_makes_many_calls_at_once_gives_one_place(dispatcher: Dispatcher) -> None:
    """They run a few at a time, as other jobs do, and none is refused."""
    log: list[str] = []
    running: list[int] = []

    async def work() -> None:
        running.append(log.count("+call") - log.count("-call"))
        await asyncio.sleep(0)

    async def gather() -> None:
        await asyncio.gather(*(calling(dispatcher, Called(log, "call", work)) for _ in range(200)))

    dispatcher.add(Task(log, "many", gather))
    assert await dispatcher.drain(2.0)

    assert log.count("-call") == 200
    assert max(running) == 3


async def test_calls_and_messages_take_turns(dispatcher: Dispatcher) -> None:
    """A flood of one leaves the other its part."""
    log: list[str] = []
    for _ in range(200):
        dispatcher.add(Called(log, "call"))
        dispatcher.add(Task(log, "message"))
    assert await dispatcher.drain(2.0)

    began = [entry for entry in log if entry.startswith("+")]
    assert abs(began[:200].count("+call") - 100) < 20


async def test_endless_recursion_is_refused(dispatcher: Dispatcher) -> None:
    """Where as many wait as may, and each for a call, the next call is refused and all of them end."""
    log: list[str] = []

    async def recurse() -> None:
        await calling(dispatcher, Called(log, "call", recurse))

    dispatcher.add(Task(log, "message", recurse))
    assert await dispatcher.drain(5.0)

    assert (log.count("+call"), log.count("/call"), log.count("-call")) == (63, 1, 63)
    assert log[-1] == "-message"


async def test_workers_for_calls_end_or_wait_for_work(dispatcher: Dispatcher) -> None:
    """Afterwards the limit holds as before."""
    log: list[str] = []
    for number in range(3):
        called = Called(log, f"c{number}", lambda: asyncio.sleep(0))
        dispatcher.add(Task(log, str(number), lambda called=called: calling(dispatcher, called)))  # type: ignore[misc]
    assert await dispatcher.drain(2.0)
    log.clear()

    gate = asyncio.Event()
    for number in range(5):
        dispatcher.add((Called if number % 2 else Task)(log, str(number), gate.wait))
    await turns()

    assert len(log) == 3
    gate.set()
    assert await dispatcher.drain(2.0)
    assert len(log) == 10


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
async def test_worker_outlives_what_leaves_a_job(dispatcher: Dispatcher, error: type[BaseException]) -> None:
    """The same task runs the next job."""
    log: list[str] = []

    async def fail() -> None:
        raise error

    first, second = Task(log, "a", fail), Task(log, "b")
    dispatcher.add(first)
    dispatcher.add(second)
    with structlog.testing.capture_logs() as logs:
        assert await dispatcher.drain(2.0)

    assert log == ["+a", "+b", "-b"]
    assert first.task is second.task
    assert [line["event"] for line in logs] == ["job_failed"]


def test_workers_of_a_loop_that_ended_end_silently(recwarn: pytest.WarningsRecorder) -> None:
    """Their coroutines are closed by the collector, which is no fault of a handler."""

    async def scenario() -> tuple[Dispatcher, Task]:
        dispatcher = Dispatcher(1)
        job = Task([], "a", asyncio.Event().wait)
        dispatcher.add(job)
        await turns()
        return dispatcher, job

    loop = asyncio.new_event_loop()
    _dispatcher, job = loop.run_until_complete(scenario())
    loop.close()
    assert job.task is not None
    coroutine = job.task.get_coro()
    assert coroutine is not None
    with structlog.testing.capture_logs() as logs:
        coroutine.close()  # RuntimeError: coroutine ignored GeneratorExit, if it went on

    assert logs == []
    job.task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_no_job_sees_what_another_one_set() -> None:
    """Context variables of a handler end with it, also where it is one of many in a queue, or has suspended."""
    language: ContextVar[str] = ContextVar("language", default="en")
    language.set("fr")
    dispatcher = Dispatcher(10)
    seen: list[str] = []

    class Speaking(Job):
        """Sets the variable, and notes what it was."""

        def __init__(self, wanted: str, suspends: bool) -> None:
            super().__init__(None, None)
            self._wanted, self._suspends = wanted, suspends

        async def run(self) -> None:
            seen.append(language.get())
            language.set(self._wanted)
            if self._suspends:
                await asyncio.sleep(0)
            assert language.get() == self._wanted

    language.set("it")  # where jobs are added from does not matter
    for number in range(20):
        dispatcher.add(Speaking(f"l-{number}", suspends=number % 3 == 0))
    assert await dispatcher.drain(5)
    await dispatcher.close(1)

    assert seen == ["fr"] * 20
