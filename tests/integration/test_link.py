"""The gateway's link: whatever a process says there, the gateway and the other services live on."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pylinkd.protocol.link_pb2 import Frame
from tests.integration.client import client, error_of
from tests.integration.raw_link import RawLink, raw_link
from tests.processes import Platform, platform

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.plain("it is about services, not about connections of clients"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``echo``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/echo.py") as running:
        yield running


async def assert_alive(running: Platform) -> None:
    """The gateway goes on, and so does the service ``echo``, on the link that it had."""
    async with client(running.url("/ws/echo")) as one:
        assert await one.ask("echo.any", 1) == 1
    assert running.gateway.process.returncode is None
    assert "echo" not in [line["service"] for line in running.gateway.logged("service_left")]


def framed(body: bytes) -> bytes:
    """A body with its length."""
    return struct.pack(">I", len(body)) + body


def a_ping() -> bytes:
    """A frame that only a gateway sends."""
    frame = Frame(request_id=1)
    frame.ping.SetInParent()
    return framed(frame.SerializeToString())


def a_publish() -> bytes:
    """A frame that only a registered service may send."""
    frame = Frame(request_id=1)
    frame.publish.type = "x.y"
    frame.publish.everyone = True
    return framed(frame.SerializeToString())


BROKEN = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", id="http"),
    pytest.param(b"\xff" * 64, id="garbage"),
    pytest.param(framed(b"\xff" * 20), id="no-protobuf"),
    pytest.param(struct.pack(">I", 16 * 2**20 + 1), id="oversized"),
    pytest.param(struct.pack(">I", 2**32 - 1) + b"x" * 1000, id="length-of-4-gigabytes"),
    pytest.param(a_publish(), id="publish-before-register"),
    pytest.param(a_ping(), id="ping-before-register"),
]


@pytest.mark.parametrize("data", BROKEN)
async def test_broken_bytes_close_the_link(echo: Platform, data: bytes) -> None:
    """A process that does not speak the protocol is cut off at once."""
    async with raw_link(echo.link) as link:
        await link.send_bytes(data)
        await link.ended()

    await assert_alive(echo)


async def test_wrong_protocol_version_is_told_and_closes_the_link(echo: Platform) -> None:
    """The process learns why before it is cut off."""
    async with raw_link(echo.link) as link:
        await link.register("future", version=99)
        failure = (await link.receive("failure")).failure

        assert (failure.code, failure.type) == (400, "PROTOCOL_VERSION")
        assert "99" in failure.message
        await link.ended()

    await assert_alive(echo)


@pytest.mark.parametrize("name", ["", "linkd.evil", "a b", "x" * 200])
async def test_bad_service_name_is_refused(echo: Platform, name: str) -> None:
    """A registration that is malformed is told so and cut off."""
    async with raw_link(echo.link) as link:
        await link.register(name)

        assert (await link.receive("failure")).failure.type == "BAD_REGISTRATION"
        await link.ended()

    await assert_alive(echo)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 30])
async def test_truncated_frame_harms_nobody(echo: Platform, size: int) -> None:
    """A process that dies in the middle of a frame leaves nothing behind."""
    async with raw_link(echo.link) as link:
        await link.send_bytes((framed(b"x" * 1000))[:size])
        link.end_writing()
        await link.ended()

    await assert_alive(echo)


async def test_frame_in_single_bytes_is_read(echo: Platform) -> None:
    """However the bytes are cut, the frames are the same."""
    frame = Frame(request_id=1)
    frame.register.protocol_version = 1
    frame.register.service = "slowly"
    body = frame.SerializeToString()
    async with raw_link(echo.link) as link:
        for byte in framed(body):
            await link.send_bytes(bytes([byte]))
            await asyncio.sleep(0)

        assert (await link.receive("registered")).registered.protocol_version == 1


async def served(link: RawLink, name: str) -> None:
    """Register the service ``name``, which handles ``<name>.ask``, and answer for its first session."""
    await link.register(name, f"{name}.ask")
    await link.receive("registered")


async def answer_opening(link: RawLink) -> None:
    """Answer a session_opened as on_connect would."""
    opened = await link.receive("session_opened")
    done = Frame(request_id=opened.request_id)
    done.done.SetInParent()
    await link.send(done)


async def test_link_that_breaks_with_messages_in_flight_answers_them(echo: Platform) -> None:
    """Garbage from a service that has messages: each of them is answered with 503 and when to try again."""
    async with raw_link(echo.link) as link:
        await served(link, "brittle")
        async with client(echo.url("/ws/brittle")) as one:
            await answer_opening(link)
            for number in range(3):
                await one.send({"type": "brittle.ask", "id": number})
                await link.receive("inbound")
            await link.send_bytes(b"\xff" * 64)

            for number in range(3):
                answer = await one.answer(number)
                assert error_of(answer) == (503, "SERVICE_UNAVAILABLE")
                assert answer["error"]["retryAfterMs"] > 0
            assert error_of(await one.request("brittle.ask"))[0] in (404, 503)

    await assert_alive(echo)


async def test_answer_nobody_waits_for_is_passed_over(echo: Platform) -> None:
    """A service that answers twice, or what it was not asked, keeps its link."""
    async with raw_link(echo.link) as link:
        await served(link, "chatty")
        async with client(echo.url("/ws/chatty")) as one:
            await answer_opening(link)
            await one.send({"type": "chatty.ask", "id": 1})
            inbound = await link.receive("inbound")
            answer = Frame(request_id=inbound.request_id)
            answer.response.data = b'"once"'
            stray = Frame(request_id=999_999)
            stray.response.data = b'"stray"'
            for frame in (stray, answer, answer):
                await link.send(frame)
            await one.send({"type": "chatty.ask", "id": 2})
            second = await link.receive("inbound")
            answer.request_id = second.request_id
            answer.response.data = b'"twice"'
            await link.send(answer)

            assert [(await one.receive())["data"] for _ in range(2)] == ["once", "twice"]


@pytest.mark.parametrize(
    ("code", "type", "details"), [(0, "", b""), (200, "OK", b"{}"), (403, "not upper", b""), (403, "FINE", b"{")]
)
async def test_malformed_failure_becomes_a_plain_500(echo: Platform, code: int, type: str, details: bytes) -> None:
    """A service cannot make the gateway say something that is no error."""
    async with raw_link(echo.link) as link:
        await served(link, "odd")
        async with client(echo.url("/ws/odd")) as one:
            await answer_opening(link)
            await one.send({"type": "odd.ask", "id": 1})
            failure = Frame(request_id=(await link.receive("inbound")).request_id)
            failure.failure.code, failure.failure.type, failure.failure.details = code, type, details
            await link.send(failure)

            assert error_of(await one.answer(1)) == (500, "INTERNAL_ERROR")


async def test_service_that_dies_during_on_connect_leaves_the_session_to_the_next(echo: Platform) -> None:
    """The session stays, and the next instance is told of it as new."""
    async with raw_link(echo.link) as first:
        await served(first, "mortal")
        async with client(echo.url("/ws/mortal")) as one:
            await first.receive("session_opened")
            first.end_writing()
            await first.ended()
            async with raw_link(echo.link) as second:
                await served(second, "mortal")
                opened = (await second.receive("session_opened")).session_opened

                assert not opened.adopted
                assert await (await one.websocket.ping()) >= 0


async def test_survivor_is_given_sessions_whose_on_connect_was_lost(echo: Platform) -> None:
    """An instance dies during on_connect: another that lives gets the session at once, not at its next message."""
    async with raw_link(echo.link) as first:
        await served(first, "twin")
        async with client(echo.url("/ws/twin")):
            await first.receive("session_opened")
            async with raw_link(echo.link) as second:
                await served(second, "twin")
                first.end_writing()

                assert not (await second.receive("session_opened")).session_opened.adopted


async def test_on_disconnect_is_kept_for_a_service_that_is_away(echo: Platform) -> None:
    """A session that ends while its service is away is reported to the next instance."""
    async with raw_link(echo.link) as first:
        await served(first, "away")
        async with client(echo.url("/ws/away")) as one:
            await answer_opening(first)
            await one.send({"type": "away.ask"})
            await first.receive("inbound")
            first.end_writing()
            await first.ended()
        async with raw_link(echo.link) as second:
            await served(second, "away")

            assert (await second.receive("session_closed")).session_closed.reason == "client_closed"


async def test_session_that_lives_is_adopted_by_the_next_instance(echo: Platform) -> None:
    """After a restart on_connect does not run again: the session is not new."""
    async with raw_link(echo.link) as first:
        await served(first, "heir")
        async with client(echo.url("/ws/heir")) as one:
            await answer_opening(first)
            await one.send({"type": "heir.ask", "id": 1})
            await first.receive("inbound")
            first.end_writing()
            assert error_of(await one.answer(1))[0] == 503
            async with raw_link(echo.link) as second:
                await served(second, "heir")
                await one.send({"type": "heir.ask", "id": 2})

                assert (await second.receive("session_opened")).session_opened.adopted
                assert (await second.receive("inbound")).inbound.type == "heir.ask"


async def test_socket_is_for_this_user_alone(echo: Platform) -> None:
    """Nobody else on the machine may be a service."""
    mode = os.stat(echo.link).st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
