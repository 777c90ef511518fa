"""Answers of clients, and what becomes of those that nobody waits for."""

from __future__ import annotations

import gc
from collections.abc import Callable

from pylinkd.gateway.routing.client_answers import Gathering
from pylinkd.protocol.link_pb2 import Frame

from .world import Client, World


def connected(world: World) -> Client:
    """A client with a session."""
    client = Client(world, "una")
    client.connect()
    return client


def request(world: World, client: Client, within: float = 600.0) -> tuple[int, str]:
    """The service asks a client; the number of its question, and the id of the event."""
    frame = Frame()
    frame.publish.type = "n"
    frame.publish.data = b"1"
    frame.publish.sessions.append(client.core.session)
    frame.publish.answer_within_ms = round(within * 1000)
    world.service._last_id += 1
    frame.request_id = world.service._last_id
    world.service.say(frame)
    client.pump()
    return frame.request_id, client.core.delivered[-1]["id"]


def answers(world: World, question: int) -> list[Frame]:
    """What the gateway has answered to this question."""
    return [frame for frame in world.service.unread if frame.request_id == question]


def test_answers_leave_nothing_behind(world: World) -> None:
    """Not until their time would have been over."""
    client = connected(world)
    for _ in range(20):
        _, id = request(world, client)
        client.core.respond(id, "x" * 1000)
        client.pump()
    gc.collect()
    assert [one for one in gc.get_objects() if isinstance(one, Gathering)] == []


def test_process_that_dies_wants_no_answers(world: World) -> None:
    """They would count towards what all services may wait for."""
    client = connected(world)
    for _ in range(5):
        request(world, client)
    world.restart_service()
    assert len(world.routing.client_answers) == 0


def test_answer_that_is_awaited_passes_the_rate(make_world: Callable[..., World]) -> None:
    """Its client has not chosen the moment; others it has."""
    world = make_world(message_rate="2/s")
    client = connected(world)
    question, id = request(world, client)
    for number in range(3):
        client.core.send("chat.send", number, id=f"c-{number}")
    client.core.respond(id, "yes")
    client.core.respond("s-99", "nobody asked")
    client.pump()
    (answer,) = answers(world, question)
    assert answer.answers.answers[0].data == b'"yes"'
    refused = [message["id"] for message in client.core.delivered if message["type"] == "error"]
    assert refused == ["c-2", "s-99"]
