"""Durable events: stored by the emitter, stored by each receiver, handled until that succeeds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from pylinkd import (
    ConflictError,
    EventContext,
    JobContext,
    RegistrationError,
    Retry,
    Service,
    TransientError,
    WsContext,
)
from pylinkd.sdk.host import persistence_of
from pylinkd.sdk.store.outbox import Outgoing
from pylinkd.sdk.store.tables import OUTBOX
from pylinkd.testing import run

from .shops import ShopDatabase, shop, sold, until

QUICK = Retry(attempts=3, delay=0.01, max_delay=0.02, jitter=0.0)


async def test_event_is_handled_with_what_was_known_of_it(url: str) -> None:
    """On whose behalf, from whom, and an id that stays the same."""
    service, seen = shop(url), []

    @service.events.on("order.*", durable=True, retry=QUICK)
    async def placed(ctx: EventContext, item: str) -> None:
        seen.append((item, ctx.name, ctx.source, ctx.auth.user, ctx.id))
        if len(seen) == 1:
            raise TransientError

    @service.ws.on("shop.order")
    async def order(ctx: WsContext, item: str) -> None:
        await ctx.emit("order.placed", item, durable=True)

    async with run(service) as gateway:
        client = await gateway.connect(user="alice")
        await client.send("shop.order", "tea")
        await until(lambda: len(seen) == 2)

    assert seen[0][:4] == ("tea", "order.placed", "shop", "alice")
    assert seen[0] == seen[1]
    assert len(seen[0][4]) == 32


async def test_event_of_a_transaction_that_fails_is_none(url: str) -> None:
    """It is written with the emitter's own changes."""
    service, seen = shop(url), []

    @service.events.on("order.*", durable=True)
    async def placed(ctx: EventContext, item: str) -> None:
        seen.append(item)

    @service.ws.on("shop.order")
    async def order(ctx: WsContext[ShopDatabase], item: str) -> None:
        async with ctx.db.transaction():
            await ctx.db.sales.insert(item=item)
            await ctx.emit("order.placed", item, durable=True)
            if item == "gold":
                raise ConflictError

    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(ConflictError):
            await client.send("shop.order", "gold")
        await client.send("shop.order", "tea")
        await until(lambda: seen)
        assert await sold(service) == ["tea"]

    assert seen == ["tea"]


async def test_repeated_event_is_handled_once(url: str) -> None:
    """The emitter may send it again, since it did not get the answer."""
    service, seen = shop(url), Counter[str]()

    @service.events.on("order.*", durable=True)
    async def placed(ctx: EventContext, item: str) -> None:
        seen[item] += 1

    @service.events.on("**", durable=True)
    async def counted(ctx: EventContext) -> None:
        seen["all"] += 1

    async with run(service) as gateway:
        for _ in range(3):
            await gateway.emit("order.placed", "tea", id="e1")
            await until(lambda: seen["tea"] and seen["all"])
        await gateway.emit("order.placed", "milk", id="e2")
        await until(lambda: seen["milk"] and seen["all"] == 2)

    assert seen == {"tea": 1, "milk": 1, "all": 2}


async def test_once_handler_and_its_note_are_one_transaction(url: str) -> None:
    """What it wrote in an attempt that failed is undone."""
    service, attempts = shop(url), []

    @service.events.on("order.*", durable=True, once=True, retry=QUICK)
    async def placed(ctx: EventContext[ShopDatabase], item: str) -> None:
        await ctx.db.sales.insert(item=item)
        attempts.append(1)
        if len(attempts) < 3:
            raise TransientError

    async with run(service) as gateway:
        await gateway.emit("order.placed", "tea", id="e1")
        await until(lambda: len(attempts) == 3)
        async with asyncio.timeout(5.0):
            while await sold(service) != ["tea"]:
                await asyncio.sleep(0.01)


async def test_event_that_fails_for_good_is_a_dead_letter_and_can_be_replayed(url: str) -> None:
    """A replay of what is no letter any more does nothing."""
    service, seen, broken = shop(url), [], [True]

    @service.events.on("order.*", durable=True, retry=QUICK)
    async def placed(ctx: EventContext, item: str) -> None:
        if broken[0]:
            raise TransientError
        seen.append((item, ctx.source))

    async with run(service) as gateway:
        letters = persistence_of(service._host).dead_letters
        await gateway.emit("order.placed", "tea", id="e1")
        async with asyncio.timeout(10.0):
            while not (found := await letters.list(10)):
                await asyncio.sleep(0.01)
        broken[0] = False
        assert await letters.replay(found[0].id, 0.0)
        assert not await letters.replay(found[0].id, 0.0)
        await until(lambda: seen)
        assert await letters.count() == 0

    assert seen == [("tea", "test")]


async def test_other_handlers_do_not_get_durable_events(url: str) -> None:
    """Nor do durable ones get others: what is stored was meant to be."""
    service, seen = shop(url), []

    @service.events.on("order.*", durable=True)
    async def stored(ctx: EventContext, item: str) -> None:
        seen.append(("stored", item))

    @service.events.on("order.*")
    async def heard(ctx: EventContext, item: str) -> None:
        seen.append(("heard", item))

    async with run(service):
        await service.emit("order.placed", "tea", durable=True)
        await until(lambda: seen)
        await service.emit("order.placed", "milk")
        await until(lambda: len(seen) == 2)

    assert seen == [("stored", "tea"), ("heard", "milk")]


async def test_durable_events_need_a_database() -> None:
    """Of the emitter and of the receiver."""
    service = Service("shop")
    async with run(service):
        with pytest.raises(RuntimeError, match="has no database"):
            await service.emit("order.placed", durable=True)

    @service.events.on("order.*", durable=True)
    async def placed(ctx: EventContext) -> None: ...

    with pytest.raises(RegistrationError, match="has no database"):
        async with run(service):
            pass


def test_once_is_for_durable_handlers() -> None:
    """Others run once at most anyway."""
    with pytest.raises(RegistrationError, match="durable=True"):

        @Service("shop").events.on("order.*", once=True)
        async def placed(ctx: EventContext) -> None: ...


def test_two_durable_handlers_differ_in_name_or_pattern() -> None:
    """By which the database knows them."""
    service = Service("shop")

    @service.events.on("order.*", durable=True)
    async def placed(ctx: EventContext) -> None: ...

    with pytest.raises(RegistrationError, match="already"):
        service.events.on("order.*", durable=True)(placed)


async def test_event_is_for_those_it_is_for(url: str) -> None:
    """``auth`` and ``roles`` are those of whoever it was emitted on behalf of; a refusal is permanent."""
    service, seen = shop(url), []

    @service.events.on("order.*", durable=True, roles=["admin"])
    async def placed(ctx: EventContext, item: str) -> None:
        seen.append(item)

    @service.ws.on("shop.order")
    async def order(ctx: WsContext, item: str) -> None:
        await ctx.emit("order.placed", item, durable=True)

    async with run(service) as gateway:
        anybody, admin = await gateway.connect(), await gateway.connect(user="ada", roles=["admin"])
        await anybody.send("shop.order", "gold")
        await admin.send("shop.order", "tea")
        await until(lambda: seen)
        async with asyncio.timeout(10.0):
            while not (letters := await persistence_of(service._host).dead_letters.list(10)):
                await asyncio.sleep(0.01)

    assert seen == ["tea"]
    assert [letter.data for letter in letters] == [b'"gold"']


async def test_what_waits_for_one_service_holds_up_no_other(url: str) -> None:
    """What is new goes first."""
    service = shop(url)
    async with run(service):
        outbox = persistence_of(service._host).outbox
        for number in range(50):
            await outbox.add(Outgoing(id=f"old{number}", type="a.b", data=b"", created_at=1e12))
        await service.db.execute(OUTBOX.update().values(attempts=3))
        await outbox.add(Outgoing(id="new", type="a.b", data=b"", created_at=1e12))
        (first, *_) = await outbox.lease(2e12, 3e12, 10)

    assert first.id == "new"


async def test_two_services_may_share_a_database(url: str) -> None:
    """Of the same event each stores its own, and neither does the other's work."""
    one, two, seen = shop(url), shop(url, "billing"), []

    for service in (one, two):

        @service.events.on("order.*", durable=True)
        async def placed(ctx: EventContext, item: str) -> None:
            seen.append((ctx._host.name, item))

        @service.job("remind")
        async def remind(ctx: JobContext) -> None:
            seen.append((ctx._host.name, "reminded"))

    async with run(one) as first, run(two) as second:
        await first.emit("order.placed", "tea", id="e1")
        await second.emit("order.placed", "tea", id="e1")
        await two.after(0.0, "remind")
        await until(lambda: len(seen) == 3)
        await asyncio.sleep(0.1)  # the time in which the other might

    assert sorted(seen) == [("billing", "reminded"), ("billing", "tea"), ("shop", "tea")]
