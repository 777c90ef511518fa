"""Groups 12 and 13: permessage-deflate with five kinds of data, and with seven offers.

The suite sends 1,000 messages in each of its 216 cases, which takes many minutes. Without context takeover each message
is compressed by itself: the hundredth cannot go wrong where the first few went right. So a case sends five, from
different places of the data, unless the environment variable ``CONFORMANCE_MESSAGES`` says how many, as it does in
``scripts/conformance``.

Where the suite offers ``server_max_window_bits=8``, as its older versions do, the gateway would decline: zlib cannot
keep to it. Its newer versions offer 9.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator

from . import corpora
from .cases import BINARY, TEXT, Case, Heard, Step, binary_message, fragments, message, one_by_one

_COUNT = int(os.environ.get("CONFORMANCE_MESSAGES", "5"))
_SMALL = 1024
_K = 1024
_SIZES = [
    *((size, 0) for size in (16, 64, 256, _K, 4 * _K, 8 * _K, 16 * _K, 32 * _K, 64 * _K, 128 * _K)),
    *((size, 256) for size in (8 * _K, 16 * _K, 32 * _K, 64 * _K, 128 * _K)),
    *((128 * _K, part) for part in (_K, 4 * _K, 32 * _K)),
]
"""Payload size, and bytes of a fragment; 0: a single frame."""

_TAKEOVER = "server_no_context_takeover; client_no_context_takeover"
_PLAIN = "permessage-deflate; client_no_context_takeover; client_max_window_bits"
_AGREED = f"permessage-deflate; {_TAKEOVER}"

_OFFERS = [
    (_PLAIN, _AGREED, 15),
    (f"{_PLAIN}; server_no_context_takeover", _AGREED, 15),
    (f"{_PLAIN}; server_max_window_bits=9", f"{_AGREED}; server_max_window_bits=9", 9),
    (f"{_PLAIN}; server_max_window_bits=15", f"{_AGREED}; server_max_window_bits=15", 15),
    (
        f"{_PLAIN}; server_no_context_takeover; server_max_window_bits=9",
        f"{_AGREED}; server_max_window_bits=9",
        9,
    ),
    (
        f"{_PLAIN}; server_no_context_takeover; server_max_window_bits=15",
        f"{_AGREED}; server_max_window_bits=15",
        15,
    ),
    (
        f"{_PLAIN}; server_no_context_takeover; server_max_window_bits=9, "
        f"{_PLAIN}; server_no_context_takeover, {_PLAIN}",
        f"{_AGREED}; server_max_window_bits=9",
        9,
    ),
]
"""What the client offers, what the gateway has to agree on, and the window that it may use at most."""


def _deflated(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _case(
    number: str, size: int, part: int, source: Callable[[], str | bytes], offer: tuple[str, str, int] = _OFFERS[0]
) -> Case:
    binary = source in (corpora.picture, corpora.prose, corpora.document)  # as the suite has them

    def exchanges() -> Iterator[tuple[bytes, Heard]]:
        data = source()
        for index in range(_COUNT):
            begin = index * size % len(data)
            turned = data[begin:] + data[:begin]  # type: ignore[operator]  # both str or both bytes
            payload, heard = _message(turned, size, index, binary)
            body = _deflated(payload)
            yield fragments(BINARY if binary else TEXT, body, part or len(body), reserved=4), heard

    def script() -> Iterator[Step]:
        return one_by_one(exchanges())

    offered, agreed, window_bits = offer
    return Case(
        number, script, binary=binary, large=size > _SMALL, offer=offered, agreed=agreed, window_bits=window_bits
    )


def _message(data: str | bytes, size: int, id: int, binary: bool) -> tuple[bytes, Heard]:
    if binary:
        return binary_message(size, id, data.encode() if isinstance(data, str) else data)
    assert isinstance(data, str)
    return message(size, id, data)


DATA: list[Callable[[], str | bytes]] = [
    corpora.json_file,
    corpora.picture,
    corpora.prose,
    corpora.html_file,
    corpora.document,
]

CASES = [
    *(
        _case(f"12.{kind}.{index}", size, part, source)
        for kind, source in enumerate(DATA, 1)
        for index, (size, part) in enumerate(_SIZES, 1)
    ),
    *(
        _case(f"13.{kind}.{index}", size, part, corpora.json_file, offer)
        for kind, offer in enumerate(_OFFERS, 1)
        for index, (size, part) in enumerate(_SIZES, 1)
    ),
]
