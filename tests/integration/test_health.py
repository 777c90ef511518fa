"""Health checks of real processes: readiness and routing follow them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.processes import Platform, Program, platform, start_program

from .client import client
from .test_admin import ENV, ask, linkd

CHECKED = "tests/services/checked.py"
PATH = "/ws/checked"


async def _until_ready(running: Platform, status: int) -> None:
    async with asyncio.timeout(10.0), running.http_client() as http:
        while (await http.get("/ready")).status_code != status:
            await asyncio.sleep(0.02)


def _pid(service: Program) -> int:
    """Of the interpreter that ``linkd run`` is."""
    return service.process.pid


async def test_readiness_follows_the_check(tmp_path: Path) -> None:
    """At the start and later; each change is said once, and operators see which check fails."""
    file = tmp_path / "broken"
    file.touch()
    async with platform(tmp_path, env={**ENV, "CHECKED_FILE": str(file)}) as running:
        service = await start_program(tmp_path, "service", "run", CHECKED, env=running.env)
        running.programs.append(service)
        waits = await service.wait_logged("service_waits_for_health")
        assert waits["failing"] == {"file": "FileExistsError"}
        await _until_ready(running, 503)
        assert (await ask(running, "GET", "/services")).json() == {"services": []}

        file.unlink()
        await service.wait_logged("service_started")
        await _until_ready(running, 200)
        file.touch()
        await _until_ready(running, 503)
        assert (await service.wait_logged("health_check_fails"))["error"] == "FileExistsError"
        (found,) = (await ask(running, "GET", "/services")).json()["services"]
        assert (found["name"], found["ready"], found["instances"][0]["failing"]) == ("checked", False, ["file"])
        assert "failing: file" in await linkd(running, "services", "list")
        async with client(running.url(PATH)) as one:
            assert await one.ask("checked.who") == _pid(service)  # nobody else could

        file.unlink()
        await _until_ready(running, 200)
        for event in ("service_waits_for_health", "health_check_fails", "health_check_passes"):
            assert len(service.logged(event)) == 1


async def test_healthy_instance_takes_over(tmp_path: Path) -> None:
    """New sessions, and those that are there: with their next message, and back again."""
    files = [tmp_path / "first", tmp_path / "second"]
    async with platform(tmp_path, env=ENV) as running:
        first, second = [await running.start_service(CHECKED, {"CHECKED_FILE": str(file)}) for file in files]
        async with client(running.url(PATH)) as one, client(running.url(PATH)) as other:
            assert {await one.ask("checked.who"), await other.ask("checked.who")} == {_pid(first), _pid(second)}

            files[0].touch()
            await running.gateway.wait_logged("service_health")
            assert [await each.ask("checked.who") for each in (one, other)] == [_pid(second)] * 2

            files[0].unlink()
            await running.gateway.wait_logged("service_health", 2)
            files[1].touch()
            await running.gateway.wait_logged("service_health", 3)
            assert [await each.ask("checked.who") for each in (one, other)] == [_pid(first)] * 2
            await running.gateway.kill()

        # Each session's end is the affair of the one instance that had it last.
        await running.start_gateway()
        for service in (first, second):
            await service.wait_logged("gateway_connected", 2)
        await first.wait_logged("checked_left", 2)
        assert second.logged("checked_left") == []


async def test_gateway_that_comes_later_is_told(tmp_path: Path) -> None:
    """The registration says which checks fail."""
    file = tmp_path / "broken"
    async with platform(tmp_path, CHECKED, env={**ENV, "CHECKED_FILE": str(file)}) as running:
        await running.gateway.kill()
        service = running.programs[1]
        await service.wait_logged("gateway_lost")
        file.touch()
        await service.wait_logged("health_check_fails")

        await running.start_gateway()

        await service.wait_logged("gateway_connected", 2)
        await running.gateway.wait_logged("service_registered")
        await _until_ready(running, 503)
        (found,) = (await ask(running, "GET", "/services")).json()["services"]
        assert found["instances"][0]["failing"] == ["file"]


async def test_service_that_waits_for_health_stops_when_told(tmp_path: Path) -> None:
    """With status 0: nothing was begun."""
    file = tmp_path / "broken"
    file.touch()
    async with platform(tmp_path, env={"CHECKED_FILE": str(file)}) as running:
        service = await start_program(tmp_path, "service", "run", CHECKED, env=running.env)
        running.programs.append(service)
        await service.wait_logged("service_waits_for_health")

        assert await service.stop(timeout=5.0) == 0
        assert service.logged("service_started") == []
