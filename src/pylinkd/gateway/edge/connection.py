"""One WebSocket: what its client sends goes to routing, what its session has goes to the socket."""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from picows import WSFrame, WSListener, WSTransport

from ...protocol.close import CloseCode
from ...protocol.control import Ack
from ...protocol.end import EndReason
from ...protocol.envelope import BadEnvelopeError, MessageId
from ...protocol.errors import BadRequestError
from ...protocol.patterns import RESERVED_PREFIX
from ..core.connection import Hold
from ..core.connection_state import ConnectionState, State
from ..core.format import Format
from ..core.frames import close_frame, ping_frame, pong_frame
from ..core.outbox import Kind
from ..core.session import Session
from ..routing.resuming import Refusal, Return
from .connection_owner import ConnectionOwner
from .messages import Messages, Opcode, reserved_bit
from .tcp import is_reachable
from .tls import let_go
from .violation import ProtocolViolation, check_close_code, check_text

log = structlog.get_logger("linkd.edge")

_JOIN_LIMIT = 64 * 1024  # bytes up to which copying frames into one piece is cheaper than a vectored write

# Plain integers: comparing with an enum's members costs a microsecond a frame.
_TEXT, _BINARY, _CLOSE, _PING, _PONG = (
    int(opcode) for opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG)
)

# What a fragment costs beside its bytes, in bytes: without it a client sends a thousand empty ones for each message
# that is counted.
_FRAGMENT_COST = 512

_SMALL_PIECE = 512  # bytes of a stream's piece below which it is counted as a message
_IGNORED_FRAME_COST = 64  # bytes; what an empty frame takes of the time for others, beside its payload
_IGNORED_MESSAGES = 2  # of the largest size, that are read and thrown away once a connection closes
_ANSWERED_STEP = 0.005  # seconds between two looks whether everything is answered that came before a violation

_PREFIX_LENGTH = len(RESERVED_PREFIX)

_BIN = (b"\xc4", b"\xc5", b"\xc6")  # how a binary value begins in MessagePack, where a message is a map

_END_BY_CODE: dict[int, EndReason] = {
    CloseCode.PROTOCOL_ERROR: EndReason.PROTOCOL_ERROR,
    CloseCode.INVALID_TEXT: EndReason.PROTOCOL_ERROR,
    CloseCode.POLICY_VIOLATION: EndReason.LIMIT,
    CloseCode.MESSAGE_TOO_BIG: EndReason.MESSAGE_TOO_BIG,
    CloseCode.INTERNAL_ERROR: EndReason.INTERNAL_ERROR,
}


class WrongKindError(BadRequestError):
    """A binary message on a JSON connection, or a text message on a MessagePack one. It is not counted: on the one it
    may be what is left of a stream.
    """


class Connection(WSListener):
    """A WebSocket after its opening handshake; core/session.py says what it owes its session.

    Args:
        owner: Gets its messages and its end.
        session: The client behind it.
        transport: What it writes to, and what picows reads its frames from (framing.py).
        format: How its messages look on the wire.

    Attributes:
        session: The client behind it.
    """

    __slots__ = (
        "_backlog",
        "_close_seen",
        "_codec",
        "_drop_told",
        "_end",
        "_failure",
        "_holds",
        "_ignored",
        "_messages",
        "_owed_pong",
        "_owner",
        "_ping_sent",
        "_receiving",
        "_refused",
        "_state",
        "_takes",
        "_timeout",
        "_traffic",
        "_transport",
        "heard_at",
        "messaged_at",
        "open",
        "pinged_at",
        "session",
        "unfinished_since",
        "writable",
    )

    def __init__(self, owner: ConnectionOwner, session: Session, transport: asyncio.Transport, format: Format) -> None:
        self._owner = owner
        self.session = session
        self._traffic = owner.traffic
        self._codec = format.codec
        self._messages = Messages(
            session.limits.max_message_size, owner.max_fragments, inflates=format.window_bits is not None
        )
        self._state = ConnectionState()
        self._transport: asyncio.Transport | None = transport
        self._timeout: asyncio.TimerHandle | None = None
        self._end: EndReason | None = None
        self._holds = 0
        self._owed_pong: bytes | None = None
        self._backlog = 0
        self._ping_sent = 0.0
        self._drop_told = False
        self._receiving = False
        self._failure: ProtocolViolation | None = None
        self._refused: ProtocolViolation | None = None
        self._close_seen = False
        self._takes = True
        self._ignored = 0
        self.writable = True
        self.open = False
        self.heard_at = self.messaged_at = owner.now
        self.pinged_at = self.unfinished_since = 0.0

    def _advance(self, state: State) -> None:
        states, lifecycle = self._traffic.states, self._state
        if lifecycle.state is not State.CONNECTING:
            states[lifecycle.state] -= 1
        lifecycle.advance(state)
        if state is not State.CLOSED:
            states[state] += 1
        self.open = lifecycle.open  # here too: it is asked for every frame, and of thousands in a row

    def begin(self, answer: bytes, refusal: Refusal | None = None) -> None:
        """The client may come in.

        Args:
            answer: To its opening handshake. It leaves in one write with what the session is sent at once: a system
                call here is a twelfth of a handshake.
            refusal: Why the session does not go on that the client wanted; ``None``: it wanted none.
        """
        self._open()
        self.session.outbox.push(answer, Kind.CONTROL)
        self._owner.opened(self.session, self, refusal)
        self.session.delivery.flush(self.session)

    def resume(self, back: Return) -> None:
        """The client goes on with its session."""
        self._open()
        self._owner.resumed(back, self)
        self.session.delivery.flush(self.session)

    def _open(self) -> None:
        self._advance(State.CONNECTED if self.session.identity is None else State.AUTHENTICATED)
        self._traffic.messages_out -= 1  # the answer to the handshake is no message

    # picows.WSListener

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See picows: a formality."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See picows. The frame's memory is not ours after the call."""
        self.heard_at = self._owner.now
        opcode: int = frame.msg_type  # type: ignore[assignment]
        try:
            if not self._takes and (opcode != _CLOSE or self.open):
                # What was under way when we began to close, or stands behind a violation.
                self._close_seen = self._close_seen or opcode == _CLOSE
                self.ignored(frame.payload_size + _IGNORED_FRAME_COST)
                return
            plain = not (frame.rsv1 or frame.rsv2 or frame.rsv3)
            if opcode == _TEXT and frame.fin and plain and not self._messages.unfinished:
                # Nearly every frame: a whole message.
                payload = frame.get_payload_as_bytes()
                check_text(payload)
                self._message(False, payload)
            else:
                self._other_frame(opcode, frame)
        except ProtocolViolation as violation:
            self._close_seen = opcode == _CLOSE
            self._fail(violation)
        except Exception:
            # The top of the stack for everything a message sets off: one client's trouble ends here.
            log.exception("connection_failed", session=self.session.id)
            self.session.close(CloseCode.INTERNAL_ERROR, "internal error", EndReason.INTERNAL_ERROR)
        if self._receiving and frame.last_in_buffer and not frame.tail_size:
            self._receiving = False
            self._owner.receptions.rest(self, self._owner.now)

    def _other_frame(self, opcode: int, frame: WSFrame) -> None:
        reserved = frame.rsv1 << 2 | frame.rsv2 << 1 | frame.rsv3
        if opcode < _CLOSE:
            messages = self._messages
            messages.streams = self.session.upload is not None and not self._codec.binary
            complete = messages.take(opcode, bool(frame.fin), reserved, frame.get_payload_as_bytes())
            if messages.piecewise and complete is not None:
                self._chunk(complete[1], last=opcode == _BINARY and bool(frame.fin) and not complete[1])
            elif complete is not None:
                self._message(complete[0] == _BINARY, complete[1], messages.fragments * _FRAGMENT_COST)
            elif not self.unfinished_since:
                self.unfinished_since = self._owner.now
        elif reserved:
            raise reserved_bit()
        elif opcode == _PING:
            payload = frame.get_payload_as_bytes()
            if not self._owner.control(self.session):
                return
            if self.writable:
                self._send_control(pong_frame(payload))
            else:
                # Only the latest need be answered (RFC 6455 §5.5.3), when the client reads again.
                self._owed_pong = payload
        elif opcode == _PONG:
            self._owner.control(self.session)
            if self._ping_sent:
                self._traffic.round_trip.observe(asyncio.get_running_loop().time() - self._ping_sent)
                self._ping_sent = 0.0
        elif opcode == _CLOSE:
            self._close_received(frame)

    def _message(self, binary: bool, payload: bytes, overhead: int = 0) -> None:
        session, codec = self.session, self._codec
        traffic = self._traffic
        traffic.messages_in += 1
        size = len(payload)
        traffic.bytes_in += size
        self.messaged_at = self.heard_at
        self.unfinished_since = 0.0
        chunk = session.upload is not None and binary and codec.binary and payload[:1] in _BIN
        # Before anything is read of it: what is no message costs as much.
        count = self._owner.count
        wait = count(session, size + overhead) if count is not None and not chunk else 0.0
        try:
            if binary != codec.binary:
                kind, other = ("binary", "text") if codec.binary else ("text", "binary")
                raise WrongKindError(f"This connection speaks {codec.name}: send {kind} messages, not {other}.")
            if chunk:
                part = msgspec.msgpack.decode(payload, type=bytes)
                self._chunk(part, last=not part)
                return
            message = codec.decode(payload)
        except msgspec.DecodeError:
            self._malformed(None, BadRequestError("The message is not valid MessagePack."), wait)
            return
        except BadRequestError as error:
            # Not counted: what is no message of this format, and what was sent for a stream that was refused.
            counted = not isinstance(error, WrongKindError) and not (codec.binary and payload[:1] in _BIN)
            self._malformed(error.id if isinstance(error, BadEnvelopeError) else None, error, wait, counted=counted)
            return
        resumption = session.resumption
        if resumption is not None:
            if message.type[:_PREFIX_LENGTH] != RESERVED_PREFIX:
                resumption.received += 1
                if resumption.received == resumption.attention:
                    self._owner.acknowledge(session)
            elif message.type == Ack.type:
                self._owner.acknowledged(session, message, charged=not wait)
                return
        if wait and not self._owner.awaited(session, message):
            self._owner.exceeded(session, message.id, wait)
        else:
            self._owner.received(session, message)

    def _malformed(self, id: MessageId | None, error: BadRequestError, wait: float, *, counted: bool = True) -> None:
        resumption = self.session.resumption
        if resumption is not None and counted:
            resumption.received += 1
            if resumption.received == resumption.attention:
                self._owner.acknowledge(self.session)
        if wait:
            self._owner.exceeded(self.session, id, wait)
        else:
            self.session.fail(id, error)

    def _chunk(self, chunk: bytes, *, last: bool) -> None:
        """A part of the session's stream came: an empty message is its end, an empty fragment means nothing."""
        self.messaged_at = self.heard_at
        self.unfinished_since = 0.0
        self._traffic.bytes_in += len(chunk)
        upload = self.session.upload
        if upload is None or upload.replied or not (chunk or last):
            # The handler limits what it takes. This nobody takes: it came after the answer, or is empty.
            count = self._owner.count
            wait = count(self.session, len(chunk)) if count is not None else 0.0
            if wait:
                self._owner.exceeded(self.session, None, wait)
        if upload is None:
            return  # it was answered and ended while a message of it was under way
        if last:
            upload.end()
        elif chunk:
            if len(chunk) < _SMALL_PIECE:
                self._pace(1)
            upload.chunk(chunk)

    def _pace(self, pieces: int) -> None:
        """Read no more while small pieces of a stream come too fast: each costs as much as a message."""
        if not self.open:
            return
        wait = self._owner.pace(self.session, pieces)
        if wait and not (pieces and self._holds & Hold.PACE):
            self.hold(Hold.PACE)
            asyncio.get_running_loop().call_later(wait, self._pace, 0)
        elif not pieces and not wait:
            self.release(Hold.PACE)

    def _close_received(self, frame: WSFrame) -> None:
        if self.open:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") if payload else None
            said_goodbye = code is None or code == CloseCode.NORMAL
            self._end = EndReason.CLIENT_CLOSED if said_goodbye else EndReason.CLIENT_LEFT
            try:
                if code is not None:
                    check_close_code(code)
            except ProtocolViolation as violation:
                self._end, code = EndReason.PROTOCOL_ERROR, violation.code
            # RFC 6455 §5.5.1: the code that came is the code that goes back, and none for none.
            self._send_close(close_frame(code))
        if self._transport is not None:
            self._transport.close()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See picows."""
        if self._timeout is not None:
            self._timeout.cancel()
        if self._transport is not None:
            let_go(self._transport)
        self._transport = None
        self._owner.receptions.forget(self, self._owner.now)
        if self._current:
            self._owner.congested.discard(self.session)
        self._advance(State.CLOSED)
        self._owner.ended(self, self._end or EndReason.CONNECTION_LOST)

    def pause_writing(self) -> None:
        """See picows: the kernel takes no more."""
        self.writable = False
        if self._current:
            self.session.outbox.held = self.unsent
            self._owner.congested.add(self.session)

    def resume_writing(self) -> None:
        """See picows."""
        self.writable = True
        if not self._current:
            return
        self.session.outbox.held = 0
        self._owner.congested.discard(self.session)
        if self._owed_pong is not None:
            owed, self._owed_pong = self._owed_pong, None
            self._send_control(pong_frame(owed))
        self.session.delivery.flush(self.session)

    @property
    def ending(self) -> EndReason | None:
        """See core.connection.Connection."""
        return EndReason.PROTOCOL_ERROR if self._failure is not None else self._end

    @property
    def _current(self) -> bool:
        """Whether it is its session's connection still."""
        return self.session.connection is self

    # core.connection.Connection

    def supersede(self) -> None:
        """See core.connection.Connection."""
        self._owner.receptions.forget(self, self._owner.now)
        self._owner.congested.discard(self.session)
        self.close(CloseCode.RESUMED, "resumed over another connection", EndReason.REPLACED)

    def write(self, frames: list[bytes]) -> None:
        """See core.connection.Connection."""
        if not self.open:
            return
        assert self._transport is not None
        count = len(frames)
        if count == 1:
            frame = frames[0]
            size = len(frame)
            self._transport.write(frame)
        else:
            size = sum(map(len, frames))
            if size <= _JOIN_LIMIT:
                self._transport.write(b"".join(frames))
            else:
                self._transport.writelines(frames)
        traffic = self._traffic
        traffic.messages_out += count
        traffic.bytes_out += size

    def pass_on(self, piece: bytes) -> bool:
        """See core.connection.Connection."""
        if self.writable and self.open:
            assert self._transport is not None
            self._transport.write(piece)
            return True
        return False

    def _send_control(self, frame: bytes) -> None:
        if self.open:
            assert self._transport is not None
            self._transport.write(frame)

    def hold(self, reason: int) -> None:
        """See core.connection.Connection."""
        if not self._holds and self._transport is not None:
            self._transport.pause_reading()
        self._holds |= reason

    def release(self, reason: int) -> None:
        """See core.connection.Connection."""
        if self._holds & reason:
            self._holds &= ~reason
            if not self._holds and self._transport is not None:
                self._read_again(self._transport)

    def _read_again(self, transport: asyncio.Transport) -> None:
        # While nothing was read nothing could be heard.
        self.heard_at = self.messaged_at = self._owner.now
        self.unfinished_since = self.unfinished_since and self._owner.now
        transport.resume_reading()

    def authenticated(self) -> None:
        """See core.connection.Connection."""
        if self._state.state is State.CONNECTED:
            self._advance(State.AUTHENTICATED)

    def drain(self) -> None:
        """See core.connection.Connection."""
        if self.open:
            self._advance(State.DRAINING)

    def close(self, code: int, reason: str, end: EndReason) -> None:
        """See core.connection.Connection."""
        if not self.open:
            self._limit_closing()
            return
        self._end = end
        self._send_close(close_frame(code, reason))
        # The client's close frame has to be read, whatever held it back.
        self.release(self._holds)

    def _fail(self, violation: ProtocolViolation) -> None:
        """The client broke the protocol: nothing more is taken, and it is closed once what came before is answered."""
        if not self.open:
            if self._close_seen and self._transport is not None:
                self._transport.close()  # both sides have sent a close frame
            self._limit_closing()
            return
        self._failure = violation
        self._takes = False
        if self.session.upload is not None:
            self.session.upload.abort("protocol_error")  # the rest of it will not come
        self._close_when_answered(asyncio.get_running_loop().time() + self._owner.close_timeout)

    def _close_when_answered(self, deadline: float) -> None:
        if self._failure is None or not self.open:
            return  # it was closed for another reason, or is gone
        loop = asyncio.get_running_loop()
        if self.session.in_flight and loop.time() < deadline:
            self.hold(Hold.VIOLATION)
            loop.call_later(_ANSWERED_STEP, self._close_when_answered, deadline)
            return
        code, reason = self._failure.code, self._failure.reason
        self.session.close(code, reason, _END_BY_CODE.get(code, EndReason.PROTOCOL_ERROR))
        if self._transport is None:
            return
        if self._close_seen:
            self._transport.close()  # both sides have sent a close frame
        elif self._refused is not None:
            # Its close frame could not be read. Closing at once would answer what it still sends with a reset, which
            # may overtake our close frame; over TLS there is no other way.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def _send_close(self, frame: bytes) -> None:
        assert self._transport is not None
        if self.open:
            self._transport.write(frame)
        self._takes = False
        self._advance(State.CLOSING)
        self._limit_closing()

    def ignored(self, size: int) -> None:
        """So many bytes came that nobody reads. Beyond what may have been under way nothing more is read: a client
        that sends on costs nothing until it is cut.
        """
        self._ignored += size
        if not self.open:
            self._limit_closing()
        if self._ignored > _IGNORED_MESSAGES * self.session.limits.max_message_size:
            self.hold(Hold.VIOLATION)

    def _limit_closing(self) -> None:
        """However the end began: a client that neither reads nor answers has only so long."""
        if self._timeout is None and self._transport is not None:
            self._timeout = asyncio.get_running_loop().call_later(self._owner.close_timeout, self._transport.abort)

    def dropped(self, events: int) -> None:
        """See core.connection.Connection."""
        self._traffic.events_dropped += events
        if not self._drop_told:
            self._drop_told = True
            session = self.session
            user = None if session.identity is None else session.identity.user
            log.warning("events_dropped", session=session.id, user=user, events=events)

    # what picows reads into (framing.py), and receptions.Receiver

    def receives(self, size: int) -> None:
        """So many bytes were read into a large buffer."""
        if self._transport is not None:
            if not self._receiving:
                self._receiving = True
                self._owner.receiving(self.session)
            self._owner.receptions.begin(self, size, self._owner.now)

    def wait(self) -> None:
        """See receptions.Receiver."""
        self.hold(Hold.RECEPTION)

    def go_on(self) -> None:
        """See receptions.Receiver."""
        self._owner.receiving(self.session)  # the link may be congested by now
        self.release(Hold.RECEPTION)

    @property
    def transport(self) -> asyncio.Transport | None:
        """What it reads from and writes to; ``None`` once it is gone."""
        return self._transport

    def frame_refused(self, close: bytes) -> None:
        """picows refuses a frame. It has not delivered the one before yet, and calls ``unreadable`` when it has.

        Args:
            close: The close frame that it wants to send.
        """
        if self._failure is None and self._takes:
            code = CloseCode(int.from_bytes(close[2:4], "big"))
            self._refused = ProtocolViolation(code, close[4:].decode(errors="replace"))

    def unreadable(self) -> None:
        """What still comes cannot be parsed into frames any more; what could, was delivered."""
        self._owner.receptions.forget(self, self._owner.now)
        if self._refused is not None:
            self._fail(self._refused)

    # core.heartbeat.Pulse

    def ping(self) -> None:
        """Ask a silent client for a sign of life."""
        self.pinged_at = self._owner.now
        self._ping_sent = asyncio.get_running_loop().time()
        self._backlog = self.unsent
        if not self._holds or not self._backlog:
            self._send_control(ping_frame(b""))  # one that is held may be pinged for hours, and pings may not pile up

    @property
    def held(self) -> bool:
        """Whether we do not read, and so cannot hear."""
        return bool(self._holds)

    @property
    def reachable(self) -> bool:
        """Whether the client's kernel acknowledges what we send, which says nothing of the client itself."""
        return is_reachable(self._transport)

    @property
    def unsent(self) -> int:
        """See core.connection.Connection."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def cut(self) -> None:
        """End a connection whose client is gone, without a handshake: nobody is there to take part in it."""
        if self.unsent < self._backlog and not self._holds:
            self.heard_at = self._owner.now  # it reads, on a slow line, and has not come to our ping
        elif self._transport is not None:
            self._end = self._end or EndReason.TIMEOUT
            self._transport.abort()
