"""The Python client over real sockets, with servers that behave as servers should."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from pylinkd.client import ConnectionLost, Event, Failure, Gap, QueueFull, State, StateChange, Timeout, connect
from pylinkd.protocol.errors import ConflictError, LinkdError

from .hosts import Guest, Host


async def friendly(guest: Guest) -> None:
    """Welcome, go on with sessions, answer."""
    if guest.number > 1:
        await guest.welcome(resumed=True, received=int(guest.offers[1].rpartition(".")[2]) * 0)
    else:
        await guest.welcome()
    await guest.serve()


async def test_call_waits_for_a_connection_and_is_answered() -> None:
    """In whatever type is asked for."""

    @dataclass
    class Greeting:
        name: str

    async with Host(friendly).run() as host, connect(host.url) as client:
        assert await client.call("a.b", {"name": "Ada"}) == {"name": "Ada"}
        assert await client.call("a.b", Greeting("Ada"), returns=Greeting) == Greeting("Ada")
        with pytest.raises(msgspec.ValidationError):
            await client.call("a.b", 1, returns=str)
        assert client.pending == 0
    assert client.state is State.CLOSED
    with pytest.raises(ConnectionLost):
        await client.call("a.b")
    with pytest.raises(ConnectionLost):
        await client.send("a.b")
    assert host.last.connection.close_code == 1000


async def test_error_of_the_body_is_its_own() -> None:
    """And no group of errors."""
    async with Host(friendly).run() as host:
        client = connect(host.url)

        async def use() -> None:
            async with client:
                await client.wait()
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await use()
    assert client.state is State.CLOSED


async def test_errors_have_the_class_of_their_code() -> None:
    """With everything that they say."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        message = await guest.hear()
        body = {"code": 409, "type": "ROOM_FULL", "message": "full", "details": {"size": 3}, "retryAfterMs": 500}
        await guest.say("error", id=message["id"], error=body)

    async with Host(behave).run() as host, connect(host.url) as client:
        with pytest.raises(ConflictError, match="full") as raised:
            await client.call("a.b")
    error = raised.value
    assert (error.type, error.details, error.retry_after) == ("ROOM_FULL", {"size": 3}, 0.5)


async def test_call_that_is_not_answered_in_time_or_cancelled() -> None:
    """Says whether it was sent, and leaves the counts as they are."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        while (await guest.hear()).get("type") != "a.end":
            pass
        await guest.say("response", 1, id=1)  # too late
        await guest.say("response", "end", id=guest.heard[-1]["id"])
        await guest.say("linkd.ack", {"received": 3, "sent": 2})
        await guest.serve()

    async with Host(behave).run() as host, connect(host.url) as client:
        with pytest.raises(Timeout) as late:
            await client.call("a.b", timeout=0.1)
        task = asyncio.create_task(client.call("a.c"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.call("a.end") == "end"
        await client.call("a.after")
        assert client.state is State.OPEN, "no drift"
    assert late.value.sent is True


async def test_unsent_call_that_was_given_up_is_never_sent() -> None:
    """However long the connection takes."""
    heard = asyncio.Event()

    async def behave(guest: Guest) -> None:
        await heard.wait()
        await friendly(guest)

    async with Host(behave).run() as host, connect(host.url) as client:
        with pytest.raises(Timeout) as late:
            await client.call("a.b", timeout=0.05)
        heard.set()
        await client.call("a.c")
        assert late.value.sent is False
        assert [message["type"] for message in host.last.heard] == ["a.c"]


async def test_queue_is_bounded() -> None:
    """What does not fit is refused, and nothing else lost."""
    client = connect("ws://127.0.0.1:9/ws", queue_messages=2)
    async with client:
        await client.send("a.b")
        await client.send("a.b")
        with pytest.raises(QueueFull):
            await client.send("a.b")
        with pytest.raises(QueueFull):
            await client.call("a.b")
        assert client.pending == 2


async def test_control_messages_are_no_calls() -> None:
    """The two sides would count differently."""
    async with Host(friendly).run() as host, connect(host.url) as client:
        for send in (client.call, client.send):
            with pytest.raises(ValueError, match="control"):
                await send("linkd.history", {})
        with pytest.raises(ValueError, match="control"):
            await client.request("chat.send", {})
        assert await client.call("a.b", 1) == 1


async def test_volatile_is_now_or_never() -> None:
    """And takes no place in the queue."""
    async with Host(friendly).run() as host:
        client = connect(host.url)
        await client.send("a.before", volatile=True)
        async with client:
            await client.wait()
            await client.send("a.now", volatile=True)
            await client.call("a.end")
        assert [message["type"] for message in host.last.heard] == ["a.now", "a.end"]


async def test_session_goes_on_after_a_break() -> None:
    """What had not come is sent once more, and answered; what comes twice would be noticed by its count."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome()
            await guest.say("n.e", 1)
            await guest.hear()
            guest.abort()
            return
        await guest.welcome(resumed=True, received=0)
        await guest.say("n.e", 2)
        await guest.serve()

    changes: list[StateChange] = []
    async with Host(behave).run() as host, connect(host.url) as client:
        client.on_state(changes.append)
        events = client.events("n.*")
        assert await client.call("a.b", "once") == "once"
        assert [(await anext(events)).data, (await anext(events)).data] == [1, 2]
        assert host.last.offers == ["linkd.v1+json", "linkd.resume.t.1"]
    states = [change.state for change in changes]
    assert states[-4:] == [State.WAITING, State.CONNECTING, State.OPEN, State.CLOSED]


async def test_session_that_was_lost_is_told_before_anything_of_the_next() -> None:
    """With what became of each call; one that may be repeated is."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome()
            for _ in range(3):
                await guest.hear()
            guest.abort()
            return
        await guest.welcome("other", resumed=False, reason="expired", received=2)
        await guest.say("n.e", 1)
        await guest.serve()

    order: list[Any] = []
    async with Host(behave).run() as host, connect(host.url) as client:
        client.on_gap(order.append)
        client.on("n.*", order.append)
        calls = [
            asyncio.create_task(client.call("a.came")),
            asyncio.create_task(client.call("a.again", 2, idempotent=True)),
            asyncio.create_task(client.call("a.lost", 3)),
        ]
        came, again, lost = await asyncio.gather(*calls, return_exceptions=True)
        await client.call("a.end")
        assert isinstance(came, ConnectionLost)
        assert (came.sent, again, lost) == (True, 2, 3)
        assert order == [Gap("expired"), Event("n.e", 1)]


async def test_handlers_hear_by_type_and_pattern_whatever_another_raises() -> None:
    """Plain ones at once, coroutines one after the other."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        for number in range(3):
            await guest.say("chat.message", number)
        await guest.serve()

    heard: list[Any] = []
    failures: list[Failure] = []

    def broken(event: Event) -> None:
        raise RuntimeError("plain")

    async def slow(event: Event) -> None:
        await asyncio.sleep(0.01 if event.data == 0 else 0)
        heard.append(("slow", event.data))
        raise RuntimeError("slow")

    async with Host(behave).run() as host:
        client = connect(host.url)
        client.on_error(failures.append)
        client.on("chat.message", broken)
        client.on("chat.*", slow)
        off = client.on("*", lambda event: heard.append(("any", event.data)))
        client.on("other.*", lambda event: heard.append("other"))
        async with client:
            await client.call("a.b")
            off()
            off()
            async with asyncio.timeout(5):
                while len([one for one in heard if one[0] == "slow"]) < 3:
                    await asyncio.sleep(0.005)
    assert heard == [("any", n) for n in range(3)] + [("slow", n) for n in range(3)]
    assert sorted(str(failure.error) for failure in failures) == ["plain"] * 3 + ["slow"] * 3


async def test_what_was_written_before_closing_is_no_failure() -> None:
    """It travels before the close frame."""
    failures: list[Failure] = []
    async with Host(friendly).run() as host, connect(host.url) as client:
        client.on_error(failures.append)
        await client.wait()
        await client.send("a.b")
    assert failures == []


async def test_stream_that_is_read_too_slowly_says_what_it_dropped() -> None:
    """And ends with the client."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        for number in range(1, 6):
            await guest.say("n.e", number)
        await guest.serve()

    async with Host(behave).run() as host:
        async with connect(host.url) as client:
            stream = client.events("n.*", limit=2)
            await client.call("a.b")
            first = await anext(stream)
            assert (first.data, first.dropped) == (4, 3)
            assert (await anext(stream)).dropped == 0
        assert [event async for event in stream] == []


async def test_questions_are_answered() -> None:
    """By whoever answers them, else by whoever listens; else nobody has it."""
    answers: dict[str, Any] = {}

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        for name in ("ready", "no", "bug", "odd", "seen", "nobody"):
            await guest.say(f"game.{name}", {"round": 3}, id=name)
        while len(answers) < 6:
            message = await guest.hear()
            if "id" in message:
                answers[message.pop("id")] = message
        await guest.end(1000)

    async def ready(event: Event) -> Any:
        return event.data["round"]

    def no(event: Event) -> None:
        raise ConflictError("Later.", type="NOT_NOW")

    def bug(event: Event) -> None:
        raise RuntimeError("secret")

    async with Host(behave).run() as host:
        client = connect(host.url)
        failures: list[Failure] = []
        client.on_error(failures.append)
        for name, answerer in {"ready": ready, "no": no, "bug": bug, "odd": lambda event: object()}.items():
            client.on_request(f"game.{name}", answerer)
        client.on("game.seen", lambda event: None)
        async with client:
            await client.wait(State.CLOSED)
    assert answers["ready"] == {"type": "response", "data": 3}
    assert answers["no"]["error"] == {"code": 409, "type": "NOT_NOW", "message": "Later."}
    assert answers["bug"]["error"]["code"] == answers["odd"]["error"]["code"] == 500
    assert "secret" not in str(answers["bug"])
    assert answers["seen"] == {"type": "response", "data": None}
    assert answers["nobody"]["error"]["code"] == 404
    assert [failure.source for failure in failures] == ["game.bug", "game.odd"]


async def test_rooms_are_joined_anew_from_where_they_were() -> None:
    """Their state is read first, and what was seen does not come again."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome()
        else:
            await guest.welcome("other", resumed=False, reason="expired")
        joined = await guest.hear()
        await guest.say("response", None, id=joined["id"])
        if guest.number == 1:
            await guest.say("linkd.room", {"room": "lobby", "epoch": "e", "offset": 4})
            await guest.say("n.e", 5, room="lobby", offset=5)
        else:
            await guest.say(
                "linkd.room", {"room": "lobby", "epoch": "e", "offset": 5, "recovered": True, "replayed": 1}
            )
            await guest.say("n.e", 5, room="lobby", offset=5)
            await guest.say("n.e", 6, room="lobby", offset=6)
        await guest.serve()

    order: list[Any] = []

    async with Host(behave).run() as host, connect(host.url) as client:

        async def join(since: Any) -> None:
            order.append(("join", since and since.offset))
            await client.call("room.join", since)

        async def load(position: Any) -> None:
            await asyncio.sleep(0.02)
            order.append(("load", position.offset))

        room = client.room("lobby", join=join, load=load)
        assert client.room("lobby") is room
        events = room.events()
        order.append((await anext(events)).data)
        host.last.abort()
        order.append((await anext(events)).data)
    assert order == [("join", None), ("load", 4), 5, ("join", 5), 6]


async def test_tokens_are_asked_for_when_they_are_needed() -> None:
    """Once, with the reason."""
    asked: list[str] = []

    async def token(reason: str) -> str:
        asked.append(reason)
        return f"token-{reason}"

    async def behave(guest: Guest) -> None:
        if guest.number == 3:
            await guest.end(4401, "The token has ended.")
            return
        if guest.number == 1:
            await guest.welcome()
            await guest.hear()
            guest.abort()
            return
        await guest.welcome(resumed=True, received=1)
        if guest.number == 2:
            await guest.say("linkd.auth.expiring", {"expiresInMs": 1000})
            renewal = await guest.hear()
            assert renewal["data"] == {"token": "token-expiring"}
            await guest.say("response", {"user": "u"}, id=renewal["id"])
            await asyncio.sleep(0.05)
            guest.abort()
            return
        await guest.say("response", "done", id=1)
        await guest.serve()

    async with Host(behave).run() as host, connect(host.url, token=token) as client:
        assert await client.call("a.b") == "done"
    assert asked == ["connect", "expiring", "refused"]
    shown = [guest.headers["Authorization"].removeprefix("Bearer token-") for guest in host.guests]
    assert shown == ["connect", "connect", "expiring", "refused"]


@pytest.mark.parametrize(
    "source", ["fixed", lambda reason: "first" if reason == "connect" else None], ids=["fixed", "no other"]
)
async def test_no_other_token_ends_it(source: Any) -> None:
    """And makes nobody anonymous."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        await guest.end(4401, "Signed out.")

    async with Host(behave).run() as host, connect(host.url, token=source) as client:
        await client.wait(State.CLOSED)
        with pytest.raises(ConnectionLost):
            await client.wait(State.OPEN)
    assert len(host.guests) == 1


async def test_close_in_every_state_and_twice() -> None:
    """Nothing is left running."""
    before = asyncio.all_tasks()
    await connect("ws://127.0.0.1:9/ws").close()
    client = connect("ws://127.0.0.1:9/ws")
    await client.send("a.b")
    async with client:
        await client.wait(State.WAITING)
        call = asyncio.create_task(client.call("a.b"))
        await asyncio.sleep(0)
        await asyncio.gather(client.close(), client.close())
        with pytest.raises(ConnectionLost) as lost:
            await call
        assert lost.value.sent is False
    async with Host(friendly).run() as host:
        client = connect(host.url)
        async with client:
            await client.wait()
        with pytest.raises(RuntimeError):
            await client.__aenter__()
    assert asyncio.all_tasks() == before


async def test_closing_comes_behind_what_was_sent() -> None:
    """It is flushed before the close frame."""

    async def behave(guest: Guest) -> None:
        await guest.welcome(messageRate="1000/s")
        while True:
            await guest.hear()

    async with Host(behave).run() as host:
        async with connect(host.url) as client:
            await client.wait()
            for number in range(50):
                await client.send("a.b", number)
        async with asyncio.timeout(5):
            while host.last.connection.close_code is None:
                await asyncio.sleep(0.005)
    assert [message["data"] for message in host.last.heard] == list(range(50))


async def test_server_that_goes_silent_is_given_up() -> None:
    """After it was asked for a sign of life; the session goes on."""

    async def behave(guest: Guest) -> None:
        if guest.number == 1:
            await guest.welcome(pingMs=1000)
            await guest.connection.wait_closed()
            return
        await guest.welcome(resumed=True, received=0)
        await guest.serve()

    async with Host(behave).run() as host, connect(host.url) as client:
        await client.wait()
        client.wake()
        await host.guest(2)
        assert await client.call("a.b", 1) == 1


async def test_unheard_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody wants to hear of it."""

    async def behave(guest: Guest) -> None:
        await guest.welcome()
        await guest.say("error", error={"code": 429, "type": "RATE_LIMITED", "message": "Too many requests."})
        await guest.serve()

    async with Host(behave).run() as host, connect(host.url) as client:
        await client.call("a.b")
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] != []
    assert all(isinstance(record.exc_info[1], LinkdError) for record in caplog.records if record.exc_info)
