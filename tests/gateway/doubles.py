"""Doubles with behaviour: what the gateway's core and routing stand on, kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pylinkd.gateway.core.delivery import Delivery
from pylinkd.gateway.core.format import PLAIN
from pylinkd.gateway.core.outbox import Outbox, Policy
from pylinkd.gateway.core.session import Session
from pylinkd.gateway.core.traffic import Traffic
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import JSON, Codec
from pylinkd.protocol.identity import Identity

from .wire import Heard, hear


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Timer:
    """One function that will be run.

    Attributes:
        at: When.
        function: The function.
        cancelled: It is not.
    """

    def __init__(self, at: float, function: Callable[[], None]) -> None:
        self.at = at
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        """Not any more."""
        self.cancelled = True


class Timers:
    """What is to be run later is run when a test says so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[Timer] = []

    def schedule(self, delay: float, function: Callable[[], None]) -> Timer:
        """Run the function when so many seconds have passed."""
        timer = Timer(self._clock.now + delay, function)
        self._waiting.append(timer)
        return timer

    def pass_(self, seconds: float) -> None:
        """Let time pass, and run what is due."""
        self._clock.now += seconds
        due = [timer for timer in self._waiting if timer.at <= self._clock.now]
        self._waiting = [timer for timer in self._waiting if timer.at > self._clock.now]
        for timer in due:
            if not timer.cancelled:
                timer.function()


class Turns:
    """The end of a loop turn comes when a test says so.

    Attributes:
        traffic: What was delivered.
        delivery: Delivers at the end of the turn.
    """

    def __init__(self) -> None:
        self._scheduled: list[Callable[[], None]] = []
        self.traffic = Traffic()
        self.delivery = Delivery(self._scheduled.append, self.traffic)

    @property
    def scheduled(self) -> int:
        """How many ends of turns are waited for."""
        return len(self._scheduled)

    def end(self) -> None:
        """Run what waits for the end of the turn, and what that sets off."""
        while self._scheduled:
            self._scheduled.pop(0)()


class RecordingConnection:
    """A connection that keeps what is written and whether it reads.

    Attributes:
        writable: Set it to play a client whose socket takes no more.
        unsent: Set it to play a client that has not read everything.
        writes: The frames of each write.
        holds: Why no messages are taken from the client.
        closed: Code, reason and end of the first ``close``.
        drops: What it was told of dropped events.
        broken: Writing raises.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.writable = True
        self.unsent = 0
        self.writes: list[list[bytes]] = []
        self.holds = 0
        self.pauses = 0
        self.closed: tuple[int, str, EndReason] | None = None
        self.drops: list[int] = []
        self.broken = False
        self.heard_at = 0.0
        self.pings = 0
        self.was_cut = False

    def write(self, frames: list[bytes]) -> None:
        """Keep the frames, unless the close frame has left."""
        if self.broken:
            raise RuntimeError("the transport is broken")
        if self.closed is None:
            self.writes.append(frames)

    def pass_on(self, piece: bytes) -> bool:
        """Keep the piece, if the client reads."""
        if self.writable and self.closed is None:
            self.write([piece])
            return True
        return False

    def ping(self) -> None:
        """Keep that it was asked."""
        self.pings += 1

    def supersede(self) -> None:
        """Close, as the session goes on over another connection."""
        self.close(4409, "resumed over another connection", EndReason.REPLACED)

    def cut(self) -> None:
        """Keep that it was cut."""
        self.was_cut = True

    @property
    def held(self) -> bool:
        """Whether messages are held back."""
        return bool(self.holds)

    @property
    def reading(self) -> bool:
        """Whether messages are taken from the client."""
        return not self.holds

    def hold(self, reason: int) -> None:
        """Take no more messages from the client."""
        self.pauses += self.reading
        self.holds |= reason

    def release(self, reason: int) -> None:
        """One reason less."""
        self.holds &= ~reason

    @property
    def open(self) -> bool:
        """Whether it does not close yet."""
        return self.closed is None

    @property
    def ending(self) -> EndReason | None:
        """Why it closes."""
        return None if self.closed is None else self.closed[2]

    def authenticated(self) -> None:
        """Its client has signed in."""

    def drain(self) -> None:
        """Nothing changes for what is written."""

    def close(self, code: int, reason: str, end: EndReason) -> None:
        """Keep the first call."""
        if self.closed is None:
            self.closed = (code, reason, end)

    def dropped(self, events: int) -> None:
        """Keep the number."""
        self.drops.append(events)

    @property
    def frames(self) -> list[bytes]:
        """All frames, whatever the writes."""
        return [frame for frames in self.writes for frame in frames]

    @property
    def heard(self) -> list[Heard]:
        """What the client has heard, as an independent parser reads it."""
        return hear(b"".join(self.frames))

    def data(self) -> list[Any]:
        """The messages that the client has heard, decoded."""
        return [message.data for message in self.heard]


def make_session(
    delivery: Delivery,
    id: str = "s-1",
    *,
    codec: Codec = JSON,
    path: str = "/ws/chat",
    identity: Identity | None = None,
    metadata: Mapping[str, str] | None = None,
    outbox_limit: int = 2**20,
    outbox_policy: Policy = Policy.DISCONNECT,
    controls: bool = False,
    connected: bool = True,
) -> Session:
    """A session with a recording connection."""
    session = Session(
        id=id,
        path=path,
        format=PLAIN[codec],
        controls=controls,
        identity=identity,
        remote_address="192.0.2.1",
        user_agent="test",
        connected_at=1000.0,
        metadata=metadata or {},
        delivery=delivery,
        outbox=Outbox(outbox_limit, outbox_policy),
    )
    if connected:
        session.connection = RecordingConnection(session)
    return session


def connection_of(session: Session) -> RecordingConnection:
    """The session's recording connection."""
    assert isinstance(session.connection, RecordingConnection)
    return session.connection


def user(name: str, roles: Iterable[str] = ()) -> Identity:
    """An identity."""
    return Identity(user=name, name=name.title(), roles=frozenset(roles))


class RecordingTransport(asyncio.Transport):
    """A transport that keeps what is written.

    Attributes:
        written: Each write.
        reading: Whether the transport reads.
    """

    def __init__(self, protocol: asyncio.BaseProtocol | None = None, **extra: Any) -> None:
        super().__init__(extra)
        self.protocol = protocol
        self.written: list[bytes] = []
        self.reading = True
        self.closing = False
        self.aborted = False
        self.limits: dict[str, int | None] = {}

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        if not self.closing:
            self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        """Nothing ever waits."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keep them."""
        self.limits = {"high": high, "low": low}

    def can_write_eof(self) -> bool:
        """As TLS: nothing is half closed."""
        return False

    def pause_reading(self) -> None:
        """Stop reading."""
        self.reading = False

    def resume_reading(self) -> None:
        """Read again."""
        self.reading = True

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self.reading

    def is_closing(self) -> bool:
        """Whether it closes."""
        return self.closing

    def close(self) -> None:
        """Close, and say so in the next turn."""
        if not self.closing:
            self.closing = True
            if self.protocol is not None:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        """Cut."""
        self.aborted = True
        self.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand over to another protocol."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told of what comes."""
        assert self.protocol is not None
        return self.protocol

    @property
    def bytes(self) -> bytes:
        """All that was written."""
        return b"".join(self.written)


async def turns(count: int = 3) -> None:
    """Let the loop run what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)
