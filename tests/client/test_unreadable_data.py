"""A server that sends what cannot be read, and nothing depends on: the client goes on."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from pylinkd.client import connect
from pylinkd.protocol.errors import BadRequestError, LinkdError

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch

FORMS: tuple[Any, ...] = (
    None, 1, "text", [], {}, {"room": 1}, {"room": "r"}, {"room": "r", "epoch": 1, "offset": "x"},
    {"room": "r", "epoch": "e", "offset": -1}, {"room": "r", "seq": "x", "count": 1, "members": []},
    {"total": "x"}, {"total": -1}, {"total": 2**70}, {"total": 1e300},
)  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("json", b"1e999"),
        ("msgpack", b"\xa1\xff"),  # no UTF-8
        ("msgpack", b"\x81\x80\x02"),  # a map as a key
        ("msgpack", b"\xd7\xff" + b"\xff" * 8),  # no moment
    ],
)
@accelerated
async def test_data_that_cannot_be_read_is_reported(encoding: Literal["json", "msgpack"], data: bytes) -> None:
    """An event or an answer whose envelope is one has come, and counts. Data that other users wrote ends nothing."""
    answers: list[dict[str, Any]] = []

    def envelope(type: str, **more: Any) -> bytes:
        encode = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode
        return encode({"type": type, "data": msgspec.Raw(data), **more})

    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.hear()
        await peer.raw(envelope("test.event"), text=encoding == "json")
        await peer.raw(envelope("test.ask", id="q"), text=encoding == "json")
        answers.append(await peer.hear())
        await peer.raw(envelope("linkd.room"), text=encoding == "json")
        await peer.raw(envelope("response", id=asked["id"]), text=encoding == "json")
        peer.sent += 3
        await peer.say("linkd.ack", {"received": peer.received, "sent": peer.sent})
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url, encoding=encoding)
        watch = Watch(client)
        events: list[Any] = []
        client.on("test.event", events.append)
        async with client:
            with pytest.raises(msgspec.DecodeError):
                await client.call("test.call")

            assert await client.call("test.call", "again") == "again"
            assert sorted(watch.sources) == ["linkd.room", "test.ask", "test.event"]
            assert answers[0]["error"]["code"] == 400
            assert events == []
            assert len(server.peers) == 1


@pytest.mark.parametrize(
    "type", ["linkd.room", "linkd.gap", "linkd.presence", "linkd.dropped", "linkd.auth.expiring", "linkd.new"]
)
@accelerated
async def test_control_messages_of_another_form_change_nothing(type: str) -> None:
    """They are not counted, so that nothing else depends on them."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for data in FORMS:
            await peer.say(type, data)
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        client.room("r")
        async with client:
            assert await client.call("test.call", 1) == 1

            assert not watch.gaps
            assert not watch.failures
            assert len(server.peers) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"code": 99, "type": "NOT_FOUND"},
        {"code": 700, "type": "NOT_FOUND"},
        {"code": 10**20, "type": "NOT_FOUND"},
        {"code": 404, "type": "not found"},
        {"code": 404, "type": ""},
        {"code": 404, "type": "NOT_FOUND", "retryAfterMs": -1},
        {"code": 404, "type": "NOT_FOUND", "retryAfterMs": 10**30},
    ],
)
@accelerated
async def test_errors_of_another_form_are_errors(error: dict[str, Any]) -> None:
    """Whatever their numbers are."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.hear()
        await peer.say("error", id=asked["id"], error={"message": "why", **error})
        await peer.linger()

    async with serve(script) as server, connect(server.url) as client:
        with pytest.raises(LinkdError, match="why"):
            await client.call("test.call")


@pytest.mark.parametrize("id", [0, -1, 2, 2**63 - 1, "1", "x", None])
@accelerated
async def test_answers_to_nothing_are_ignored(id: Any) -> None:
    """And counted."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        asked = await peer.hear()
        await peer.say("response", "nothing", id=id)
        await peer.answer(asked, "answer")
        await peer.answer(asked, "another answer")
        await peer.say("linkd.ack", {"received": peer.received, "sent": peer.sent})
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            assert await client.call("test.call") == "answer"
            assert await client.call("test.call", "next") == "next"

            assert not watch.failures
            assert len(server.peers) == 1


@accelerated
async def test_error_without_an_id_is_reported() -> None:
    """It is about a message that nobody waits for the answer of."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.say("error", error={"code": 400, "type": "BAD_REQUEST", "message": "why"})
        await peer.answer_all()

    async with serve(script) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            await client.call("test.call")

            (failure,) = watch.failures
            assert isinstance(failure.error, BadRequestError)
            assert failure.source == "send"
