"""What becomes of a service's sessions and jobs when its link to the gateway breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pylinkd import ForbiddenError, Service, WsContext

from .links import MemoryLink
from .test_jobs import closed, ends, message, opened, service

__all__ = ["ends", "service"]


@pytest.fixture
async def link(service: Service[Any]) -> AsyncIterator[MemoryLink]:
    """The service runs behind it, and knows the gateway."""
    async with service.opened() as runtime:
        link = MemoryLink(runtime)
        link.register("gateway-1")
        yield link


class Slow:
    """A handler that goes on when a test says so."""

    def __init__(self, service: Service[Any]) -> None:
        self.begun: list[Any] = []
        self.go_on = asyncio.Event()

        @service.ws.on("a")
        async def handler(ctx: WsContext) -> None:
            self.begun.append(ctx.data)
            await self.go_on.wait()

    async def reaches(self, count: int) -> None:
        """Wait until so many have begun."""
        async with asyncio.timeout(5):
            while len(self.begun) < count:
                await asyncio.sleep(0)


async def test_messages_that_had_not_begun_are_forgotten(service: Service[Any], link: MemoryLink) -> None:
    """The gateway has answered them with 503, and their client may have sent them again, to another instance."""
    slow = Slow(service)
    await link.ask(opened())
    asked = [asyncio.create_task(link.ask(message(data=b"%d" % number))) for number in range(3)]
    await slow.reaches(1)

    link.runtime.lost()
    link.register("gateway-1")
    await link.ask(opened(adopted=True))
    asked.append(asyncio.create_task(link.ask(message(data=b"9"))))
    slow.go_on.set()
    await asked[3]

    assert slow.begun == [0, 9]
    assert link.runtime.dispatcher.unfinished == 0
    for task in asked:
        task.cancel()


async def test_session_is_whom_the_gateway_says_when_it_comes_back(service: Service[Any], link: MemoryLink) -> None:
    """Its client signed in while the link was broken and a handler of it still ran."""
    slow = Slow(service)
    users: list[str | None] = []

    @service.ws.on("who")
    async def who(ctx: WsContext) -> None:
        users.append(None if ctx.identity is None else ctx.identity.user)

    await link.ask(opened())
    asked = asyncio.create_task(link.ask(message()))
    await slow.reaches(1)

    link.runtime.lost()
    link.register("gateway-1")
    back = opened(adopted=True)
    back.session_opened.session.identity.user = "una"
    await link.ask(back)
    slow.go_on.set()
    await asked
    await link.ask(message("who"))

    assert users == ["una"]


async def test_order_holds_though_the_link_breaks_twice(service: Service[Any], link: MemoryLink) -> None:
    """A handler runs all the while; what comes after the second time waits for it."""
    slow = Slow(service)
    others: list[str] = []

    @service.ws.on("b")
    async def other(ctx: WsContext) -> None:
        others.append("b")

    await link.ask(opened())
    asked = asyncio.create_task(link.ask(message()))
    await slow.reaches(1)

    for _ in range(2):
        link.runtime.lost()
        link.register("gateway-1")
    await link.ask(opened(adopted=True))
    following = asyncio.create_task(link.ask(message("b")))
    for _ in range(10):
        await asyncio.sleep(0)
    before = list(others)
    slow.go_on.set()
    await asyncio.gather(asked, following)

    assert (before, others) == ([], ["b"])


async def test_late_refusal_does_not_count_for_a_session_that_another_instance_let_in(
    service: Service[Any], link: MemoryLink
) -> None:
    """on_connect ran when the link broke. Another instance let the session in, died, and this one gets it back."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    @service.ws.on_connect
    async def refuse(ctx: WsContext) -> None:
        begun.set()
        await go_on.wait()
        raise ForbiddenError

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        pass

    asked = asyncio.create_task(link.ask(opened()))
    await begun.wait()

    link.runtime.lost()
    link.register("gateway-1")
    back = asyncio.create_task(link.ask(opened(adopted=True)))
    go_on.set()
    with pytest.raises(ForbiddenError):
        await asked

    await back
    await link.ask(message())


async def test_session_ends_once_though_two_gateways_die_meanwhile(
    service: Service[Any], link: MemoryLink, ends: list[Any]
) -> None:
    """Its end waits for a handler that runs all the while."""
    slow = Slow(service)
    await link.ask(opened())
    asked = asyncio.create_task(link.ask(message()))
    await slow.reaches(1)

    for gateway in ("gateway-2", "gateway-3"):
        link.runtime.lost()
        link.register(gateway)
    slow.go_on.set()
    await asked
    await link.runtime.dispatcher.drain(1.0)

    assert ends == [("s-1", "gateway_lost")]


async def test_session_that_moved_on_has_no_end_here(service: Service[Any], link: MemoryLink, ends: list[Any]) -> None:
    """A handler ran while the link broke, and the gateway gave the session to another instance, which ends it."""
    slow = Slow(service)
    await link.ask(opened())
    asked = asyncio.create_task(link.ask(message()))
    await slow.reaches(1)

    link.runtime.lost()
    link.register("gateway-1")
    slow.go_on.set()
    await asked
    link.runtime.lost()
    link.register("gateway-2")
    await link.runtime.dispatcher.drain(1.0)

    assert ends == []


async def test_end_that_the_gateway_asks_for_again_is_handled_once(
    service: Service[Any], link: MemoryLink, ends: list[Any]
) -> None:
    """Its link broke before it had the answer, so it asks again, or another gateway has replaced it."""
    go_on = asyncio.Event()

    @service.ws.on_disconnect
    async def slow(ctx: WsContext) -> None:
        await go_on.wait()

    await link.ask(opened())
    first = asyncio.create_task(link.ask(closed()))
    async with asyncio.timeout(5):
        while not ends:
            await asyncio.sleep(0)

    link.runtime.lost()
    link.register("gateway-1")
    await link.ask(closed())
    link.runtime.lost()
    link.register("gateway-2")
    go_on.set()
    await first
    await link.runtime.dispatcher.drain(1.0)

    assert ends == [("s-1", "client_closed")]


async def test_on_connect_that_had_not_begun_runs_when_it_is_asked_for_again(
    service: Service[Any], link: MemoryLink
) -> None:
    """It waited for a worker when the link broke."""
    connected: list[str] = []

    @service.ws.on_connect
    async def connect(ctx: WsContext) -> None:
        connected.append(ctx.socket.id)

    link.runtime.paused()
    lost = asyncio.create_task(link.ask(opened()))
    await asyncio.sleep(0)

    link.runtime.lost()
    link.register("gateway-1")
    await link.ask(opened())

    assert connected == ["s-1"]
    lost.cancel()


async def test_nothing_new_begins_while_nobody_reads_the_answers(service: Service[Any], link: MemoryLink) -> None:
    """What runs goes on; the rest begins, in order, when the gateway reads again."""
    slow = Slow(service)
    await link.ask(opened())
    await link.ask(opened("s-2"))
    first = asyncio.create_task(link.ask(message(data=b"1")))
    await slow.reaches(1)

    link.runtime.paused()
    others = [asyncio.create_task(link.ask(message(data=b"%d" % n, id="s-2"))) for n in (2, 3)]
    slow.go_on.set()
    await first
    for _ in range(10):
        await asyncio.sleep(0)
    before = list(slow.begun)
    link.runtime.resumed()
    await asyncio.gather(*others)

    assert before == [1]
    assert slow.begun == [1, 2, 3]
