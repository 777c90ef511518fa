"""The routing floor put together without sockets: clients are recording connections, services play by the frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pylinkd.gateway.core.session import Session
from pylinkd.gateway.routing.assembly import Routing, RoutingSettings
from pylinkd.gateway.routing.connection_limit import ConnectionLimitSettings, Excess
from pylinkd.gateway.routing.link import ServiceLink
from pylinkd.gateway.routing.parking import ParkingSettings
from pylinkd.gateway.routing.services import ServicesSettings
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import JSON, Codec, Message, MessageId
from pylinkd.protocol.errors import LinkdError
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.link import PROTOCOL_VERSION, FrameReader, encode
from pylinkd.protocol.link_pb2 import Action, Frame, Handler, Register
from pylinkd.protocol.link_values import fill_failure

from ..doubles import Clock, RecordingConnection, RecordingTransport, Timers, Turns, connection_of, make_session
from ..guards import make_guard

GRACE = 30.0
STARTUP_GRACE = 10.0
PARK_BYTES = 1000


class Process:
    """A service process as the gateway sees it: the far end of a link.

    Attributes:
        transport: What the link writes to.
        unread: Frames that came and were not looked at.
    """

    def __init__(self, rig: Rig, **extra: Any) -> None:
        self.link = ServiceLink(rig.commands, rig.link_window)
        self.transport = RecordingTransport(self.link, **extra)  # what is known of the process
        self.link.connection_made(self.transport)
        self.unread: list[Frame] = []
        self._reader = FrameReader()
        self._read = 0
        self._last_id = 0

    def pump(self) -> list[Frame]:
        """Everything that came and was not taken."""
        self.link.flush()
        written, self._read = self.transport.written[self._read :], len(self.transport.written)
        self.unread.extend(frame for data in written for frame in self._reader.feed(data))
        return self.unread

    def take(self, kind: str) -> Frame:
        """The oldest frame of this kind."""
        for frame in self.pump():
            if frame.WhichOneof("body") == kind:
                self.unread.remove(frame)
                return frame
        raise AssertionError(f"no {kind} came, only {[frame.WhichOneof('body') for frame in self.unread]}")

    def kinds(self) -> list[str | None]:
        """What came, in order."""
        return [frame.WhichOneof("body") for frame in self.pump()]

    def forget(self) -> None:
        """Take everything."""
        self.pump()
        self.unread.clear()

    def say(self, frame: Frame) -> None:
        """Send a frame."""
        self.link.data_received(encode(frame))

    def ask(self, frame: Frame) -> Frame:
        """Send a question and take its answer."""
        self._last_id += 1
        frame.request_id = self._last_id
        self.say(frame)
        for answer in self.pump():
            if answer.request_id == self._last_id and answer.WhichOneof("body") in ANSWERS:
                self.unread.remove(answer)
                return answer
        raise AssertionError("the gateway did not answer")

    def answer(self, question: Frame, data: bytes = b"null") -> None:
        """Answer a message."""
        frame = Frame(request_id=question.request_id)
        frame.response.data = data
        self.say(frame)

    def done(self, question: Frame) -> None:
        """Answer with nothing to tell."""
        frame = Frame(request_id=question.request_id)
        frame.done.SetInParent()
        self.say(frame)

    def fail(self, question: Frame, error: LinkdError) -> None:
        """Answer with an error."""
        frame = Frame(request_id=question.request_id)
        fill_failure(frame.failure, error)
        self.say(frame)

    def open_all(self) -> list[str]:
        """Answer every session_opened that came with done; their ids."""
        opened = [frame for frame in self.pump() if frame.WhichOneof("body") == "session_opened"]
        for frame in opened:
            self.unread.remove(frame)
            self.done(frame)
        return [frame.session_opened.session.id for frame in opened]

    def die(self) -> None:
        """The process is gone."""
        self.link.connection_lost(None)


ANSWERS = {
    "registered", "published", "answers", "done", "failure", "room_list", "member_list", "call_result", "event_done",
    "room_joined", "history_page", "presence_list",
}  # fmt: skip


def registration(
    service: str = "chat",
    *,
    path: str | None = None,
    types: Iterable[str] = ("chat.send",),
    handlers: Iterable[Handler] = (),
    actions: Iterable[Action] = (),
    events: Iterable[str] = (),
    catch_all: bool = False,
    namespace: str = "",
    version: int = PROTOCOL_VERSION,
    release: str = "1",
) -> Register:
    """What a process registers with; ``/ws/<service>`` unless a path is told."""
    return Register(
        protocol_version=version,
        service=service,
        version=release,
        instance="i",
        namespace=namespace,
        path=f"/ws/{service}" if path is None else path,
        handlers=[*(Handler(type=type) for type in types), *handlers],
        catch_all=catch_all,
        actions=actions,
        events=events,
    )


class Rig(Routing):
    """Everything between clients and services, on clocks and timers that a test moves.

    Attributes:
        clock: Unix time, and that of the services.
        turns: Ends the loop's turns for what is sent to clients.
        timers: What waits for a time.
        guard: Who may do how much.
    """

    def __init__(
        self,
        *,
        window: int = 4,
        link_window: int = 64,
        max_rooms: int = 3,
        park: float = 0.0,
        park_messages: int = 5,
        max_per_user: int = 0,
        excess: Excess = Excess.REJECT,
        secret: str = "",
        uids: Iterable[int] = (),
        namespaces: Iterable[tuple[str, str]] = (),
        token_cookie: str = "",
        **guard: Any,
    ) -> None:
        self.link_window = link_window
        self.clock = Clock()
        self.turns = Turns()
        self.timers = Timers(self.clock)
        self.guard = make_guard(**guard)
        settings = RoutingSettings(
            services=ServicesSettings(
                grace=GRACE, startup_grace=STARTUP_GRACE, namespaces=tuple(namespaces), token_cookie=token_cookie
            ),
            parking=ParkingSettings(timeout=park, max_messages=park_messages, max_bytes=PARK_BYTES),
            connection_limit=ConnectionLimitSettings(max_per_user, excess),
            session_window=window,
            max_rooms_per_session=max_rooms,
            link_uids=frozenset(uids),
            link_secret=secret,
        )
        super().__init__(
            settings,
            guard=self.guard,
            delivery=self.turns.delivery,
            traffic=self.turns.traffic,
            gateway_instance="gateway-1",
            resume_key=bytes(32),
            open=lambda: True,
            clock=time.time,
            monotonic=self.clock,
            schedule=self.timers.schedule,
        )

    def connect(self) -> Process:
        """A process that has not registered."""
        return Process(self)

    def start(self, service: str = "chat", **options: Any) -> Process:
        """A process that has registered."""
        process = Process(self)
        answer = process.ask(Frame(register=registration(service, **options)))
        assert answer.WhichOneof("body") == "registered", answer
        return process

    def open(
        self,
        id: str,
        *,
        path: str = "/ws/chat",
        identity: Identity | None = None,
        codec: Codec = JSON,
        metadata: Mapping[str, str] | None = None,
    ) -> Session:
        """A client whose opening handshake is done."""
        session = make_session(
            self.turns.delivery, id, path=path, identity=identity, codec=codec, metadata=metadata, connected=False
        )
        session.connection = RecordingConnection(session)
        session.connection.heard_at = self.clock()
        self.connection_limit.admit(session, identity, lambda: self.lifecycle.open(session))
        return session

    def end(self, session: Session, reason: EndReason = EndReason.CLIENT_CLOSED) -> None:
        """The client is gone."""
        self.lifecycle.detach(session, connection_of(session), reason)

    def send(self, session: Session, type: str = "chat.send", id: MessageId | None = None, data: Any = None) -> None:
        """The client sends a message."""
        self.inbound.route(session, Message(type=type, data=msgspec.Raw(msgspec.json.encode(data)), id=id))

    def heard(self, session: Session) -> list[Any]:
        """The messages that the client has heard."""
        self.turns.end()
        return connection_of(session).data()
