"""How many may stand before the door."""

from __future__ import annotations

from pylinkd.gateway.guard.unfinished import Unfinished


def test_each_address_and_all_together_have_a_bound() -> None:
    """Whoever leaves makes room, and nothing is kept of him."""
    unfinished = Unfinished(most=5, most_each=3)

    assert [unfinished.enter("203.0.113.1") for _ in range(4)] == [True, True, True, False]
    assert [unfinished.enter(f"203.0.113.{n}") for n in range(2, 5)] == [True, True, False]
    unfinished.leave("203.0.113.1")
    assert unfinished.enter("2001:db8::1")
    unfinished.leave("2001:db8::2")
    for address in ("203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.3"):
        unfinished.leave(address)
    assert len(unfinished) == 0
    assert not unfinished._by_address
