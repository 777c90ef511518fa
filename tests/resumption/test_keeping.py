"""How much is kept for clients that are away, or that do not acknowledge, and who is given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pylinkd.protocol.end import EndReason

from .client_core import ClientCore
from .world import Client, World

LARGE = "x" * 1000


def away(world: World, user: str = "una") -> Client:
    """A client that was cut."""
    client = Client(world, user, ClientCore(acks=False))
    client.connect()
    client.cut()
    return client


def test_too_much_for_a_client_that_is_away_ends_its_session(make_world: Callable[..., World]) -> None:
    """Nobody waits for it, the others get everything, and it learns why."""
    world = make_world(away_bytes=10_000)
    absent, present = away(world), Client(world, "bob")
    present.connect()
    session = absent.core.session
    for number in range(9):
        assert world.emit(f"{number}{LARGE}", absent, present) == (1, 1, 0)
    assert world.emit(LARGE, absent, present) == (1, 0, 1)
    world.turn()
    assert world.closed == [(session, EndReason.NOT_KEPT)]
    assert world.routing.lifecycle.retention.held > 0, "what the other one has not acknowledged"
    present.pump()
    assert len(present.texts) == 10
    absent.connect()
    assert absent.core.notices == ["overflow"]


def test_too_many_messages_for_a_client_that_is_away_end_its_session(make_world: Callable[..., World]) -> None:
    """However small."""
    world = make_world(retained_messages=16)
    client = away(world)
    for number in range(16):
        assert world.emit(number, client)[1] == 1
    assert world.emit(16, client) == (0, 0, 1)
    client.connect()
    assert client.core.notices == ["overflow"]


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", range(6, 15)), ("drop_newest", range(7))])
def test_events_are_dropped_where_that_is_the_policy(
    make_world: Callable[..., World], policy: str, kept: range
) -> None:
    """As for a client that reads too slowly; it learns how many."""
    world = make_world(away_bytes=10_000, outbox_limit=10_000, outbox_policy=policy)
    client = away(world)
    for number in range(15):
        world.emit([number, LARGE], client)
    client.connect()
    assert client.core.notices == ["resumed"]
    assert [number for number, _ in client.texts] == list(kept)
    assert client.core.dropped == 15 - len(kept)
    client.core.acknowledge(echo=True)
    client.pump()
    assert world.traffic.drift == 0, "what was dropped was never counted"
    assert world.traffic.events_dropped == 15 - len(kept)


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_was_dropped_is_not_kept(make_world: Callable[..., World], policy: str) -> None:
    """However much is sent: nobody else has to go for it."""
    world = make_world(away_bytes=10_000, outbox_limit=10_000, outbox_policy=policy)
    client = away(world)
    for number in range(3000):
        world.emit([number, LARGE], client)
    assert 0 < world.routing.lifecycle.retention.held < 20_000
    client.connect()
    assert client.core.notices == ["resumed"]
    client.core.acknowledge()
    client.pump()
    assert world.routing.lifecycle.retention.held == 0


def test_what_was_on_its_way_is_kept_whatever_its_size(make_world: Callable[..., World]) -> None:
    """Only what is sent later is limited."""
    world = make_world(away_bytes=10_000)
    client = Client(world, "una", ClientCore(acks=False))
    client.connect()
    for number in range(40):
        world.emit([number, LARGE], client)
    world.turn()
    client.cut()
    world.emit([40, LARGE], client)
    client.connect()
    assert [number for number, _ in client.texts] == list(range(41))


def test_client_that_never_acknowledges_is_served_and_cannot_come_back(make_world: Callable[..., World]) -> None:
    """Memory stays bounded; nothing else changes for it until its connection breaks."""
    world = make_world(retained_bytes=20_000)
    client = Client(world, "una", ClientCore(acks=False))
    client.connect()
    for number in range(100):
        world.emit([number, LARGE], client)
        client.pump()
    assert len(client.texts) == 100
    assert world.routing.lifecycle.retention.held == 0
    client.core.acknowledge(echo=True)
    client.pump()
    assert world.traffic.drift == 0
    client.cut()
    world.turn()
    assert len(world.closed) == 1
    client.connect()
    assert client.core.notices == ["overflow"]


def test_longest_away_is_given_up_first(make_world: Callable[..., World]) -> None:
    """Where all together need more than there is."""
    world = make_world(retention_limit=2**20)
    clients = [away(world, f"user-{number}") for number in range(8)]
    for client in clients:
        for _ in range(200):
            world.emit(LARGE, client)
    world.turn()
    held = world.routing.lifecycle.retention.held
    assert held <= 2**20
    for client in clients:
        client.connect()
    outcomes = [client.core.notices[0] for client in clients]
    assert outcomes[0] == "evicted"
    assert outcomes[-1] == "resumed"
    assert outcomes == sorted(outcomes), "from the longest away on"


def test_connected_clients_are_given_up_last(make_world: Callable[..., World]) -> None:
    """They notice nothing until they break; then they are told."""
    world = make_world(retention_limit=2**20)
    clients = [Client(world, f"user-{number}", ClientCore(acks=False)) for number in range(8)]
    for client in clients:
        client.connect()
        for _ in range(200):
            world.emit(LARGE, client)
        client.pump()
    world.pass_(1.0)
    assert world.routing.lifecycle.retention.held <= 2**20
    assert all(len(client.texts) == 200 for client in clients)
    assert world.closed == []
    outcomes = set()
    for client in clients:
        client.cut()
        client.connect()
        outcomes |= set(client.core.notices)
    assert outcomes == {"resumed", "evicted"}


def test_event_to_many_is_kept_once(make_world: Callable[..., World]) -> None:
    """Each of those that are away is charged a part of it: what memory it takes."""
    world = make_world()
    clients = [away(world, f"user-{number}") for number in range(50)]
    for _ in range(100):
        world.emit(LARGE, everyone=True)
        world.turn()
    assert world.routing.lifecycle.retention.held < 50 * 100 * 60
    for client in clients:
        client.connect()
        assert len(client.texts) == 100


def test_nothing_is_held_for_sessions_that_ended(make_world: Callable[..., World]) -> None:
    """However they did."""
    world = make_world(retained_bytes=20_000, away_bytes=10_000)
    for number in range(20):
        client = Client(world, f"user-{number}", ClientCore(acks=False))
        client.connect()
        for _ in range(number):
            world.emit(LARGE, client)
        if number % 2:
            client.pump()
        client.cut()
        for _ in range(number % 13):
            world.emit(LARGE, client)
        if number % 3:
            client.connect()
            client.cut()
    world.turn()
    world.pass_(61.0)
    assert len(world.routing.registry) == 0
    assert world.routing.lifecycle.retention.held == 0
    assert len(world.routing.lifecycle.detached) == 0
