"""The client protocol of NATS: what comes becomes calls, what goes becomes bytes. No socket, no clock.

A few of its verbs are all that a bus needs: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

PING = b"PING\r\n"
PONG = b"PONG\r\n"

_LONGEST_LINE = 64 * 1024  # bytes: INFO has the addresses of all servers, other lines have 4,096 at most
_END = b"\r\n"


class NatsProtocolError(Exception):
    """What came is not this protocol; the connection cannot go on."""


class NatsListener(Protocol):
    """Hears what the server says."""

    def on_info(self, info: dict[str, Any]) -> None:
        """The server describes itself, first and at changes."""

    def on_message(self, sid: bytes, payload: bytes) -> None:
        """A message came for a subscription."""

    def on_ping(self) -> None:
        """The server wants PONG."""

    def on_pong(self) -> None:
        """Everything that was sent before the first PING without a PONG is carried out."""

    def on_error(self, text: str) -> None:
        """The server complains."""


class NatsReader:
    """Takes the bytes of a server.

    Args:
        listener: What it tells.

    Attributes:
        largest: Bytes of a payload, above which the server is not believed.
    """

    __slots__ = ("_buffer", "_listener", "largest")

    def __init__(self, listener: NatsListener) -> None:
        self._listener = listener
        self._buffer = b""
        self.largest = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            NatsProtocolError: If they are not this protocol.
        """
        buffer = self._buffer + data if self._buffer else data
        position, listener = 0, self._listener
        while True:
            end = buffer.find(_END, position)
            if end < 0:
                if len(buffer) - position > _LONGEST_LINE:
                    raise NatsProtocolError("a line is too long")
                break
            if buffer.startswith(b"MSG ", position):
                # MSG <subject> <sid> [reply-to] <size>
                fields = buffer[position:end].split(b" ")
                start = end + 2
                stop = start + self._size(fields)
                if len(buffer) < stop + 2:
                    break
                listener.on_message(fields[2], buffer[start:stop])
                position = stop + 2
                continue
            self._line(buffer[position:end])
            position = end + 2
        self._buffer = buffer[position:] if position else buffer

    def _size(self, fields: list[bytes]) -> int:
        size = fields[-1]
        if not 4 <= len(fields) <= 5 or not size.isdigit() or int(size) > self.largest:
            raise NatsProtocolError("a message is malformed, or too large")
        return int(size)

    def _line(self, line: bytes) -> None:
        verb, _, rest = line.partition(b" ")
        match verb.upper():
            case b"PING":
                self._listener.on_ping()
            case b"PONG":
                self._listener.on_pong()
            case b"INFO":
                self._listener.on_info(_info(rest))
            case b"-ERR":
                self._listener.on_error(rest.decode("utf-8", "replace").strip("' "))
            case b"+OK":
                pass
            case _:
                raise NatsProtocolError("an unknown verb came")


def _info(text: bytes) -> dict[str, Any]:
    try:
        info = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as cause:
        raise NatsProtocolError("INFO is no JSON") from cause
    if not isinstance(info, dict):
        raise NatsProtocolError("INFO is no object")
    return info


def connect(options: dict[str, Any]) -> bytes:
    """The first line of a client."""
    return b"CONNECT " + msgspec.json.encode(options) + _END


def subscribe(subject: str, sid: bytes, group: str) -> bytes:
    """Subscribe, under a number of the client's own."""
    return f"SUB {subject} {group} ".encode() + sid + _END if group else f"SUB {subject} ".encode() + sid + _END


def unsubscribe(sid: bytes) -> bytes:
    """Subscribe no more."""
    return b"UNSUB " + sid + _END


def publish(subject: str, payload: bytes) -> bytes:
    """Send a message."""
    return b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(payload), payload)
