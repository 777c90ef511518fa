"""permessage-deflate (RFC 7692): which offer is accepted, and inflating what a client compressed. No I/O.

Both directions go without context takeover. So a broadcast is compressed once and shared by everybody who
negotiated it, and a compressed connection keeps no more memory than any other. Compressing is core/format.py's.
"""

from __future__ import annotations

import re
import zlib

import msgspec

from ...protocol.close import CloseCode
from ..core.format import MAX_WINDOW_BITS, MIN_WINDOW_BITS
from .violation import ProtocolViolation

_NAME = "permessage-deflate"
_TAIL = b"\x00\x00\xff\xff"  # what the sender leaves out at the end of each message (§7.2.1)
_WINDOW_BITS = re.compile(r"[89]|1[0-5]")

# Nobody sends final blocks in earnest. Thousands of empty ones would cost seconds and stay below every other limit.
_MAX_STREAMS = 16

_FLAGS = frozenset({"server_no_context_takeover", "client_no_context_takeover"})


class Agreement(msgspec.Struct, frozen=True):
    """What was agreed on.

    Attributes:
        window_bits: Of what the server compresses.
        header: The ``Sec-WebSocket-Extensions`` of the answer.
    """

    window_bits: int
    header: str


def negotiate(offers: str) -> Agreement | None:
    """Accept the first offer of the client's that is one (§5, §7.1); ``None``: compression is not used.

    Args:
        offers: The request's ``Sec-WebSocket-Extensions``.
    """
    for offer in offers.split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name == _NAME:
            agreement = _accept(parameters)
            if agreement is not None:
                return agreement
    return None


def _accept(parameters: list[str]) -> Agreement | None:
    """The agreement on one offer; ``None`` declines it: a parameter is unknown, repeated, or has a bad value."""
    given: dict[str, str | None] = {}
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        if name in given:
            return None
        given[name] = value.strip('"') if equals else None
    window_bits = MAX_WINDOW_BITS
    header = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
    for name, bits in given.items():
        if name in _FLAGS:
            if bits is not None:
                return None
        elif name == "server_max_window_bits":
            if bits is None or not _WINDOW_BITS.fullmatch(bits) or int(bits) < MIN_WINDOW_BITS:
                return None
            window_bits = int(bits)
            header += f"; server_max_window_bits={bits}"
        elif name == "client_max_window_bits":
            # Whatever the client's window is, ours to inflate has the full size: there is nothing to answer.
            if bits is not None and not _WINDOW_BITS.fullmatch(bits):
                return None
        else:
            return None
    return Agreement(window_bits=window_bits, header=header)


class Inflater:
    """One message that a client compressed (§7.2.2), inflated as it comes.

    Args:
        limit: Most bytes that one call gives; inflating stops there, so that a bomb costs no more.
    """

    __slots__ = ("_inflater", "_limit", "_streams")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inflater = zlib.decompressobj(-MAX_WINDOW_BITS)
        self._streams = 1

    def feed(self, data: bytes, last: bool) -> bytes:
        """Inflate a part of the message's payload.

        Args:
            data: The part; the parts may be cut anywhere.
            last: Whether it is the last one.

        Raises:
            ProtocolViolation: If it inflates to more than the limit, or does not inflate. A stream that breaks off
                between two blocks looks like a whole one.
        """
        rest = data + _TAIL if last else data
        chunks: list[bytes] = []
        room = self._limit
        while rest:
            if self._inflater.eof:
                self._begin_anew()
            try:
                chunk = self._inflater.decompress(rest, room + 1)
            except zlib.error:
                raise ProtocolViolation(CloseCode.INVALID_TEXT, "data that does not inflate") from None
            room -= len(chunk)
            if room < 0:
                raise ProtocolViolation(CloseCode.MESSAGE_TOO_BIG, f"more than {self._limit} bytes")
            chunks.append(chunk)
            rest = self._inflater.unused_data
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _begin_anew(self) -> None:
        """A final block (§7.2.3.4) ended the stream; what follows it, at least the tail, begins another."""
        if self._streams == _MAX_STREAMS:
            raise ProtocolViolation(CloseCode.POLICY_VIOLATION, f"more than {_MAX_STREAMS} final blocks")
        self._streams += 1
        self._inflater = zlib.decompressobj(-MAX_WINDOW_BITS)
