"""The messages between client and gateway: ``{"type", "data", "id"}`` as JSON text or MessagePack.

Only the envelope is read here; ``data`` stays the bytes it came as, so nobody pays for a payload that is
merely passed on. What the payload means is the service's business (sdk/validation.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Protocol, cast

import msgspec

from .errors import BadRequestError, InvalidJsonError, LinkdError

MAX_ID_LENGTH = 128
MAX_TYPE_LENGTH = 128

MessageId = str | int

_Id = (
    Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]
    | Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
    | None
)
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)] | None
_Type = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TYPE_LENGTH)]


# gc=False: the fields cannot form a cycle, and the collector need not walk messages that are in flight.
class Message(msgspec.Struct, gc=False, frozen=True):
    """What a client sent. ``data`` is undecoded; ``id`` is ``None`` where no answer is wanted.

    With a ``key`` it may be a repetition, which a handler with ``once`` knows by it. With ``stream`` it announces
    chunks that follow. The types ``response`` and ``error`` answer an event that wants an answer, and ``error`` is then
    undecoded, too.
    """

    type: _Type
    data: msgspec.Raw = msgspec.Raw()
    id: _Id = None
    stream: bool = False
    error: msgspec.Raw = msgspec.Raw()
    key: _Key = None


class ErrorBody(msgspec.Struct, gc=False, frozen=True, rename="camel"):
    """What the ``error`` of an answer says."""

    code: int
    type: str
    message: str = ""
    details: dict[str, Any] | None = None
    retry_after_ms: int | None = None


class Received(msgspec.Struct, gc=False, frozen=True):
    """What a client got: an event, a control message, or the answer to the message ``id``.

    Attributes:
        type: ``response`` and ``error`` for answers; else the event's.
        data: Undecoded.
        id: Which message this answers, or what is to be answered; ``None``: none.
        error: Why that failed; ``None``: it did not.
        room: Of an event in a room with a history: the room.
        offset: And its number there.
    """

    type: _Type
    data: msgspec.Raw = msgspec.Raw()
    id: _Id = None
    error: ErrorBody | None = None
    room: str | None = None
    offset: int | None = None


class Codec(Protocol):
    """One way of writing messages, in both directions. Errors are raised as BadRequestError, never as the library's."""

    @property
    def name(self) -> str:
        """Short name, for logs and the link."""

    @property
    def binary(self) -> bool:
        """Whether its messages travel in binary frames."""

    def decode(self, payload: bytes) -> Message:
        """Read a client's message.

        Raises:
            BadRequestError: If it is not an envelope; InvalidJsonError if it is not even JSON.
        """

    def response(self, id: MessageId, data: bytes) -> bytes:
        """The answer to the message ``id``; ``data`` is encoded already, empty for null.

        Raises:
            BadRequestError: If ``data`` is not one value of this codec. It is put into the message as it is, so that it
                could end its envelope and continue as another message.
        """

    def error(self, id: MessageId | None, error: LinkdError) -> bytes:
        """The error that answers the message ``id``."""

    def event(self, type: str, data: bytes, id: str | None = None, room: str | None = None, offset: int = 0) -> bytes:
        """An event; ``data`` is JSON whatever the codec, since services write events once for all. One with an ``id``
        wants an answer; one with a room is in the history of that room, at this offset.

        Raises:
            BadRequestError: If ``data`` cannot be written in this codec.
        """

    # the client's side

    def request(
        self, type: str, data: bytes = b"", id: MessageId | None = None, *, stream: bool = False, key: str | None = None
    ) -> bytes:
        """A client's message; ``data`` is encoded already, empty for none."""

    def read(self, payload: bytes) -> Received:
        """Read what a gateway sent.

        Raises:
            BadRequestError: If it is no message of a gateway's.
        """


def error_body(error: LinkdError) -> dict[str, Any]:
    """The ``error`` object of the wire."""
    body: dict[str, Any] = {"code": error.code, "type": error.type, "message": error.message}
    if error.details:
        body["details"] = error.details
    if error.retry_after is not None:
        body["retryAfterMs"] = round(error.retry_after * 1000)
    return body


class BadEnvelopeError(BadRequestError):
    """A message that is well-formed data but no envelope.

    Args:
        id: The message's id, where that could be read: whoever waits for its answer gets this one.
    """

    def __init__(self, message: str, *, field: str | None = None, id: MessageId | None = None) -> None:
        super().__init__(message, details=None if field is None else {"field": field})
        self.id = id


def _diagnose(envelope: object) -> BadEnvelopeError:
    """Say what is wrong with a message that is well-formed data but no envelope."""
    if not isinstance(envelope, dict):
        return BadEnvelopeError('A message is an object with a "type".')
    try:
        id = msgspec.convert(envelope.get("id"), _Id)
    except msgspec.ValidationError:
        return BadEnvelopeError(
            f'"id" must be a string of at most {MAX_ID_LENGTH} characters or a 64-bit integer.', field="id"
        )
    if "type" not in envelope:
        return BadEnvelopeError('The message has no "type".', field="type", id=id)
    if not isinstance(envelope.get("stream", False), bool):
        return BadEnvelopeError('"stream" must be true or false.', field="stream", id=id)
    key = envelope.get("key")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= MAX_ID_LENGTH):
        return BadEnvelopeError(f'"key" must be a string of 1 to {MAX_ID_LENGTH} characters.', field="key", id=id)
    return BadEnvelopeError(f'"type" must be a string of 1 to {MAX_TYPE_LENGTH} characters.', field="type", id=id)


def _request(type: str, data: bytes, id: MessageId | None, stream: bool, key: str | None) -> dict[str, Any]:
    """The envelope of a client's message, without what is not said."""
    envelope: dict[str, Any] = {"type": type}
    if data:
        envelope["data"] = msgspec.Raw(data)
    if id is not None:
        envelope["id"] = id
    if stream:
        envelope["stream"] = True
    if key is not None:
        envelope["key"] = key
    return envelope


def _more(id: str | None, room: str | None, offset: int) -> dict[str, Any]:
    """What an event says beside its type and data."""
    more: dict[str, Any] = {} if id is None else {"id": id}
    return more if room is None else {**more, "room": room, "offset": offset}


_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NIL = b"\xc0"


class _ClientSide:
    """What a client's side does alike in both codecs."""

    _encode: Callable[[Any], bytes]
    _read: Callable[[bytes], Received]

    def request(
        self, type: str, data: bytes = b"", id: MessageId | None = None, *, stream: bool = False, key: str | None = None
    ) -> bytes:
        """See Codec."""
        return self._encode(_request(type, data, id, stream, key))

    def read(self, payload: bytes) -> Received:
        """See Codec."""
        try:
            return self._read(payload)
        except _MALFORMED as cause:
            raise BadRequestError("This is no message of a gateway's.") from cause


class JsonCodec(_ClientSide):
    """Messages as JSON text."""

    name = "json"
    binary = False

    def __init__(self) -> None:
        # Reads over a value without building it: 0.06 µs for a short one, 0.9 µs for a kilobyte. It takes any bytes for
        # the characters of a string, so that the encoding is checked apart from it.
        self._check = msgspec.json.Decoder(msgspec.Raw).decode
        self._decode = msgspec.json.Decoder(Message).decode
        self._read = msgspec.json.Decoder(Received).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, payload: bytes) -> Message:
        """See Codec."""
        try:
            return self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise self._explain(payload) from cause

    def _explain(self, payload: bytes) -> BadRequestError:
        try:
            return _diagnose(msgspec.json.decode(payload))
        except RecursionError:
            return BadRequestError("The message is nested too deeply.")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return InvalidJsonError()

    def response(self, id: MessageId, data: bytes) -> bytes:
        """See Codec."""
        # Written out here and in ``event``: every answer passes here.
        if data:
            try:
                self._check(data)
                if not data.isascii():
                    data.decode()
            except _MALFORMED as cause:
                raise BadRequestError("The answer's data is not JSON.") from cause
        else:
            data = b"null"
        return b"".join((b'{"type":"response","id":', self._encode(id), b',"data":', data, b"}"))

    def error(self, id: MessageId | None, error: LinkdError) -> bytes:
        """See Codec."""
        body = self._encode(error_body(error))
        if id is None:
            return b"".join((b'{"type":"error","error":', body, b"}"))
        return b"".join((b'{"type":"error","id":', self._encode(id), b',"error":', body, b"}"))

    def event(self, type: str, data: bytes, id: str | None = None, room: str | None = None, offset: int = 0) -> bytes:
        """See Codec."""
        if data:
            try:
                self._check(data)
                if not data.isascii():
                    data.decode()
            except _MALFORMED as cause:
                raise BadRequestError("The event's data is not JSON.") from cause
        more = b""
        if id is not None or room is not None:
            more = b"," + self._encode(_more(id, room, offset))[1:-1]
        return b"".join((b'{"type":', self._encode(type), b',"data":', data or b"null", more, b"}"))


class MsgpackCodec(_ClientSide):
    """Messages as MessagePack maps."""

    name = "msgpack"
    binary = True

    def __init__(self) -> None:
        self._check = msgspec.msgpack.Decoder(msgspec.Raw).decode
        self._decode = msgspec.msgpack.Decoder(Message).decode
        self._read = msgspec.msgpack.Decoder(Received).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def decode(self, payload: bytes) -> Message:
        """See Codec."""
        try:
            return self._decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise self._explain(payload) from cause

    def _explain(self, payload: bytes) -> BadRequestError:
        try:
            return _diagnose(msgspec.msgpack.decode(payload))
        except RecursionError:
            return BadRequestError("The message is nested too deeply.")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return BadRequestError("The message is not valid MessagePack.")

    def response(self, id: MessageId, data: bytes) -> bytes:
        """See Codec."""
        try:
            self._check(data or _NIL)
        except _MALFORMED as cause:
            raise BadRequestError("The answer's data is not MessagePack.") from cause
        return self._encode({"type": "response", "id": id, "data": msgspec.Raw(data or _NIL)})

    def error(self, id: MessageId | None, error: LinkdError) -> bytes:
        """See Codec."""
        envelope: dict[str, Any] = {"type": "error"} if id is None else {"type": "error", "id": id}
        envelope["error"] = error_body(error)
        try:
            return self._encode(envelope)
        except OverflowError:
            # An integer that JSON can tell and MessagePack cannot. The error matters more than its details.
            envelope["error"].pop("details")
            return self._encode(envelope)

    def event(self, type: str, data: bytes, id: str | None = None, room: str | None = None, offset: int = 0) -> bytes:
        """See Codec."""
        try:
            decoded = msgspec.json.decode(data) if data else None
            return self._encode({"type": type, "data": decoded, **_more(id, room, offset)})
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as cause:
            raise BadRequestError("The event's data is not JSON that MessagePack can carry.") from cause


JSON: Codec = cast(Codec, JsonCodec())
MSGPACK: Codec = cast(Codec, MsgpackCodec())

SUBPROTOCOLS: dict[str, Codec] = {"linkd.v1+json": JSON, "linkd.v1+msgpack": MSGPACK}
"""WebSocket subprotocols in the gateway's order of preference, and what their messages are written in."""
