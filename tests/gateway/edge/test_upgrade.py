"""From uvicorn to picows, and what the edge relies on in a picows that does not document it."""

from __future__ import annotations

from typing import Any

import pytest
from picows import WSListener, WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from websockets.frames import Opcode

from pylinkd.gateway.core.outbox import Outbox, Turn
from pylinkd.gateway.core.session import EndReason, Session
from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.connection import Connection
from pylinkd.gateway.edge.handshake import canonical_head
from pylinkd.gateway.edge.receptions import Receptions
from pylinkd.gateway.edge.upgrade import Upgrade, feed, make_protocol
from pylinkd.gateway.guard.door import Door
from pylinkd.gateway.guard.origins import Origins
from pylinkd.gateway.guard.tokens import Tokens
from pylinkd.protocol.envelope import MSGPACK, Message

from ...processes import make_token
from ..doubles import turns
from ..wire import hear, say
from .sockets import SocketTransport, socket_transport
from .test_handshake import KEY, head

__all__ = ["socket_transport"]

SECRET = "linkd-development-secret-never-use-it-in-production"


class Listener(WSListener):
    """Keeps what picows says."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bool, bytes]] = []
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: Any) -> None:
        self.frames.append((int(frame.msg_type), bool(frame.fin), frame.get_payload_as_bytes()))


async def test_picows_is_what_the_edge_takes_it_for(socket_transport: SocketTransport) -> None:
    """WSProtocol is undocumented: its signature, its answer to a head, frames, and the buffer protocol are pinned."""
    listener = Listener()
    response = WSUpgradeResponse.create_101_response({"X-Ours": "yes"})

    def factory(_: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        return WSUpgradeResponseWithListener(response, listener)

    try:
        websocket = make_protocol(factory, 1024)
        websocket.connection_made(socket_transport)
        feed(websocket, canonical_head(KEY))
        answer = socket_transport.bytes
        feed(websocket, say(Opcode.TEXT, b"hello") + say(Opcode.BINARY, b"a", fin=False) + say(Opcode.CONT, b"b"))
        feed(websocket, say(Opcode.PING, b"p")[:3])
        feed(websocket, say(Opcode.PING, b"p")[3:])
        frames = listener.frames
    except Exception as error:
        pytest.fail(f"picows changed: {type(error).__name__}: {error}")

    assert answer.startswith(b"HTTP/1.1 101"), "picows changed: it no longer answers a head with 101"
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer, "picows changed: the key is not answered"
    assert b"X-Ours: yes" in answer, "picows changed: our headers are not in the answer"
    assert listener.transport is not None, "picows changed: the listener is not told of the connection"
    assert listener.transport.underlying_transport is socket_transport, "picows changed: the transport is hidden"
    assert listener.transport.is_close_frame_sent is False, "picows changed: is_close_frame_sent is gone"
    assert frames[0] == (1, True, b"hello"), "picows changed: a text frame is not what it was"
    assert frames[1:3] == [(2, False, b"a"), (0, True, b"b")], "picows changed: it joins fragments itself"
    assert [frame[0] for frame in frames[3:]] == [9], "picows changed: it keeps pings to itself"
    assert socket_transport.bytes == answer, "picows changed: it answers pings itself"


async def test_picows_refuses_frames_over_the_limit(socket_transport: SocketTransport) -> None:
    """The edge leaves the size of a single frame to picows: 1009, and the listener hears nothing of it."""
    listener = Listener()
    response = WSUpgradeResponse.create_101_response()
    websocket = make_protocol(lambda _: WSUpgradeResponseWithListener(response, listener), 1024)
    websocket.connection_made(socket_transport)
    feed(websocket, canonical_head(KEY))
    answer = len(socket_transport.bytes)

    feed(websocket, say(Opcode.TEXT, b"x" * 1025))

    assert listener.frames == [], "picows changed: it no longer limits frames"
    (close,) = hear(socket_transport.bytes[answer:])
    assert close.payload[:2] == b"\x03\xf1", "picows changed: a frame over the limit is not answered with 1009"


class Owner:
    """Keeps what a connection says."""

    close_timeout = 5.0
    max_message_size = 1024
    max_fragments = 1024
    now = 0.0

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.messages: list[Message] = []
        self.traffic = Traffic()
        self.congested: set[Session] = set()
        self.receptions: Receptions[Connection] = Receptions(1000, lambda connection: None, patience=5.0)
        self.ends: list[EndReason] = []

    def opened(self, session: Session, connection: Connection) -> None:
        session.connection = connection
        self.sessions.append(session)

    def receiving(self, session: Session) -> None:
        """Nothing holds it back."""

    def received(self, session: Session, message: Message) -> None:
        self.messages.append(message)

    def ended(self, session: Session, reason: EndReason) -> None:
        session.connection = None
        self.ends.append(reason)


def upgrade(owner: Owner, *, open: bool = True, there: bool = True) -> Upgrade:
    """The protocol that uvicorn is given."""
    door = Door(
        Tokens(SECRET),
        Origins(),
        knows=lambda path: path == "/ws/chat",
        takes_sessions=lambda path: there,
        open=lambda: open,
    )
    return Upgrade(door, owner, Turn(lambda flush: None), lambda: Outbox(4096), lambda: 1234.5)


async def test_client_that_may_come_in_becomes_a_session(socket_transport: SocketTransport) -> None:
    """With everything that its services are told of it, and picows behind the transport afterwards."""
    owner = Owner()
    protocol = upgrade(owner)
    protocol.connection_made(socket_transport)

    protocol.data_received(
        head(
            f"/ws/chat?room=a&token={make_token('una', roles=('admin',))}",
            "Sec-WebSocket-Protocol: other, linkd.v1+msgpack",
            "User-Agent: " + "x" * 1000,
        )
    )
    await turns()

    (session,) = owner.sessions
    assert (session.path, session.codec, session.controls) == ("/ws/chat", MSGPACK, True)
    assert session.identity is not None
    assert (session.identity.user, set(session.identity.roles)) == ("una", {"admin"})
    assert session.metadata == {"room": "a"}
    assert (session.remote_address, session.connected_at) == (socket_transport.address, 1234.5)
    assert session.user_agent == "x" * 256
    assert b"Sec-WebSocket-Protocol: linkd.v1+msgpack\r\n" in socket_transport.bytes
    assert socket_transport.protocol is not protocol


async def test_message_that_comes_before_the_change_of_protocols_is_taken(socket_transport: SocketTransport) -> None:
    """A client may be so quick that its first message arrives in the turn in which it is let in."""
    owner = Owner()
    protocol = upgrade(owner)
    protocol.connection_made(socket_transport)
    protocol.data_received(head("/ws/chat"))
    large = say(Opcode.TEXT, b'{"type":"b","data":"' + b"x" * 900 + b'"}')

    protocol.data_received(say(Opcode.TEXT, b'{"type":"a"}') + large * 5)
    await turns()

    assert [message.type for message in owner.messages] == ["a", *"bbbbb"]


async def test_client_that_stops_reading_before_the_change_of_protocols_is_not_written_to(
    socket_transport: SocketTransport,
) -> None:
    """Its connection learns of it, and of the end of it."""
    owner = Owner()
    protocol = upgrade(owner)
    protocol.connection_made(socket_transport)
    protocol.data_received(head("/ws/chat"))
    connection = owner.sessions[0].connection
    assert connection is not None

    protocol.pause_writing()
    paused = connection.writable
    protocol.resume_writing()

    assert (paused, connection.writable) == (False, True)


async def test_sessions_have_ids_that_cannot_be_guessed(socket_transport: SocketTransport) -> None:
    """128 random bits."""
    owner = Owner()
    for _ in range(20):
        protocol = upgrade(owner)
        protocol.connection_made(socket_transport)
        protocol.data_received(head("/ws/chat"))

    ids = {session.id for session in owner.sessions}
    assert len(ids) == 20
    assert min(map(len, ids)) >= 22


@pytest.mark.parametrize(
    ("raw", "open", "there", "status"),
    [
        (head("/ws/chat", Sec_WebSocket_Version="8"), True, True, 426),
        (head("/ws/chat", Sec_WebSocket_Key="x"), True, True, 400),
        (head("/ws/nowhere"), True, True, 404),
        (head("/ws/chat?token=nonsense"), True, True, 401),
        (head("/ws/chat"), True, False, 503),
        (head("/ws/chat"), False, True, 503),
    ],
)
async def test_client_that_may_not_gets_an_http_answer(
    socket_transport: SocketTransport, raw: bytes, open: bool, there: bool, status: int
) -> None:
    """Nothing is allocated for it, the transport closes, and what it sends afterwards is not read."""
    owner = Owner()
    protocol = upgrade(owner, open=open, there=there)
    protocol.connection_made(socket_transport)

    protocol.data_received(raw)
    protocol.data_received(head("/ws/chat"))

    assert socket_transport.bytes.startswith(f"HTTP/1.1 {status} ".encode())
    assert socket_transport.bytes.count(b"HTTP/1.1") == 1
    assert socket_transport.closing
    assert owner.sessions == []


async def test_client_that_is_gone_at_once_is_ended(socket_transport: SocketTransport) -> None:
    """Between the handshake and the change of protocols: a session that was opened ends."""
    owner = Owner()
    protocol = upgrade(owner)
    protocol.connection_made(socket_transport)
    protocol.data_received(head("/ws/chat"))

    socket_transport.closing = True
    await turns()

    assert owner.ends == [EndReason.CONNECTION_LOST]
