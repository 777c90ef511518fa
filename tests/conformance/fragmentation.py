"""Group 5: messages in fragments, control frames between them, and fragments in the wrong place."""

from __future__ import annotations

from .cases import CONT, PING, PONG, TEXT, Answer, Case, Hear, Pong, Say, Step, bad, envelope, frame, good
from .reserved import HELLO

_BODY = envelope("in five fragments")
_PARTS = [_BODY[start : start + 12] for start in range(0, len(_BODY), 12)]
_FIRST, _SECOND = _BODY[:20], _BODY[20:]
_ANSWER = Answer("in five fragments")
_WHOLE = frame(TEXT, envelope(HELLO))
_TWO = [frame(TEXT, _FIRST, fin=False), frame(CONT, _SECOND)]


def _three_ways(first: int, *frames: bytes, heard: Hear) -> list[Case]:
    """All frames together, each by itself, each byte by itself."""
    return [
        good(f"5.{first}", Say(b"".join(frames)), heard),
        good(f"5.{first + 1}", *map(Say, frames), heard),
        good(f"5.{first + 2}", Say(b"".join(frames)), heard, chunk=1),
    ]


def _three_bad(first: int, *frames: bytes) -> list[Case]:
    return [
        bad(f"5.{first}", Say(b"".join(frames))),
        bad(f"5.{first + 1}", *map(Say, frames)),
        bad(f"5.{first + 2}", Say(b"".join(frames)), chunk=1),
    ]


def _pings_between(together: bool) -> list[Step]:
    """The first ping is answered while the message is still under way."""
    one, two, three, four, five = _PARTS[0], _PARTS[1], _PARTS[2], _PARTS[3], b"".join(_PARTS[4:])
    begin = [frame(TEXT, one, fin=False), frame(CONT, two, fin=False), frame(PING, b"pongme 1!")]
    end = [
        frame(CONT, three, fin=False), frame(CONT, four, fin=False), frame(PING, b"pongme 2!"), frame(CONT, five),
    ]  # fmt: skip
    pieces = [[b"".join(begin)], [b"".join(end)]] if together else [begin, end]
    return [
        *map(Say, pieces[0]), Hear((Pong(b"pongme 1!"),)),
        *map(Say, pieces[1]), Hear((Pong(b"pongme 2!"), _ANSWER)),
    ]  # fmt: skip


CASES = [
    bad("5.1", Say(frame(PING, b"fragment1", fin=False) + frame(CONT, b"fragment2"))),
    bad("5.2", Say(frame(PONG, b"fragment1", fin=False) + frame(CONT, b"fragment2"))),
    *_three_ways(3, *_TWO, heard=Hear((_ANSWER,))),
    *_three_ways(6, _TWO[0], frame(PING, b"ping payload"), _TWO[1], heard=Hear((Pong(b"ping payload"), _ANSWER))),
    *_three_bad(9, frame(CONT, b"non-continuation payload"), _WHOLE),
    *_three_bad(12, frame(CONT, b"non-continuation payload", fin=False), _WHOLE),
    bad("5.15", Say(b"".join(_TWO) + frame(CONT, b"fragment3", fin=False) + _WHOLE), answers=(_ANSWER,)),
    bad("5.16", Say((frame(CONT, b"fragment1", fin=False) + b"".join(_TWO)) * 2)),
    bad("5.17", Say((frame(CONT, b"fragment1") + b"".join(_TWO)) * 2)),
    bad("5.18", Say(frame(TEXT, _FIRST, fin=False) + frame(TEXT, _SECOND))),
    good("5.19", *_pings_between(True)),
    good("5.20", *_pings_between(False)),
]
