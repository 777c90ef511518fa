"""pylinkd.testing: what a service's own tests rely on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pylinkd import (
    ForbiddenError,
    InternalError,
    NotFoundError,
    RateLimitedError,
    Service,
    UnauthorizedError,
    UnknownMessageTypeError,
    WsContext,
)
from pylinkd.testing import Emitted, run


@pytest.fixture
def service() -> Service[Any]:
    """Joins everybody to a room, and tells everybody what somebody says."""
    service = Service("chat")

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        if ctx.identity is not None and ctx.identity.user == "banned":
            raise ForbiddenError("Banned.")
        await ctx.join("lobby")

    @service.ws.on("say")
    async def say(ctx: WsContext, text: str) -> str:
        await ctx.to("lobby").emit("said", text)
        return text.upper()

    return service


async def test_answers_rooms_and_events_are_shown(service: Service[Any]) -> None:
    """As a test wants to see them."""
    async with run(service) as gateway:
        una, bob = await gateway.connect("una"), await gateway.connect("bob")

        assert await una.send("say", "hi") == "HI"

        assert gateway.rooms == {"lobby": {una.id, bob.id}}
        assert gateway.emitted == [Emitted("said", "hi", frozenset({una.id, bob.id}))]
        assert await bob.next_event("said") == gateway.emitted[0]


async def test_every_client_has_an_id_of_its_own(service: Service[Any]) -> None:
    """Also after others have gone."""
    async with run(service) as gateway:
        first, second = await gateway.connect(), await gateway.connect()
        await first.close()
        third = await gateway.connect()

        assert len({first.id, second.id, third.id}) == 3
        assert set(gateway.clients) == {second.id, third.id}


async def test_refused_client_is_closed(service: Service[Any]) -> None:
    """connect() raises what on_connect raised; nothing is left of it."""
    async with run(service) as gateway:
        with pytest.raises(ForbiddenError, match="Banned"):
            await gateway.connect("banned")

        assert gateway.clients == {}
        assert gateway.rooms == {}


async def test_unknown_type_is_told(service: Service[Any]) -> None:
    """As the gateway does."""
    async with run(service) as gateway:
        with pytest.raises(UnknownMessageTypeError):
            await (await gateway.connect()).send("typo")


async def test_event_may_come_later(service: Service[Any]) -> None:
    """next_event waits for it, and passes others over."""
    async with run(service) as gateway:
        una = await gateway.connect()
        waiting = asyncio.create_task(una.next_event("said"))
        await asyncio.sleep(0)
        await una.send("say", "hi")

        assert (await waiting).data == "hi"


async def test_event_that_does_not_come_is_missed(service: Service[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, with a TimeoutError."""
    monkeypatch.setattr("pylinkd.sdk.memory_client.DEFAULT_TIMEOUT", 0.01)
    async with run(service) as gateway:
        una = await gateway.connect("una")
        with pytest.raises(TimeoutError, match=r"no event came within .*nothing else came either"):
            await una.next_event()
        await una.send("say", "first")
        await una.next_event("said")
        await una.send("say", "second")
        with pytest.raises(
            TimeoutError, match=r"no event 'left' .*passed over: said 'second'; returned before: said 'first'"
        ):
            await una.next_event("left")
        for number in range(7):
            await una.send("say", str(number))
        with pytest.raises(TimeoutError, match=r"passed over: 2 more, said '2', .*said '6'; returned"):
            await una.next_event("left")


async def test_missing_event_says_that_the_session_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is why nothing comes."""
    monkeypatch.setattr("pylinkd.sdk.memory_client.DEFAULT_TIMEOUT", 0.01)
    service = Service("chat")

    @service.ws.on("leave")
    async def leave(ctx: WsContext) -> None:
        await ctx.disconnect(code=4400, reason="bye")

    async with run(service) as gateway:
        client = await gateway.connect()
        await client.send("leave")
        with pytest.raises(TimeoutError, match="closed with 4400 'bye'"):
            await client.next_event()


async def test_rate_of_a_handler_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the gateway: so many at once for each session and type, then one after the other."""
    now = 1000.0
    monkeypatch.setattr("pylinkd.sdk.memory_client.monotonic", lambda: now)
    service = Service("chat")
    handled: list[str] = []

    @service.ws.on("limited", rate="2/10s")
    async def limited(ctx: WsContext) -> None:
        handled.append(ctx.socket.id)

    @service.ws.on("members", rate="1/48h", auth=True)
    async def members(ctx: WsContext) -> None: ...

    @service.ws.group("g", rate="1/m").on("limited")
    async def grouped(ctx: WsContext) -> None: ...

    async with run(service) as gateway:
        una, bob = await gateway.connect("una"), await gateway.connect("bob")
        for client in (una, una, bob):
            await client.send("limited")
        with pytest.raises(RateLimitedError) as caught:
            await una.send("limited")
        assert caught.value.retry_after == pytest.approx(5.0)
        assert handled == [una.id, una.id, bob.id]

        await una.send("members")
        with pytest.raises(RateLimitedError):
            await una.send("members")
        await una.send("g.limited")
        with pytest.raises(RateLimitedError):
            await una.send("g.limited")

        for _ in range(2):
            with pytest.raises(UnauthorizedError):  # and is not counted, as by the gateway
                await (await gateway.connect()).send("members")

        now += 5.0
        await una.send("limited")
        with pytest.raises(RateLimitedError):
            await una.send("limited")


async def test_unexpected_exception_is_the_cause_of_what_a_test_sees() -> None:
    """Of messages, actions, calls and events, and of a session's beginning."""
    service = Service("chat")

    async def fails(ctx: Any) -> None:
        raise KeyError("mine")

    service.ws.on("fails", fails)
    service.action("fails", route="/fails")(fails)
    service.events.on("fails")(fails)

    async with run(service) as gateway:
        client = await gateway.connect()
        asked: list[Callable[[], Awaitable[object]]] = [
            lambda: client.send("fails"),
            lambda: gateway.request("GET", "/fails"),
            lambda: gateway.call("fails"),
            lambda: gateway.emit("fails"),
        ]
        for ask in asked:
            with pytest.raises(InternalError) as caught:
                await ask()
            assert repr(caught.value.__cause__) == "KeyError('mine')"
        service.ws.on_connect(fails)
        with pytest.raises(InternalError) as caught:
            await gateway.connect()
        assert isinstance(caught.value.__cause__, KeyError)


async def test_disconnected_client_sees_code_and_reason() -> None:
    """And on_disconnect has run when the test goes on."""
    service = Service("chat")
    ends: list[str | None] = []

    @service.ws.on("leave")
    async def leave(ctx: WsContext) -> None:
        await ctx.disconnect(code=4400, reason="bye")

    @service.ws.on_disconnect
    async def ended(ctx: WsContext) -> None:
        ends.append(ctx.end_reason)

    async with run(service) as gateway:
        client = await gateway.connect()
        await client.send("leave")
        assert client.closed == (4400, "bye")
        await (await gateway.connect()).close("connection_lost")

    assert ends == ["disconnected_by_service", "connection_lost"]


async def test_sessions_end_with_the_block(service: Service[Any]) -> None:
    """As when a gateway stops."""
    ends: list[str | None] = []

    @service.ws.on_disconnect
    async def ended(ctx: WsContext) -> None:
        ends.append(ctx.end_reason)

    async with run(service) as gateway:
        await gateway.connect()

    assert ends == ["gateway_shutdown"]


async def test_fault_of_a_provided_action_does_not_hang_the_test() -> None:
    """What answers for another service is the test's own and may be wrong."""
    service = Service("chat")

    @service.ws.on("ask", timeout=0.5)
    async def ask(ctx: WsContext) -> Any:
        return await ctx.call("store", "get")

    async def broken(params: Any) -> Any:
        raise KeyError("x")

    async with run(service) as gateway:
        gateway.provide("store", "get", broken)
        client = await gateway.connect()
        with pytest.raises((InternalError, KeyError)):
            await client.send("ask")


async def test_most_specific_route_is_asked() -> None:
    """As by the gateway: /rooms/mine before /rooms/{id}, whatever came first."""
    service = Service("chat")

    @service.action("one", route="/rooms/{id}")
    async def one(ctx: Any) -> str:
        return "one"

    @service.action("mine", route="/rooms/mine")
    async def mine(ctx: Any) -> str:
        return "mine"

    async with run(service) as gateway:
        assert (await gateway.request("GET", "/rooms/mine")).body == b'"mine"'
        assert (await gateway.request("GET", "/rooms/7")).body == b'"one"'
        with pytest.raises(NotFoundError):
            await gateway.request("GET", "/rooms/")


async def test_service_that_wants_to_know_who_is_there_refuses_nobody_else() -> None:
    """As the gateway does: a session without a user never reaches it."""
    service: Service[Any] = Service("members", auth=True)

    @service.ws.on("me")
    async def me(ctx: WsContext) -> str:
        return ctx.auth.user

    async with run(service) as gateway:
        with pytest.raises(UnauthorizedError):
            await gateway.connect()
        assert await (await gateway.connect("una")).send("me") == "una"
