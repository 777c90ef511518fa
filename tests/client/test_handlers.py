"""Functions of the application that raise, are of another kind, or do what nobody would: the client goes on (S22)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pylinkd.client import Client, Event, QueueFull, State, connect
from pylinkd.protocol.errors import ConflictError, LinkdError

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch

ERRORS = [
    ValueError("mine"), ConflictError("mine"), QueueFull(), asyncio.CancelledError(), TimeoutError(), RecursionError(),
    ExceptionGroup("mine", [ValueError()]), StopIteration(), StopAsyncIteration(),
]  # fmt: skip
raised = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


def raising(error: BaseException) -> Callable[..., object]:
    """A plain function that raises it."""

    def handler(*_: object) -> None:
        raise error

    return handler


def raising_later(error: BaseException) -> Callable[..., Any]:
    """A coroutine function that raises it after a while."""

    async def handler(*_: object) -> None:
        await asyncio.sleep(0)
        raise error

    return handler


async def talk(peer: Peer) -> None:
    """Two events, one after the other, and answers."""
    await peer.welcome()
    await peer.say("test.event", 1)
    await peer.say("test.event", 2)
    await peer.say("linkd.dropped", {"events": 1, "total": 1})
    await peer.answer_all()


async def check(client: Client) -> None:
    """It still works, over its first connection."""
    assert await client.call("test.call", "works") == "works"
    assert client.state is State.OPEN


@raised
@accelerated
async def test_plain_handler_raises(error: BaseException) -> None:
    """It is reported, the next handler is called, and so is this one with the next event."""
    heard: list[Any] = []
    async with serve(talk) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on("test.event", raising(error))
        client.on("test.*", lambda event: heard.append(event.data))
        async with client:
            await check(client)

            assert heard == [1, 2]
            assert watch.sources == ["test.event"] * 2
            assert len(server.peers) == 1


@raised
@accelerated
async def test_coroutine_handler_raises(error: BaseException) -> None:
    """The same holds for it."""
    heard: list[Any] = []

    async def other(event: Event) -> None:
        heard.append(event.data)

    async with serve(talk) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on("test.event", raising_later(error))
        client.on("*", other)
        async with client:
            await check(client)
            await asyncio.sleep(1)

            assert heard == [1, 2]
            assert watch.sources == ["test.event"] * 2
            assert len(server.peers) == 1


@raised
@accelerated
async def test_handlers_of_states_and_gaps_raise(error: BaseException) -> None:
    """The client is open all the same."""
    async with serve(talk) as server:
        client = connect(server.url)
        client.on_state(raising(error))
        client.on_gap(raising(error))
        watch = Watch(client)
        async with client:
            await check(client)

            assert watch.sources == ["state", "state", "gap"]
            assert len(watch.gaps) == 1
        assert watch.states == [State.CONNECTING, State.OPEN, State.CLOSED]


@raised
@accelerated
async def test_handler_of_errors_raises(error: BaseException) -> None:
    """There is nobody else to tell: both are logged, or the other handlers have the first."""
    async with serve(talk) as server:
        client = connect(server.url)
        client.on_error(raising(error))
        watch = Watch(client)
        client.on("test.event", raising(ValueError("mine")))
        async with client:
            await check(client)

            assert watch.sources == ["test.event"] * 2
            assert len(server.peers) == 1


@accelerated
async def test_errors_that_nobody_asked_for_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With what failed, and no data."""
    async with serve(talk) as server:
        client = connect(server.url)
        client.on("test.event", raising(ValueError("mine")))
        async with client:
            await check(client)

    assert [record.getMessage() for record in caplog.records] == ["test.event failed"] * 2


# of rooms


@raised
@pytest.mark.parametrize("kind", [raising, raising_later])
@accelerated
async def test_join_and_load_raise(kind: Callable[[BaseException], Any], error: BaseException) -> None:
    """They are reported; the room's events come, also those that were held meanwhile."""
    heard: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.room", {"room": "r", "epoch": "e", "offset": 0})
        await peer.say("test.event", 1, room="r", offset=1)
        await peer.say("test.event", 2, room="r", offset=2)
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        room = client.room("r", join=kind(error), load=kind(error))
        room.on("test.event", raising(error))
        room.on("test.event", lambda event: heard.append(event.data))
        async with client:
            await check(client)
            await asyncio.sleep(1)

            assert heard == [1, 2]
            assert sorted(watch.sources) == ["join r", "load r", "test.event", "test.event"]
            assert len(server.peers) == 1


@raised
@accelerated
async def test_handler_of_presence_raises(error: BaseException) -> None:
    """The members are those that came."""
    member = {"state": "online", "sessions": 1, "user": "u"}

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("linkd.presence", {"room": "r", "seq": 1, "count": 1, "members": {"u": member}})
        await peer.say("linkd.presence", {"room": "r", "seq": 2, "count": 2, "join": {"v": member}})
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        room = client.room("r")
        room.presence.on_change(raising(error))
        async with client:
            await check(client)

            assert sorted(room.presence.members) == ["u", "v"]
            assert watch.sources == ["change"] * 2


# of questions


async def ask(peer: Peer) -> None:
    """A question, then answers; what the client answered comes to the next call."""
    await peer.welcome()
    await peer.say("test.ask", {"n": 1}, id="q")
    (answer,) = await peer.hear_answers(1)
    await peer.answer(await peer.hear(), answer)
    await peer.answer_all()


@raised
@pytest.mark.parametrize("kind", [raising, raising_later])
@accelerated
async def test_answerer_raises(kind: Callable[[BaseException], Any], error: BaseException) -> None:
    """A LinkdError is the answer; anything else is reported, and the server learns that something failed."""
    async with serve(ask) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on_request("test.ask", kind(error))
        async with client:
            await client.wait()
            await asyncio.sleep(1)
            answer = await client.call("test.heard")

            expected = {409: "mine", 503: QueueFull.default_message}
            ours = isinstance(error, LinkdError)
            assert answer["error"]["message"] == expected.get(answer["error"]["code"], "Something went wrong.")
            assert (answer["error"]["code"] == 500) is not ours
            assert watch.sources == ([] if ours else ["test.ask"])
            await check(client)


@pytest.mark.parametrize(
    "result",
    [object(), {1: object()}, float, {"x": {object()}}, 2**200, "\ud800", lambda: 1],
    ids=["object", "inside", "type", "set", "large", "surrogate", "function"],
)
@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@accelerated
async def test_answer_cannot_be_written(encoding: Any, result: Any) -> None:
    """As the result or as the details of an error. The server learns that something failed."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for type in ("test.result", "test.details"):
            await peer.say(type, id=type)
        answers = await peer.hear_answers(2)
        await peer.answer(await peer.hear(), answers)
        await peer.answer_all()

    def raise_it(_: Event) -> None:
        raise ConflictError("mine", details={"why": result})

    writable = encoding == "json" and result == 2**200
    async with serve(script) as server:
        client = connect(server.url, encoding=encoding)
        watch = Watch(client)
        client.on_request("test.result", lambda _: result)
        client.on_request("test.details", raise_it)
        async with client:
            await client.wait()
            await asyncio.sleep(1)
            answers = await client.call("test.heard")

            if not writable:
                assert answers[0]["error"]["code"] == 500
                assert answers[1]["error"]["code"] in (409, 500)
                assert "test.result" in watch.sources
            await check(client)


@accelerated
async def test_answer_is_too_large() -> None:
    """The server learns it, and so does the application."""
    async with serve(ask) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on_request("test.ask", lambda _: "x" * 70_000)
        async with client:
            await client.wait()
            await asyncio.sleep(1)
            answer = await client.call("test.heard")

            assert answer["error"]["code"] == 413
            assert watch.sources == ["test.ask"]


@accelerated
async def test_flood_of_questions_is_bounded() -> None:
    """So many are answered at a time, and of the others each is refused."""
    most = now = 0
    answers: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for number in range(1_000):
            await peer.say("test.ask", number, id=f"q-{number}")
        answers.extend(await peer.hear_answers(1_000))
        await peer.answer_all()

    async def answer(event: Event) -> Any:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(1)
        now -= 1
        return event.data

    async with serve(script) as server:
        client = connect(server.url, queue_messages=2_000)
        client.on_request("test.ask", answer)
        async with client:
            await asyncio.sleep(10)

            assert most == 256
            codes = [message["error"]["code"] if "error" in message else None for message in answers]
            assert (codes.count(None), codes.count(429)) == (256, 744)
            assert {message["id"] for message in answers} == {f"q-{number}" for number in range(1_000)}


@accelerated
async def test_question_that_nobody_listens_to_is_answered() -> None:
    """With 404; with nothing but that it came where somebody did."""
    answers: list[dict[str, Any]] = []

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("test.nobody", id="a")
        await peer.say("test.somebody", id="b")
        answers.extend(await peer.hear_answers(2))
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        client.on("test.somebody", lambda _: None)
        async with client:
            await check(client)

            assert [answer.get("error", {}).get("code") for answer in answers] == [404, None]


@accelerated
async def test_answer_of_a_session_that_was_lost_is_not_sent_to_the_next() -> None:
    """The question was another session's."""
    done = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome(resume=None)
        if peer.number == 1:
            await peer.say("test.ask", id="q")
            return
        await peer.answer_all()
        assert peer.received == 1

    async def answer(_: Event) -> str:
        await done.wait()
        return "late"

    async with serve(script) as server:
        client = connect(server.url)
        client.on_request("test.ask", answer)
        async with client:
            await server.arrived(2)
            await client.wait()
            done.set()
            await asyncio.sleep(1)
            await check(client)


# of another kind


@accelerated
async def test_coroutine_functions_are_called_wherever_events_come() -> None:
    """Of the client and of rooms, also as partial functions and as objects."""
    heard: list[Any] = []

    class Object:
        async def __call__(self, event: Event) -> None:
            heard.append(("object", event.data))

    async def function(event: Event) -> None:
        heard.append(("function", event.data))

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("test.event", 1, room="r", offset=1)
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        client.on("test.event", Object())
        client.on("test.event", function)
        client.room("r").on("test.event", Object())
        client.room("r").on("test.event", function)
        async with client:
            await check(client)
            await asyncio.sleep(1)

            assert sorted(heard) == [("function", 1), ("function", 1), ("object", 1), ("object", 1)]


@accelerated
async def test_coroutine_function_is_refused_where_it_would_not_be_awaited() -> None:
    """It would never run."""

    async def function(_: object) -> None: ...

    client = connect("ws://127.0.0.1:1/")
    for listen in (client.on_state, client.on_gap, client.on_error, client.room("r").presence.on_change):
        with pytest.raises(TypeError, match="plain function"):
            listen(function)


@accelerated
async def test_plain_function_that_makes_a_coroutine_is_reported() -> None:
    """What it made never runs either."""

    async def function(_: object) -> None: ...

    async with serve(talk) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.on("test.event", lambda event: function(event))
        async with client:
            await check(client)

            assert watch.sources == ["test.event"] * 2
            assert {type(failure.error) for failure in watch.failures} == {TypeError}


# that end


@pytest.mark.parametrize("coroutine", [True, False])
@accelerated
async def test_handler_that_was_ended_is_not_called_any_more(coroutine: bool) -> None:
    """Not even with events that had come before."""
    heard: list[Any] = []
    ends: list[Callable[[], None]] = []

    def plain(event: Event) -> None:
        heard.append(event.data)
        ends[0]()

    async def later(event: Event) -> None:
        heard.append(event.data)
        ends[0]()

    async with serve(talk) as server:
        client = connect(server.url)
        ends.append(client.on("test.event", later if coroutine else plain))
        async with client:
            await check(client)
            await asyncio.sleep(1)
            ends[0]()

            assert heard == [1]


@accelerated
async def test_handlers_may_be_added_and_ended_while_they_are_called() -> None:
    """Those that are called are those that there were when the event came."""
    heard: list[str] = []
    ends: list[Callable[[], None]] = []

    def first(_: Event) -> None:
        heard.append("first")
        for end in ends:
            end()
        client.on("test.event", lambda _: heard.append("added"))

    async with serve(talk) as server:
        client = connect(server.url)
        ends.append(client.on("test.event", first))
        ends.append(client.on("test.event", lambda _: heard.append("second")))
        async with client:
            await check(client)

            assert heard == ["first", "second", "added"]
