"""Jobs: later, at intervals, in one instance, over restarts."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from pylinkd import ConflictError, JobContext, RegistrationError, Retry, Service, TransientError, WsContext
from pylinkd.sdk.host import persistence_of
from pylinkd.sdk.scheduled import Cron, Interval
from pylinkd.sdk.store.dead_letters import DeadLetter
from pylinkd.testing import run

from .shops import ShopDatabase, shop, sold, until

QUICK = Retry(attempts=3, delay=0.01, max_delay=0.02, jitter=0.0)


async def test_job_runs_later(url: str) -> None:
    """With its data, its key and the time at which it was due."""
    service, seen = shop(url), []

    @service.job("shop.remind")
    async def remind(ctx: JobContext, item: str) -> None:
        seen.append((item, ctx.key, ctx.attempt, ctx.due_at))

    @service.ws.on("shop.order")
    async def order(ctx: WsContext, item: str) -> None:
        await ctx.after(0.05, remind, item, key="alice")

    async with run(service) as gateway:
        client = await gateway.connect()
        began = datetime.now(UTC).timestamp()
        await client.send("shop.order", "tea")
        await until(lambda: seen)

    ((item, key, attempt, due_at),) = seen
    assert (item, key, attempt) == ("tea", "alice", 1)
    assert due_at - began == pytest.approx(0.05, abs=0.5)


async def test_job_of_a_transaction_that_fails_does_not_run(url: str) -> None:
    """It is stored with what its author writes, or not at all."""
    service, seen = shop(url), []

    @service.job("shop.remind")
    async def remind(ctx: JobContext, item: str) -> None:
        seen.append(item)

    @service.ws.on("shop.order")
    async def order(ctx: WsContext[ShopDatabase], item: str) -> None:
        async with ctx.db.transaction():
            await ctx.db.sales.insert(item=item)
            await ctx.after(0.0, remind, item)
            if item == "gold":
                raise ConflictError("There is none.")

    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(ConflictError):
            await client.send("shop.order", "gold")
        await client.send("shop.order", "tea")
        await until(lambda: seen)
        assert await sold(service) == ["tea"]

    assert seen == ["tea"]


async def test_last_job_of_a_key_counts(url: str) -> None:
    """And one that was cancelled does not run."""
    service, seen = shop(url), []

    @service.job("shop.remind")
    async def remind(ctx: JobContext, item: str) -> None:
        seen.append(item)

    async with run(service):
        await service.after(60.0, remind, "tea", key="alice")
        await service.after(0.0, "shop.remind", "milk", key="alice")
        await service.after(0.5, remind, "gold", key="ben")
        assert await service.cancel_job(remind, "ben")
        assert not await service.cancel_job(remind, "ben")
        async with asyncio.timeout(10.0):
            while await persistence_of(service._host).work.next_due([("job", "shop.remind")]) is not None:
                await asyncio.sleep(0.01)

    assert seen == ["milk"]


async def test_job_waits_for_a_service_that_is_away(url: str) -> None:
    """It is in the database, not in the process."""
    seen: list[str] = []

    def made() -> Service[Any]:
        service = shop(url)

        @service.job("shop.remind")
        async def remind(ctx: JobContext, item: str) -> None:
            seen.append(item)

        return service

    first = made()
    async with run(first):
        await first.after(0.2, "shop.remind", "tea")
    assert seen == []
    async with run(made()):
        await until(lambda: seen)

    assert seen == ["tea"]


async def test_stop_in_the_middle_hands_the_job_on(url: str) -> None:
    """The next instance runs it at once, and the attempt that was cut off does not count."""
    seen: list[int] = []
    begun = asyncio.Event()

    def made(*, hangs: bool) -> Service[Any]:
        service = shop(url)
        service._stop_timeout = 0.05

        @service.job("shop.remind", timeout=None)
        async def remind(ctx: JobContext) -> None:
            begun.set()
            if hangs:
                await asyncio.Event().wait()
            seen.append(ctx.attempt)

        return service

    first = made(hangs=True)
    async with run(first):
        await first.after(0.0, "shop.remind")
        await begun.wait()
    async with run(made(hangs=False)):
        await until(lambda: seen)

    assert seen == [1]


async def test_failing_job_is_tried_again_then_buried(url: str) -> None:
    """Each attempt is in the letter, and the hook is told."""
    service = shop(url)
    attempts: list[int] = []
    letters: list[DeadLetter] = []

    @service.job("shop.remind", retry=QUICK)
    async def remind(ctx: JobContext, item: str) -> None:
        attempts.append(ctx.attempt)
        raise TransientError(f"no post {ctx.attempt}")

    @service.on_dead_letter
    async def told(service: Service[Any], letter: DeadLetter) -> None:
        letters.append(letter)

    with structlog.testing.capture_logs() as logs:
        async with run(service):
            await service.after(0.0, remind, "tea")
            await until(lambda: letters)
            (stored,) = await persistence_of(service._host).dead_letters.list(10)

    assert attempts == [1, 2, 3]
    assert stored == letters[0]
    assert (stored.kind, stored.name, stored.data) == ("job", "shop.remind", b'"tea"')
    assert [failure.error for failure in stored.errors] == [f"TransientError: no post {n}" for n in (1, 2, 3)]
    assert [entry["gives_up"] for entry in logs if entry["event"] == "work_attempt_failed"] == [False, False, True]


async def test_what_cannot_succeed_is_buried_at_once(url: str) -> None:
    """A refusal is permanent, whatever the retries; data that does not fit too."""
    service, runs = shop(url), []

    @service.job("shop.remind", retry=QUICK)
    async def remind(ctx: JobContext, number: int) -> None:
        runs.append(number)
        raise ConflictError

    async with run(service):
        letters = persistence_of(service._host).dead_letters
        await service.after(0.0, remind, 1)
        await service.after(0.0, remind, "not a number")
        async with asyncio.timeout(10.0):
            while await letters.count() < 2:
                await asyncio.sleep(0.01)

    assert runs == [1]


async def test_job_that_takes_too_long_is_tried_again(url: str) -> None:
    """Its time is one attempt's."""
    service, attempts = shop(url), []

    @service.job("shop.remind", retry=QUICK, timeout=0.1)
    async def remind(ctx: JobContext) -> None:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            await asyncio.Event().wait()

    async with run(service):
        await service.after(0.0, remind)
        await until(lambda: len(attempts) == 2)


async def test_many_instances_run_each_job_once(url: str) -> None:
    """A lease is one instance's."""
    seen: Counter[int] = Counter()

    def made() -> Service[Any]:
        service = shop(url)

        @service.job("shop.remind")
        async def remind(ctx: JobContext, number: int) -> None:
            await asyncio.sleep(0)
            seen[number] += 1

        return service

    one, two = made(), made()
    async with run(one), run(two):
        for number in range(60):
            await (one if number % 2 else two).after(0.0, "shop.remind", number)
        await until(lambda: len(seen) == 60)
        await asyncio.sleep(0.1)  # the time in which one might run again

    assert set(seen.values()) == {1}


async def test_job_at_intervals_runs_in_one_instance(url: str) -> None:
    """However many there are."""
    runs: list[str] = []

    def made(name: str) -> Service[Any]:
        service = shop(url)

        @service.every(0.15)
        async def clean(ctx: JobContext) -> None:
            runs.append(name)

        return service

    async with run(made("one")), run(made("two")):
        await until(lambda: len(runs) >= 3)
        began, count = asyncio.get_running_loop().time(), len(runs)
        await until(lambda: len(runs) >= count + 3)
        assert asyncio.get_running_loop().time() - began > 0.3


async def test_failure_does_not_end_the_interval(url: str) -> None:
    """The next time comes all the same."""
    service, runs = shop(url), []

    @service.every(0.05, dead_letters=False)
    async def clean(ctx: JobContext) -> None:
        runs.append(1)
        raise ValueError

    async with run(service):
        await until(lambda: len(runs) >= 3)
        assert await persistence_of(service._host).dead_letters.count() == 0


def test_times_of_the_day_are_in_their_time_zone() -> None:
    """Also where the clock changes."""
    winter = datetime(2026, 1, 10, 12, 0, tzinfo=UTC).timestamp()
    summer = datetime(2026, 7, 10, 12, 0, tzinfo=UTC).timestamp()
    nightly = Cron("0 3 * * *", "Europe/Berlin")

    assert datetime.fromtimestamp(nightly.after(winter), UTC).hour == 2
    assert datetime.fromtimestamp(nightly.after(summer), UTC).hour == 1
    assert Interval(60.0).after(5.0) == 65.0


def test_odd_schedules_are_refused() -> None:
    """Where they are written."""
    service = Service("shop")
    for expression, timezone in (("x", "UTC"), ("* * * *", "UTC"), ("0 3 * * *", "Nowhere")):
        with pytest.raises(RegistrationError, match=r"service\.cron"):
            service.cron(expression, timezone=timezone)
    with pytest.raises(RegistrationError, match=r"service\.every"):
        service.every(0)
    with pytest.raises(RegistrationError, match="has no data"):

        @service.every(1.0)
        async def clean(ctx: JobContext, data: int) -> None: ...


async def test_job_needs_a_database() -> None:
    """The start says so."""
    service = Service("shop")

    @service.job("shop.remind")
    async def remind(ctx: JobContext) -> None: ...

    with pytest.raises(RegistrationError, match="has no database"):
        async with run(service):
            pass


async def test_function_that_is_no_job_is_refused(url: str) -> None:
    """It could not be found again."""
    service = shop(url)

    async def other(ctx: JobContext) -> None: ...

    @service.job("shop.remind")
    async def remind(ctx: JobContext) -> None: ...

    async with run(service):
        with pytest.raises(RuntimeError, match=r"@service\.job"):
            await service.after(1.0, other)
        with pytest.raises(ValueError, match="delay"):
            await service.after(-1.0, remind)


async def test_every_time_has_its_run_where_a_run_is_tried_again(url: str) -> None:
    """``missed="all"``: what a retry takes is no time of the schedule."""
    service, seen = shop(url), []

    @service.every(0.1, missed="all", retry=Retry(attempts=3, delay=0.5, jitter=0.0))
    async def count(ctx: JobContext) -> None:
        seen.append((ctx.due_at, ctx.attempt))
        if len(seen) == 1:
            raise TransientError("once")

    async with run(service):
        await until(lambda: len(seen) > 8)

    assert seen[0][0] == seen[1][0]
    assert [attempt for _, attempt in seen[:3]] == [1, 2, 1]
    times = [due_at for due_at, _ in seen[1:]]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.1] * (len(times) - 1))
