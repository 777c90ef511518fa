"""Detached sessions and everything else: services, sign-in, limits, streams, the end."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
from websockets.frames import Opcode

from pylinkd.protocol.close import CloseCode
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.errors import ConflictError
from pylinkd.protocol.link_pb2 import Frame, RoomCommand
from pylinkd.protocol.link_pb2 import Limits as WireLimits

from ..gateway.wire import say
from ..processes import make_token
from .client_core import ClientCore
from .world import Client, Line, World


def connected(world: World, user: str | None = "una") -> Client:
    """A client with a session."""
    client = Client(world, user)
    client.connect()
    return client


def ask(world: World, frame: Frame) -> str:
    """What kind of answer the gateway gives the service."""
    return str(world.service.ask(frame).WhichOneof("body"))


def join(world: World, client: Client, room: str, verb: RoomCommand.Verb = RoomCommand.JOIN) -> str:
    """The service has a session join a room, or leave it."""
    frame = Frame()
    frame.room_command.verb = verb
    frame.room_command.session = client.core.session
    frame.room_command.rooms.append(room)
    return ask(world, frame)


def to_room(world: World, room: str, data: object) -> tuple[int, int]:
    """Emit to a room; reached and queued."""
    frame = Frame()
    frame.publish.type = "n"
    frame.publish.data = str(data).encode()
    frame.publish.rooms.append(room)
    answer = world.service.ask(frame).published
    return answer.reached, answer.queued


def test_rooms_outlive_the_connection(world: World) -> None:
    """A session that is away is a member, and may join and leave."""
    client = connected(world)
    assert join(world, client, "one") == "done"
    client.cut()
    assert to_room(world, "one", 1) == (0, 1)
    assert join(world, client, "two") == "done"
    assert join(world, client, "one", RoomCommand.LEAVE) == "done"
    assert to_room(world, "one", 2) == (0, 0)
    assert to_room(world, "two", 3) == (0, 1)
    client.connect()
    assert client.texts == [1, 3]


def test_answer_that_comes_while_nobody_is_there_waits(world: World) -> None:
    """As do errors. A message is handled once, whatever becomes of its connection."""
    client = connected(world)
    world.answering = False
    client.core.send("chat.send", 1, id=1)
    client.core.send("chat.nobody", 2, id=2)
    client.pump()
    assert client.answers == [2]
    client.cut()
    world.answering = True
    world.turn()
    client.connect()
    assert client.answers == [2, 1]
    assert len(world.handled) == 1


def test_window_holds_over_connections(make_world: Callable[..., World]) -> None:
    """As many messages may be unanswered as before, and reading goes on when they are answered."""
    world = make_world(session_window=4)
    client = connected(world)
    world.answering = False
    for number in range(4):
        client.core.send("chat.send", number, id=number)
    client.pump()
    assert client.line is not None
    assert not client.line.transport.reading
    client.cut()
    client.connect()
    assert not client.line.transport.reading
    world.answering = True
    world.turn()
    client.pump()
    assert client.line.transport.reading
    assert client.answers == [0, 1, 2, 3]


def test_messages_that_wait_for_a_service_outlive_the_connection(make_world: Callable[..., World]) -> None:
    """A redeploy and a tunnel at once: the next instance gets them, once."""
    world = make_world(park_timeout_ms=10_000)
    client = connected(world)
    world.service.die()
    client.core.send("chat.send", 1, id=1)
    client.pump()
    client.cut()
    client.core.send("chat.send", 2, id=2)
    world.restart_service()
    world.turn()
    client.connect()
    assert [data for _, data in world.handled] == [1, 2]
    assert client.answers == [1, 2]


def test_instance_that_dies_meanwhile_costs_its_answers_only(world: World) -> None:
    """The client learns of it when it is back, and the next instance that it is away."""
    client = connected(world)
    world.answering = False
    client.core.send("chat.send", 1, id=1)
    client.pump()
    client.cut()
    world.service.die()
    opened = world.restart_service()
    assert [session.detached for session in opened] == [True]
    client.connect()
    (answer,) = [message for message in client.core.delivered if message["type"] == "error"]
    assert (answer["id"], answer["error"]["code"]) == (1, 503)
    assert client.core.notices == ["resumed"]


def test_session_that_is_away_can_be_closed(world: World) -> None:
    """By its service: it ends, and its client is told that it did."""
    client = connected(world)
    client.cut()
    frame = Frame()
    frame.session_command.session = client.core.session
    frame.session_command.close_code = 1000
    session = client.core.session
    assert ask(world, frame) == "done"
    world.turn()
    assert world.closed == [(session, EndReason.DISCONNECTED)]
    client.connect()
    assert client.core.notices == ["closed"]


def test_page_that_is_left_may_come_back(world: World) -> None:
    """A close frame with 1001 is what browsers send for one that goes to the back/forward cache."""
    client = connected(world)
    assert client.line is not None
    client.line.up += b"\x88\x82\x00\x00\x00\x00\x03\xe9"
    client.line.carry_up()
    client.line.transport.closing = False
    client.cut()
    world.turn()
    assert world.closed == []
    client.connect()
    assert client.core.notices == ["resumed"]


@pytest.mark.parametrize("code", [CloseCode.POLICY_VIOLATION, CloseCode.UNAUTHORIZED])
def test_session_that_we_close_does_not_go_on(world: World, code: CloseCode) -> None:
    """What ended it would end it again."""
    client = connected(world)
    (session,) = world.routing.registry
    session.close(code, "enough", EndReason.LIMIT)
    client.cut()
    world.turn()
    assert len(world.closed) == 1
    client.connect()
    assert client.core.notices == ["closed"]


def test_token_that_ends_while_its_client_is_away(world: World) -> None:
    """It comes back, and is asked for a new one at once; without one it is closed a little later."""
    client = Client(world, None)
    client.connect(token=make_token("una", ttl=30))
    client.cut()
    world.routing.signin._clock = lambda: time.time() + 40
    world.pass_(40.0)
    assert world.closed == []
    client.dial(token="")
    assert client.line is not None
    client.line.carry_up()
    texts = client.line.carry_down()
    assert '"resumed":true' in texts[0]
    assert texts[1] == '{"type":"linkd.auth.expiring","data":{"expiresInMs":0}}'
    world.routing.signin._clock = lambda: time.time() + 200
    world.pass_(1.0)
    assert b"\x11\x31the token has expired" in client.line.transport.bytes


def test_token_that_has_ended_is_extended_once(world: World) -> None:
    """Coming and going does not replace it."""
    client = Client(world, None)
    client.connect(token=make_token("una", ttl=30))
    client.cut()
    now = 40.0
    world.routing.signin._clock = lambda: time.time() + now
    for attempt in range(10):
        client.connect(token="")
        if client.core.notices != ["resumed"] * (attempt + 1):
            break
        now += 4.0
        world.pass_(4.0)
        client.cut()
        now += 4.0
        world.pass_(4.0)
    assert client.core.notices[-1] == "closed"
    assert len(client.core.notices) < 6, "it lives on, and nobody knows whose it is"
    assert world.closed == [(world.closed[0][0], EndReason.TOKEN_EXPIRED)]


def test_new_token_in_the_handshake_renews_the_session(world: World) -> None:
    """Its roles hold from then on."""
    client = Client(world, None)
    client.connect(token=make_token("una", ttl=100))
    client.cut()
    client.connect(token=make_token("una", roles=("admin",), ttl=1000))
    (session,) = world.routing.registry
    assert session.identity is not None
    assert session.identity.roles == frozenset({"admin"})
    client.cut()
    client.connect(token=make_token("una", ttl=500))
    assert session.identity.roles == frozenset({"admin"}), "an older token renews nothing"


def test_sessions_that_are_away_make_room(make_world: Callable[..., World]) -> None:
    """For a user who comes back without a token, such as by loading the page anew."""
    world = make_world(max_connections_per_user=2)
    clients = [connected(world) for _ in range(2)]
    for client in clients:
        client.cut()
    first, second = (client.core.session for client in clients)
    for _ in range(2):
        fresh = connected(world)
        assert fresh.line is not None
        assert not fresh.line.transport.closing
    world.turn()
    assert world.closed == [(first, EndReason.REPLACED), (second, EndReason.REPLACED)]
    refused = connected(world)
    assert refused.line is not None
    assert b"too many connections" in refused.line.transport.bytes


@pytest.mark.parametrize("bound", ["path", "gateway"])
def test_silent_connection_that_makes_room_is_over(make_world: Callable[..., World], bound: str) -> None:
    """It cannot come back beside the one that it made room for."""
    world = make_world(max_connections_per_user=1 if bound == "gateway" else 0)
    if bound == "path":
        world.restart_service(limits=WireLimits(one_session="refuse"))
    silent = connected(world)
    assert silent.line is not None
    silent.line.forget()
    world.pass_(10.0)
    fresh = connected(world)
    for _ in range(4):
        world.pass_(1.0)
        fresh.pump()
    silent.connect()
    assert silent.core.notices == []
    open = [one for one in world.routing.registry if one.connection is not None and one.connection.open]
    assert [session.id for session in open] == [fresh.core.session]


def test_nothing_is_kept_of_who_never_signed_in(world: World) -> None:
    """Answers that it did not acknowledge would count against the limit for ever."""
    world.restart_service(auth=True)
    for _ in range(3):
        client = connected(world, None)
        for number in range(20):
            client.core.send("chat.send", number)
        client.pump()
        client.cut()
    assert world.routing.lifecycle.retention.held == 0


def test_event_to_many_survives_another_compression(world: World) -> None:
    """It waits for its pass while a client comes back with another extension, in the same turn of the loop."""
    clients = [connected(world, f"user-{number}") for number in range(40)]
    client = clients[0]
    client.cut()
    world.emit("big", everyone=True)
    head = (
        "GET /ws/chat HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Protocol: {', '.join(client.core.offers())}\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n"
        f"Authorization: Bearer {make_token('user-0')}\r\n\r\n"
    )
    client.line = Line(world, head.encode())
    for one in clients:
        one.pump()
    assert client.core.notices == ["resumed"]
    assert [one.texts for one in clients] == [["big"]] * 40


def test_chunks_of_a_refused_stream_are_not_counted(world: World) -> None:
    """In MessagePack they are messages of their own, and were sent before the refusal came."""
    client = Client(world, "una")
    client.dial(offers=["linkd.v1+msgpack", "linkd.resume"])
    assert client.line is not None
    client.line.carry_up()
    world.turn()
    messages = [{"type": "no.such", "id": 1, "stream": True, "data": None}, b"one", b"two", b""]
    for message in messages:
        client.line.up += say(Opcode.BINARY, msgspec.msgpack.encode(message))
    client.line.carry_up()
    world.turn()
    (session,) = world.routing.registry
    assert session.resumption is not None
    assert session.resumption.received == 1


def test_who_resumes_is_not_one_more(make_world: Callable[..., World]) -> None:
    """The session counts already."""
    world = make_world(max_connections_per_user=1)
    client = connected(world)
    for _ in range(3):
        client.cut()
        client.connect()
        client.connect()
    assert set(client.core.notices) == {"resumed"}


def test_stopping_gateway_ends_whoever_is_away(world: World) -> None:
    """And says that nobody can come back to their session."""
    absent, present = connected(world), connected(world, "bob")
    absent.cut()
    gone = absent.core.session
    world.routing.lifecycle.stop()
    world.turn()
    assert world.closed == [(gone, EndReason.SHUTDOWN)]
    (session,) = world.routing.registry
    session.drain(1.0)
    world.turn()
    assert present.line is not None
    assert '{"type":"linkd.closing","data":{"retryAfterMs":1000,"resumable":false}}' in present.line.carry_down()
    present.cut()
    world.turn()
    assert len(world.closed) == 2


def test_stream_ends_with_its_connection(world: World) -> None:
    """Its handler learns it, and its client when it is back; both counts hold."""
    world.restart_service(streams=["chat.upload"])
    client = connected(world)
    client.core._messages.append({"type": "chat.upload", "stream": True, "id": 7, "data": None})
    client.write()
    assert client.line is not None
    client.line.up += b"\x82\x83\x00\x00\x00\x00abc"
    client.line.carry_up()
    opened = world.service.take("stream_opened")
    world.service.take("stream_chunk")
    client.cut()
    aborted = world.service.take("stream_aborted")
    assert aborted.stream_aborted.reason == "gone"
    world.service.fail(opened, ConflictError("aborted"))
    client.connect()
    assert client.answers == [7]
    client.core.acknowledge(echo=True)
    client.pump()
    assert world.traffic.drift == 0


def test_wrong_kinds_of_messages_are_not_counted_and_malformed_ones_are(world: World) -> None:
    """A rule that both sides can keep: what is of the connection's kind counts, unless it is a control message."""
    client = connected(world)
    assert client.line is not None
    (session,) = world.routing.registry
    assert session.resumption is not None
    for payload in (b"{", b'{"data":1}', b'{"type":"","id":1}', b'{"type":"chat.nobody"}'):
        client.line.up += bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    client.line.up += b"\x82\x83\x00\x00\x00\x00abc"
    for payload in (b'{"type":"linkd.nothing"}', b'{"type":"linkd.auth","id":1}'):
        client.line.up += bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    client.line.carry_up()
    assert session.resumption.received == 4


def test_client_that_is_slow_and_away_gets_everything(world: World) -> None:
    """What the transport had not passed on is what was never received."""
    client = Client(world, "una", ClientCore(acks=False))
    client.connect()
    assert client.line is not None
    client.line.transport.get_protocol().pause_writing()
    for number in range(10):
        world.emit(number, client)
    world.turn()
    client.cut()
    client.connect()
    assert client.texts == list(range(10))


def test_session_that_is_being_closed_cannot_be_resumed(world: World) -> None:
    """However fast its client comes back: before it has answered the close frame."""
    client = connected(world)
    frame = Frame()
    frame.session_command.session = client.core.session
    frame.session_command.close_code = 4000
    assert ask(world, frame) == "done"
    client.connect()
    assert client.core.notices == ["closed"]
    for old in client.old:
        old.cut()
    world.turn()
    assert [reason for _, reason in world.closed] == [EndReason.DISCONNECTED]


def test_session_that_its_client_closes_cannot_be_resumed(world: World) -> None:
    """Nor one that broke the protocol, while what came before is answered."""
    client = connected(world)
    assert client.line is not None
    client.line.up += b"\x88\x82\x00\x00\x00\x00\x03\xe8"
    client.line.carry_up()
    client.connect()
    assert client.core.notices == ["closed"]
    world.answering = False
    client.core.send("chat.send", 1, id=1)
    client.write()
    client.line.up += b"\x80\x80\x00\x00\x00\x00"
    client.line.carry_up()
    client.connect()
    assert client.core.notices == ["closed", "closed"]


def test_token_of_a_session_opens_nothing_else(world: World) -> None:
    """What is overlooked for a client that goes on is not where it does not: it offers none of our subprotocols."""
    client = connected(world)
    client.cut()
    client.dial(offers=[client.core.offers()[1]], token="nonsense")
    assert client.line is not None
    client.line.carry_up()
    assert client.line.transport.bytes.startswith(b"HTTP/1.1 401")
