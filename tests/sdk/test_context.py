"""What a handler can do, before the gateway of pylinkd.testing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog

from pylinkd import LinkdError, Member, NotFoundError, Receipt, Service, UnauthorizedError, WsContext
from pylinkd.testing import Client, Gateway, run

Act = Callable[[WsContext], Awaitable[Any]]


class Chat:
    """A service with one handler, which does what a test says."""

    def __init__(self, gateway: Gateway, acts: list[Act]) -> None:
        self.gateway = gateway
        self._acts = acts

    async def act(self, client: Client, act: Act) -> Any:
        """Have the handler do it on the client's behalf; what it returned."""
        results: list[Any] = []

        async def kept(ctx: WsContext) -> None:
            results.append(await act(ctx))

        self._acts.append(kept)
        await client.send("act")
        return results[0]


@pytest.fixture
async def chat() -> Any:
    """Running."""
    service = Service("chat")
    acts: list[Act] = []

    @service.ws.on("act")
    async def act(ctx: WsContext) -> None:
        await acts.pop()(ctx)

    async with run(service) as gateway:
        yield Chat(gateway, acts)


def heard(*clients: Client) -> list[int]:
    """How many events each has heard."""
    return [len(client.events) for client in clients]


async def test_socket_tells_who_is_there(chat: Chat) -> None:
    """Session, path, user, metadata."""
    una = await chat.gateway.connect("una", name="Una", roles=["admin"], metadata={"lang": "de"})

    async def act(ctx: WsContext) -> WsContext:
        return ctx

    ctx = await chat.act(una, act)

    assert (ctx.socket.id, ctx.socket.path, ctx.socket.metadata) == (una.id, "/ws/chat", {"lang": "de"})
    assert (ctx.auth.user, ctx.auth.name, ctx.auth.roles) == ("una", "Una", {"admin"})
    assert (ctx.type, ctx.name, ctx.end_reason) == ("act", "act", None)
    assert ctx.socket.connected_at > 1.6e9


async def test_auth_of_nobody_is_unauthorized(chat: Chat) -> None:
    """identity says None, auth raises 401."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> Any:
        assert ctx.identity is None
        return ctx.auth

    with pytest.raises(UnauthorizedError):
        await chat.act(client, act)


async def test_rooms_are_joined_and_left(chat: Chat) -> None:
    """And are what rooms() says, at once."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> list[list[str]]:
        await ctx.join("a", "b")
        await ctx.join("a")
        first = sorted(await ctx.rooms())
        await ctx.leave("b", "never")
        return [first, await ctx.rooms()]

    assert await chat.act(client, act) == [["a", "b"], ["a"]]
    assert chat.gateway.rooms == {"a": {client.id}}


async def test_other_session_can_be_made_to_leave(chat: Chat) -> None:
    """Another window of the user."""
    one, two = await chat.gateway.connect("una"), await chat.gateway.connect("una")

    async def join(ctx: WsContext) -> None:
        await ctx.join("a")

    async def leave(ctx: WsContext) -> None:
        await ctx.leave("a", session=two.id)

    for client in (one, two):
        await chat.act(client, join)
    await chat.act(one, leave)

    assert chat.gateway.rooms == {"a": {one.id}}


async def test_members_are_who_is_in_a_room(chat: Chat) -> None:
    """With user and name; none in a room that does not exist."""
    una, nobody = await chat.gateway.connect("una", name="Una"), await chat.gateway.connect()

    async def join(ctx: WsContext) -> list[Member]:
        await ctx.join("a")
        assert await ctx.members("none") == []
        return await ctx.members("a")

    await chat.act(nobody, join)

    assert await chat.act(una, join) == [Member(una.id, "una", "Una"), Member(nobody.id, None, None)]


async def test_events_reach_their_target(chat: Chat) -> None:
    """Rooms, users, sessions, others, everyone; the receipt counts each session once."""
    una, una_too = await chat.gateway.connect("una"), await chat.gateway.connect("una")
    bob, nobody = await chat.gateway.connect("bob"), await chat.gateway.connect()
    all_ = (una, una_too, bob, nobody)

    async def join(ctx: WsContext) -> None:
        await ctx.join("a", "b")

    for client in (una, bob):
        await chat.act(client, join)

    async def emitted(target: Callable[[WsContext], Any]) -> tuple[int, list[int]]:
        async def act(ctx: WsContext) -> Receipt:
            receipt: Receipt = await target(ctx).emit("x", 1)
            return receipt

        for client in all_:
            client.events.clear()
        return (await chat.act(una, act)).reached, heard(*all_)

    assert await emitted(lambda ctx: ctx.to("a")) == (2, [1, 0, 1, 0])
    assert await emitted(lambda ctx: ctx.to("a", "b", user=["bob"], session=una.id)) == (2, [1, 0, 1, 0])
    assert await emitted(lambda ctx: ctx.to(user="una")) == (2, [1, 1, 0, 0])
    assert await emitted(lambda ctx: ctx.to(session=[nobody.id, "gone"])) == (1, [0, 0, 0, 1])
    assert await emitted(lambda ctx: ctx.to()) == (0, [0, 0, 0, 0])
    assert await emitted(lambda ctx: ctx.broadcast) == (3, [0, 1, 1, 1])
    assert await emitted(lambda ctx: ctx.everyone) == (4, [1, 1, 1, 1])
    assert await emitted(lambda ctx: ctx.to("a").except_(una.id)) == (1, [0, 0, 1, 0])
    assert await emitted(lambda ctx: ctx.everyone.except_(user="una").except_(bob.id)) == (1, [0, 0, 0, 1])
    assert await emitted(lambda ctx: ctx.broadcast.except_(user=["bob"])) == (2, [0, 1, 0, 1])


async def test_target_can_be_kept(chat: Chat) -> None:
    """except_ makes another one."""
    client, other = await chat.gateway.connect(), await chat.gateway.connect()

    async def act(ctx: WsContext) -> list[int]:
        everyone = ctx.everyone
        fewer = everyone.except_(ctx.socket.id)
        return [(await everyone.emit("x")).reached, (await fewer.emit("x")).reached]

    assert await chat.act(client, act) == [2, 1]
    assert heard(client, other) == [1, 2]


async def test_send_reaches_this_session_alone(chat: Chat) -> None:
    """In order, with any data."""
    client, other = await chat.gateway.connect(), await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        await ctx.send("a", {"n": 1})
        await ctx.send("b")

    await chat.act(client, act)

    assert [(event.type, event.data) for event in client.events] == [("a", {"n": 1}), ("b", None)]
    assert other.events == []


@pytest.mark.parametrize(
    ("type", "data", "error"), [("linkd.x", 1, ValueError), ("a b", 1, ValueError), ("a", object(), TypeError)]
)
async def test_events_that_are_none_are_refused(chat: Chat, type: str, data: object, error: type[Exception]) -> None:
    """Where they are emitted, to clients and to services."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        with pytest.raises(error):
            await ctx.everyone.emit(type, data)
        with pytest.raises(error):
            await ctx.emit(type, data)

    await chat.act(client, act)


async def test_disconnect_closes_sessions(chat: Chat) -> None:
    """This one, another, or all of a user; with code and reason."""
    una, una_too, bob = [await chat.gateway.connect(name) for name in ("una", "una", "bob")]

    async def act(ctx: WsContext) -> None:
        await ctx.disconnect(user="una", code=4400, reason="go")
        with pytest.raises(ValueError, match="either a session or a user"):
            await ctx.disconnect("s", user="u")
        await ctx.disconnect()

    await chat.act(bob, act)

    assert una.closed == una_too.closed == (4400, "go")
    assert bob.closed == (1000, "")


@pytest.mark.parametrize("what", ["disconnect", "leave"])
async def test_session_that_ended_is_gone(chat: Chat, what: str) -> None:
    """As behind the real gateway: NotFoundError of type SESSION_GONE."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        if what == "disconnect":
            await ctx.disconnect("gone")
        else:
            await ctx.leave("a", session="gone")

    with pytest.raises(NotFoundError) as caught:
        await chat.act(client, act)
    assert caught.value.type == "SESSION_GONE"


@pytest.mark.parametrize("code", [0, 1001, 1006, 5000])
async def test_close_codes_are_those_of_applications(chat: Chat, code: int) -> None:
    """As behind the real gateway: 1000 and 3000 to 4999."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        await ctx.disconnect(code=code)

    with pytest.raises(LinkdError) as caught:
        await chat.act(client, act)
    assert caught.value.code == 400


async def test_call_reaches_another_service(chat: Chat) -> None:
    """Its result, or its error, comes back; an unknown one is not found."""

    async def answer(params: Any) -> Any:
        if params is None:
            raise NotFoundError("Which?")
        return {"got": params}

    chat.gateway.provide("store", "get", answer)
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> Any:
        with pytest.raises(NotFoundError, match="Which"):
            await ctx.call("store", "get")
        with pytest.raises(NotFoundError, match=r"store\.put"):
            await ctx.call("store", "put")
        return await ctx.call("store", "get", [1])

    assert await chat.act(client, act) == {"got": [1]}


async def test_emit_tells_other_services(chat: Chat) -> None:
    """Type and data."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        await ctx.emit("user.created", {"id": 1})

    await chat.act(client, act)

    assert chat.gateway.service_events == [("user.created", {"id": 1})]


async def test_logger_says_who_and_what(chat: Chat) -> None:
    """Bound to every line."""
    una = await chat.gateway.connect("una")

    async def act(ctx: WsContext) -> None:
        ctx.logger.info("did_it", n=1)

    with structlog.testing.capture_logs() as logs:
        await chat.act(una, act)

    assert {"service": "chat", "handler": "act", "user": "una", "session": una.id, "n": 1}.items() <= logs[0].items()


async def test_service_without_database_says_so(chat: Chat) -> None:
    """With what to do."""
    client = await chat.gateway.connect()

    async def act(ctx: WsContext) -> None:
        with pytest.raises(RuntimeError, match=r"'chat' has no database: give Service"):
            _ = ctx.db

    await chat.act(client, act)
