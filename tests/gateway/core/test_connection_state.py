"""The table of a connection's states."""

from __future__ import annotations

import pytest

from pylinkd.gateway.core.connection_state import TRANSITIONS, ConnectionState, IllegalTransition, State


def reach(state: State) -> ConnectionState:
    """A lifecycle in this state, by the shortest allowed way."""
    ways: list[list[State]] = [[State.CONNECTING]]
    while ways[0][-1] is not state:
        way = ways.pop(0)
        ways.extend([*way, after] for after in TRANSITIONS[way[-1]])
    life = ConnectionState()
    for step in ways[0][1:]:
        life.advance(step)
    return life


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_transitions_are_those_of_the_table(before: State, after: State) -> None:
    """What is not in it raises and changes nothing."""
    life = reach(before)

    if after in TRANSITIONS[before]:
        life.advance(after)
        assert life.state is after
    else:
        with pytest.raises(IllegalTransition, match=f"a {before} connection cannot become {after}"):
            life.advance(after)
        assert life.state is before


@pytest.mark.parametrize("state", State)
def test_every_state_ends(state: State) -> None:
    """From each one CLOSED can be reached, and from CLOSED nothing."""
    assert state is State.CLOSED or State.CLOSED in TRANSITIONS[state]


@pytest.mark.parametrize("state", State)
def test_messages_are_sent_in_open_states_only(state: State) -> None:
    """Draining is one of them: what is in flight is still answered."""
    assert reach(state).open == (state in {State.CONNECTED, State.AUTHENTICATED, State.DRAINING})
