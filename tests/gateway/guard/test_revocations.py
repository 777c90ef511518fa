"""Tokens that are believed no longer."""

from __future__ import annotations

from typing import Any

import pytest

from pylinkd.gateway.guard.revocations import Revocations, RevocationsFullError
from pylinkd.protocol.identity import Identity

from ..doubles import Clock


def identity(user: str = "una", **claims: Any) -> Identity:
    """Out of a token with these claims."""
    return Identity(user=user, name=user, claims=claims)


def test_tokens_of_before_are_covered_and_later_ones_are_not() -> None:
    """A user who signs in anew is believed again."""
    clock = Clock()
    revocations = Revocations(clock, clock, 100.0)
    revocations.revoke(user="una")

    assert revocations.covers(identity(iat=clock.now - 1))
    assert revocations.covers(identity(iat=clock.now))
    assert revocations.covers(identity()), "it does not say when it was issued"
    assert revocations.covers(identity(iat="x"))
    assert not revocations.covers(identity(iat=clock.now + 1))
    assert not revocations.covers(identity("bob", iat=1))


def test_one_token_can_be_revoked() -> None:
    """By its id."""
    revocations = Revocations(Clock(), Clock(), 100.0)
    revocations.revoke(jti="t-1")

    assert revocations.covers(identity(jti="t-1"))
    assert not revocations.covers(identity(jti="t-2"))
    assert not revocations.covers(identity(jti=["t-1"]))


def test_revocations_are_remembered_as_long_as_tokens_live() -> None:
    """And are bounded; what is too many is refused, and told."""
    clock = Clock()
    revocations = Revocations(clock, clock, 100.0, most=2)
    revocations.revoke(user="una")
    revocations.revoke(jti="t-1")
    with pytest.raises(RevocationsFullError):
        revocations.revoke(jti="t-2")

    clock.now += 101

    assert revocations.all() == []
    revocations.revoke(jti="t-2")
    assert [one.jti for one in revocations.all()] == ["t-2"]


@pytest.mark.parametrize("wanted", [{}, {"user": "una", "jti": "t"}])
def test_one_thing_is_revoked_at_a_time(wanted: dict[str, str]) -> None:
    """Nothing, or two things, is a mistake."""
    with pytest.raises(ValueError, match="either"):
        Revocations(Clock(), Clock(), 1.0).revoke(**wanted)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_clock_that_jumps_changes_no_revocation(jump: float) -> None:
    """It is remembered as long as before; tokens are judged by their own time."""
    clock, monotonic = Clock(1_700_000_000.0), Clock()
    revocations = Revocations(clock, monotonic, 100.0)
    at = revocations.revoke(user="una").at

    clock.now += jump
    monotonic.now += 99

    assert [one.until for one in revocations.all()] == [clock.now + 1]
    assert revocations.covers(identity(iat=at))
    assert not revocations.covers(identity(iat=at + 1))
    monotonic.now += 1
    assert revocations.all() == []
