"""How many connections a user may have, and what becomes of one more."""

from __future__ import annotations

from pylinkd.gateway.core.session import Session
from pylinkd.gateway.routing.connection_limit import Excess

from ..doubles import connection_of, user
from .rig import Rig


def opened(rig: Rig, *ids: str) -> list[Session]:
    """Connections of one user."""
    return [rig.open(id, identity=user("una")) for id in ids]


async def test_one_more_is_refused_where_the_others_are_there() -> None:
    """They were heard a moment ago: nobody has to be asked."""
    rig = Rig(max_per_user=2)
    opened(rig, "s-1", "s-2")

    (third,) = opened(rig, "s-3")

    closed = connection_of(third).closed
    assert closed is not None
    assert closed[0] == 4429
    assert third not in rig.registry


async def test_silent_ones_are_asked_before_one_more_is_refused() -> None:
    """A user whose line broke comes back long before the dead connections are noticed, and is not locked out."""
    rig = Rig(max_per_user=2)
    rig.start()
    dead, alive = opened(rig, "s-1", "s-2")
    rig.timers.pass_(20.0)

    (third,) = opened(rig, "s-3")
    asked = [connection_of(one).pings for one in (dead, alive)]
    waits = connection_of(third).reading, third in rig.registry
    rig.clock.now += 0.5
    connection_of(alive).heard_at = rig.clock()
    rig.timers.pass_(2.0)

    assert (asked, waits) == ([1, 1], (False, False))
    assert [connection_of(one).was_cut for one in (dead, alive)] == [True, False]
    assert connection_of(third).reading
    assert third in rig.registry


async def test_silence_of_the_gateway_is_nobody_elses() -> None:
    """It was stopped while it waited: the answer is there, and has not been read."""
    rig = Rig(max_per_user=1)
    (first,) = opened(rig, "s-1")
    rig.timers.pass_(20.0)

    (second,) = opened(rig, "s-2")
    rig.timers.pass_(10.0)
    early = connection_of(first).was_cut
    connection_of(first).heard_at = rig.clock()
    rig.timers.pass_(2.0)

    assert not early
    assert not connection_of(first).was_cut
    assert connection_of(second).closed is not None


async def test_one_more_is_refused_where_the_silent_ones_answer() -> None:
    """They were only silent."""
    rig = Rig(max_per_user=1)
    (first,) = opened(rig, "s-1")
    rig.timers.pass_(20.0)

    (second,) = opened(rig, "s-2")
    connection_of(first).heard_at = rig.clock.now + 1.0
    rig.timers.pass_(2.0)

    assert connection_of(second).closed is not None
    assert not connection_of(first).was_cut


async def test_one_that_leaves_while_others_are_asked_does_not_come_in() -> None:
    """Its session never began."""
    rig = Rig(max_per_user=1)
    opened(rig, "s-1")
    rig.timers.pass_(20.0)
    (second,) = opened(rig, "s-2")

    second.connection = None
    rig.timers.pass_(2.0)

    assert second not in rig.registry


async def test_oldest_is_replaced_without_asking() -> None:
    """Where the operator wants the newest to win."""
    rig = Rig(max_per_user=1, excess=Excess.EVICT_OLDEST)
    (first,) = opened(rig, "s-1")
    rig.timers.pass_(20.0)

    (second,) = opened(rig, "s-2")

    closed = connection_of(first).closed
    assert closed is not None
    assert closed[0] == 4409
    assert second in rig.registry
