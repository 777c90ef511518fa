"""What a client reads and writes, by a parser that is not ours: the sans-I/O part of ``websockets``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side


@dataclass
class Heard:
    """A frame as a client reads it."""

    opcode: Opcode
    payload: bytes
    fin: bool

    @property
    def data(self) -> Any:
        """The message in it: JSON in text, MessagePack in binary frames."""
        if self.opcode is Opcode.TEXT:
            return msgspec.json.decode(self.payload)
        assert self.opcode is Opcode.BINARY, self
        return msgspec.msgpack.decode(self.payload)


def hear(stream: bytes) -> list[Heard]:
    """The frames in what a server sent. Fails if there is anything wrong with them."""
    client = Protocol(Side.CLIENT, state=OPEN, max_size=None)
    client.receive_data(stream)
    if client.parser_exc is not None:
        raise client.parser_exc
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    heard = [Heard(Opcode(frame.opcode), bytes(frame.data), frame.fin) for frame in frames]
    assert sum(len(frame.payload) for frame in heard) <= len(stream)
    return heard


def say(opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a client sends it: masked."""
    frame = Frame(opcode, payload).serialize(mask=True)
    return bytes((opcode | 0x80 * fin | 0x40 * rsv1,)) + frame[1:]
