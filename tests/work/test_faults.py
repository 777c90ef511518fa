"""What stored work has to outlive: lost links, attempts that will not end, transactions of others, late handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time
from typing import Any

import pytest

from pylinkd import (
    ConflictError,
    EventContext,
    HttpContext,
    InternalError,
    JobContext,
    Once,
    PayloadTooLargeError,
    Retry,
    Service,
    WsContext,
)
from pylinkd.sdk.host import persistence_of
from pylinkd.sdk.runtime import Runtime
from pylinkd.sdk.store.dead_letters import DeadLetter
from pylinkd.sdk.store.work import Item
from pylinkd.testing import decode, run

from .conftest import fresh
from .shops import ShopDatabase, shop, until


async def letters_of(service: Service[Any], count: int) -> list[DeadLetter]:
    """The dead letters, once there are so many."""
    async with asyncio.timeout(10.0):
        while len(found := list(await persistence_of(service._host).dead_letters.list(10))) < count:
            await asyncio.sleep(0.01)
    return found


async def test_job_that_had_not_begun_outlives_the_loss_of_the_link(url: str) -> None:
    """It is the service's own, not the gateway's to give to another."""
    service, seen = shop(url), []

    @service.job("shop.remind")
    async def remind(ctx: JobContext, item: str) -> None:
        seen.append(item)

    async with run(service):
        runtime: Any = service._host
        assert isinstance(runtime, Runtime)
        runtime.paused()  # the gateway reads slowly: nothing begins
        await service.after(0.0, remind, "tea")
        await until(lambda: runtime.dispatcher.unfinished)
        link = runtime.link
        runtime.lost()
        runtime.link = link
        await until(lambda: seen)


async def test_nothing_begins_without_a_gateway(url: str) -> None:
    """Most of it would fail, for good where no retry is asked for."""
    service, seen = shop(url), []

    @service.job("shop.remind")
    async def remind(ctx: JobContext, user: str) -> None:
        await ctx.to(user=user).emit("shop.reminder")
        seen.append(user)

    async with run(service):
        runtime: Any = service._host
        link = runtime.link
        runtime.lost()
        await service.after(0.0, remind, "alice")
        await asyncio.sleep(0.3)  # the time in which it would fail
        assert seen == []
        runtime.link = link
        await until(lambda: seen)
        assert await persistence_of(service._host).dead_letters.count() == 0


async def test_scheduled_job_that_is_asked_for_runs_once_more(url: str) -> None:
    """It does not become a second schedule; neither does its dead letter."""
    service, seen, fails = shop(url), [], [True]

    @service.every(3600.0)
    async def tidy(ctx: JobContext) -> None:
        seen.append(ctx.due_at)
        if fails[0]:
            raise ValueError

    async with run(service):
        persistence = persistence_of(service._host)
        await service.after(0.0, tidy)
        (letter,) = await letters_of(service, 1)
        fails[0] = False
        await persistence.dead_letters.replay(letter.id, time())
        await until(lambda: len(seen) == 2)
        async with asyncio.timeout(10.0):
            while await persistence.work.count() > 1:  # the schedule itself
                await asyncio.sleep(0.01)


async def test_letter_outlives_a_transaction_of_middleware(url: str) -> None:
    """Which is rolled back, since the handler has failed."""
    service = shop(url)

    @service.ws.use
    async def atomic(ctx: WsContext[ShopDatabase], call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        async with ctx.db.transaction():
            return await call_next(ctx)

    @service.ws.on("shop.order", dead_letters=True)
    async def order(ctx: WsContext, item: str) -> None:
        raise ValueError

    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(InternalError):
            await client.send("shop.order", "tea")
        assert len(await letters_of(service, 1)) == 1


async def test_handler_with_few_keys_throws_out_nobody_elses() -> None:
    """In memory each handler has its own."""
    service, paid = Service("bank"), []

    @service.action("pay", route="/pay", method="POST", once=True)
    async def pay(ctx: HttpContext, amount: int) -> None:
        paid.append(amount)

    @service.action("note", route="/note", method="POST", once=Once(most=1))
    async def note(ctx: HttpContext, text: str) -> None: ...

    async with run(service) as gateway:
        for number in range(3):
            await gateway.request("POST", "/pay", body=5, headers={"idempotency-key": "a"}, user="alice")
            await gateway.request("POST", "/note", body="x", headers={"idempotency-key": f"n{number}"}, user="alice")

    assert paid == [5]


async def test_replayed_event_keeps_its_id(url: str) -> None:
    """By which its handler knows it."""
    service, ids = shop(url), []

    @service.events.on("order.*", durable=True)
    async def placed(ctx: EventContext) -> None:
        ids.append(ctx.id)
        if len(ids) == 1:
            raise ConflictError

    async with run(service) as gateway:
        await gateway.emit("order.placed", id="e1")
        (letter,) = await letters_of(service, 1)
        await persistence_of(service._host).dead_letters.replay(letter.id, time())
        await until(lambda: len(ids) == 2)

    assert ids == ["e1", "e1"]


async def test_replay_and_repetition_are_one(url: str) -> None:
    """A letter has its key: whoever comes first handles it."""
    service, paid, broken = shop(url), [], [True]

    @service.action("pay", route="/pay", method="POST", once=True, dead_letters=True)
    async def pay(ctx: HttpContext, amount: int) -> None:
        if broken[0]:
            raise ValueError
        paid.append(amount)

    async with run(service) as gateway:

        async def ask() -> None:
            await gateway.request("POST", "/pay", body=5, headers={"idempotency-key": "a"}, user="alice")

        with pytest.raises(InternalError):
            await ask()
        broken[0] = False
        (letter,) = await letters_of(service, 1)
        await persistence_of(service._host).dead_letters.replay(letter.id, time())
        await until(lambda: paid)
        await ask()

    assert paid == [5]


async def test_event_that_no_frame_holds_is_refused(url: str) -> None:
    """When it is emitted, not each time that it is sent."""
    service = shop(url)
    async with run(service):
        with pytest.raises(PayloadTooLargeError):
            await service.emit("order.placed", "x" * (17 * 2**20), durable=True)
        assert await persistence_of(service._host).outbox.count() == 0


async def test_same_key_may_come_at_once(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The last one counts, and none fails."""
    service = shop(await fresh("postgresql", tmp_path, request))

    @service.job("shop.remind")
    async def remind(ctx: JobContext, number: int) -> None: ...

    async with run(service):
        for _ in range(10):
            await asyncio.gather(*(service.after(60.0, remind, number, key="k") for number in range(5)))
        assert await persistence_of(service._host).work.count() == 1


async def test_attempt_that_outlives_its_time_does_not_end_the_next(url: str) -> None:
    """Its lease is the attempt's, not the process's."""
    service, begun, ended = shop(url), [], []
    stubborn = asyncio.Event()

    @service.job("shop.remind", timeout=0.2, retry=Retry(attempts=5, delay=0.01, jitter=0.0))
    async def remind(ctx: JobContext) -> None:
        begun.append(ctx.attempt)
        if ctx.attempt == 1:
            try:
                await asyncio.Event().wait()
            finally:
                await stubborn.wait()
        ended.append(ctx.attempt)

    async with run(service):
        await service.after(0.0, remind)
        await until(lambda: ended)
        stubborn.set()
        await asyncio.sleep(0.2)  # the time in which another might begin

    assert begun == [1, 2]
    assert ended[0] == 2


async def test_handlers_may_come_later(url: str) -> None:
    """What is registered while the service runs is run."""
    service, seen = shop(url), []

    @service.after_start
    async def later(service: Service[Any]) -> None:
        @service.events.on("order.*", durable=True)
        async def placed(ctx: EventContext) -> None:
            seen.append("event")

        @service.job("shop.remind")
        async def remind(ctx: JobContext) -> None:
            seen.append("job")

    async with run(service) as gateway:
        await gateway.emit("order.placed", id="e1")
        await service.after(0.0, "shop.remind")
        await until(lambda: len(seen) == 2)


async def test_pattern_of_an_instance_that_is_away_is_remembered(url: str) -> None:
    """It may be a newer one's, on its way back; one that stays away is forgotten, and so is a service."""
    service = shop(url)
    async with run(service):
        outbox = persistence_of(service._host).outbox
        limits, now = {"dropped_after": 10.0, "gone_after": 100.0}, time()
        await outbox.note_subscribers({"mail": ["order.*", "user.*"], "log": ["**"]}, now, **limits)
        await outbox.note_subscribers({"mail": ["order.*"]}, now + 5.0, **limits)
        assert set((await outbox.subscribers())["mail"]) == {"order.*", "user.*"}
        await outbox.note_subscribers({"mail": ["order.*"]}, now + 50.0, **limits)
        assert (await outbox.subscribers())["mail"] == ["order.*"]
        await outbox.note_subscribers({"mail": []}, now + 150.0, **limits)
        assert "log" not in await outbox.subscribers()


async def test_letter_of_a_form_can_be_replayed(url: str) -> None:
    """It has the request's headers, which say how its body is read."""
    service, seen, broken = shop(url), [], [True]

    @service.action("shop.buy", route="/buy", method="POST", dead_letters=True)
    async def buy(ctx: HttpContext) -> None:
        form = await ctx.form()
        if broken[0]:
            raise ValueError
        seen.append((form.text("item"), ctx.headers["x-shop"], ctx.traceparent))

    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    kind = "application/x-www-form-urlencoded"
    async with run(service) as gateway:
        headers = {"content-type": kind, "x-shop": "7", "traceparent": trace}
        with pytest.raises(InternalError):
            await gateway.request("POST", "/buy", body=b"item=tea", headers=headers)
        (letter,) = await letters_of(service, 1)
        broken[0] = False
        await persistence_of(service._host).dead_letters.replay(letter.id, time())
        await until(lambda: seen)

    assert seen == [("tea", "7", trace)]


async def test_late_job_that_was_asked_for_is_not_skipped(url: str) -> None:
    """``missed`` is about the times of a schedule."""
    service, seen = shop(url), []

    @service.every(3600.0, missed="skip")
    async def tidy(ctx: JobContext) -> None:
        seen.append(ctx.due_at)

    async with run(service):
        item = Item(id="asked", kind="job", name="tidy", due_at=time() - 60.0)
        await persistence_of(service._host).work.add([item], time())
        await until(lambda: seen)


async def test_message_and_action_of_one_name_have_keys_of_their_own(url: str) -> None:
    """They are different handlers."""
    service = shop(url)

    @service.ws.on("bank.pay", once=True)
    async def message(ctx: WsContext, amount: int) -> str:
        return "message"

    @service.action("bank.pay", route="/pay", method="POST", once=True)
    async def action(ctx: HttpContext, amount: int) -> str:
        return "action"

    async with run(service) as gateway:
        client = await gateway.connect(user="alice")
        assert await client.send("bank.pay", 5, key="a") == "message"
        answer = await gateway.request("POST", "/pay", body=5, headers={"idempotency-key": "a"}, user="alice")
        assert decode(answer) == "action"


async def test_long_keys_that_begin_alike_are_two() -> None:
    """A key is all of it."""
    service, runs = Service("bank"), []

    @service.action("bank.pay", route="/pay", method="POST", once=True)
    async def pay(ctx: HttpContext) -> None:
        runs.append(ctx.key)

    async with run(service) as gateway:
        for end in ("1", "2"):
            key = {"idempotency-key": "k" * 300 + end}
            await gateway.request("POST", "/pay", headers=key, user="alice")

    assert len(runs) == 2
