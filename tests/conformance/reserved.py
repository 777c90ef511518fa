"""Group 3: a reserved bit without an extension closes with 1002, whatever the frame."""

from __future__ import annotations

from .cases import BINARY, CLOSE, PING, TEXT, Answer, Say, bad, envelope, frame

HELLO = "Hello, world!"
_HELLO = frame(TEXT, envelope(HELLO))
_ANSWERED = (Answer(HELLO),)


def _between(reserved: int) -> Say:
    """A good message, one with reserved bits, and a ping that is not answered any more."""
    return Say(_HELLO + frame(TEXT, envelope(HELLO, 2), reserved=reserved) + frame(PING))


CASES = [
    bad("3.1", Say(frame(TEXT, envelope(HELLO), reserved=1))),
    bad("3.2", _between(2), answers=_ANSWERED),
    bad("3.3", _between(3), answers=_ANSWERED),
    bad("3.4", _between(4), answers=_ANSWERED, chunk=1),
    bad("3.5", Say(frame(BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", reserved=5))),
    bad("3.6", Say(frame(PING, HELLO.encode(), reserved=6))),
    bad("3.7", Say(frame(CLOSE, reserved=7))),
]
