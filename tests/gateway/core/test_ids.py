"""Ids of sessions."""

from __future__ import annotations

import re
import secrets

from pylinkd.gateway.core.ids import Ids


def test_ids_are_128_random_bits_that_are_safe_in_a_url() -> None:
    """Every bit of the randomness that was drawn is in one of them, and in one only."""
    drawn: list[int] = []

    def random(size: int) -> bytes:
        drawn.append(size)
        return secrets.token_bytes(size)

    ids = Ids(random)
    made = [ids() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", id) for id in made)
    assert sum(drawn) >= 16 * 1000


def test_ids_cannot_be_told_from_each_other() -> None:
    """Each is its own part of what was drawn: knowing some says nothing of the others."""
    ids = Ids(lambda size: bytes(range(256)) * (size // 256))

    assert len({ids() for _ in range(16)}) == 16
