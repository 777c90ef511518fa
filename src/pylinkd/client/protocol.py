"""A session without its socket: what is written, counted, acknowledged and kept, and how it goes on after a break.

See docs/protocol.md. Times are seconds of a clock that never goes back, and arguments, as randomness is: what happens
here is decided by what comes in. The TypeScript client does the same under the same names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..protocol import control
from ..protocol.control import Retry
from ..protocol.envelope import Codec, Received
from ..protocol.errors import BadRequestError, LinkdError, PayloadTooLargeError, error_class
from ..protocol.rate import parse_rate
from ..protocol.resume import RESUME_SUBPROTOCOL, offer
from .errors import ConnectionLost, QueueFull, Sent

Outcome = Callable[[LinkdError | None, msgspec.Raw], None]

_UNCONFIRMED = 256  # messages
_UNANSWERED = 1024  # calls and control messages together; those of an application are fewer by the bounds of the queue
_ALIVE = 8.0  # within it a server that lives says something, when asked and in the beginning
_ALIVE_WHEN_FULL = 40.0
_ALIVE_AFTER_WAKE = 4.0  # the same for one whose network may have changed
_OPENING = 2.0  # more than that for the handshake
_LATE = 1.0  # a timer that is late by so much was held up with everything else
_LONGEST_CLOSING = 600.0
_LEAST_DELAY = 50  # milliseconds
_RATE_PART = 0.9  # of the messages that may be sent: networks bunch what was evenly spaced
_NEVER = math.inf
_NOTHING = msgspec.Raw()
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,512}")  # what a subprotocol may be made of (RFC 6455 §4.1)


class Outgoing:
    """A message on its way to the server.

    Attributes:
        payload: As it is written.
        id: Of one that is answered.
        idempotent: It may be handled twice.
        reply: It is an answer, and means nothing to another session.
        control: It is ``linkd.*``, which is not counted: it is written again over each connection of the session until
            it is answered.
        settle: Called with the outcome, once; ``None`` where nobody waits any more.
        written: Called each time it is written.
    """

    __slots__ = ("control", "id", "idempotent", "payload", "reply", "settle", "written")

    def __init__(
        self,
        payload: bytes,
        id: int | None = None,
        *,
        idempotent: bool = False,
        reply: bool = False,
        control: bool = False,
        settle: Outcome | None = None,
        written: Callable[[], None] | None = None,
    ) -> None:
        self.payload = payload
        self.id = id
        self.idempotent = idempotent
        self.reply = reply
        self.control = control
        self.settle = settle
        self.written = written


class Welcome(msgspec.Struct, frozen=True, rename="camel"):
    """What a server says first, as far as it is believed."""

    session: str
    resumed: bool = False
    reason: str | None = None
    received: int | None = None
    resume: str = ""
    dropped: int = 0
    rooms: dict[str, control.RoomPlace] = {}
    presence: dict[str, int] = {}
    retry: Any = None
    ack: Any = None
    ping_ms: Any = None
    window: Any = None
    max_message_size: Any = None
    message_rate: Any = None


class SessionOwner(Protocol):
    """What a session tells its owner."""

    def welcome(self, welcome: Welcome) -> None:
        """The connection may be used. Before anything else of it; ``gap`` comes first where a session was lost."""

    def event(self, message: Received) -> None:
        """An event came, which may want an answer."""

    def control(self, message: Received) -> None:
        """A control message came that is not about the session."""

    def gap(self, reason: str, events: int | None) -> None:
        """Events were lost: so many that were dropped, or, with ``None``, the session."""

    def failed(self, error: LinkdError) -> None:
        """An error that nobody waits for."""

    def closing(self, retry_after: float) -> None:
        """The server stops, and wants to be left alone for so many seconds."""

    def broken(self, reason: str, fault: bool) -> None:
        """The connection is of no use: nothing comes, or what comes is wrong. With ``fault`` the session goes too."""


class Session:
    """One session after the other, each over as many connections as it takes.

    Args:
        codec: How messages are written.
        subprotocol: Its name in handshakes.
        messages: Most messages that may wait to be written.
        bytes: Most bytes that may be unconfirmed where something waits.
        owner: Hears what happens.
        random: A number from 0 to 1.

    Attributes:
        retry: How the server wants its clients to come back.
        largest: Bytes that a message may have.
    """

    def __init__(
        self,
        codec: Codec,
        subprotocol: str,
        *,
        messages: int,
        bytes: int,
        owner: SessionOwner,
        random: Callable[[], float],
    ) -> None:
        self.retry = Retry()
        self._codec = codec
        self._subprotocol = subprotocol
        self._messages = messages
        self._bytes = bytes
        self._owner = owner
        self._part = 0.5 + random() / 2  # of the delay of acknowledgements: those of one room are not to come at once
        self._token = ""
        self._known = False  # there was a session
        self._loss_reason = "not_kept"  # why it cannot go on, where no server says it
        self._welcomed = False  # this connection had its welcome
        self._live = False  # messages may be written to it
        self._faulty = False  # nothing more of it is looked at
        self._last_id = 0
        self._received = 0  # counted messages of the server's
        self._dropped = 0
        self._acked = 0  # of ours, how many the server has; kept begins behind them
        self._written = 0  # of ours, how many were written
        self._kept: list[Outgoing] = []
        self._kept_size = 0
        self._calls: dict[int, Outgoing] = {}  # unanswered
        self._in_flight = 0  # of these, written
        self._controls: list[Outgoing] = []
        self._unacknowledged = 0
        self._unacknowledged_size = 0
        self._ack_at = self._ping_at = self._dead_at = self._pace_at = _NEVER
        self._ack_messages, self._ack_size, self._ack_delay = 64, 64 * 1024, 5.0
        self._silence, self._window, self.largest = 25.0, 64, 64 * 1024
        self._burst = self._allowance = _NEVER
        self._rate, self._paced_at = 0.0, 0.0

    # the connection

    def offers(self) -> list[str]:
        """The subprotocols of the next handshake, beside a token's."""
        return [self._subprotocol, offer(self._token, self._received) if self._token else RESUME_SUBPROTOCOL]

    def dial(self, now: float) -> None:
        """A connection is being made."""
        self.detach()
        self._faulty = False
        self._dead_at = now + _ALIVE + _OPENING

    def detach(self) -> None:
        """The connection is lost."""
        self._welcomed = self._live = False
        self._controls = []
        self._ack_at = self._ping_at = self._dead_at = self._pace_at = _NEVER

    def end(self, reason: str) -> None:
        """Nothing more will come. Everything that waits fails."""
        self._lose(reason, None, ended=True)
        self.detach()
        self._known = False
        self._token = ""

    def arrived(self) -> None:
        """Everything that was written has reached the server."""
        self._confirm(self._written)

    def probe(self, now: float) -> None:
        """Ask for a sign of life."""
        if self._live:
            self._ping_at = now
            self._dead_at = min(self._dead_at, now + _ALIVE_AFTER_WAKE)

    @property
    def due(self) -> float:
        """When to call ``take`` at the latest."""
        return min(self._ack_at, self._ping_at, self._dead_at, self._pace_at)

    # messages of the application

    @property
    def waiting(self) -> int:
        """How many messages were not written yet."""
        return len(self._kept) - (self._written - self._acked)

    @property
    def pending(self) -> int:
        """How many messages the server has not confirmed yet."""
        return len(self._kept)

    def next_id(self) -> int:
        """An id that no other message has."""
        self._last_id += 1
        return self._last_id

    def enqueue(self, entry: Outgoing) -> None:
        """Add a message to what is sent.

        Raises:
            QueueFull: If there is no connection, and too much waits for one.
        """
        backlog = self.waiting
        if backlog >= self._messages or (backlog and self._kept_size + len(entry.payload) > self._bytes):
            raise QueueFull()
        self._keep(entry)
        if entry.id is not None:
            self._calls[entry.id] = entry

    def request(self, entry: Outgoing) -> None:
        """Send a control message that is answered, over as many connections of the session as it takes.

        Raises:
            QueueFull: If too many wait for their answers.
        """
        assert entry.id is not None
        if len(self._calls) >= _UNANSWERED:
            raise QueueFull()
        self._calls[entry.id] = entry
        self._controls.append(entry)

    def give_up(self, entry: Outgoing) -> bool:
        """Nobody waits for an answer any more. Returns whether the message was sent; if not, it will not be."""
        entry.settle = None
        if entry.control:
            self._forget(entry)
        index = self._place(entry)
        if index < self._written - self._acked:
            return True
        self._remove(index)
        self._forget(entry)
        return False

    def take(self, now: float) -> list[bytes]:
        """What is to be written now, in order."""
        if now >= self._dead_at:
            # A timer that is late by far was held up with everything else: what came meanwhile has to be read first.
            if now - self._dead_at < _LATE:
                self._dead_at = _NEVER
                self._owner.broken("no sign of life", False)
                return []
            self._dead_at = now + _LATE * 0.999
        if not self._live:
            return []
        out = self._take_messages(now)
        out += [entry.payload for entry in self._controls]
        self._controls = []
        echo = now >= self._ping_at
        if echo or now >= self._ack_at:
            ack = control.Ack(received=self._received, sent=self._written, echo=echo)
            out.append(self._codec.request(ack.type, encode(self._codec, ack)))
            self._unacknowledged = self._unacknowledged_size = 0
            self._ack_at = _NEVER
        if echo:
            self._ping_at = _NEVER
            patience = _ALIVE if self._in_flight < self._window else _ALIVE_WHEN_FULL
            self._dead_at = min(self._dead_at, now + patience)
        return out

    def _take_messages(self, now: float) -> list[bytes]:
        out: list[bytes] = []
        self._pace_at = _NEVER
        self._allowance = min(self._burst, self._allowance + (now - self._paced_at) * self._rate)
        self._paced_at = now
        while self.waiting > 0 and self._in_flight < self._window and self._written - self._acked < _UNCONFIRMED:
            if self._allowance < 1:
                self._pace_at = now + (1 - self._allowance) / self._rate
                break
            index = self._written - self._acked
            entry = self._kept[index]
            if len(entry.payload) > self.largest:
                self._remove(index)
                self._forget(entry)
                limit = {"limit": self.largest}
                self._fail(entry, PayloadTooLargeError("The message is too large to be sent.", details=limit))
                continue
            self._allowance -= 1
            self._written += 1
            if entry.id is not None:
                self._in_flight += 1
            out.append(entry.payload)
            if entry.written:
                entry.written()
        return out

    # messages of the server

    def receive(self, payload: bytes, now: float) -> None:
        """A message came."""
        if self._faulty:
            return
        try:
            message = self._codec.read(payload)
        except BadRequestError:
            self.fault("no message")
            return
        if self._live:
            self._ping_at = now + self._silence
            self._dead_at = _NEVER
        elif self._welcomed:  # it stops
            self._dead_at = now + _ALIVE_WHEN_FULL
        if not message.type.startswith("linkd."):
            if self._welcomed:
                self._count(message, len(payload), now)
            else:
                self.fault("no welcome")
        elif message.type == control.Closing.type:
            self._live = False
            self._ack_at = self._ping_at = self._pace_at = _NEVER
            self._dead_at = now + _ALIVE_WHEN_FULL
            after = _number(_field(self._codec, message, "retryAfterMs"), 0, _LONGEST_CLOSING * 1000, 0)
            self._owner.closing(after / 1000)
        elif message.type == control.Welcome.type:
            self._begin(message, now)
        elif self._welcomed:
            self._controlled(message)

    def _controlled(self, message: Received) -> None:
        if message.type == control.Ack.type:
            sent, received = (_field(self._codec, message, name) for name in ("sent", "received"))
            if sent != self._received or not self._confirm(received):
                self.fault("the counts differ")
        elif message.type == control.Dropped.type:
            self._drop(_field(self._codec, message, "total"))
        else:
            self._owner.control(message)

    def _count(self, message: Received, size: int, now: float) -> None:
        self._received += 1
        self._unacknowledged += 1
        self._unacknowledged_size += size
        if not self._live:
            pass  # a server that stops keeps no session, and nothing is written to it
        elif self._unacknowledged >= self._ack_messages or self._unacknowledged_size >= self._ack_size:
            self._ack_at = now
        elif self._unacknowledged == 1:
            self._ack_at = now + self._ack_delay * self._part
        if message.type not in ("response", "error"):
            self._owner.event(message)
            return
        error = _error(message) if message.type == "error" else None
        if message.id is None:
            if error is not None:
                self._owner.failed(error)
            return
        entry = self._calls.get(message.id) if isinstance(message.id, int) else None
        if entry is None:
            return
        index = self._place(entry)
        if index >= self._written - self._acked:
            return  # it was not asked yet
        if not entry.control:
            self._in_flight -= 1
        self._forget(entry)
        self._confirm(self._acked + index + 1)  # what is answered has come, and what was sent before it
        self._settle(entry, error, message.data)

    def _drop(self, total: Any) -> None:
        events = int(_number(total, self._dropped, 2**53, self._dropped)) - self._dropped
        self._dropped += events
        if events:
            self._owner.gap("dropped", events)

    def _begin(self, message: Received, now: float) -> None:
        welcome = _welcome(self._codec, message)
        if welcome is None or self._welcomed:
            self.fault("a welcome out of place")
            return
        if welcome.resumed:
            if not self._token or not self._confirm(welcome.received):
                self.fault("the counts differ")
                return
            self._written = self._acked
            unwritten = set(self._kept)
            self._in_flight = sum(not entry.control and entry not in unwritten for entry in self._calls.values())
        else:
            if self._known:
                came = welcome.received
                if came is not None and not self._acked <= came <= self._written:
                    came = None
                reason = welcome.reason or self._loss_reason
                self._owner.gap(reason, None)
                self._lose(reason, came)
            self._received = self._acked = self._written = self._in_flight = self._dropped = 0
        self._welcomed = self._live = self._known = True
        self._loss_reason = "not_kept"
        self._token = welcome.resume if _TOKEN.fullmatch(welcome.resume) else ""
        self._adopt(welcome, now)
        if welcome.resumed:
            self._drop(welcome.dropped)
        self._controls = [entry for entry in self._calls.values() if entry.control]
        self._owner.welcome(welcome)

    def _adopt(self, welcome: Welcome, now: float) -> None:
        """Keep to what the server asks for, as far as it can be."""
        retry = welcome.retry if isinstance(welcome.retry, dict) else {}
        ack = welcome.ack if isinstance(welcome.ack, dict) else {}
        base = int(_number(retry.get("baseMs"), _LEAST_DELAY, 600_000, 500))
        self.retry = Retry(
            base_ms=base,
            cap_ms=int(_number(retry.get("capMs"), base, 3_600_000, max(base, 30_000))),
            jitter=_number(retry.get("jitter"), 0, 1, 0.5),
            attempts=int(_number(retry.get("attempts"), 0, 1e9, 0)),
        )
        self._ack_messages = int(_number(ack.get("messages"), 1, 1e6, 64))
        self._ack_size = int(_number(ack.get("bytes"), 1, 1e9, 65_536))
        self._ack_delay = _number(ack.get("ms"), 0, 600_000, 5_000) / 1000
        self._silence = _number(welcome.ping_ms, 1_000, 3_600_000, 25_000) / 1000
        self._window = int(_number(welcome.window, 1, 1e6, 64))
        self.largest = int(_number(welcome.max_message_size, 1, 1e9, 65_536))
        try:
            count, period = parse_rate(welcome.message_rate)
        except (ValueError, TypeError):
            self._burst, self._rate = _NEVER, 0.0
        else:
            self._burst = max(1.0, count * _RATE_PART)
            self._rate = self._burst / period
        self._allowance, self._paced_at = self._burst, now
        self._unacknowledged = self._unacknowledged_size = 0
        self._ack_at = self._dead_at = _NEVER
        self._ping_at = now + self._silence

    def fault(self, reason: str) -> None:
        """What the server sent cannot be, so that one side is at fault. Both begin anew."""
        self.detach()
        self._faulty = True
        self._token = ""
        self._loss_reason = "fault"
        self._owner.broken(reason, True)

    # what is kept

    def _keep(self, entry: Outgoing) -> None:
        self._kept.append(entry)
        self._kept_size += len(entry.payload)

    def _remove(self, index: int) -> None:
        self._kept_size -= len(self._kept.pop(index).payload)

    def _place(self, entry: Outgoing) -> int:
        """Where among the kept a message is; -1: the server has it."""
        return next((index for index, kept in enumerate(self._kept) if kept is entry), -1)

    def _forget(self, entry: Outgoing) -> None:
        if entry.id is not None:
            self._calls.pop(entry.id, None)

    def _confirm(self, count: Any) -> bool:
        """The server has so many of ours; ``False``: that cannot be."""
        if type(count) is not int or not self._acked <= count <= self._written:
            return False
        for _ in range(count - self._acked):
            self._remove(0)
        self._acked = count
        return True

    def _lose(self, reason: str, came: int | None, *, ended: bool = False) -> None:
        """The session is gone. ``came``: how many of its messages the server had; ``None``: nobody knows."""
        gone = (self._written if came is None else came) - self._acked
        unconfirmed = set(self._kept)
        fates: list[tuple[Outgoing, Sent]] = [
            (entry, "unknown" if entry.control else True) for entry in self._calls.values() if entry not in unconfirmed
        ]
        for index, entry in enumerate(self._kept):
            fates.append((entry, False if index >= gone else "unknown" if came is None else True))
        self._kept, self._kept_size, self._calls = [], 0, {}
        self._acked = self._written = 0
        for entry, sent in fates:
            awaited = entry.id is None or entry.settle is not None
            if not ended and awaited and (entry.idempotent if sent else not entry.reply):
                if entry.id is not None:
                    self._calls[entry.id] = entry
                self._keep(entry)
            elif sent is not True or entry.settle:
                self._fail(entry, ConnectionLost(reason, sent))

    def _fail(self, entry: Outgoing, error: LinkdError) -> None:
        if entry.settle:
            self._settle(entry, error, _NOTHING)
        elif entry.id is None and not entry.reply:
            self._owner.failed(error)

    def _settle(self, entry: Outgoing, error: LinkdError | None, data: msgspec.Raw) -> None:
        settle, entry.settle = entry.settle, None
        if settle:
            settle(error, data)


def encode(codec: Codec, value: Any) -> bytes:
    """A value as the data of a message."""
    return msgspec.msgpack.encode(value) if codec.binary else msgspec.json.encode(value)


def decode(codec: Codec, data: msgspec.Raw, type: Any = Any) -> Any:
    """The data of a message.

    Raises:
        msgspec.DecodeError: If it cannot be read; ValidationError, which is one, if it is not of the type.
    """
    if not bytes(data):
        return msgspec.convert(None, type)
    try:
        return msgspec.msgpack.decode(data, type=type) if codec.binary else msgspec.json.decode(data, type=type)
    except (UnicodeDecodeError, RecursionError) as cause:
        raise msgspec.DecodeError(str(cause)) from cause


def _field(codec: Codec, message: Received, name: str) -> Any:
    try:
        data = decode(codec, message.data)
    except msgspec.DecodeError:
        return None
    return data.get(name) if isinstance(data, dict) else None


def _welcome(codec: Codec, message: Received) -> Welcome | None:
    try:
        return decode(codec, message.data, Welcome)  # type: ignore[no-any-return]
    except msgspec.DecodeError:
        return None


def _number(value: Any, low: float, high: float, otherwise: float) -> float:
    """A number that a server sent, or ``otherwise`` where it is none of this range."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return value
    return otherwise


def _error(message: Received) -> LinkdError:
    body = message.error
    if body is None:
        return LinkdError()
    try:
        retry_after = None if body.retry_after_ms is None else body.retry_after_ms / 1000
        kind = error_class(body.code, body.type)
        return kind(body.message, code=body.code, type=body.type, details=body.details, retry_after=retry_after)
    except ValueError:  # what no server of ours says
        return LinkdError(body.message)
