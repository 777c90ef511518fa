"""What a case of the Autobahn fuzzing client suite is here: what is sent, what is heard, how it ends.

The suite wants every message echoed; the gateway answers envelopes. So a payload of the suite becomes an envelope of
just its size, whose data comes back. A payload that is too short for one, or has to be sent as it stands, is answered
with 400, and the connection goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.frames import Frame, Opcode

CONT, TEXT, BINARY, CLOSE, PING, PONG = (
    Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG,
)  # fmt: skip

CHUNK = 64 * 1024


@dataclass(frozen=True)
class Pong:
    """The answer to a ping."""

    payload: bytes


@dataclass(frozen=True)
class Answer:
    """The response to a message, with its data."""

    data: Any = field(repr=False)
    id: int = 1


@dataclass(frozen=True)
class Refused:
    """The error 400 without an id: the payload was no envelope."""


Heard = Pong | Answer | Refused


@dataclass(frozen=True)
class Say:
    """Bytes to send, all frames together."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Hear:
    """What comes then, in this order."""

    what: tuple[Heard, ...]


Step = Say | Hear


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        number: In the suite.
        script: Makes the steps; called when the case runs, so that large payloads exist no longer than they have to.
        codes: Close codes, one of which the gateway's close frame has; ``None``: it has none.
        perhaps: What may be heard before the close frame, beyond the script: answers that closing may overtake.
        closes: Whether the script leaves closing to the runner, with 1000.
        large: Only sent in chunks, not byte by byte.
        chunk: Bytes of a chunk.
        binary: Speaks MessagePack.
        offer: Of extensions.
        agreed: What the gateway has to answer to the offer.
        window_bits: What the gateway may use at most to compress.
    """

    number: str
    script: Callable[[], Iterable[Step]]
    codes: tuple[int | None, ...] = (1000,)
    perhaps: tuple[Heard, ...] = ()
    closes: bool = True
    large: bool = False
    chunk: int = CHUNK
    binary: bool = False
    offer: str | None = None
    agreed: str | None = None
    window_bits: int = 15


def good(number: str, *steps: Step, **options: Any) -> Case:
    """A case in which nothing is wrong; the runner closes with 1000."""
    return Case(number, lambda: steps, **options)


def bad(number: str, *steps: Step, code: int = 1002, answers: tuple[Heard, ...] = (), **options: Any) -> Case:
    """A case in which the gateway has to close with this code, once it has answered what came before the violation."""
    script = (*steps, Hear(answers)) if answers else steps
    return Case(number, lambda: script, codes=(code,), closes=False, **options)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """A client's frame, masked; ``reserved`` are RSV1, RSV2 and RSV3 as the bits 4, 2 and 1."""
    # The library's enum has no reserved opcodes: the first byte is ours.
    serialized = Frame(TEXT, payload).serialize(mask=True)
    return bytes((0x80 * fin | reserved << 4 | opcode,)) + serialized[1:]


def fragments(opcode: int, payload: bytes, size: int, *, reserved: int = 0) -> bytes:
    """A message in frames of at most ``size`` bytes."""
    parts = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    last = len(parts) - 1
    return b"".join(
        frame(CONT if index else opcode, part, fin=index == last, reserved=0 if index else reserved)
        for index, part in enumerate(parts)
    )


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def envelope(text: str, id: int = 1) -> bytes:
    """A message in JSON whose data is this text."""
    return json.dumps({"type": "echo.any", "id": id, "data": text}, ensure_ascii=False, separators=(",", ":")).encode()


def binary_envelope(data: bytes, id: int = 1) -> bytes:
    """A message in MessagePack whose data are these bytes."""
    return msgspec.msgpack.encode({"type": "echo.any", "id": id, "data": data})


def message(size: int, id: int = 1, source: str = "*") -> tuple[bytes, Heard]:
    """A text message of just this size, with text from ``source`` in it, and what comes back.

    What escaping leaves over is filled with blanks behind the envelope, which JSON allows.
    """
    room = size - len(envelope("", id))
    if room < 0:
        # One byte of the text again and again, which has to be a whole character.
        return (source.encode("ascii", "ignore")[:1] or b"*") * size, Refused()
    text = _cut(source * (room // len(source) + 1), room)
    return envelope(text, id).ljust(size), Answer(text, id)


def _cut(text: str, room: int) -> str:
    """About as much of the text as is at most so many bytes long in JSON."""
    text = text[:room]
    while (excess := len(json.dumps(text, ensure_ascii=False).encode()) - 2 - room) > 0:
        # A character takes one to six bytes: this cuts little more than needed, and ends soon.
        text = text[: -max(1, excess // 2)]
    return text


def binary_message(size: int, id: int = 1, source: bytes = b"\xfe") -> tuple[bytes, Heard]:
    """A binary message of just this size, with bytes from ``source`` in it, and what comes back."""
    overhead = len(binary_envelope(b"", id))
    if size < overhead:
        return source[:1] * size, Refused()
    room = size - overhead
    data = b""
    # The length of bytes takes up to three bytes more than that of none.
    for count in range(room, max(-1, room - 4), -1):
        data = (source * (count // len(source) + 1))[:count]
        if len(binary_envelope(data, id)) == size:
            break
    payload = binary_envelope(data, id)
    assert len(payload) == size, f"no envelope has {size} bytes"
    return payload, Answer(data, id)


def one_by_one(exchanges: Iterable[tuple[bytes, Heard]]) -> Iterator[Step]:
    """Each message is sent when the one before it was answered."""
    for sent, heard in exchanges:
        yield Say(sent)
        yield Hear((heard,))
