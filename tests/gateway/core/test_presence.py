"""Who is in a room, as net differences."""

from __future__ import annotations

from pylinkd.gateway.core.presence import Changes, PresenceRule, RoomPresence, State
from pylinkd.gateway.core.session import Session
from pylinkd.protocol.end import EndReason

from ..doubles import Turns, make_session, user

DELIVERY = Turns().delivery


def session(id: str, name: str | None = "una") -> Session:
    """A session of a user, or of nobody."""
    return make_session(DELIVERY, id, identity=None if name is None else user(name))


def lose(presence: RoomPresence, one: Session, now: float = 0.0) -> None:
    """Its connection is gone."""
    one.connection = None
    presence.detached(one, now)


def names(changes: Changes | None) -> tuple[list[str], list[str], list[str]]:
    """Who joined, changed and left."""
    return ([], [], []) if changes is None else (list(changes.joined), list(changes.updated), list(changes.left))


def test_user_is_one_member_with_any_number_of_sessions() -> None:
    """The first session is its coming, the last one its going."""
    presence = RoomPresence(PresenceRule())
    first, second = session("1"), session("2")
    presence.enter(first, 0.0)
    assert names(presence.take()) == (["una"], [], [])
    presence.enter(second, 0.0)
    assert names(presence.take()) == ([], ["una"], [])
    view = presence.view("una")
    assert view is not None
    assert (view.sessions, view.state, view.user) == (2, State.ONLINE, "una")
    presence.leave(first)
    assert names(presence.take()) == ([], ["una"], [])
    presence.leave(second)
    assert names(presence.take()) == ([], [], ["una"])
    assert presence.over


def test_session_of_nobody_is_a_member_of_its_own() -> None:
    """Named after itself, also when it signs in later."""
    presence = RoomPresence(PresenceRule())
    one, other = session("1", None), session("2", None)
    presence.enter(one, 0.0)
    presence.enter(other, 0.0)
    assert names(presence.take()) == (["1", "2"], [], [])
    one.identity = user("una")
    presence.leave(one)
    assert names(presence.take()) == ([], [], ["1"])


def test_what_comes_and_goes_between_two_ticks_is_not_told() -> None:
    """Nor what is as it was."""
    presence = RoomPresence(PresenceRule())
    one, stays = session("1"), session("2", "bob")
    presence.enter(stays, 0.0)
    presence.take()
    presence.enter(one, 0.0)
    presence.leave(one)
    presence.set(stays, b'"x"', None)
    presence.set(stays, b"null", None)
    presence.leave(stays)
    presence.enter(stays, 0.0)
    assert presence.take() is None
    assert presence.seq == 1


def test_member_is_away_and_then_gone() -> None:
    """Once all its sessions are detached, for the time that the room allows."""
    presence = RoomPresence(PresenceRule(grace=15.0))
    one, other = session("1"), session("2")
    presence.enter(one, 0.0)
    presence.enter(other, 0.0)
    presence.take()
    lose(presence, one, 10.0)
    assert presence.take() is None, "the other is there"
    lose(presence, other, 20.0)
    changes = presence.take()
    assert changes is not None
    assert changes.updated["una"].state is State.AWAY
    assert presence.due(25.0) == [one]
    assert names(presence.take()) == ([], ["una"], [])
    presence.paused(100.0)
    assert presence.due(100.0) == []
    assert presence.due(135.0) == [other]
    assert names(presence.take()) == ([], [], ["una"])


def test_who_comes_back_in_time_was_never_gone() -> None:
    """Within one tick not even away."""
    presence = RoomPresence(PresenceRule(grace=15.0))
    one = session("1")
    presence.enter(one, 0.0)
    presence.take()
    connection = one.connection
    lose(presence, one, 0.0)
    one.connection = connection
    presence.resumed(one, 5.0)
    assert presence.take() is None
    assert presence.due(1000.0) == []


def test_page_that_is_loaded_anew_is_no_going() -> None:
    """The old session says goodbye, and a moment later the new one is there."""
    presence = RoomPresence(PresenceRule())
    old, new = session("1"), session("2")
    presence.enter(old, 0.0)
    presence.take()
    presence.ended(old, 0.0, EndReason.CLIENT_LEFT)
    assert presence.take() is None
    presence.enter(new, 1.0)
    assert presence.take() is None
    assert presence.due(2.0) == [old]
    assert presence.take() is None
    presence.ended(new, 10.0, EndReason.CLIENT_CLOSED)
    assert presence.due(11.9) == []
    assert presence.due(12.0) == [new]
    assert names(presence.take()) == ([], [], ["una"])


def test_session_that_is_ended_is_gone_at_once() -> None:
    """Such as one that was expelled."""
    presence = RoomPresence(PresenceRule())
    one = session("1")
    presence.enter(one, 0.0)
    presence.take()
    presence.ended(one, 0.0, EndReason.DISCONNECTED)
    assert names(presence.take()) == ([], [], ["una"])


def test_last_saying_holds() -> None:
    """Of all sessions of the member; the others say it again when that one goes."""
    presence = RoomPresence(PresenceRule())
    one, other = session("1"), session("2")
    presence.enter(one, 0.0)
    presence.enter(other, 0.0)
    presence.set(one, b"1", None)
    presence.set(other, b"2", True)
    view = presence.view("una")
    assert view is not None
    assert view.data is not None
    assert (bytes(view.data), view.state) == (b"2", State.ONLINE)
    presence.leave(other)
    view = presence.view("una")
    assert view is not None
    assert view.data is not None
    assert bytes(view.data) == b"1"
    presence.set(one, None, True)
    view = presence.view("una")
    assert view is not None
    assert view.state is State.AWAY
    assert not presence.set(other, b"3", None), "it is not present"


def test_who_missed_ticks_gets_one_difference() -> None:
    """As long as they are remembered."""
    presence = RoomPresence(PresenceRule())
    for number in range(5):
        presence.enter(session(f"s{number}", f"u{number}"), 0.0)
        presence.take()
    gone = session("s9", "u9")
    presence.enter(gone, 0.0)
    presence.take()
    presence.leave(gone)
    presence.take()
    assert names(presence.since(7)) == ([], [], [])
    missed = presence.since(3)
    assert missed is not None
    assert (set(missed.updated), set(missed.left)) == ({"u3", "u4"}, {"u9"})
    assert presence.since(8) is None
    assert presence.since(-1) is None
    for number in range(200):
        presence.set(next(iter(presence._members["u0"])), b"%d" % number, None)
        presence.take()
    assert presence.since(3) is None


def test_rooms_tick_slower_the_more_are_in_them() -> None:
    """So that a change costs the room's ticks, and not its members'."""
    presence = RoomPresence(PresenceRule(max_members=500))
    ticks = []
    for number in range(1200):
        presence.enter(session(f"s{number}", f"u{number}"), 0.0)
        if number in (50, 150, 1100):
            ticks.append(presence.tick)
    assert ticks == [0.1, 0.5, 2.0]
    assert presence.count_only()
    assert presence.counting
    for number in range(740):
        presence.leave(next(iter(presence._members[f"u{number}"])))
    assert not presence.count_only(), "not before it is well below"
    for number in range(740, 760):
        presence.leave(next(iter(presence._members[f"u{number}"])))
    assert presence.count_only()
    assert not presence.counting


def test_user_whose_connection_was_lost_is_away_for_a_while() -> None:
    """Also where the session could not be resumed: another one may come. One that was away already leaves in time."""
    presence = RoomPresence(PresenceRule(grace=15.0))
    one, other = session("1"), session("2", "bob")
    presence.enter(one, 0.0)
    presence.enter(other, 0.0)
    presence.take()
    presence.ended(one, 0.0, EndReason.CONNECTION_LOST)
    changes = presence.take()
    assert changes is not None
    assert changes.updated["una"].state is State.AWAY
    lose(presence, other, 0.0)
    presence.ended(other, 10.0, EndReason.CONNECTION_LOST)
    assert presence.due(15.0) == [one, other]
