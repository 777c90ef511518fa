"""The service's end of the link: connecting, registering, reconnecting, questions and answers."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from pylinkd import ConflictError, NotFoundError, RefusedError, ServiceUnavailableError
from pylinkd.protocol.errors import PayloadTooLargeError
from pylinkd.protocol.link import LinkProtocolError, encode
from pylinkd.protocol.link_pb2 import Frame, Registered
from pylinkd.protocol.link_values import fill_failure
from pylinkd.protocol.rendezvous import Address, Rendezvous, RendezvousError
from pylinkd.sdk.connector import Connector, Timing
from pylinkd.sdk.link import Link, LinkOwner

from .gateways import small_gateway


def meeting(path: Path, **options: Any) -> Rendezvous:
    """At a socket, with what a test wants told."""
    return Rendezvous(Address(path), **options)


class Owner:
    """Keeps what a link says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def registration(self) -> Frame:
        frame = Frame()
        frame.register.service = "chat"
        return frame

    def registered(self, link: Link, answer: Registered) -> None:
        self.said.append("registered")

    def received(self, link: Link, kind: str, frame: Frame) -> None:
        self.said.append(kind)

    def paused(self) -> None:
        self.said.append("paused")

    def resumed(self) -> None:
        self.said.append("resumed")

    def lost(self) -> None:
        self.said.append("lost")


class Delays:
    """Stands in for the jitter: keeps how often there was a delay, and makes each the shortest there is."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> float:
        self.count += 1
        return 0.0


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path short enough for a socket."""
    return tmp_path_factory.mktemp("s") / "link.sock"


QUICK = Timing(patience=0.0, first_delay=0.002, longest_delay=0.1)
"""All delays are a fiftieth, and a gateway that is not there is news at once."""


def connector_to(
    path: Path, owner: LinkOwner, jitter: Callable[[], float] = random.random, timing: Timing = QUICK, **known: Any
) -> Connector:
    """Of a service whose gateway is there; ``known`` as ``meeting`` takes it."""
    return Connector(meeting(path, **known), owner, jitter, timing)


@asynccontextmanager
async def connecting(connector: Connector) -> AsyncIterator[asyncio.Task[None]]:
    """A connector that runs; stopped afterwards."""
    task = asyncio.create_task(connector.run(asyncio.Event()))
    try:
        yield task
    finally:
        connector.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.01)


async def linked(connector: Connector) -> Link:
    """Its link, once there is one."""
    async with asyncio.timeout(5):
        while connector.link is None:
            await asyncio.sleep(0.002)
    return connector.link


async def test_service_registers_as_soon_as_it_is_connected(path: Path) -> None:
    """And says that it has."""
    owner, first = Owner(), asyncio.Event()
    connector = connector_to(path, owner)
    async with small_gateway(path) as gateway:
        task = asyncio.create_task(connector.run(first))
        async with asyncio.timeout(5):
            await first.wait()
        connector.stop()
        await task

    assert [frame.register.service for frame in gateway.registrations] == ["chat"]
    assert owner.said == ["registered", "lost"]


async def test_registration_shows_the_secret(path: Path) -> None:
    """And so does each change of it."""
    connector = connector_to(path, Owner(), secret="ü" * 16)
    async with small_gateway(path) as gateway, connecting(connector):
        await linked(connector)
        await connector.update()

    assert [frame.register.secret for frame in gateway.registrations] == [("ü" * 16).encode()] * 2


async def test_socket_of_another_user_gets_nothing(path: Path) -> None:
    """Neither the registration nor the secret: the service says whose it is, once, and goes on trying."""
    delays = Delays()
    connector = connector_to(path, Owner(), delays, secret="x" * 32, uids=frozenset({os.getuid() + 1}))
    with structlog.testing.capture_logs() as logs:
        async with small_gateway(path) as gateway, connecting(connector):
            async with asyncio.timeout(5):
                while delays.count < 3:
                    await asyncio.sleep(0.002)

    assert gateway.registrations == []
    assert [line["event"] for line in logs] == ["gateway_unreachable"]
    assert f"user {os.getuid()}" in logs[0]["error"]
    assert "LINKD_LINK_UIDS" in logs[0]["error"]


async def test_registration_that_no_gateway_takes_ends_the_service(path: Path) -> None:
    """It is larger than what a gateway reads of a stranger, whatever the gateway."""

    class Talkative(Owner):
        def registration(self) -> Frame:
            frame = super().registration()
            frame.register.handlers.add(description="x" * 65536)
            return frame

    async with small_gateway(path) as gateway:
        with pytest.raises(RefusedError, match="register fewer handlers"):
            await connector_to(path, Talkative()).run(asyncio.Event())
        await gateway.wait_until(lambda: gateway.connections == 1)

    assert gateway.registrations == []


def test_file_that_holds_no_certificates_is_told(tmp_path: Path) -> None:
    """Before the first attempt."""
    (tmp_path / "ca.pem").write_text("none")

    with pytest.raises(RendezvousError, match="LINKD_LINK_CAFILE"):
        Connector(Rendezvous(Address(host="host", port=1), "x" * 32, tmp_path / "ca.pem"), Owner())


async def test_service_waits_for_its_gateway(path: Path) -> None:
    """However long; one line in the log for all attempts, with increasing delays."""
    owner, delays = Owner(), Delays()
    connector = connector_to(path, owner, delays)
    with structlog.testing.capture_logs() as logs:
        async with connecting(connector):
            async with asyncio.timeout(5):
                while delays.count < 5:
                    await asyncio.sleep(0.005)
            async with small_gateway(path):
                await linked(connector)

    assert [line["event"] for line in logs if line["log_level"] == "warning"][:1] == ["gateway_unreachable"]
    assert [line["event"] for line in logs].count("gateway_unreachable") == 1


async def test_service_comes_back_when_the_link_breaks(path: Path) -> None:
    """It registers again, once."""
    owner = Owner()
    connector = connector_to(path, owner)
    with structlog.testing.capture_logs() as logs:
        async with small_gateway(path) as gateway, connecting(connector):
            first = await linked(connector)
            gateway.cut()
            await gateway.wait_until(lambda: len(gateway.registrations) == 2)
            async with asyncio.timeout(5):
                while connector.link in (None, first):
                    await asyncio.sleep(0.002)

    assert owner.said[:3] == ["registered", "lost", "registered"]
    assert [line["event"] for line in logs].count("gateway_lost") == 1


async def test_gateway_that_takes_and_drops_a_service_is_not_stormed(path: Path) -> None:
    """A link that breaks at once counts as a failed attempt: the delay grows."""
    delays = Delays()
    connector = connector_to(path, Owner(), delays)
    with structlog.testing.capture_logs():
        async with small_gateway(path) as gateway, connecting(connector):
            gateway.cuts = True
            await asyncio.sleep(0.3)
            attempts = len(gateway.registrations)

    assert attempts < 20


async def test_refused_service_stops(path: Path) -> None:
    """Trying again would not help; the gateway's sentence is the error's."""
    async with small_gateway(path) as gateway:
        gateway.refuses = ConflictError("The path '/ws/chat' belongs to the service 'game'.")
        with pytest.raises(RefusedError, match="belongs to the service 'game'"):
            await connector_to(path, Owner()).run(asyncio.Event())

    assert len(gateway.registrations) == 1


async def test_gateway_that_is_not_ready_is_asked_again(path: Path) -> None:
    """503 is no refusal, nor is silence."""
    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway, connecting(connector):
        gateway.refuses = ServiceUnavailableError()
        await gateway.wait_until(lambda: len(gateway.registrations) > 1)
        gateway.refuses = None

        await linked(connector)


async def test_hung_gateway_is_left_and_asked_again(path: Path) -> None:
    """One that does not answer the registration."""
    connector = connector_to(path, Owner(), timing=msgspec.structs.replace(QUICK, register_timeout=0.02))
    async with small_gateway(path) as gateway:
        gateway.silent = True
        async with connecting(connector):
            await gateway.wait_until(lambda: len(gateway.registrations) > 1)
            gateway.silent = False

            await linked(connector)


async def test_change_is_registered(path: Path) -> None:
    """On the link that is there; refused, it is logged and the link stays."""
    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway, connecting(connector):
        first = await linked(connector)
        await connector.update()
        gateway.refuses = ConflictError("Taken.")
        with structlog.testing.capture_logs() as logs:
            await connector.update()

        assert len(gateway.registrations) == 3
        assert connector.link is first
    assert [(line["event"], line["error"]) for line in logs] == [("registration_refused", "Taken.")]


async def test_question_is_answered(path: Path) -> None:
    """In any order, by number; an error with its class."""

    def answer(frame: Frame) -> Frame:
        reply = Frame()
        if frame.room_query.room == "wrong":
            fill_failure(reply.failure, NotFoundError("Gone.", type="SESSION_GONE"))
        else:
            reply.room_list.rooms.append(frame.room_query.room)
        return reply

    def question(room: str) -> Frame:
        frame = Frame()
        frame.room_query.room = room
        return frame

    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway, connecting(connector):
        gateway.answer = answer
        link = await linked(connector)
        answers = await asyncio.gather(
            *(link.ask(question(room)) for room in ("a", "wrong", "b")), return_exceptions=True
        )

    assert [list(found.room_list.rooms) for found in answers if isinstance(found, Frame)] == [["a"], ["b"]]
    assert isinstance(answers[1], NotFoundError)
    assert answers[1].type == "SESSION_GONE"


async def test_question_without_a_link_fails_at_once(path: Path) -> None:
    """And one whose link breaks, when it breaks."""
    connector = connector_to(path, Owner())
    with structlog.testing.capture_logs():
        async with small_gateway(path) as gateway, connecting(connector):
            link = await linked(connector)
            gateway.silent = True
            pending = link.ask(Frame(draining={}))
            await gateway.wait_until(lambda: bool(gateway.received))
            gateway.cut()
            with pytest.raises(ServiceUnavailableError, match="gateway is gone"):
                await pending

            with pytest.raises(ServiceUnavailableError):
                await link.ask(Frame(draining={}))
            link.answer(1, Frame())
            link.fail(1, ConflictError())
            link.close()


async def test_question_that_was_given_up_is_forgotten(path: Path) -> None:
    """Its answer harms nobody."""
    connector = connector_to(path, Owner())
    async with small_gateway(path), connecting(connector):
        link = await linked(connector)
        link.ask(Frame(draining={})).cancel()

        assert (await link.ask(Frame(draining={}))).WhichOneof("body") == "done"


async def test_frame_that_is_too_large_is_not_sent(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks or answers is told; the link stays."""
    connector = connector_to(path, Owner())
    async with small_gateway(path), connecting(connector):
        link = await linked(connector)
        frame = Frame()
        frame.response.data = b"x" * 1000
        monkeypatch.setattr("pylinkd.protocol.link.MAX_FRAME_SIZE", 500)

        with pytest.raises(LinkProtocolError):
            link.answer(1, frame)
        with pytest.raises(PayloadTooLargeError) as caught:
            await link.ask(frame)
        assert caught.value.details is not None
        assert set(caught.value.details) == {"limit"}
        assert (await link.ask(Frame(draining={}))).WhichOneof("body") == "done"


async def test_what_the_gateway_asks_is_received_in_order(path: Path) -> None:
    """Everything that is no answer; an empty frame of a later version is passed over."""
    owner = Owner()
    connector = connector_to(path, owner)
    async with small_gateway(path) as gateway, connecting(connector):
        await linked(connector)
        gateway.say_bytes(encode(Frame(ping={})) + encode(Frame()) + encode(Frame(inbound={})))
        async with asyncio.timeout(5):
            while len(owner.said) < 3:
                await asyncio.sleep(0.002)

        assert owner.said == ["registered", "ping", "inbound"]


async def test_garbage_ends_the_link(path: Path) -> None:
    """And the service comes back."""
    connector = connector_to(path, Owner())
    with structlog.testing.capture_logs() as logs:
        async with small_gateway(path) as gateway, connecting(connector):
            await linked(connector)
            gateway.say_bytes(struct.pack(">I", 2**31))
            await gateway.wait_until(lambda: len(gateway.registrations) == 2)

    assert "link_protocol_error" in [line["event"] for line in logs]


async def test_stopped_connector_does_not_come_back(path: Path) -> None:
    """What was written leaves first."""
    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway:
        task = asyncio.create_task(connector.run(asyncio.Event()))
        link = await linked(connector)
        link.answer(7, Frame(done={}))

        connector.stop()
        async with asyncio.timeout(5):
            await task
        await gateway.wait_until(lambda: bool(gateway.received))

        assert gateway.received[0].request_id == 7
        assert len(gateway.registrations) == 1


class Loop:
    """A loop whose clock a test moves."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.passed = 0.0

    def time(self) -> float:
        return self._loop.time() + self.passed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


async def test_process_that_slept_gives_its_link_up_unread(path: Path) -> None:
    """What waits in its socket was answered long ago, and is another instance's by now: nothing of it is handled."""
    owner = Owner()
    connector = connector_to(path, owner)
    async with small_gateway(path) as gateway, connecting(connector):
        link = await linked(connector)
        loop = Loop(asyncio.get_running_loop())
        link._loop = loop  # type: ignore[assignment]
        loop.passed = 28.0

        with structlog.testing.capture_logs() as logs:
            gateway.say(Frame(request_id=1, inbound={"session": "s-1", "type": "a"}))
            async with asyncio.timeout(5):
                await link.closed

    assert "inbound" not in owner.said
    assert "link_given_up" in [line["event"] for line in logs]


async def test_process_that_slept_begins_nothing_more(path: Path) -> None:
    """Not in the same turn either, in which a handler may end and the session's next message would begin."""
    owner = Owner()
    connector = connector_to(path, owner)
    async with small_gateway(path), connecting(connector):
        link = await linked(connector)
        loop = Loop(asyncio.get_running_loop())
        link._loop = loop  # type: ignore[assignment]
        loop.passed = 28.0

        with structlog.testing.capture_logs():
            link.data_received(b"")
            assert owner.said[-1] == "lost"
            async with asyncio.timeout(5):
                await link.closed

    assert owner.said.count("lost") == 1


async def test_questions_that_wait_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that asks in a loop without waiting gets an error instead of the process's memory."""
    monkeypatch.setattr("pylinkd.sdk.link._MOST_QUESTIONS", 3)
    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway, connecting(connector):
        link = await linked(connector)
        gateway.silent = True
        asked = [link.ask(Frame(room_query={"room": "lobby"})) for _ in range(4)]

        with pytest.raises(ServiceUnavailableError):
            await asked[3]
        assert not asked[2].done()
        connector.stop()
        await asyncio.gather(*asked, return_exceptions=True)


async def test_service_leaves_when_its_last_answer_was_read(path: Path) -> None:
    """However large it is: the gateway ends the link when it has read everything."""
    connector = connector_to(path, Owner())
    async with small_gateway(path) as gateway, connecting(connector):
        link = await linked(connector)
        link.answer(7, Frame(response={"data": bytes(8 * 2**20)}))

        await connector.finish(10.0)

        assert link.closed.done()
        sizes = [len(frame.response.data) for frame in gateway.received if frame.HasField("response")]
        assert sizes == [8 * 2**20]


async def test_service_that_is_not_read_from_says_so(path: Path) -> None:
    """Its jobs should begin nothing new until the gateway reads again."""
    owner = Owner()
    connector = connector_to(path, owner)
    async with small_gateway(path) as gateway, connecting(connector):
        link = await linked(connector)
        for number in range(40):
            link.answer(number + 1, Frame(response={"data": bytes(2**18)}))
        async with asyncio.timeout(5):
            while "resumed" not in owner.said:
                await asyncio.sleep(0.002)

        assert owner.said[1:3] == ["paused", "resumed"]
        assert gateway.connections == 1


async def test_gateway_that_is_a_moment_later_is_no_news(path: Path) -> None:
    """Both are often started together; the first line of a new user's log is not a warning."""
    delays = Delays()
    connector = connector_to(path, Owner(), delays, msgspec.structs.replace(QUICK, patience=5.0))
    with structlog.testing.capture_logs() as logs:
        async with connecting(connector):
            async with asyncio.timeout(5):
                while delays.count < 3:
                    await asyncio.sleep(0.002)
            async with small_gateway(path):
                await linked(connector)
                connector.stop()

    assert [line["event"] for line in logs if line["log_level"] == "warning"] == []
