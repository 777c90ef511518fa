"""From HTTP to picows, and what the edge relies on in a picows that does not document it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from picows import WSTransport
from websockets.frames import Opcode

from pylinkd.gateway.core.format import Formats
from pylinkd.gateway.core.outbox import Outbox
from pylinkd.gateway.core.path_limits import PathLimits
from pylinkd.gateway.core.session import Session
from pylinkd.gateway.edge.connection import Connection
from pylinkd.gateway.edge.framing import feed, read_frames
from pylinkd.gateway.edge.handshake import Head
from pylinkd.gateway.edge.upgrade import Upgrade
from pylinkd.gateway.guard.guard import Guard
from pylinkd.gateway.guard.hosts import Hosts
from pylinkd.gateway.guard.issuers import Issuer
from pylinkd.gateway.guard.keys import KeySet, PublicKey
from pylinkd.gateway.routing.resuming import Refusal
from pylinkd.protocol.control import Dropped
from pylinkd.protocol.envelope import MSGPACK

from ...processes import make_token
from ..doubles import Turns, make_session, turns
from ..guards import make_door, make_guard
from ..routing.rig import Rig
from ..wire import hear, say
from .owner import RecordingOwner
from .sockets import SocketTransport, socket_transport
from .test_handshake import head

__all__ = ["socket_transport"]


class PicowsConnection(Connection):
    """Keeps what picows says."""

    def __init__(self, transport: SocketTransport) -> None:
        self.frames: list[tuple[int, bool, bytes]] = []
        self.closes: list[bytes] = []
        session = make_session(Turns().delivery, connected=False)
        super().__init__(Owner(), session, transport, session.format)

    def on_ws_frame(self, transport: WSTransport, frame: Any) -> None:
        self.frames.append((int(frame.msg_type), bool(frame.fin), frame.get_payload_as_bytes()))

    def frame_refused(self, close: bytes) -> None:
        self.closes.append(close)


async def test_picows_is_what_the_edge_takes_it_for(socket_transport: SocketTransport) -> None:
    """WSProtocol is undocumented: its signature, its handshake, frames, and the buffer protocol are pinned."""
    connection = PicowsConnection(socket_transport)

    try:
        read_frames(socket_transport, connection, 1024)
        websocket = socket_transport.protocol
        feed(websocket, say(Opcode.TEXT, b"hello") + say(Opcode.BINARY, b"a", fin=False) + say(Opcode.CONT, b"b"))
        feed(websocket, say(Opcode.PING, b"p")[:3])
        feed(websocket, say(Opcode.PING, b"p")[3:])
        frames = connection.frames
    except Exception as error:
        pytest.fail(f"picows changed: {type(error).__name__}: {error}")

    assert frames[0] == (1, True, b"hello"), "picows changed: a text frame is not what it was"
    assert frames[1:3] == [(2, False, b"a"), (0, True, b"b")], "picows changed: it joins fragments itself"
    assert [frame[0] for frame in frames[3:]] == [9], "picows changed: it keeps pings to itself"
    assert socket_transport.bytes == b"", "picows changed: it writes past what it was given"
    assert connection.closes == [], "picows changed: it closes what is right"


async def test_picows_refuses_frames_over_the_limit(socket_transport: SocketTransport) -> None:
    """The edge leaves the size of a single frame to picows: 1009, and the connection hears nothing of the frame."""
    connection = PicowsConnection(socket_transport)
    read_frames(socket_transport, connection, 1024)

    feed(socket_transport.protocol, say(Opcode.TEXT, b"x" * 1025))

    assert connection.frames == [], "picows changed: it no longer limits frames"
    (close,) = hear(b"".join(connection.closes))
    assert close.payload[:2] == b"\x03\xf1", "picows changed: a frame over the limit is not answered with 1009"


class Owner(RecordingOwner):
    """Keeps what a connection says.

    Args:
        greeting: Each client is sent something at once.
    """

    close_timeout = 5.0

    def __init__(self, *, greeting: bool = False) -> None:
        super().__init__()
        self._greeting = greeting

    def opened(self, session: Session, connection: Connection, refusal: Refusal | None) -> None:
        """See ConnectionOwner."""
        super().opened(session, connection, refusal)
        if self._greeting:
            session.delivery.send(session, session.encode(Dropped(1, 1)))


KEY = generate_private_key(SECP256R1())


def upgrade(owner: Owner, *, open: bool = True, there: bool = True, guard: Guard | None = None) -> Upgrade:
    """What answers opening handshakes."""
    guard = guard or make_guard()
    door = make_door(guard, knows=lambda path: path == "/ws/chat", takes_sessions=lambda path: there, open=lambda: open)
    ids = (f"session-{number}" for number in itertools.count())
    return Upgrade(
        door,
        guard.proxies,
        guard.unfinished,
        owner,
        Rig().resuming,
        Turns().delivery,
        lambda: Outbox(4096),
        lambda: next(ids),
        lambda: 1234.5,
        Hosts(),
        Formats(1024, 3),
        lambda path: PathLimits(compression=False, max_message_size=1024),
    )


async def test_client_that_may_come_in_becomes_a_session(socket_transport: SocketTransport) -> None:
    """With everything that its services are told of it, and picows behind the transport afterwards."""
    owner = Owner()
    before = socket_transport.protocol

    upgrade(owner)(
        socket_transport,
        head(
            f"/ws/chat?room=a&token={make_token('una', roles=('admin',))}",
            "Sec-WebSocket-Protocol: other, linkd.v1+msgpack",
            "User-Agent: " + "x" * 1000,
        ),
    )

    (session,) = owner.sessions
    assert (session.path, session.codec, session.controls) == ("/ws/chat", MSGPACK, True)
    assert session.identity is not None
    assert (session.identity.user, set(session.identity.roles)) == ("una", {"admin"})
    assert session.metadata == {"room": "a"}
    assert (session.remote_address, session.connected_at) == (socket_transport.address, 1234.5)
    assert session.user_agent == "x" * 256
    assert b"Sec-WebSocket-Protocol: linkd.v1+msgpack\r\n" in socket_transport.bytes
    assert socket_transport.protocol is not before
    assert session.id == "session-0"


async def test_answer_and_what_the_session_is_told_at_once_leave_together(socket_transport: SocketTransport) -> None:
    """One write; and the answer is no message."""
    owner = Owner(greeting=True)

    upgrade(owner)(socket_transport, head("/ws/chat"))

    (written,) = socket_transport.written
    answer, _, frames = written.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert [frame.opcode for frame in hear(frames)] == [Opcode.TEXT]
    assert owner.traffic.messages_out == 1


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
    socket_transport: SocketTransport, raw: Head, open: bool, there: bool, status: int
) -> None:
    """Nothing is allocated for it, and the transport closes."""
    owner = Owner()

    upgrade(owner, open=open, there=there)(socket_transport, raw)

    assert socket_transport.bytes.startswith(f"HTTP/1.1 {status} ".encode())
    assert socket_transport.bytes.count(b"HTTP/1.1") == 1
    assert socket_transport.closing
    assert owner.sessions == []


async def test_client_that_waits_for_a_key_is_not_read_from(socket_transport: SocketTransport) -> None:
    """Nothing but its head is kept meanwhile, and it is counted among those who have not come in."""
    owner = Owner()
    guard = make_guard(issuers=[Issuer(issuer="https://id", audience="linkd", discovery=True, algorithms=["ES256"])])
    fetched = asyncio.Event()
    (keys,) = guard.tokens.remote

    async def fetch() -> KeySet:
        await fetched.wait()
        return KeySet([("k", PublicKey(KEY.public_key(), ["ES256"]))])

    keys._fetch = fetch
    token = jwt.encode(
        {"iss": "https://id", "aud": "linkd", "sub": "una", "exp": 4102444800}, KEY, "ES256", headers={"kid": "k"}
    )

    upgrade(owner, guard=guard)(socket_transport, head(f"/ws/chat?token={token}"))
    await turns()
    waiting = (len(guard.unfinished), socket_transport.reading, list(socket_transport.written), len(owner.sessions))
    fetched.set()
    await turns(10)

    assert waiting == (1, False, [], 0)
    assert (len(guard.unfinished), socket_transport.reading, len(owner.sessions)) == (0, True, 1)
    assert socket_transport.bytes.startswith(b"HTTP/1.1 101 ")
