"""What clients may say in a handshake to come back, and what they are told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pylinkd.protocol.end import EndReason

from ..gateway.wire import hear
from ..processes import make_token
from .client_core import ClientCore
from .world import Client, World


def connected(world: World, user: str | None = "una") -> Client:
    """A client with a session, to which two events were sent."""
    client = Client(world, user)
    client.connect()
    world.emit(1, client)
    world.emit(2, client)
    client.pump()
    return client


def welcome_of(client: Client) -> dict[str, object]:
    """The welcome of its present connection."""
    welcome: dict[str, object] | None = client.core.welcome
    assert welcome is not None
    return welcome


def test_token_that_was_never_given_is_unknown(world: World) -> None:
    """Whatever it looks like."""
    client = connected(world)
    for token in ("x" * 44, "short", client.core.session + "A" * 22, "é" * 44, "A" * 4000):
        other = Client(world, "una")
        other.core.token = client.core.token  # so that it expects an answer
        other.connect(offers=["linkd.v1+json", f"linkd.resume.{token}.0"])
        assert welcome_of(other)["resumed"] is False
        assert welcome_of(other)["reason"] == "unknown"
        assert "received" not in welcome_of(other)
    assert client.line is not None, "nobody else's attempt touches the session"
    world.emit(3, client)
    client.pump()
    assert client.texts == [1, 2, 3]


def test_token_of_a_closed_session_is_unknown(world: World) -> None:
    """A client that says goodbye does not come back."""
    client = connected(world)
    session = client.core.session
    assert client.line is not None
    client.line.up += b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    client.line.carry_up()
    client.line.transport.closing = False
    client.cut()
    world.turn()
    client.connect()
    assert client.core.notices == ["unknown"]
    assert world.closed == [(session, EndReason.CLIENT_CLOSED)]


def test_used_token_is_unknown_once_the_client_was_heard(world: World) -> None:
    """Until then the welcome with the next one may have been lost."""
    client = connected(world)
    first = client.core.token
    client.cut()
    client.connect()
    second = client.core.token
    assert second != first
    client.core.token = first
    client.cut()
    client.connect()
    assert client.core.notices == ["resumed", "resumed"], "the second welcome might have been lost"
    third = client.core.token
    client.core.send("chat.send", 1)
    client.pump()
    for old in (first, second):
        client.cut()
        client.core.token = old
        client.connect()
        assert client.core.notices[-1] == "unknown"
    client.core.token = third


def test_session_expires_once(world: World) -> None:
    """Then its services learn that it ended, and its client that nobody knows what was lost."""
    client = connected(world)
    session = client.core.session
    client.core.send("chat.send", "came", id=1)
    client.pump()
    client.core.acknowledge()
    client.pump()
    client.cut()
    world.pass_(59.0)
    assert world.closed == []
    world.pass_(2.0)
    assert world.closed == [(session, EndReason.CONNECTION_LOST)]
    client.connect()
    assert client.core.notices == ["expired"]
    assert welcome_of(client)["received"] == 1
    assert client.core.session != session
    world.pass_(1000.0)
    assert [id for id, _ in world.closed if id == session] == [session]


def test_grace_begins_anew_with_each_break(world: World) -> None:
    """A session may outlive any number of connections."""
    client = connected(world)
    for _ in range(5):
        client.cut()
        world.pass_(50.0)
        client.connect()
    assert client.core.notices == ["resumed"] * 5


def test_another_user_gets_a_session_of_its_own(world: World) -> None:
    """And the owner keeps the old one."""
    client = connected(world)
    client.cut()
    thief = Client(world, "mallory")
    thief.core.token, thief.core.received = client.core.token, 2
    thief.connect()
    assert welcome_of(thief)["reason"] == "user"
    assert "received" not in welcome_of(thief)
    client.connect()
    assert client.core.notices == ["resumed"]


def test_session_of_nobody_is_not_a_users(world: World) -> None:
    """Nor the other way round is a token needed."""
    client = connected(world, None)
    client.cut()
    una = Client(world, "una")
    una.core.token, una.core.received = client.core.token, 2
    una.connect()
    assert welcome_of(una)["reason"] == "user"
    client.connect()
    assert client.core.notices == ["resumed"]


def test_session_is_resumed_by_its_token_alone(world: World) -> None:
    """Which proves more than a bearer token: that it is this client."""
    client = connected(world)
    client.cut()
    client.connect(token="")
    assert client.core.notices == ["resumed"]


def test_token_that_has_ended_does_not_keep_a_client_out(world: World) -> None:
    """While the session's own has not."""
    client = connected(world)
    client.cut()
    client.connect(token=make_token("una", ttl=-1000))
    assert client.core.notices == ["resumed"]


def test_token_that_is_not_valid_opens_no_new_session(world: World) -> None:
    """Where the old one cannot go on, it is judged as always."""
    client = connected(world)
    client.cut()
    client.dial(token="nonsense", path="/ws")
    assert client.line is not None
    client.line.carry_up()
    answer = bytes(client.line.transport.bytes)
    assert answer.startswith(b"HTTP/1.1 101"), "it can resume, and is to see why it may not come in"
    assert hear(answer.partition(b"\r\n\r\n")[2])[0].payload == b"\x11\x31The token is not valid."
    assert len(world.routing.registry) == 1


def test_session_of_another_path_stays_where_it_is(world: World) -> None:
    """The client gets a new one."""
    client = connected(world)
    other = Client(world, "una")
    other.core.token, other.core.received = client.core.token, 2
    other.connect(path="/ws")
    assert welcome_of(other)["reason"] == "path"


def test_other_encoding_is_another_session(world: World) -> None:
    """What waits is written in the first one."""
    client = connected(world)
    other = Client(world, "una", ClientCore("linkd.v1+msgpack"))
    other.core.token, other.core.received = client.core.token, 2
    other.dial()
    assert other.line is not None
    other.line.carry_up()
    world.turn()
    assert b"format" in other.line.transport.bytes


@pytest.mark.parametrize("count", ["-1", "3", "99999999999999999999", "x", "", "1.5", "+2", "٢", "2_0", " 2"])
def test_count_that_cannot_be_is_no_way_back(world: World, count: str) -> None:
    """Beyond what was written, or no number. The session is left alone."""
    client = connected(world)
    client.cut()
    other = Client(world, "una")
    other.core.token = client.core.token
    offer = f"linkd.resume.{client.core.token}.{count}"
    if not offer.isascii():
        return  # no HTTP client sends it
    other.connect(offers=["linkd.v1+json", offer])
    assert welcome_of(other)["resumed"] is False
    assert welcome_of(other)["reason"] in ("range", "unknown")
    client.connect()
    assert client.core.notices == ["resumed"]


def test_count_below_what_was_acknowledged_is_no_way_back(world: World) -> None:
    """It is not kept any more."""
    client = connected(world)
    client.core.acknowledge()
    client.pump()
    client.cut()
    client.core.received = 1
    client.connect()
    assert client.core.notices == ["range"]


def test_nothing_received_is_a_position(world: World) -> None:
    """Idle from the start, and for an hour with nothing between breaks."""
    client = Client(world, "una")
    client.connect()
    for _ in range(3):
        client.cut()
        client.connect()
        world.pass_(3600.0)
    assert client.core.notices == ["resumed"] * 3
    assert client.core.received == 0


def test_session_whose_connection_lives_is_taken_over(world: World) -> None:
    """The old connection is closed, and what becomes of it touches nothing."""
    client = connected(world)
    client.connect()
    (old,) = client.old
    assert client.core.notices == ["resumed"]
    assert b"\x11\x3aresumed over another connection" in old.transport.bytes, "4410"
    world.emit(3, client)
    client.pump()
    old.cut()
    world.turn()
    world.emit(4, client)
    client.pump()
    assert client.texts == [1, 2, 3, 4]
    assert world.closed == []
    client.cut()
    client.connect()
    assert client.core.notices == ["resumed", "resumed"]


def test_old_connection_that_is_not_read_holds_nothing_up(world: World) -> None:
    """Its transport takes nothing more and says so late."""
    client = connected(world)
    assert client.line is not None
    old = client.line.transport.get_protocol()
    old.pause_writing()
    for number in range(3, 8):
        world.emit(number, client)
    client.connect()
    old.resume_writing()
    old.pause_writing()
    world.emit(8, client)
    client.pump()
    assert client.texts == list(range(1, 9))


def test_two_at_once_with_one_token(world: World) -> None:
    """The later one has the session; the other one is closed for good."""
    client = connected(world)
    client.cut()
    twin = Client(world, "una")
    twin.core.token, twin.core.received, twin.core.session = client.core.token, 2, client.core.session
    client.dial()
    twin.dial()
    assert client.line is not None
    client.line.carry_up()
    twin.pump()
    client.hear()
    assert client.core.notices == twin.core.notices == ["resumed"]
    assert b"resumed over another connection" in client.line.transport.bytes
    world.emit(3, twin)
    twin.pump()
    assert twin.texts == [3]


def test_plain_client_has_no_way_back(world: World) -> None:
    """Without one of our subprotocols it could not be told what became of its session."""
    client = connected(world)
    client.cut()
    client.dial(offers=[client.core.offers()[1]])
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    assert client.line.carry_down() == []
    assert b"Sec-WebSocket-Protocol" not in client.line.transport.bytes


def test_client_that_does_not_ask_for_it_is_not_kept(world: World) -> None:
    """A subprotocol alone is no promise to acknowledge."""
    client = Client(world, "una")
    client.dial(offers=["linkd.v1+json"])
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    (text,) = client.line.carry_down()
    assert "resume" not in text
    session = next(iter(world.routing.registry)).id
    client.cut()
    world.turn()
    assert world.closed == [(session, EndReason.CONNECTION_LOST)]


def test_nobody_is_kept_where_sessions_are_not(make_world: Callable[..., World]) -> None:
    """``resume_window_ms=0``."""
    world = make_world(resume_window_ms=0)
    client = Client(world, "una")
    client.dial()
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    (text,) = client.line.carry_down()
    assert "resume" not in text
    client.cut()
    world.turn()
    assert len(world.closed) == 1


def test_handshake_that_arrives_late_takes_nothing_away(world: World) -> None:
    """A client gives an attempt up that is held up in the network, comes back with the same token, and goes on: the
    late attempt may take the session over, and the client gets it back with the token of its welcome.
    """
    client = connected(world)
    session = client.core.session
    client.cut()
    client.dial()
    late = client.line
    assert late is not None
    held, late.up = late.up, b""
    client.dial()
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    late.up = held
    late.carry_up()
    world.turn()
    client.hear()
    assert client.core.notices == ["resumed"]
    client.cut()
    client.connect()
    assert client.core.notices == ["resumed", "resumed"]
    assert client.core.session == session
    late.cut()
    client.core.send("chat.send", 1, id=1)
    client.pump()
    assert client.answers == [1]


def test_tokens_of_attempts_that_nobody_heard_are_few(world: World) -> None:
    """Whoever never says anything keeps the last ones."""
    client = connected(world)
    first = client.core.token
    for _ in range(20):
        client.cut()
        client.connect()
    client.cut()
    client.core.token = first
    client.connect()
    assert client.core.notices == [*["resumed"] * 20, "unknown"]


def test_number_of_another_user_says_nothing(world: World) -> None:
    """Whoever has another's token does not learn how far that one came."""
    client = connected(world)
    thief = Client(world, "eve")
    thief.core.token = client.core.token
    thief.connect(offers=["linkd.v1+json", f"linkd.resume.{client.core.token}.9999"])
    assert welcome_of(thief)["reason"] == "user"
    assert "received" not in welcome_of(thief)
