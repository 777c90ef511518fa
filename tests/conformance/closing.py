"""Group 7: the closing handshake, its codes and reasons (RFC 6455 §5.5.1, §7.4).

The suite calls 7.1.6 and 7.13 informational and takes any outcome. Here they have one: what was answered before the
close frame may come or not, and a code that nobody may send is answered with 1002.
"""

from __future__ import annotations

from typing import Any

from .cases import CLOSE, CONT, PING, TEXT, Answer, Case, Hear, Say, bad, close, envelope, frame, good, message

_HELLO = "Hello World!"
_MESSAGE = frame(TEXT, envelope(_HELLO))
_VALID = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
_INVALID = [999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]


def _closed(number: str, sent: bytes, *codes: int | None, **options: Any) -> Case:
    """Nothing but the close frame comes, and nothing after it."""
    return Case(number, lambda: [Say(sent)], codes=codes, closes=False, **options)


def _behind_a_large_message() -> Case:
    size = 256 * 2**10
    payload, heard = message(size, source="BAsd7&jh23")

    def script() -> list[Say]:
        return [Say(frame(TEXT, payload) + frame(TEXT, envelope(_HELLO, 2)) + close() + frame(PING))]

    return Case("7.1.6", script, closes=False, large=True, perhaps=(heard, Answer(_HELLO, 2)))


CASES = [
    good("7.1.1", Say(_MESSAGE), Hear((Answer(_HELLO),))),
    # Once, not byte by byte: whether both frames then arrive together is left to chance.
    _closed("7.1.2", close() + close(), 1000, large=True),
    # Nor these: what is sent after the gateway has closed is answered with a reset, which may overtake its close frame.
    _closed("7.1.3", close() + frame(PING), 1000, large=True),
    _closed("7.1.4", close() + _MESSAGE, 1000, large=True),
    _closed("7.1.5", frame(TEXT, b"fragment1", fin=False) + close() + frame(CONT, b"fragment2"), 1000, large=True),
    _behind_a_large_message(),
    _closed("7.3.1", close(None), None),
    bad("7.3.2", Say(frame(CLOSE, b"a"))),
    _closed("7.3.3", close(), 1000),
    _closed("7.3.4", close(1000, b"Hello World!"), 1000),
    _closed("7.3.5", close(1000, b"*" * 123), 1000),
    bad("7.3.6", Say(close(1000, b"*" * 124))),
    _closed("7.5.1", close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"), 1002, 1007),
    *(_closed(f"7.7.{index}", close(code), code) for index, code in enumerate(_VALID, 1)),
    _closed("7.9.1", close(0), 1002),
    *(_closed(f"7.9.{index}", close(code), 1002) for index, code in enumerate(_INVALID, 2)),
    _closed("7.13.1", close(5000), 1002),
    _closed("7.13.2", close(65535), 1002),
]
