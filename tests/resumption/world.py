"""A gateway with one service and some clients, without sockets: bytes travel when a test says so, as far as it says."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from websockets.frames import Opcode

from pylinkd.gateway.core.resumption import cost_of
from pylinkd.gateway.edge.framing import feed
from pylinkd.gateway.server import Gateway
from pylinkd.gateway.settings import Settings
from pylinkd.protocol.link_pb2 import Frame, Handler, Register, Session

from ..gateway.edge.sockets import SocketTransport
from ..gateway.routing.rig import Process, registration
from ..gateway.wire import hear, say
from ..processes import make_token
from .client_core import ClientCore

UNLIMITED = dict.fromkeys(
    ("handshake_rate", "message_rate", "byte_rate", "control_rate", "user_message_rate", "broadcast_rate"),
    "999999999/s",
)


class Loop(asyncio.SelectorEventLoop):
    """A loop whose time a test can move on, and which passes for the running one while it does not run: what a test
    calls is called as from a callback.

    Attributes:
        ahead: Seconds.
    """

    ahead = 0.0

    def enter(self) -> None:
        """Pass for the running loop."""
        asyncio._set_running_loop(self)

    def do(self, what: Coroutine[Any, Any, Any]) -> None:
        """Run until this is done."""
        asyncio._set_running_loop(None)
        self.run_until_complete(what)
        self.enter()

    def leave(self) -> None:
        """It is over."""
        asyncio._set_running_loop(None)
        self.close()

    def time(self) -> float:
        """See asyncio."""
        return super().time() + self.ahead


class Line:
    """One connection: what each side wrote and the other has not read.

    Args:
        world: Where it leads.
        handshake: The head of the client's request.

    Attributes:
        up: What the client wrote and has not reached the gateway.
        lost: Both sides know that it is gone.
        refused: The gateway has not taken the handshake.
    """

    def __init__(self, world: World, handshake: bytes) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.transport = SocketTransport(self._socket)
        world.lines.append(self)
        self._arrival: Any = world.gateway.parts.listener._make()
        self._arrival.connection_made(self.transport)
        self.transport.set_protocol(self._arrival)
        self.up = handshake
        self._read = 0
        self._heard = b""
        self._answered = False
        self.lost = self.refused = False

    def carry_up(self, size: int | None = None) -> None:
        """So many bytes of what the client wrote reach the gateway; all, unless told."""
        piece, self.up = (self.up, b"") if size is None else (self.up[:size], self.up[size:])
        protocol: Any = self.transport.get_protocol()
        if piece and not self.lost:
            if protocol is self._arrival:
                protocol.data_received(piece)
            else:
                feed(protocol, piece)

    @property
    def down(self) -> int:
        """Bytes that the gateway wrote and the client has not read."""
        return len(self.transport.bytes) - self._read

    def carry_down(self, size: int | None = None) -> list[str]:
        """So many bytes of what the gateway wrote reach the client; the texts that are complete with them."""
        end = len(self.transport.bytes) if size is None else min(self._read + size, len(self.transport.bytes))
        self._heard += self.transport.bytes[self._read : end]
        self._read = end
        if not self._answered:
            head, found, rest = self._heard.partition(b"\r\n\r\n")
            if not found:
                return []
            if not head.startswith(b"HTTP/1.1 101"):
                self.refused = True
                return []
            self._answered, self._heard = True, rest
        whole = _whole_frames(self._heard)
        frames, self._heard = hear(self._heard[:whole]), self._heard[whole:]
        return [frame.payload.decode() for frame in frames if frame.opcode is Opcode.TEXT]

    def cut(self) -> None:
        """Both sides learn that the connection is gone; what was under way is lost."""
        if not self.lost:
            self.lost = True
            self.up = b""
            self._socket.close()
            protocol: Any = self.transport.get_protocol()
            if not self.transport.closing:
                self.transport.closing = True
                protocol.connection_lost(None)

    def forget(self) -> None:
        """The client is gone, and the gateway does not learn it."""
        self.up = b""


def _whole_frames(data: bytes) -> int:
    """Bytes of the whole frames that data begins with."""
    place = 0
    while len(data) - place >= 2:
        short = data[place + 1] & 0x7F
        extra = {126: 2, 127: 8}.get(short, 0)
        size = int.from_bytes(data[place + 2 : place + 2 + extra], "big") if extra else short
        end = place + 2 + extra + size
        if end > len(data):
            break
        place = end
    return place


class Client:
    """A client in the world.

    Attributes:
        core: What it knows: the tests' own, or a session of one of the clients (tests/clients/adapter.py).
        line: Its present connection; ``None``: it has none.
        old: Connections that it has forgotten and the gateway may not.
    """

    def __init__(self, world: World, user: str | None, core: Any = None) -> None:
        self._world = world
        self._token = None if user is None else make_token(user)
        self.core: Any = core or ClientCore()
        self.line: Line | None = None
        self.old: list[Line] = []

    def dial(self, *, offers: list[str] | None = None, token: str | None = None, path: str = "/ws/chat") -> None:
        """Begin a connection: nothing of it has reached the gateway."""
        self._tell_time()
        offered = ", ".join(self.core.offers() if offers is None else offers)
        bearer = self._token if token is None else token
        head = (
            f"GET {path} HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {offered}\r\n"
            + (f"Authorization: Bearer {bearer}\r\n" if bearer else "")
            + "\r\n"
        )
        if self.line is not None:
            self.line.forget()
            self.old.append(self.line)
        self.line = Line(self._world, head.encode())

    def connect(self, **options: Any) -> None:
        """Dial, and carry everything both ways."""
        self.dial(**options)
        self.pump()

    def write(self) -> None:
        """Put what the core has to say on the line. One that thinks the line dead gives it up."""
        self._tell_time()
        if self.line is not None:
            for text in self.core.take():
                self.line.up += say(Opcode.TEXT, text.encode())
            self._give_up()

    def say(self, text: str) -> None:
        """Put a message on the line."""
        assert self.line is not None
        self.line.up += say(Opcode.TEXT, text.encode())

    def _tell_time(self) -> None:
        self.core.now = self._world.loop.time() * 1000

    def _give_up(self) -> None:
        if getattr(self.core, "broken", False) and self.line is not None:
            self.line.forget()
            self.old.append(self.line)
            self.line = None

    def pump(self) -> None:
        """Carry everything both ways, until nothing is left, and have the service answer."""
        for _ in range(50):
            self.write()
            if self.line is None:
                return
            self.line.carry_up()
            self._world.turn()
            self.hear()
            if not self.line.up and not self.line.down and not self.core_has_more():
                return
        raise AssertionError("it never ends")

    def core_has_more(self) -> bool:
        """Whether the core would write something now."""
        before = self.line
        self.write()
        return self.line is not before or (before is not None and bool(before.up))

    def hear(self, size: int | None = None) -> None:
        """Read so many bytes of what the gateway wrote."""
        self._tell_time()
        if self.line is not None:
            for text in self.line.carry_down(size):
                self.core.receive(text)
            if self.line.refused:
                self.cut()

    def cut(self) -> None:
        """The connection breaks, and both sides notice."""
        if self.line is not None:
            self.line.cut()
            self.line = None

    @property
    def texts(self) -> list[Any]:
        """The data of the events that it has got."""
        return [message["data"] for message in self.core.delivered if message["type"] == "n"]

    @property
    def answers(self) -> list[Any]:
        """The ids of the answers that it has got."""
        return [message["id"] for message in self.core.delivered if message["type"] in ("response", "error")]


class World:
    """A gateway that is put together and not started, and a service that answers whatever comes.

    Attributes:
        gateway: The gateway.
        service: The service's process.
        handled: Session and data of every message that the service got, in order.
        closed: Reason and session of every end that the service was told of.
        noticed: What the service was told of connections that came and went, and of which session.
        came_and_went: The members that it was told of, with a plus or a minus.
        answering: Whether the service answers.
    """

    def __init__(self, loop: Loop, folder: Path, **settings: Any) -> None:
        self.loop = loop
        wanted: dict[str, Any] = {"max_connections_per_user": 0, "ack_messages": 16, **UNLIMITED, **settings}
        self.gateway = Gateway(Settings(port=0, admin_port=0, link=folder / "link.sock", **wanted))  # type: ignore[arg-type]
        parts = self.gateway.parts
        self.routing = parts.routing
        self.traffic = parts.traffic
        self.handled: list[tuple[str, Any]] = []
        self.closed: list[tuple[str, str]] = []
        self.noticed: list[tuple[str | None, str]] = []
        self.came_and_went: list[str] = []
        self.answering = True
        self._unanswered: list[Frame] = []
        self.lines: list[Line] = []
        self.service = self._start_service()

    def _start_service(self, streams: Iterable[str] = (), **options: Any) -> Process:
        process = Process(SimpleNamespace(commands=self.routing.commands, link_window=8192))  # type: ignore[arg-type]
        handlers = [Handler(type=type, stream=True) for type in streams]
        register = registration(types=["chat.send"], handlers=handlers)
        register.MergeFrom(Register(**options))
        assert process.ask(Frame(register=register)).WhichOneof("body") == "registered"
        return process

    def restart_service(self, streams: Iterable[str] = (), **options: Any) -> list[Session]:
        """Another process has the service from now on, and registers with these fields; the sessions that it is told
        of.
        """
        if self.service.link.registered:
            self.service.die()
        self._unanswered.clear()
        self.service = self._start_service(streams, **options)
        opened = [frame for frame in self.service.pump() if frame.WhichOneof("body") == "session_opened"]
        return [frame.session_opened.session for frame in opened]

    def turn(self) -> None:
        """What the loop has ready is run, and the service handles what it got."""
        for _ in range(4):
            self.loop.do(asyncio.sleep(0))
            self.serve()

    def serve(self) -> None:
        """The service handles what it got."""
        frames, self.service.unread = self.service.pump(), []
        for frame in frames:
            match kind := frame.WhichOneof("body"):
                case "inbound":
                    self.handled.append((frame.inbound.session, json.loads(frame.inbound.data)))
                    self._unanswered.append(frame)
                case "session_closed":
                    self.closed.append((frame.session_closed.session.id, frame.session_closed.reason))
                    self.service.done(frame)
                case "session_detached":
                    self.noticed.append((kind, frame.session_detached.session))
                    self.service.done(frame)
                case "session_resumed":
                    self.noticed.append((kind, frame.session_resumed.session))
                    self.service.done(frame)
                case "presence_changed":
                    joined, left = frame.presence_changed.joined, frame.presence_changed.left
                    self.came_and_went += [f"+{one.key}" for one in joined] + [f"-{one.key}" for one in left]
                    self.service.done(frame)
                case "published" | "done" | "failure" | "response" | "answers":
                    self.service.unread.append(frame)
                case _:
                    self.service.done(frame)
        if self.answering:
            unanswered, self._unanswered = self._unanswered, []
            for frame in unanswered:
                self.service.answer(frame, frame.inbound.data)

    def emit(self, data: Any, *clients: Client, everyone: bool = False) -> tuple[int, int, int]:
        """The service emits an event; reached, queued and dropped."""
        return self.emit_to(*(client.core.session for client in clients), data=data, everyone=everyone)

    def emit_to(self, *sessions: str, data: Any, everyone: bool = False) -> tuple[int, int, int]:
        """The service emits an event to sessions; reached, queued and dropped."""
        frame = Frame()
        frame.publish.type = "n"
        frame.publish.data = json.dumps(data).encode()
        frame.publish.everyone = everyone
        frame.publish.sessions.extend(sessions)
        answer = self.service.ask(frame)
        assert answer.WhichOneof("body") == "published", answer
        return answer.published.reached, answer.published.queued, answer.published.dropped

    def pass_(self, seconds: float) -> None:
        """Time passes, and what is due is done."""
        self.loop.ahead += seconds
        self.gateway.parts.clients.now = self.loop.time()
        for sweep in self.gateway.parts.clients._sweeps:
            sweep()
        self.turn()

    def close(self) -> None:
        """Let everything go. What is kept for clients has to be what is charged for it."""
        kept = [one.resumption for one in self.routing.registry if one.resumption is not None]
        held = self.routing.lifecycle.retention.held
        assert held == sum(cost_of(one.frames) + one.waiting for one in kept)
        for line in self.lines:
            line.cut()
        parts = self.gateway.parts
        self.loop.do(parts.listener.close(0))
        self.loop.do(parts.admin.close(0))
