"""Group 4: opcodes that RFC 6455 reserves close with 1002."""

from __future__ import annotations

from .cases import PING, TEXT, Answer, Case, Say, bad, envelope, frame
from .reserved import HELLO


def _cases(prefix: str, opcodes: range) -> list[Case]:
    """Alone, alone with a payload, then behind a good message and before a ping: empty, with a payload, in bytes."""
    alone, loaded, *behind = opcodes
    cases = [
        bad(f"{prefix}.1", Say(frame(alone))),
        bad(f"{prefix}.2", Say(frame(loaded, b"reserved opcode payload"))),
    ]
    for index, opcode in enumerate(behind, 3):
        payload = b"" if index == 3 else b"reserved opcode payload"
        sent = frame(TEXT, envelope(HELLO)) + frame(opcode, payload) + frame(PING)
        cases.append(bad(f"{prefix}.{index}", Say(sent), answers=(Answer(HELLO),), chunk=1 if index == 5 else 2**16))
    return cases


CASES = _cases("4.1", range(3, 8)) + _cases("4.2", range(11, 16))
