"""Group 1 of the suite: text and binary messages at the borders of the three forms of a length."""

from __future__ import annotations

from .cases import BINARY, TEXT, Case, Hear, Say, binary_message, frame, good, message

_LARGE = 4096
_SIZES = [(0, None), (125, None), (126, None), (127, None), (128, None), (65535, None), (65536, None), (65536, 997)]
"""Payload size, and the size of the chunks where the suite sets it."""


def _case(number: str, size: int, chunk: int | None, binary: bool) -> Case:
    payload, heard = binary_message(size) if binary else message(size)
    assert len(payload) == size
    options = {} if chunk is None else {"chunk": chunk}
    sent = frame(BINARY if binary else TEXT, payload)
    return good(number, Say(sent), Hear((heard,)), binary=binary, large=size > _LARGE, **options)


CASES = [
    _case(f"1.{kind}.{index}", size, chunk, kind == 2)
    for kind in (1, 2)
    for index, (size, chunk) in enumerate(_SIZES, 1)
]
