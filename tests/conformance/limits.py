"""Groups 9 and 10: large messages, many small ones, fragments and chunks of every size.

The gateway takes messages of at most 8 MiB: the suite's two of 16 MiB have to be closed with 1009. Round trips are
the suite's thousand, though not one at a time: 9.7 and 9.8 send them all at once, which fills the session's window.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import BINARY, TEXT, Case, Hear, Say, Step, binary_message, fragments, frame, message

K, M = 2**10, 2**20
_ROUND_TRIPS = 1000
_SOURCE, _BINARY_SOURCE = "BAsd7&jh23", b"\x00\xfe\x23\xfa\xf0"


def _whole(number: str, size: int, binary: bool, chunk: int = 2**16) -> Case:
    return _fragmented(number, size, size, binary, chunk)


def _fragmented(number: str, size: int, part: int, binary: bool, chunk: int = 2**16) -> Case:
    """A message in frames of ``part`` bytes."""

    def script() -> Iterator[Step]:
        payload, heard = binary_message(size, source=_BINARY_SOURCE) if binary else message(size, source=_SOURCE)
        yield Say(fragments(BINARY if binary else TEXT, payload, part))
        yield Hear((heard,))

    return Case(number, script, large=True, binary=binary, chunk=chunk)


def _too_large(number: str, binary: bool) -> Case:
    def script() -> Iterator[Step]:
        yield Say(frame(BINARY if binary else TEXT, bytes(16 * M)))

    return Case(number, script, codes=(1009,), closes=False, large=True, binary=binary)


def _round_trips(number: str, size: int, binary: bool) -> Case:
    def script() -> Iterator[Step]:
        exchanges = [binary_message(size, 1) if binary else message(size, 1) for _ in range(_ROUND_TRIPS)]
        opcode = BINARY if binary else TEXT
        yield Say(b"".join(frame(opcode, payload) for payload, _ in exchanges))
        yield Hear(tuple(heard for _, heard in exchanges))

    return Case(number, script, large=True, binary=binary)


def _auto_fragmented() -> Case:
    payload, heard = message(64 * K)
    return Case("10.1.1", lambda: [Say(fragments(TEXT, payload, 1300)), Hear((heard,))], large=True)


_SIZES = [64 * K, 256 * K, M, 4 * M, 8 * M]
_PARTS = [64, 256, K, 4 * K, 16 * K, 64 * K, 256 * K, M, 4 * M]
_CHUNKS = [64, 128, 256, 512, K, 2 * K]
_TRIPS = [0, 16, 64, 256, K, 4 * K]

CASES = [
    case
    for kind, binary in enumerate((False, True))
    for case in (
        *(_whole(f"9.{1 + kind}.{index}", size, binary) for index, size in enumerate(_SIZES, 1)),
        _too_large(f"9.{1 + kind}.6", binary),
        *(_fragmented(f"9.{3 + kind}.{index}", 4 * M, part, binary) for index, part in enumerate(_PARTS, 1)),
        *(_whole(f"9.{5 + kind}.{index}", M, binary, chunk) for index, chunk in enumerate(_CHUNKS, 1)),
        *(_round_trips(f"9.{7 + kind}.{index}", size, binary) for index, size in enumerate(_TRIPS, 1)),
    )
] + [_auto_fragmented()]
