"""How long a client may take to sign in."""

from __future__ import annotations

import pytest

from pylinkd.gateway.core.expiry import Expiry
from pylinkd.gateway.routing.signin import SignIn
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.link_pb2 import Frame

from ..doubles import Clock, connection_of, make_session
from .rig import Rig, registration


async def recognize(token: str, address: str) -> Identity:
    """Nobody shows a token here."""
    raise NotImplementedError


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_clock_that_jumps_changes_no_deadline(jump: float) -> None:
    """Seconds are counted, and not times of day."""
    clock, monotonic = Clock(1_700_000_000.0), Clock()
    rig = Rig()
    asked = registration()
    asked.auth = True
    rig.connect().ask(Frame(register=asked))
    signin = SignIn(
        recognize=recognize,
        registry=rig.registry,
        lifecycle=rig.lifecycle,
        connection_limit=rig.connection_limit,
        services=rig.services,
        attachments=rig.attachments,
        expiry=Expiry(lead=60.0, leeway=5.0),
        unfinished=rig.guard.unfinished,
        audit=rig.guard.audit,
        clock=clock,
        monotonic=monotonic,
        timeout=10.0,
    )
    session = make_session(rig.turns.delivery)
    connection = connection_of(session)
    signin.opened(session)

    clock.now += jump
    monotonic.now += 9.0
    signin.sweep()
    assert connection.open
    monotonic.now += 1.0
    signin.sweep()

    assert connection.closed == (4401, "sign in first", EndReason.TIMEOUT)
