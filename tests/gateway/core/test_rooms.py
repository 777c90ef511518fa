"""Rooms, alone and against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pylinkd.gateway.core.rooms import Rooms
from pylinkd.gateway.core.session import Session
from pylinkd.protocol.errors import ConflictError

from ..doubles import Turns, make_session

LIMIT = 3
NAMESPACES = ("chat", "game")
NAMES = ("lobby", "kitchen", "attic")


def test_joining_twice_is_joining_once() -> None:
    """Membership has no count."""
    rooms, session = Rooms(LIMIT), make_session(Turns().delivery)

    rooms.join(session, "chat", "lobby")
    rooms.join(session, "chat", "lobby")
    assert list(rooms.members("chat", "lobby")) == [session]
    rooms.leave(session, "chat", "lobby")

    assert list(rooms.members("chat", "lobby")) == []


def test_leaving_what_was_not_joined_changes_nothing() -> None:
    """Neither an unknown room, nor somebody else's membership."""
    rooms, turn = Rooms(LIMIT), Turns().delivery
    member, other = make_session(turn, "a"), make_session(turn, "b")
    rooms.join(member, "chat", "lobby")

    rooms.leave(other, "chat", "lobby")
    rooms.leave(other, "chat", "nowhere")

    assert list(rooms.members("chat", "lobby")) == [member]
    assert len(rooms) == 1


def test_room_vanishes_with_its_last_member() -> None:
    """Rooms that nobody is in cost nothing."""
    rooms, turn = Rooms(LIMIT), Turns().delivery
    first, second = make_session(turn, "a"), make_session(turn, "b")
    for session in (first, second):
        rooms.join(session, "chat", "lobby")

    rooms.leave(first, "chat", "lobby")
    assert len(rooms) == 1
    rooms.leave(second, "chat", "lobby")

    assert len(rooms) == 0


def test_namespaces_part_rooms_of_one_name() -> None:
    """Two services' lobby are two rooms."""
    rooms, session = Rooms(LIMIT), make_session(Turns().delivery)
    rooms.join(session, "chat", "lobby")

    assert list(rooms.members("game", "lobby")) == []
    assert list(rooms.names(session, "game")) == []
    assert list(rooms.names(session, "chat")) == ["lobby"]


def test_session_in_too_many_rooms_is_told() -> None:
    """The limit is refused by name, and the refusal changes nothing."""
    rooms, session = Rooms(2), make_session(Turns().delivery)
    rooms.join(session, "chat", "a")
    rooms.join(session, "game", "b")

    with pytest.raises(ConflictError, match="2 rooms at most") as caught:
        rooms.join(session, "chat", "c")

    assert caught.value.type == "TOO_MANY_ROOMS"
    assert (len(rooms), list(rooms.members("chat", "c"))) == (2, [])
    rooms.join(session, "chat", "a")  # one of them again is none too many


class RoomsAgainstAModel(RuleBasedStateMachine):
    """Rooms do what a set of (session, namespace, name) does."""

    def __init__(self) -> None:
        super().__init__()
        turn = Turns().delivery
        self.rooms = Rooms(LIMIT)
        self.sessions = [make_session(turn, f"s-{number}") for number in range(3)]
        self.model: set[tuple[Session, str, str]] = set()

    who = st.integers(0, 2)
    where = st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(NAMES))

    @rule(who=who, where=where)
    def join(self, who: int, where: tuple[str, str]) -> None:
        """Taken unless it is one room too many."""
        session = self.sessions[who]
        mine = {entry for entry in self.model if entry[0] is session}
        if (session, *where) in mine or len(mine) < LIMIT:
            self.rooms.join(session, *where)
            self.model.add((session, *where))
        else:
            with pytest.raises(ConflictError):
                self.rooms.join(session, *where)

    @rule(who=who, where=where)
    def leave(self, who: int, where: tuple[str, str]) -> None:
        """Ends the membership if there is one."""
        self.rooms.leave(self.sessions[who], *where)
        self.model.discard((self.sessions[who], *where))

    @precondition(lambda self: bool(self.model))
    @rule(who=who)
    def leave_all(self, who: int) -> None:
        """Ends all of a session's."""
        self.rooms.leave_all(self.sessions[who])
        self.model = {entry for entry in self.model if entry[0] is not self.sessions[who]}

    @invariant()
    def agrees(self) -> None:
        """Members, names and the number of rooms are the model's."""
        assert len(self.rooms) == len({entry[1:] for entry in self.model})
        for namespace in NAMESPACES:
            for name in NAMES:
                expected = {entry[0] for entry in self.model if entry[1:] == (namespace, name)}
                assert set(self.rooms.members(namespace, name)) == expected
            for session in self.sessions:
                names = list(self.rooms.names(session, namespace))
                assert sorted(names) == sorted(entry[2] for entry in self.model if entry[:2] == (session, namespace))


TestRoomsAgainstAModel = RoomsAgainstAModel.TestCase
TestRoomsAgainstAModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
