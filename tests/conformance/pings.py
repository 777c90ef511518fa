"""Group 2: pings are answered with their payload, pongs that nobody asked for are ignored."""

from __future__ import annotations

from .cases import PING, PONG, Hear, Pong, Say, bad, frame, good

_MANY = [b"payload-%d" % number for number in range(10)]
_TEN = (Say(b"".join(frame(PING, payload) for payload in _MANY)), Hear(tuple(map(Pong, _MANY))))
_BINARY = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
_LONGEST = b"\xfe" * 125

CASES = [
    good("2.1", Say(frame(PING)), Hear((Pong(b""),))),
    good("2.2", Say(frame(PING, b"Hello, world!")), Hear((Pong(b"Hello, world!"),))),
    good("2.3", Say(frame(PING, _BINARY)), Hear((Pong(_BINARY),))),
    good("2.4", Say(frame(PING, _LONGEST)), Hear((Pong(_LONGEST),))),
    bad("2.5", Say(frame(PING, b"\xfe" * 126))),
    good("2.6", Say(frame(PING, _LONGEST)), Hear((Pong(_LONGEST),)), chunk=1),
    good("2.7", Say(frame(PONG))),
    good("2.8", Say(frame(PONG, b"unsolicited pong payload"))),
    good("2.9", Say(frame(PONG, b"unsolicited pong payload") + frame(PING, b"ping")), Hear((Pong(b"ping"),))),
    good("2.10", *_TEN),
    good("2.11", *_TEN, chunk=1),
]
