"""Which processes may be services."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.peers import Peers
from pylinkd.protocol.errors import ForbiddenError

SECRET = "the-links-secret-with-32-bytes-or-more"


def test_listed_users_are_admitted() -> None:
    """And nobody else who has a user id; over the network there is none."""
    peers = Peers({0, 1000})

    assert [peers.admits(uid) for uid in (0, 1000, 1001, None)] == [True, True, False, True]


def test_no_secret_asks_for_none() -> None:
    """Who sends one all the same is taken: services may be told first."""
    Peers({0}).check(b"")
    Peers({0}).check(SECRET.encode())


def test_right_secret_is_taken() -> None:
    """Byte by byte, whatever its characters are; one that is no UTF-8 is the environment's bytes."""
    Peers({0}, SECRET).check(SECRET.encode())
    Peers({0}, "ü" * 16).check(("ü" * 16).encode())
    Peers({0}, "\udcff" * 32).check(b"\xff" * 32)


def test_refusal_does_not_tell_why() -> None:
    """Missing, wrong, too short or too long: the same sentence, and no secret in it."""
    told = set()
    for wrong in (b"", b"x", SECRET[:-1].encode(), SECRET.encode() + b"x", b"\xff" * 38):
        with pytest.raises(ForbiddenError, match="set LINKD_LINK_SECRET") as caught:
            Peers({0}, SECRET).check(wrong)
        told.add(str(caught.value))

    assert len(told) == 1
    assert SECRET not in told.pop()
