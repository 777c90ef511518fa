"""What a client can find out by asking: without identity, what is there and what is not look the same."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.processes import platform

from .raw_websocket import TEXT, RawWebSocket, frame, raw_websocket

ECHO = "tests/services/echo.py"

SAMPLES = 3000  # of each kind
USABLE = 0.06  # how far from a coin's toss a guess by time may be; chance alone stays below 0.04 in all but one in 10^6


def advantage(these: list[float], those: list[float]) -> float:
    """How much better than tossing a coin one tells the two apart by a single time: 0 not at all, 0.5 always."""
    ranked = sorted([(value, 0) for value in these] + [(value, 1) for value in those])
    ranks = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind == 0)
    probability = (ranks - len(these) * (len(these) + 1) / 2) / (len(these) * len(those))
    return abs(probability - 0.5)


async def timed(one: RawWebSocket, type: str) -> tuple[float, bytes]:
    """How long the answer to a message takes, and the answer."""
    message = frame(TEXT, b'{"type":"%s","id":1}' % type.encode())
    began = time.perf_counter()
    await one.send(message)
    _, answer = await one.receive()
    return time.perf_counter() - began, answer


async def test_protected_and_unknown_types_are_answered_alike(tmp_path: Path) -> None:
    """The same bytes, and no difference in time that is of any use, in 3,000 samples of each in random order."""
    async with platform(tmp_path, ECHO) as running:
        for path in ("/ws/echo", "/ws"):
            async with raw_websocket(running, path) as one:
                kinds = {"echo.member": [], "echo.nobody": []}  # type: dict[str, list[float]]
                answers = set()
                order = [*kinds] * SAMPLES
                random.Random(1).shuffle(order)
                for _ in range(200):
                    await timed(one, "echo.member")
                for type in order:
                    taken, answer = await timed(one, type)
                    kinds[type].append(taken)
                    answers.add(answer)

                assert len(answers) == 1
                assert advantage(*kinds.values()) < USABLE
