"""A private room of others and one that does not exist cannot be told apart, by time either."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any

import pytest

from tests.integration.test_guessing import advantage

from .clients import Chat
from .test_rooms import CHARLIE, PRIVATE

SAMPLES = 1000  # of each kind
USABLE = 0.10  # a database in between makes times broader; chance alone stays below 0.07 in all but one in 10^6

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_private_and_missing_rooms_take_the_same_time(chat: Chat) -> None:
    """In a thousand samples of each, in random order; a new missing room each time, since it costs nothing to ask."""
    kinds: dict[str, list[float]] = {"private": [], "missing": []}
    order = [*kinds] * SAMPLES
    random.Random(1).shuffle(order)
    async with chat.window(CHARLIE) as charlie:

        async def timed(room: str) -> tuple[float, dict[str, Any]]:
            began = time.perf_counter()
            error = await charlie.refusal("room.join", room=room)
            return time.perf_counter() - began, error

        for _ in range(50):
            await timed(str(uuid.uuid4()))
        for kind in order:
            taken, _ = await timed(PRIVATE if kind == "private" else str(uuid.uuid4()))
            kinds[kind].append(taken)

    assert advantage(*kinds.values()) < USABLE
