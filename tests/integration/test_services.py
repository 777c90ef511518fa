"""Services that come, go, change, and share the work."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.client import client, error_of, eventually, refused
from tests.processes import Platform, Program, make_token, platform, start_program

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

ECHO = "tests/services/echo.py"
INSTANCES = "tests/services/instances.py"


async def begin_service(running: Platform, target: str) -> Program:
    """Start a service without waiting for a gateway."""
    return await start_program(running.link.parent, "early", "run", target, env=running.env)


@pytest.mark.parametrize("path", ["/ws/echo", "/ws"])
async def test_handshake_is_503_until_the_first_service_comes(tmp_path: Path, path: str) -> None:
    """A gateway that waits for its services says 503 with Retry-After; then the same URL is served."""
    async with platform(tmp_path) as running:
        status, body = await refused(running.url(path))
        async with running.http_client() as http:
            ready = (await http.get("/ready")).status_code
        await running.start_service(ECHO)

        assert (status, body["error"]["type"], ready) == (503, "SERVICE_UNAVAILABLE", 503)
        assert body["error"]["retryAfterMs"] > 0
        async with client(running.url(path)) as one:
            assert await one.ask("echo.any", 1) == 1


async def test_service_waits_for_a_gateway_that_comes_later(tmp_path: Path) -> None:
    """A service may be started first; it says once that it waits, and then serves."""
    running = Platform(tmp_path)
    service = await begin_service(running, ECHO)
    try:
        await service.wait_logged("gateway_unreachable")
        await running.start_gateway()
        await service.wait_logged("service_started")

        async with client(running.url("/ws/echo")) as one:
            assert await one.ask("echo.any", 1) == 1
        assert len(service.logged("gateway_unreachable")) == 1
    finally:
        await service.kill()
        await running.close()


async def test_messages_on_the_shared_path_go_to_the_service_of_their_type(tmp_path: Path) -> None:
    """On /ws each of two services gets what it registered; on its own path only its own."""
    async with (
        platform(tmp_path, ECHO, INSTANCES) as running,
        client(running.url("/ws")) as shared,
        client(running.url("/ws/echo"), token=make_token()) as own,
    ):
        assert await shared.ask("echo.any", 1) == 1
        assert isinstance(await shared.ask("instances.who"), int)
        assert error_of(await own.request("instances.who")) == (404, "UNKNOWN_MESSAGE_TYPE")


async def test_service_that_comes_later_is_reached_by_open_connections(tmp_path: Path) -> None:
    """A connection on /ws reaches a service that was started after it was opened."""
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws"), token=make_token()) as one:
        assert error_of(await one.request("instances.who"))[0] == 404
        await running.start_service(INSTANCES)

        assert isinstance(await one.ask("instances.who"), int)


async def test_handlers_change_while_the_service_runs(tmp_path: Path) -> None:
    """A handler that is added becomes known to the gateway, and one that is removed unknown."""
    async with platform(tmp_path, "tests/services/changing.py") as running, client(running.url("/ws")) as one:
        assert error_of(await one.request("changing.late"))[0] == 404
        await one.ask("changing.add")

        async def known() -> bool:
            return (await one.request("changing.late")).get("data") == "late"

        await eventually(known, "the new handler answers")
        await one.ask("changing.remove")
        assert error_of(await one.request("changing.late")) == (404, "UNKNOWN_MESSAGE_TYPE")


async def test_type_of_another_service_is_refused(tmp_path: Path) -> None:
    """The second service ends with status 1 and one sentence that names type and owner; the first serves on."""
    async with platform(tmp_path, ECHO) as running:
        thief = await begin_service(running, "tests/services/thief.py")
        status = await thief.stop(0)

        assert status == 1
        last = thief.text().strip().splitlines()[-1]
        assert last.startswith("linkd: ")
        assert "'echo.any'" in last
        assert "'echo'" in last
        assert "Traceback" not in thief.text()
        async with client(running.url("/ws")) as one:
            assert await one.ask("echo.any", 1) == 1


async def test_sessions_spread_over_instances_and_stay(tmp_path: Path) -> None:
    """Ten sessions on two instances are five and five, and each stays where it is."""
    async with platform(tmp_path, INSTANCES, INSTANCES) as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(running.url("/ws/instances"))) for _ in range(10)]
        first = [await one.ask("instances.who") for one in clients]
        again = [await one.ask("instances.who") for one in clients]

    assert sorted(Counter(first).values()) == [5, 5]
    assert again == first


async def test_sessions_of_a_killed_instance_go_on_at_the_other(tmp_path: Path) -> None:
    """No connection breaks, rooms are kept, on_connect does not run again, and on_disconnect runs once."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        doomed = await running.start_service(INSTANCES)
        heir = await running.start_service(INSTANCES)
        clients = [await stack.enter_async_context(client(running.url("/ws/instances"))) for _ in range(10)]
        for number, one in enumerate(clients):
            await one.ask("instances.join", f"room-{number}")
        await doomed.kill()
        await running.gateway.wait_logged("service_left")

        assert {await one.ask("instances.who") for one in clients} == {heir.process.pid}
        assert [await one.ask("instances.rooms") for one in clients] == [[f"room-{n}"] for n in range(10)]
        assert len(heir.logged("test_connected")) == 5
        await stack.aclose()
        await heir.wait_logged("test_disconnected", 10)
        assert len(heir.logged("test_disconnected")) == 10


async def test_sessions_of_a_stopping_instance_go_on_at_the_other(tmp_path: Path) -> None:
    """An instance that is told to stop hands its sessions over, and no message of theirs is refused."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        leaving = await running.start_service(INSTANCES)
        await running.start_service(INSTANCES)
        clients = [await stack.enter_async_context(client(running.url("/ws/instances"))) for _ in range(10)]
        stopped = asyncio.Event()

        async def ask_until_stopped(one_client: int) -> list[str]:
            kinds = []
            while not stopped.is_set():
                kinds.append((await clients[one_client].request("instances.who"))["type"])
            return kinds

        asking = [asyncio.create_task(ask_until_stopped(number)) for number in range(10)]
        status = await leaving.stop()
        stopped.set()
        kinds = {kind for answers in await asyncio.gather(*asking) for kind in answers}

    assert status == 0
    assert kinds == {"response"}


async def test_killed_service_answers_503_for_what_it_had(tmp_path: Path) -> None:
    """kill -9 with messages in flight: each is answered with 503 and retryAfterMs, and so are later ones."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with client(running.url("/ws/echo")) as one:
            for number in range(5):
                await one.send({"type": "echo.overtake", "data": 60.0, "id": number})
            assert await one.ask("echo.any", 1) == 1
            await service.kill()

            for number in range(5):
                answer = await one.answer(number)
                assert error_of(answer) == (503, "SERVICE_UNAVAILABLE")
                assert answer["error"]["retryAfterMs"] > 0
            later = await one.request("echo.any")
            assert later["type"] == "error"
            assert later["error"].get("retryAfterMs", 0) > 0


@pytest.mark.parametrize("path", ["/ws/echo", "/ws"])
async def test_message_to_a_service_that_is_gone_answers_503(tmp_path: Path, path: str) -> None:
    """On both paths the service is known and away, which is not the same as an unknown type."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with client(running.url(path)) as one:
            await one.ask("echo.any")
            await service.kill()
            await running.gateway.wait_logged("service_left")
            answer = await one.request("echo.any")

    assert error_of(answer) == (503, "SERVICE_UNAVAILABLE")
    assert answer["error"]["retryAfterMs"] > 0


async def test_sigterm_of_a_service_lets_the_handler_finish(tmp_path: Path) -> None:
    """What is being handled is answered, then the process ends with status 0; the client stays connected."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with client(running.url("/ws/echo")) as one:
            await one.send({"type": "echo.overtake", "data": 1.0, "id": "slow"})
            await one.ask("echo.any")
            stopping = asyncio.create_task(service.stop(signal.SIGTERM))

            assert await one.answer("slow") == {"type": "response", "id": "slow", "data": 1.0}
            assert await stopping == 0
            assert error_of(await one.request("echo.any"))[0] == 503


@pytest.mark.parametrize("type", ["faults.graceful", "faults.obstinate"])
async def test_sigterm_ends_a_service_whose_handler_does_not(tmp_path: Path, type: str) -> None:
    """A handler that takes no notice of its cancellation keeps neither the process nor its caller waiting."""
    async with platform(tmp_path) as running:
        service = await running.start_service("tests/services/faults.py")
        async with client(running.url("/ws/faults")) as one:
            await one.send({"type": type, "id": 1})
            await service.wait_logged("test_waiting")
            await service.stop(signal.SIGTERM, timeout=12)

            assert (await one.answer(1))["type"] in ("response", "error")


async def test_hung_service_is_cut_off_and_its_messages_are_answered(tmp_path: Path) -> None:
    """A stopped process (SIGSTOP) with more than a socket full of messages: all are answered with 503."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client(running.url("/ws/echo"))) for _ in range(4)]
            for one in clients:
                await one.ask("echo.any")
            service.process.send_signal(signal.SIGSTOP)
            for one in clients:
                for number in range(20):
                    await one.send({"type": "echo.any", "data": "x" * 50_000, "id": number})
            answers = [await one.answer(number, timeout=45) for one in clients for number in range(20)]

    assert {error_of(answer) for answer in answers} == {(503, "SERVICE_UNAVAILABLE")}


async def test_user_is_known_after_a_restart_of_the_service(tmp_path: Path) -> None:
    """The new process is told who each session is."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with client(running.url("/ws/echo"), token=make_token("ana", roles=("admin",))) as one:
            before = await one.ask("echo.me")
            await service.kill()
            await running.start_service(ECHO)

            assert await one.ask("echo.me") == before
