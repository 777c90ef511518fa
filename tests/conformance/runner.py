"""Plays a case against the real gateway."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from .cases import BINARY, CLOSE, PONG, TEXT, Answer, Case, Hear, Heard, Pong, Refused, Say, close
from .peer import Peer, Received, peer

WELCOME = "linkd.welcome"


def runs(cases: list[Case]) -> list[Any]:
    """The parameters of ``test_case``: each case in chunks, and byte by byte unless it is large."""
    return [
        pytest.param(case, chopped, id=f"{case.number}-{'bytes' if chopped else 'chunks'}")
        for case in cases
        for chopped in ([False] if case.large else [False, True])
    ]


async def play(case: Case, port: int, chopped: bool) -> None:
    """Send what the case sends, and fail unless the gateway answers and ends as it has to."""
    headers = [] if case.offer is None else [f"Sec-WebSocket-Extensions: {case.offer}"]
    if case.binary:
        headers.append("Sec-WebSocket-Protocol: linkd.v1+msgpack")
    window_bits = None if case.agreed is None else case.window_bits
    async with peer(port, *headers, window_bits=window_bits) as other:
        accepted = await other.accepted()
        assert accepted.get("sec-websocket-extensions") == case.agreed
        if case.binary:
            await _welcome(other)
        size = 1 if chopped else case.chunk
        for step in case.script():
            if isinstance(step, Say):
                await other.send(step.data, size)
            else:
                await _hear(other, step)
        if case.closes:
            await other.send(close(1000), size)
        await _ends(other, case)


async def _welcome(other: Peer) -> None:
    frame = await other.frame()
    assert frame is not None
    assert msgspec.msgpack.decode(frame.payload)["type"] == WELCOME


async def _hear(other: Peer, step: Hear) -> None:
    for wanted in step.what:
        frame = await other.frame()
        assert frame is not None, f"the connection ended before {wanted}"
        _check(frame, wanted)


async def _ends(other: Peer, case: Case) -> None:
    """The close frame, nothing after it, and the end of the TCP connection, which is the server's to bring about."""
    perhaps = list(case.perhaps)
    while (frame := await other.frame()) is not None and frame.opcode != CLOSE:
        assert perhaps, f"nothing more was to come: {frame}"
        _check(frame, perhaps.pop(0))
    assert frame is not None, "the connection ended without a close frame"
    code = int.from_bytes(frame.payload[:2], "big") if frame.payload else None
    assert code in case.codes
    if not case.closes:
        await other.send(close(code), 2**16)
    assert await other.frame() is None


def _check(frame: Received, wanted: Heard) -> None:
    if isinstance(wanted, Pong):
        assert (frame.opcode, frame.payload) == (PONG, wanted.payload)
        return
    assert frame.opcode in (TEXT, BINARY), frame
    message = msgspec.json.decode(frame.payload) if frame.opcode == TEXT else msgspec.msgpack.decode(frame.payload)
    if isinstance(wanted, Answer):
        # Compared apart from the assertion: pytest would explain how megabytes differ.
        same = message == {"type": "response", "id": wanted.id, "data": wanted.data}
        assert same, f"{str(message)[:300]} instead of {str(wanted.data)[:300]}"
    else:
        assert isinstance(wanted, Refused)
        assert message["type"] == "error"
        assert "id" not in message
        assert message["error"]["code"] == 400
