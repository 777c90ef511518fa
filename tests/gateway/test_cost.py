"""What a message and a handshake cost, in calls of functions: a number that no machine's hour changes.

Times are measured by ``scripts/bench``. Here somebody who adds a call to the hot path without need is told so. Where a
change is worth its calls, raise the bound, and say in the commit what was measured.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest_asyncio
from websockets.frames import Opcode

from pylinkd.gateway.edge.framing import feed
from pylinkd.gateway.server import Gateway
from pylinkd.gateway.settings import Settings
from pylinkd.protocol.link import encode
from pylinkd.protocol.link_pb2 import Frame

from ..processes import make_token
from .doubles import RecordingTransport
from .routing.rig import Process, registration
from .wire import say

WARM = 20
REPEATED = 200

# Measured, and a twentieth more.
MESSAGE = 93
HANDSHAKE = 550


class Calls:
    """Counts calls of functions, Python's and C's, while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def _seen(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            self.count += 1

    def __enter__(self) -> Calls:
        self.count = 0
        gc.disable()  # whoever listens to the collector, in a process of many tests, is called by it
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)
        gc.enable()


def calls_each(what: Callable[[int], None]) -> float:
    """Calls of one repetition, once everything is warm."""
    for number in range(WARM):
        what(number)
    with Calls() as calls:
        for number in range(WARM, WARM + REPEATED):
            what(number)
    return calls.count / REPEATED


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """One that is put together and not started, with everything of the guard on."""
    rates = dict.fromkeys(("handshake_rate", "message_rate", "byte_rate", "user_message_rate"), "999999999/s")
    settings = Settings(port=0, admin_port=0, link=tmp_path / "link.sock", max_connections_per_user=0, **rates)  # type: ignore[arg-type]
    made = Gateway(settings)
    yield made
    await made.parts.listener.close(0)
    await made.parts.admin.close(0)


def start_service(gateway: Gateway) -> Process:
    """A service that has registered."""
    process = Process(SimpleNamespace(commands=gateway.parts.routing.commands, link_window=8192))  # type: ignore[arg-type]
    assert process.ask(Frame(register=registration())).WhichOneof("body") == "registered"
    return process


def answer_to(question: int) -> bytes:
    """A service's answer, encoded."""
    frame = Frame(request_id=question)
    frame.response.data = b'{"length":5}'
    return encode(frame)


def opening(user: str) -> bytes:
    """A head as a client sends it."""
    return (
        f"GET /ws/chat?token={make_token(user)} HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def arrive(gateway: Gateway, transport: RecordingTransport, head: bytes) -> None:
    """A connection, and its opening handshake."""
    arrival: Any = gateway.parts.listener._make()
    arrival.connection_made(transport)
    arrival.data_received(head)


async def test_message_costs_no_more_calls_than_it_did(gateway: Gateway) -> None:
    """From the bytes of its frame to the link, and from the service's answer to the bytes that leave."""
    process, transport = start_service(gateway), transport_of(1)
    arrive(gateway, transport, opening("una"))
    (session,) = gateway.parts.routing.registry
    process.open_all()
    websocket, link = transport.get_protocol(), process.link
    message = say(Opcode.TEXT, b'{"type":"chat.send","data":{"text":"hello"},"id":7}')
    first = link._last_id + 1
    answers = [answer_to(question) for question in range(first, first + WARM + REPEATED)]
    written = len(transport.written)

    def one(number: int) -> None:
        feed(websocket, message)
        link.flush()
        link.data_received(answers[number])
        session.delivery.flush(session)

    cost = calls_each(one)

    assert len(transport.written) - written == WARM + REPEATED
    assert cost <= MESSAGE, f"a message costs {cost:.1f} calls now"


async def test_handshake_costs_no_more_calls_than_it_did(gateway: Gateway) -> None:
    """From the accepted connection to the question that the service is asked."""
    process = start_service(gateway)
    heads = [opening(f"user-{number}") for number in range(WARM + REPEATED)]
    transports = [transport_of(number) for number in range(WARM + REPEATED)]

    def one(number: int) -> None:
        arrive(gateway, transports[number], heads[number])
        process.link.flush()

    cost = calls_each(one)

    assert len(gateway.parts.routing.registry) == WARM + REPEATED
    assert cost <= HANDSHAKE, f"a handshake costs {cost:.1f} calls now"


def transport_of(number: int) -> RecordingTransport:
    """Of a client with an address of its own."""
    return RecordingTransport(None, peername=(f"192.0.2.{number % 250}", 4711))
