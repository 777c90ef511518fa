"""Why gateway and service are two processes: either may die, and clients lose nothing that they are not told of."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.client import Client, client, eventually
from tests.integration.raw_websocket import TEXT, frame, raw_websocket
from tests.processes import Platform, make_token, platform

ECHO = "tests/services/echo.py"
CLIENTS = 200


async def census(running: Platform) -> dict[str, Any]:
    """What the service counted, and how many sessions the gateway knows."""
    async with running.http_client() as http:
        found: dict[str, Any] = (await http.get("/echo/census")).json()
        return found


async def wait_until_empty(running: Platform, connected: int) -> None:
    """Wait until as many sessions ended as began, and none is left."""

    async def empty() -> bool:
        found = await census(running)
        return bool(found["connected"] == found["disconnected"] == connected and found["present"] == 0)

    await eventually(empty, f"{connected} sessions came and went", timeout=30)


@pytest.mark.parametrize("path", ["/ws/echo", "/ws"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_clients_stay_while_the_service_is_killed_and_started_again(
    tmp_path: Path, path: str, number: signal.Signals
) -> None:
    """200 clients that keep sending stay connected, and each message gets exactly one answer: 200 or 503."""
    async with platform(tmp_path) as running, contextlib.AsyncExitStack() as stack:
        service = await running.start_service(ECHO)
        clients = [await stack.enter_async_context(client(running.url(path))) for _ in range(CLIENTS)]
        for one in clients:
            await one.ask("echo.any", 0)
        over = asyncio.Event()
        busy = [asyncio.create_task(_keep_sending(one, over)) for one in clients]

        await service.stop(number)
        await running.gateway.wait_logged("service_left")
        await running.start_service(ECHO)
        over.set()
        outcomes: Counter[int] = Counter()
        for counted in await asyncio.gather(*busy):
            outcomes.update(counted)

        assert set(outcomes) == {200, 503}
        assert outcomes[200] >= CLIENTS
        for one in clients:
            assert await one.ask("echo.any", "still here") == "still here"
            assert one.unasked == 0


async def _keep_sending(one: Client, over: asyncio.Event) -> Counter[int]:
    """Send messages until ``over``, a few at a time; how many were answered with which code."""
    outcomes: Counter[int] = Counter()
    sent, last = 0, False
    while not last:
        last = over.is_set()
        wanted = set(range(sent, sent + 3))
        sent += 3
        for number in sorted(wanted):
            await one.send({"type": "echo.jitter", "data": number, "id": number})
        while wanted:
            answer = await one.receive()
            assert answer["id"] in wanted, f"answered twice or never asked: {answer}"
            wanted.remove(answer["id"])
            outcomes[200 if answer["type"] == "response" else answer["error"]["code"]] += 1
        await asyncio.sleep(0.02)  # the pace of a person's client, not a wait
    return outcomes


async def test_service_returns_to_a_gateway_that_was_killed(tmp_path: Path) -> None:
    """The service reconnects by itself and says so once; old sessions end, and clients are served again."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        async with contextlib.AsyncExitStack() as stack:
            url, token = running.url("/ws/echo"), make_token()
            clients = [await stack.enter_async_context(client(url, token=token)) for _ in range(10)]
            for one in clients:
                await one.ask("echo.any")
            await running.gateway.kill()
            for one in clients:
                with pytest.raises(ConnectionClosed):
                    await one.websocket.recv()

        await service.wait_logged("gateway_lost")
        await running.start_gateway()
        await service.wait_logged("gateway_connected", 2)
        await service.wait_logged("test_disconnected", 10)

        async with client(running.url("/ws/echo")) as again:
            assert await again.ask("echo.any", 1) == 1
            counts = await again.ask("echo.counts")
        assert (counts["connected"], counts["disconnected"]) == (11, 10)
        assert counts["reasons"] == {"gateway_lost": 10}
        assert len(service.logged("gateway_lost")) == 1
        assert len(service.logged("gateway_unreachable")) <= 1
        assert len(service.logged("gateway_connected")) == 2


async def test_no_client_is_told_that_its_path_does_not_exist_while_services_return(tmp_path: Path) -> None:
    """After a restart of the gateway a path is 503 until its service is back, even if another service is first."""
    async with platform(tmp_path, env={"LINKD_STARTUP_GRACE_MS": "10000"}) as running:
        slow = await running.start_service("tests/services/instances.py")
        await running.start_service(ECHO)
        slow.process.send_signal(signal.SIGSTOP)
        await running.gateway.kill()
        await running.start_gateway()
        await running.wait_ready()
        try:
            async with client(running.url("/ws/instances")):
                raise AssertionError("the service is stopped and cannot have registered")
        except InvalidStatus as refusal:
            status = refusal.response.status_code
        finally:
            slow.process.send_signal(signal.SIGCONT)

    assert status == 503


async def test_handler_in_flight_when_the_gateway_dies_harms_nobody(tmp_path: Path) -> None:
    """Its answer has nobody to go to; the service serves the next gateway's clients."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        with contextlib.suppress(ConnectionClosed):
            async with client(running.url("/ws/echo")) as one:
                await one.send({"type": "echo.sleep", "data": 0.5, "id": 1})
                await one.send({"type": "echo.events", "data": 1, "id": 2})
                await one.send({"type": "echo.overtake", "data": 0.0, "id": 3})
                await one.answer(3)
                await running.gateway.kill()
                await one.receive()
        await running.start_gateway()
        await service.wait_logged("gateway_connected", 2)
        await service.wait_logged("test_disconnected")

        async with client(running.url("/ws/echo")) as again:
            assert await again.ask("echo.any", 1) == 1
        assert service.process.returncode is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1001), (signal.SIGHUP, 1012)])
async def test_stopping_gateway_releases_its_clients(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The request in flight is answered first, then comes the close code; the status is 0 and no session is left."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)
        gate = tmp_path / "gate"
        async with client(running.url("/ws/echo")) as one, client(running.url("/ws")) as idle:
            await idle.ask("echo.any")
            await one.send({"type": "echo.hold", "data": str(gate), "id": "slow"})
            await one.ask("echo.any")
            stopping = asyncio.create_task(running.gateway.stop(number))
            await running.gateway.wait_logged("gateway_stopping")
            gate.touch()

            assert await one.answer("slow") == {"type": "response", "id": "slow", "data": str(gate)}
            assert (await one.closed())[0] == code
            assert (await idle.closed())[0] == code
            assert await stopping == 0
        await service.wait_logged("test_disconnected", 2)
        assert {line["reason"] for line in service.logged("test_disconnected")} == {"gateway_shutdown"}
        assert not running.link.exists()


async def test_released_clients_are_told_when_to_come_back(tmp_path: Path) -> None:
    """Each its own moment, spread over the time; /ready says 503 meanwhile; what they still ask gets 503 and handshakes
    are refused."""
    async with platform(tmp_path, ECHO) as running, contextlib.AsyncExitStack() as stack:
        gate = tmp_path / "gate"
        clients = [
            await stack.enter_async_context(client(running.url("/ws/echo"), subprotocol="linkd.v1+json"))
            for _ in range(20)
        ]
        for one in clients:
            await one.send({"type": "echo.hold", "data": str(gate), "id": "slow"})
            await one.ask("echo.any")
        stopping = asyncio.create_task(running.gateway.stop(signal.SIGTERM))

        moments = [(await one.event("linkd.closing"))["retryAfterMs"] for one in clients]
        answer = await clients[0].request("echo.any")
        with pytest.raises(InvalidStatus) as refusal:
            async with client(running.url("/ws/echo")):
                pass
        async with running.http_client() as http:
            ready = (await http.get("/ready")).status_code
        gate.touch()

        assert len(set(moments)) == 20
        assert max(moments) - min(moments) > 3000
        assert (answer["error"]["code"], answer["error"]["retryAfterMs"]) == (503, moments[0])
        assert (refusal.value.response.status_code, ready) == (503, 503)
        for one in clients:
            assert await one.answer("slow")
            assert (await one.closed())[0] == 1001
        assert await stopping == 0


async def test_gateway_that_waited_long_enough_answers_and_ends(tmp_path: Path) -> None:
    """At the deadline what is in flight gets 503, and the status is 0 all the same."""
    env = {"LINKD_SHUTDOWN_TIMEOUT_MS": "400"}
    async with platform(tmp_path, ECHO, env=env) as running, client(running.url("/ws/echo")) as one:
        await one.send({"type": "echo.hold", "data": str(tmp_path / "never"), "id": "slow"})
        await one.ask("echo.any")

        status = await running.gateway.stop()

        assert (await one.answer("slow"))["error"]["code"] == 503
        assert (await one.closed())[0] == 1001
        assert status == 0


async def test_second_signal_ends_the_gateway_at_once(tmp_path: Path) -> None:
    """Whoever sends it does not want to wait."""
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws/echo")) as one:
        await one.send({"type": "echo.hold", "data": str(tmp_path / "never"), "id": "slow"})
        await one.ask("echo.any")
        running.gateway.process.send_signal(signal.SIGTERM)
        await running.gateway.wait_logged("gateway_stopping")

        assert await running.gateway.stop(signal.SIGTERM) == -signal.SIGTERM


async def test_no_client_notices_that_the_service_is_redeployed(tmp_path: Path) -> None:
    """Clients that keep sending while the service is stopped and started again get every answer, in order."""
    env = {"LINKD_PARK_TIMEOUT_MS": "30000"}
    async with platform(tmp_path, env=env) as running, contextlib.AsyncExitStack() as stack:
        service = await running.start_service(ECHO)
        clients = [await stack.enter_async_context(client(running.url("/ws/echo"))) for _ in range(20)]
        for one in clients:
            await one.ask("echo.any", 0)
        over = asyncio.Event()
        busy = [asyncio.create_task(_keep_sending(one, over)) for one in clients]

        assert await service.stop(signal.SIGTERM) == 0
        await running.start_service(ECHO)
        over.set()

        outcomes: Counter[int] = Counter()
        for counted in await asyncio.gather(*busy):
            outcomes.update(counted)
        assert set(outcomes) == {200}


async def test_thousand_connections_in_a_burst_leave_nothing_behind(tmp_path: Path) -> None:
    """1,000 clients connect and vanish, each in one of three ways; every one is counted out again."""
    async with platform(tmp_path, ECHO) as running:
        limit = asyncio.Semaphore(100)

        async def come_and_go(number: int) -> None:
            async with limit, raw_websocket(running, "/ws/echo") as one:
                if number % 3 == 0:
                    await one.send(frame(0x8, b"\x03\xe8"))
                    await one.ended()
                elif number % 3 == 1:
                    one.reset()

        await asyncio.gather(*(come_and_go(number) for number in range(1000)))

        await wait_until_empty(running, 1000)
        await running.gateway.stop()
        assert running.gateway.logged("gateway_stopping")[0]["sessions"] == 0
        assert not [line for line in running.gateway.logged() if line["level"] in ("error", "critical")]


@pytest.mark.parametrize("sent", [1, 2, 5, 20])
async def test_client_that_vanishes_in_a_message_is_forgotten(tmp_path: Path, sent: int) -> None:
    """A TCP reset in the middle of a frame ends the session, and nobody else notices."""
    async with platform(tmp_path, ECHO) as running, client(running.url("/ws/echo")) as other:
        await other.ask("echo.any")
        async with raw_websocket(running, "/ws/echo") as one:
            await one.send(frame(TEXT, b'{"type":"echo.any","id":1}'))
            await one.receive()
            await one.send(frame(TEXT, json.dumps({"type": "echo.any", "data": "x" * 100}).encode())[:sent])
            one.reset()

        async def forgotten() -> bool:
            found = await census(running)
            return bool(found["present"] == 1 and found["reasons"] == {"connection_lost": 1})

        await eventually(forgotten, "the session ended as lost")
        assert await other.ask("echo.any", 1) == 1


async def test_message_in_flight_of_a_client_that_vanished_harms_nobody(tmp_path: Path) -> None:
    """on_disconnect comes after the handler that was running, and nothing is left."""
    async with platform(tmp_path, ECHO) as running:
        async with raw_websocket(running, "/ws/echo") as one:
            await one.send(frame(TEXT, b'{"type":"echo.sleep","data":0.3,"id":1}'))
            await one.send(frame(TEXT, b'{"type":"echo.overtake","data":0,"id":2}'))
            await one.receive()
            one.reset()

        await wait_until_empty(running, 1)
