"""One WebSocket over picows, with a transport in memory: what its client sends, and what it is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import structlog
from websockets.frames import Close, Frame, Opcode

from pylinkd.gateway.core.connection import Hold
from pylinkd.gateway.core.path_limits import PathLimits
from pylinkd.gateway.core.session import Session
from pylinkd.gateway.edge.connection import Connection
from pylinkd.gateway.edge.framing import feed, read_frames
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import JSON, MSGPACK, Codec, Message

from ..doubles import Turns, make_session
from ..wire import Heard, hear, say
from .owner import RecordingOwner
from .sockets import SocketTransport, socket_transport

__all__ = ["socket_transport"]

LIMIT = 1024

MORE = say(Opcode.CONT, b"", fin=False)


class Client(RecordingOwner):
    """The other end of the connection, which is also the connection's owner.

    Attributes:
        fails: What takes its messages is broken.
    """

    def __init__(self, transport: SocketTransport, codec: Codec = JSON) -> None:
        super().__init__()
        self.fails = False
        self.transport = transport
        self.turns = Turns()
        self.session = make_session(self.turns.delivery, codec=codec, connected=False)
        self.session.limits = PathLimits(max_message_size=LIMIT)
        self.connection = Connection(self, self.session, transport, self.session.format)
        read_frames(transport, self.connection, LIMIT)
        self._websocket = transport.get_protocol()
        self.connection.begin(b"")
        self._heard = len(transport.bytes)

    def received(self, session: Session, message: Message) -> None:
        """See ConnectionOwner."""
        if self.fails:
            raise RuntimeError("routing is broken")
        super().received(session, message)

    # the client

    def say(self, *frames: bytes) -> None:
        """Send frames, together."""
        feed(self._websocket, b"".join(frames))
        self.turns.end()

    def text(self, value: Any, **options: Any) -> None:
        """Send a message as JSON."""
        self.say(say(Opcode.TEXT, msgspec.json.encode(value), **options))

    @property
    def heard(self) -> list[Heard]:
        """What it has heard since the handshake."""
        self.turns.end()
        return hear(self.transport.bytes[self._heard :])

    @property
    def close_heard(self) -> Close | None:
        """The close frame that it heard; nothing may follow one."""
        frames = self.heard
        assert not any(frame.opcode is Opcode.CLOSE for frame in frames[:-1])
        if not frames or frames[-1].opcode is not Opcode.CLOSE:
            return None
        return Close.parse(frames[-1].payload)

    def lose(self) -> None:
        """The connection breaks, if it has not ended already."""
        self.transport.closing = True
        if not self.ends:
            self._websocket.connection_lost(None)


@pytest.fixture
async def client(socket_transport: SocketTransport) -> Client:
    """One that speaks JSON."""
    return Client(socket_transport)


async def test_message_is_handed_on(client: Client) -> None:
    """Text in one frame."""
    client.text({"type": "a.b", "data": {"x": 1}, "id": 5})

    (message,) = client.messages
    assert (message.type, bytes(message.data), message.id) == ("a.b", b'{"x":1}', 5)
    assert client.heard == []


async def test_fragments_with_a_ping_between_are_one_message(client: Client) -> None:
    """Control frames may come between fragments (RFC 6455 §5.4), and are answered at once."""
    client.say(
        say(Opcode.TEXT, b'{"type":', fin=False),
        say(Opcode.PING, b"are you there"),
        say(Opcode.CONT, b'"a"', fin=False),
        say(Opcode.PONG, b"unasked"),
        say(Opcode.CONT, b"}"),
    )

    assert [message.type for message in client.messages] == ["a"]
    assert [(frame.opcode, frame.payload) for frame in client.heard] == [(Opcode.PONG, b"are you there")]


async def test_msgpack_client_speaks_binary(socket_transport: SocketTransport) -> None:
    """In one frame and in several."""
    client = Client(socket_transport, MSGPACK)
    payload = msgspec.msgpack.encode({"type": "a", "id": 1})

    client.say(say(Opcode.BINARY, payload))
    client.say(say(Opcode.BINARY, payload[:3], fin=False), say(Opcode.CONT, payload[3:]))

    assert [message.id for message in client.messages] == [1, 1]


@pytest.mark.parametrize(("codec", "opcode"), [(JSON, Opcode.BINARY), (MSGPACK, Opcode.TEXT)])
async def test_message_of_the_other_kind_is_told(
    socket_transport: SocketTransport, codec: Codec, opcode: Opcode
) -> None:
    """An error that says what to send; the connection stays."""
    client = Client(socket_transport, codec)

    client.say(say(opcode, b'{"type":"a"}'))

    (frame,) = client.heard
    assert frame.data["error"]["code"] == 400
    assert f"speaks {codec.name}" in frame.data["error"]["message"]
    assert client.messages == []


async def test_bad_message_is_answered_and_the_connection_stays(client: Client) -> None:
    """Garbage, and an envelope that is none: with the id where it could be read."""
    client.say(say(Opcode.TEXT, b"{"), say(Opcode.TEXT, b'{"id":"c-1"}'), say(Opcode.TEXT, b'{"type":"a"}'))

    first, second = (frame.data for frame in client.heard)
    assert (first["error"]["type"], "id" in first) == ("INVALID_JSON", False)
    assert (second["error"]["type"], second["id"]) == ("BAD_REQUEST", "c-1")
    assert [message.type for message in client.messages] == ["a"]


async def test_bad_msgpack_is_answered_and_the_connection_stays(socket_transport: SocketTransport) -> None:
    """Strings that are not UTF-8 are bad data, not a fault of the gateway."""
    client = Client(socket_transport, MSGPACK)

    client.say(say(Opcode.BINARY, b"\x81\xa4type\xa1\xff"))

    assert [frame.data["error"]["code"] for frame in client.heard] == [400]
    assert client.close_heard is None


@pytest.mark.parametrize(
    ("frames", "code", "end"),
    [
        ([say(Opcode.CONT, b"x")], 1002, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.TEXT, b"x", fin=False), say(Opcode.TEXT, b"x")], 1002, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.TEXT, b"x", rsv1=True)], 1002, EndReason.PROTOCOL_ERROR),
        ([Frame(Opcode.TEXT, b"x").serialize(mask=False)], 1002, EndReason.PROTOCOL_ERROR),
        ([b"\x83\x80\x00\x00\x00\x00"], 1002, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.PING, b"x", fin=False)], 1002, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.TEXT, b"\xff")], 1007, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.TEXT, b"\xc3", fin=False), say(Opcode.CONT, b"")], 1007, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.TEXT, b"x" * (LIMIT + 1))], 1009, EndReason.MESSAGE_TOO_BIG),
        ([say(Opcode.TEXT, b"x" * LIMIT, fin=False), say(Opcode.CONT, b"x")], 1009, EndReason.MESSAGE_TOO_BIG),
        ([say(Opcode.TEXT, b"", fin=False), *[MORE] * 1024], 1008, EndReason.LIMIT),
        ([say(Opcode.CLOSE, b"x")], 1002, EndReason.PROTOCOL_ERROR),
        ([say(Opcode.CLOSE, b"\x03\xee")], 1002, EndReason.PROTOCOL_ERROR),
    ],
    ids=[
        "continuation", "interleaved", "rsv1", "unmasked", "opcode", "fragmented-ping", "utf8", "utf8-fragments",
        "too-big", "too-big-fragments", "too-many-fragments", "short-close", "close-1006",
    ],
)  # fmt: skip
async def test_client_that_breaks_the_protocol_is_closed(
    client: Client, frames: list[bytes], code: int, end: EndReason
) -> None:
    """Each fault has its close code, and the session an end that names it."""
    client.say(*frames)

    assert client.close_heard is not None
    assert client.close_heard.code == code
    client.lose()
    assert client.ends == [end]
    assert client.messages == []


async def test_nothing_is_taken_after_the_gateway_closes(client: Client) -> None:
    """What was under way when the gateway began to close is not handed on, nor answered."""
    client.session.close(4401, "bye", EndReason.DISCONNECTED)

    client.say(say(Opcode.TEXT, b'{"type":"a"}'), say(Opcode.PING, b"x"))

    assert client.messages == []
    assert client.close_heard == Close(4401, "bye")
    client.say(say(Opcode.CLOSE, b"\x11\x31"))
    assert client.transport.closing


@pytest.mark.parametrize(
    ("sent", "back", "end"),
    [
        (b"", b"", EndReason.CLIENT_CLOSED),
        (b"\x03\xe8", b"\x03\xe8", EndReason.CLIENT_CLOSED),
        (b"\x03\xe9", b"\x03\xe9", EndReason.CLIENT_LEFT),
        (b"\x11\x31bye", b"\x11\x31", EndReason.CLIENT_LEFT),
    ],
)
async def test_close_is_answered_with_its_code(client: Client, sent: bytes, back: bytes, end: EndReason) -> None:
    """RFC 6455 §5.5.1; the transport closes after it. Only 1000, or none, is a goodbye."""
    client.say(say(Opcode.CLOSE, sent))

    (frame,) = client.heard
    assert (frame.opcode, frame.payload) == (Opcode.CLOSE, back)
    assert client.transport.closing
    await asyncio.sleep(0)
    assert client.ends == [end]


async def test_broken_connection_is_an_end_too(client: Client) -> None:
    """Without a closing handshake."""
    client.lose()

    assert client.ends == [EndReason.CONNECTION_LOST]


async def test_what_waits_leaves_before_the_close_frame(client: Client) -> None:
    """An answer and the close of one turn arrive in that order."""
    client.session.delivery.send(client.session, client.session.format.frame(b'{"last":1}'))
    client.session.close(1000, "", EndReason.DISCONNECTED)

    assert [frame.opcode for frame in client.heard] == [Opcode.TEXT, Opcode.CLOSE]


async def test_only_the_first_close_counts(client: Client) -> None:
    """Code and end are those of the first."""
    client.session.close(4401, "first", EndReason.DISCONNECTED)
    client.session.close(1001, "second", EndReason.SHUTDOWN)

    assert client.close_heard == Close(4401, "first")
    client.lose()
    assert client.ends == [EndReason.DISCONNECTED]


async def test_full_socket_holds_frames_back(client: Client) -> None:
    """Nothing is written while the kernel takes no more; it follows in order when it does."""
    client.connection.pause_writing()
    client.session.delivery.send(client.session, client.session.format.frame(b"1"))
    client.turns.end()
    client.session.delivery.send(client.session, client.session.format.frame(b"2"))
    assert client.heard == []

    client.connection.resume_writing()

    assert [frame.payload for frame in client.heard] == [b"1", b"2"]


async def test_large_burst_arrives_whole(client: Client) -> None:
    """However many bytes one flush has."""
    payloads = [b"%d" % number * 3000 for number in range(30)]
    for payload in payloads:
        client.session.delivery.send(client.session, client.session.format.frame(payload))

    assert [frame.payload for frame in client.heard] == payloads


async def test_reading_stops_and_goes_on(client: Client) -> None:
    """The back pressure of a session's window; closing reads on, for the client's close frame."""
    client.connection.hold(Hold.WINDOW)
    assert not client.transport.reading
    client.connection.release(Hold.WINDOW)
    assert client.transport.reading

    client.connection.hold(Hold.WINDOW)
    client.session.close(1000, "", EndReason.DISCONNECTED)

    assert client.transport.reading


async def test_fault_of_the_gateway_ends_one_connection(client: Client) -> None:
    """1011, and a line in the log; whoever called is not disturbed."""
    client.fails = True

    with structlog.testing.capture_logs() as logs:
        client.text({"type": "a"})

    assert client.close_heard == Close(1011, "internal error")
    assert [line["event"] for line in logs] == ["connection_failed"]
    client.lose()
    assert client.ends == [EndReason.INTERNAL_ERROR]


async def test_client_that_does_not_answer_a_close_is_cut(socket_transport: SocketTransport) -> None:
    """After the close timeout, whatever it does."""
    client = Client(socket_transport)
    client.close_timeout = 0.0
    client.session.close(1000, "", EndReason.DISCONNECTED)

    for _ in range(5):
        await asyncio.sleep(0)

    assert client.transport.aborted
    await asyncio.sleep(0)
    assert client.ends == [EndReason.DISCONNECTED]


async def test_connection_that_is_gone_takes_orders_in_silence(client: Client) -> None:
    """Pausing, writing and closing after the end change nothing."""
    client.lose()

    client.connection.hold(Hold.WINDOW)
    client.connection.release(Hold.WINDOW)
    client.connection.write([b"x"])
    client.session.close(1000, "", EndReason.DISCONNECTED)
    client.connection.cut()

    assert client.ends == [EndReason.CONNECTION_LOST]
