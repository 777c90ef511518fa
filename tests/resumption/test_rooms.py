"""Rooms with a history or presence, as clients see them over any number of connections."""

from __future__ import annotations

from typing import Any

import pytest

from pylinkd.protocol.link_pb2 import HistoryRule, RoomRule

from .client_core import ClientCore
from .room_helpers import KEPT, RULES, SEEN, ask, connected, emit, join, take, tick
from .world import Client, World


def test_room_with_a_history_says_where_it_is(rooms: World) -> None:
    """Before anything of it; and events of no other room say anything."""
    client = connected(rooms)
    join(rooms, client, "kept")
    (notice,) = take(client, "linkd.room")
    assert notice == {"room": "kept", "epoch": notice["epoch"], "offset": 0}
    emit(rooms, "kept", 1)
    join(rooms, client, "plain")
    emit(rooms, "plain", 2)
    client.pump()
    assert client.core.delivered == [
        {"type": "n", "data": 1, "room": "kept", "offset": 1},
        {"type": "n", "data": 2},
    ]


def test_lost_session_finds_in_the_room_what_it_missed(rooms: World) -> None:
    """The second way back: the session is gone, the room is not."""
    client = connected(rooms)
    join(rooms, client, "kept")
    (notice,) = take(client, "linkd.room")
    emit(rooms, "kept", 1)
    client.pump()
    client.cut()
    rooms.pass_(61.0)
    emit(rooms, "kept", 2)
    emit(rooms, "kept", 3)
    client.connect()
    assert client.core.notices == ["expired"]
    join(rooms, client, "kept", since=(notice["epoch"], 1))
    emit(rooms, "kept", 4)
    (again,) = take(client, "linkd.room")
    assert again == {"room": "kept", "epoch": notice["epoch"], "offset": 1, "recovered": True, "replayed": 2}
    assert client.texts == [1, 2, 3, 4]
    client.core.acknowledge(echo=True)
    client.pump()
    assert rooms.traffic.drift == 0


def test_resumed_session_gets_nothing_twice(rooms: World) -> None:
    """What it missed waits for it; the welcome says where the room is, should the notice have been lost."""
    client = connected(rooms)
    join(rooms, client, "kept")
    epoch = take(client, "linkd.room")[0]["epoch"]
    emit(rooms, "kept", 1)
    client.cut()
    emit(rooms, "kept", 2)
    client.connect()
    assert client.core.welcome is not None
    assert client.core.welcome["rooms"] == {"kept": {"epoch": epoch, "offset": 2}}
    assert [(message["data"], message["offset"]) for message in client.core.delivered] == [(1, 1), (2, 2)]


def test_history_outlives_its_service(rooms: World) -> None:
    """It is the gateway's."""
    client = connected(rooms)
    join(rooms, client, "kept")
    emit(rooms, "kept", 1)
    rooms.restart_service(rooms=RULES)
    emit(rooms, "kept", 2)
    page = ask(client, "linkd.history", {"room": "kept"})
    assert [event["data"] for event in page["events"]] == [1, 2]


def test_history_is_read_page_by_page(rooms: World) -> None:
    """Backwards, each page in order."""
    client = connected(rooms)
    join(rooms, client, "kept")
    for number in range(7):
        emit(rooms, "kept", number)
    page = ask(client, "linkd.history", {"room": "kept", "limit": 3})
    assert ([event["offset"] for event in page["events"]], page["more"], page["offset"]) == ([5, 6, 7], True, 7)
    page = ask(client, "linkd.history", {"room": "kept", "limit": 3, "before": 5})
    assert ([event["offset"] for event in page["events"]], page["more"]) == ([3, 4], False)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"room": "secret"}, (403, "FORBIDDEN")),
        ({"room": "other"}, (404, "NOT_FOUND")),
        ({"room": "plain"}, (404, "NOT_FOUND")),
        ({"room": "kept", "limit": 0}, (400, "BAD_REQUEST")),
        ({"room": "kept", "before": "1"}, (400, "BAD_REQUEST")),
        ({}, (400, "BAD_REQUEST")),
        (None, (400, "BAD_REQUEST")),
    ],
)
def test_history_that_one_may_not_read(rooms: World, data: Any, error: tuple[int, str]) -> None:
    """Whoever is in no such room learns nothing of it."""
    client = connected(rooms)
    for room in ("secret", "plain"):
        join(rooms, client, room)
    assert ask(client, "linkd.history", data) == error


def test_members_see_each_other(rooms: World) -> None:
    """Everybody at once, then who comes, changes and goes."""
    una, bob = connected(rooms), connected(rooms, "bob")
    join(rooms, una, "seen")
    tick(rooms)
    take(una, "linkd.presence")
    join(rooms, bob, "seen")
    (everybody,) = take(bob, "linkd.presence")
    assert set(everybody["members"]) == {"una", "bob"}
    tick(rooms)
    (news,) = take(una, "linkd.presence")
    assert news == {
        "room": "seen",
        "seq": 2,
        "count": 2,
        "join": {"bob": {"state": "online", "sessions": 1, "user": "bob", "name": "Una"}},
    }
    bob.cut()
    tick(rooms)
    (news,) = take(una, "linkd.presence")
    assert news["update"]["bob"]["state"] == "away"
    rooms.pass_(16.0)
    tick(rooms)
    (news,) = take(una, "linkd.presence")
    assert (news["leave"], news["count"]) == (["bob"], 1)
    bob.connect()
    tick(rooms)
    (news,) = take(una, "linkd.presence")
    assert set(news["join"]) == {"bob"}, "its session had only left the sight of the others"
    assert rooms.came_and_went == ["+una", "+bob", "-bob", "+bob"]
    una.core.acknowledge(echo=True)
    una.pump()
    assert rooms.traffic.drift == 0, "none of this is counted"


def test_break_that_nobody_notices_changes_nothing(rooms: World) -> None:
    """Within one tick."""
    una, bob = connected(rooms), connected(rooms, "bob")
    for client in (una, bob):
        join(rooms, client, "seen")
    tick(rooms)
    for client in (una, bob):
        take(client, "linkd.presence")
    bob.cut()
    bob.connect()
    tick(rooms)
    assert take(una, "linkd.presence") == []
    assert bob.core.welcome is not None
    assert bob.core.welcome["presence"] == {"seen": 1}
    assert rooms.came_and_went == ["+una", "+bob"]


def test_who_was_away_asks_for_the_difference(rooms: World) -> None:
    """From the state that it knows; from nowhere, everybody."""
    una, bob = connected(rooms), connected(rooms, "bob")
    for client in (una, bob):
        join(rooms, client, "seen")
    tick(rooms)
    una.cut()
    eve = connected(rooms, "eve")
    join(rooms, eve, "seen")
    tick(rooms)
    una.connect()
    assert una.core.welcome is not None
    assert una.core.welcome["presence"] == {"seen": 2}
    una.core.controls.clear()
    assert ask(una, "linkd.presence.sync", {"room": "seen", "since": 1}) is None
    (difference,) = take(una, "linkd.presence")
    assert set(difference["update"]) == {"una", "eve"}
    assert ask(una, "linkd.presence.sync", {"room": "seen"}) is None
    (everybody,) = take(una, "linkd.presence")
    assert set(everybody["members"]) == {"una", "bob", "eve"}
    assert ask(una, "linkd.presence.sync", {"room": "seen", "since": 99}) is None
    assert "members" in take(una, "linkd.presence")[0]


def test_large_room_tells_its_number(rooms: World) -> None:
    """And its members to who asks, a page at a time."""
    clients = [connected(rooms, f"user-{number}") for number in range(5)]
    for client in clients:
        join(rooms, client, "counted")
    tick(rooms)
    news = take(clients[0], "linkd.presence")[-1]
    assert news == {"room": "counted", "seq": 1, "count": 5, "mode": "count"}
    assert ask(clients[0], "linkd.presence.sync", {"room": "counted", "after": "user-1"}) is None
    (page,) = take(clients[0], "linkd.presence")
    assert list(page["members"]) == ["user-2", "user-3", "user-4"]


def test_being_seen_and_seeing_are_two_things(rooms: World) -> None:
    """A session may be either."""
    una, bob, eve = connected(rooms), connected(rooms, "bob"), connected(rooms, "eve")
    join(rooms, una, "seen", absent=True)
    join(rooms, bob, "seen", unwatching=True)
    join(rooms, eve, "seen")
    tick(rooms)
    assert [set(notice.get("join", notice.get("members", {}))) for notice in take(una, "linkd.presence")] == [
        set(),
        {"bob", "eve"},
    ]
    assert take(bob, "linkd.presence") == []


@pytest.mark.parametrize(
    ("data", "result"),
    [
        ({"room": "open", "data": {"mood": 1}, "away": True}, None),
        ({"room": "open", "away": True}, None),
        ({"room": "seen", "away": True}, None),
        ({"room": "seen", "data": 1}, (403, "FORBIDDEN")),
        ({"room": "open", "data": "x" * 1100}, (413, "PAYLOAD_TOO_LARGE")),
        ({"room": "plain", "data": 1}, (404, "NOT_FOUND")),
        ({"room": "seen2", "away": True}, (404, "NOT_PRESENT")),
        ({"room": 1}, (400, "BAD_REQUEST")),
        ({"room": "open", "away": "yes"}, (400, "BAD_REQUEST")),
    ],
)
def test_client_says_something_of_its_member(rooms: World, data: Any, result: Any) -> None:
    """Where the service lets it; that nobody is there it may always say."""
    una = connected(rooms)
    for room in ("open", "seen", "plain"):
        join(rooms, una, room)
    join(rooms, una, "seen2", absent=True)
    assert ask(una, "linkd.presence.set", data) == result


def test_many_sayings_cost_one_tick(rooms: World) -> None:
    """The last one holds."""
    una, bob = connected(rooms), connected(rooms, "bob")
    for client in (una, bob):
        join(rooms, client, "open")
    tick(rooms)
    take(una, "linkd.presence")
    for number in range(100):
        bob.core.control("linkd.presence.set", {"room": "open", "data": number})
    bob.pump()
    tick(rooms)
    (news,) = take(una, "linkd.presence")
    assert news["update"]["bob"]["data"] == 99


def test_client_that_reads_slowly_misses_ticks_and_no_messages(rooms: World) -> None:
    """Presence is the first to be left out, and has a number of its own."""
    client = Client(rooms, "una", ClientCore(acks=False))
    client.connect()
    join(rooms, client, "open")
    tick(rooms)
    take(client, "linkd.presence")
    assert client.line is not None
    protocol: Any = client.line.transport.get_protocol()
    protocol.pause_writing()
    bob = connected(rooms, "bob")
    join(rooms, bob, "open")
    for number in range(1100):
        bob.core.control("linkd.presence.set", {"room": "open", "data": "x" * 1000 + str(number)})
        bob.pump()
        tick(rooms, 1.0)
        if not number % 10:
            rooms.emit(number, client)
    protocol.resume_writing()
    client.pump()
    assert client.texts == list(range(0, 1100, 10))
    assert client.core.dropped == 0
    client.core.acknowledge(echo=True)
    client.pump()
    assert rooms.traffic.drift == 0


def test_history_that_begins_anew_is_a_gap(rooms: World) -> None:
    """Told to whoever is in the room, before the first event of the new one."""
    client = connected(rooms)
    join(rooms, client, "kept")
    old = take(client, "linkd.room")[0]["epoch"]
    emit(rooms, "kept", 1)
    other = RoomRule(pattern="kept", history=HistoryRule(messages=9, period_ms=300_000, bytes=2**20))
    rooms.restart_service(rooms=[other])
    emit(rooms, "kept", 2)
    (gap,) = take(client, "linkd.gap")
    assert gap == {"room": "kept", "epoch": gap["epoch"], "offset": 0, "reason": "changed"}
    assert gap["epoch"] != old
    assert [(message["data"], message["offset"]) for message in client.core.delivered] == [(1, 1), (2, 1)]


def test_first_pattern_that_matches_holds(rooms: World) -> None:
    """Of several, in the order in which the service names them."""
    every = RoomRule(pattern="*", history=HistoryRule(messages=1, period_ms=1000, bytes=1000))
    rooms.restart_service(rooms=[KEPT, every, SEEN])
    client = connected(rooms)
    assert join(rooms, client, "kept").HasField("room_joined")
    assert join(rooms, client, "seen").HasField("room_joined")
    client.pump()
    assert take(client, "linkd.presence") == []


def test_nothing_stays_of_rooms_that_nobody_is_in(rooms: World) -> None:
    """However they left."""
    presences: Any = rooms.routing.presences
    for number in range(30):
        client = connected(rooms, f"user-{number % 7}")
        join(rooms, client, f"seen{number % 5}", unwatching=bool(number % 2), absent=number % 3 == 0)
        if number % 4 == 0:
            client.cut()
            client.connect()
        if number % 5 == 0:
            tick(rooms)
        client.cut()
    assert len(presences) == 5
    rooms.pass_(70.0)
    tick(rooms)
    assert len(rooms.routing.registry) == 0
    assert (len(presences), presences._of, presences._leaving, presences._ticking) == (0, {}, set(), set())
