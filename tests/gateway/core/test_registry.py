"""Sessions by id and by user."""

from __future__ import annotations

from pylinkd.gateway.core.format import PLAIN
from pylinkd.gateway.core.registry import Registry
from pylinkd.protocol.envelope import JSON, MSGPACK

from ..doubles import Turns, make_session, user


def test_session_is_found_by_id_and_user() -> None:
    """All of a user's sessions, and nobody else's."""
    registry, turns = Registry(), Turns()
    phone = make_session(turns.delivery, "phone", identity=user("una"))
    laptop = make_session(turns.delivery, "laptop", identity=user("una"))
    other = make_session(turns.delivery, "other", identity=user("bob"))
    for session in (phone, laptop, other):
        registry.add(session)

    assert registry.get("phone") is phone
    assert set(registry.of_user("una")) == {phone, laptop}
    assert (len(registry), registry.users) == (3, 2)
    assert set(registry) == {phone, laptop, other}


def test_strangers_have_no_user() -> None:
    """Who did not sign in is found by id alone."""
    registry, turns = Registry(), Turns()
    session = make_session(turns.delivery)
    registry.add(session)

    assert session in registry
    assert registry.users == 0


def test_nothing_is_left_of_a_removed_session() -> None:
    """The user goes with the last of their sessions."""
    registry, turns = Registry(), Turns()
    sessions = [make_session(turns.delivery, id, identity=user("una")) for id in ("a", "b")]
    for session in sessions:
        registry.add(session)

    registry.remove(sessions[0])
    assert (registry.users, list(registry.of_user("una"))) == (1, [sessions[1]])
    registry.remove(sessions[1])

    assert (registry.users, len(registry), list(registry.of_user("una"))) == (0, 0, [])
    assert registry.get("a") is None
    assert sessions[0] not in registry


def test_unknown_things_are_not_there() -> None:
    """An unknown id or user gives nothing, and makes nothing."""
    registry = Registry()

    assert registry.get("x") is None
    assert list(registry.of_user("x")) == []
    assert registry.users == 0


def test_formats_are_those_of_the_sessions() -> None:
    """A format is there from its first session to its last."""
    registry, turns = Registry(), Turns()
    text, packed, more = (
        make_session(turns.delivery, id, codec=codec) for id, codec in (("a", JSON), ("b", MSGPACK), ("c", MSGPACK))
    )
    assert set(registry.formats) == set()
    for session in (text, packed, more):
        registry.add(session)
    assert set(registry.formats) == {PLAIN[JSON], PLAIN[MSGPACK]}

    registry.remove(packed)
    assert set(registry.formats) == {PLAIN[JSON], PLAIN[MSGPACK]}
    registry.remove(more)

    assert set(registry.formats) == {PLAIN[JSON]}
