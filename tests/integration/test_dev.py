"""``linkd dev``: gateway and service in one command, and a service that restarts when its file changes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.certificates import trust
from tests.processes import Platform, start_program

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

SERVICE = """
from pylinkd import Service, WsContext

service = Service("dev")


@service.ws.on("dev.version")
async def version(ctx: WsContext) -> int:
    return 1
"""


EMITTING = """
from pylinkd import Service, WsContext

service = Service("dev")
service.ws.event("dev.declared", int)


@service.ws.on("dev.emit")
async def emit(ctx: WsContext, event: str) -> None:
    await ctx.send(event, 1)
"""


async def answer(client: ClientConnection) -> str:
    """What the service behind the client answers."""
    await client.send('{"type":"dev.version","id":1}')
    return str(await client.recv())


async def test_service_restarts_on_a_change_and_its_client_stays(tmp_path: Path) -> None:
    """Saving the file brings the new code to a client that never reconnects; Ctrl+C ends everything with status 0."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "hello.py").write_text(SERVICE)
    env = Platform(tmp_path).env
    program = await start_program(tmp_path, "dev", "dev", str(folder / "hello.py"), env=env)
    try:
        started = await program.wait_logged("gateway_started")
        await program.wait_logged("service_registered")
        url = started["address"].replace("http", "ws") + "/ws/dev"
        async with connect(url, ssl=trust(url)) as client:
            assert await answer(client) == '{"type":"response","id":1,"data":1}'

            (folder / "hello.py").write_text(SERVICE.replace("return 1", "return 2"))
            await program.wait_logged("service_registered", count=2)

            # The new instance registers before the old one's clients need it; until then 503 is an answer too.
            async with asyncio.timeout(20):
                while await answer(client) != '{"type":"response","id":1,"data":2}':
                    await asyncio.sleep(0.02)

        assert await program.stop(signal.SIGINT) == 0
    finally:
        await program.stop(signal.SIGKILL)


@pytest.mark.parametrize(("given", "code"), [({}, 500), ({"LINKD_CHECK_EVENTS": "false"}, None)])
async def test_events_are_compared_with_their_declarations(
    tmp_path: Path, given: dict[str, str], code: int | None
) -> None:
    """Under ``linkd dev``, unless it is told not to; the log says what is wrong."""
    (tmp_path / "emitting.py").write_text(EMITTING)
    env = {**Platform(tmp_path).env, **given}
    program = await start_program(tmp_path, "dev", "dev", str(tmp_path / "emitting.py"), env=env)
    try:
        started = await program.wait_logged("gateway_started")
        await program.wait_logged("service_registered")
        url = started["address"].replace("http", "ws") + "/ws/dev"
        async with connect(url, ssl=trust(url)) as client:
            answers = {}
            for event in ("dev.declared", "dev.other"):
                await client.send(json.dumps({"type": "dev.emit", "id": 1, "data": event}))
                async with asyncio.timeout(20):
                    while (message := json.loads(await client.recv())).get("id") != 1:
                        pass
                answers[event] = message.get("error", {}).get("code")
        assert answers == {"dev.declared": None, "dev.other": code}
        assert ("add service.ws.event('dev.other'" in program.text()) is (code == 500)
    finally:
        await program.stop(signal.SIGINT)


async def test_service_that_cannot_start_is_started_again_when_its_file_is_mended(tmp_path: Path) -> None:
    """A syntax error is told and costs nothing but the service; saving the mended file brings it up."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "hello.py").write_text("this is no python")
    env = Platform(tmp_path).env
    program = await start_program(tmp_path, "dev", "dev", str(folder / "hello.py"), env=env)
    try:
        await program.wait_logged("service_ended")
        assert "SyntaxError" in program.text()

        (folder / "hello.py").write_text(SERVICE)

        await program.wait_logged("service_registered")
        assert await program.stop() == 0
    finally:
        await program.stop(signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def service_of(pid: int) -> int:
    """The process of its service; the gateway was started first."""
    (service,) = [
        child for child in children_of(pid) if b"run" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    ]
    return service


async def wait_gone(pids: list[int]) -> None:
    """Wait until none of these processes is there any more."""
    async with asyncio.timeout(20):
        while any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in pids):
            await asyncio.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever ends the command: a closed terminal, kill -9, or a signal that it can answer."""
    (tmp_path / "hello.py").write_text(SERVICE)
    program = await start_program(tmp_path, "dev", "dev", str(tmp_path / "hello.py"), env=Platform(tmp_path).env)
    try:
        await program.wait_logged("service_registered")
        children = children_of(program.process.pid)
        assert len(children) == 2

        status = await program.stop(number)

        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        await wait_gone(children)
    finally:
        await program.stop(signal.SIGKILL)


async def test_service_that_was_killed_is_started_again(tmp_path: Path) -> None:
    """After a moment, and the log says so."""
    (tmp_path / "hello.py").write_text(SERVICE)
    program = await start_program(tmp_path, "dev", "dev", str(tmp_path / "hello.py"), env=Platform(tmp_path).env)
    try:
        await program.wait_logged("service_registered")
        os.kill(service_of(program.process.pid), signal.SIGKILL)

        ended = await program.wait_logged("service_ended")
        assert (ended["signal"], ended["restart_in"]) == ("SIGKILL", 0.5)
        await program.wait_logged("service_registered", count=2)

        os.kill(service_of(program.process.pid), signal.SIGTERM)
        ended = await program.wait_logged("service_ended", count=2)
        assert (ended["status"], ended["restart_in"]) == (0, 1.0)
        await program.wait_logged("service_registered", count=3)
        assert await program.stop() == 0
    finally:
        await program.stop(signal.SIGKILL)


async def test_several_services_are_run_and_restarted_by_their_own_files(tmp_path: Path) -> None:
    """Each by changes in its own folder; a service is a target as linkd run takes it."""
    source = SERVICE.replace("service =", "it =").replace("@service.", "@it.")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text(source.replace('"dev', f'"{name}'))
    targets = [f"{tmp_path}/one/one.py:it", f"{tmp_path}/two/two.py:it"]
    program = await start_program(tmp_path, "dev", "dev", *targets, env=Platform(tmp_path).env)
    try:
        await program.wait_logged("service_registered", count=2)
        assert {line["service"] for line in program.logged("service_registered")} == {"one", "two"}

        (tmp_path / "two" / "two.py").write_text(source.replace('"dev', '"two') + "\n")

        again = await program.wait_logged("service_registered", count=3)
        assert again["service"] == "two"
        assert [line["target"] for line in program.logged("service_restarting")] == [targets[1]]
        assert await program.stop() == 0
    finally:
        await program.stop(signal.SIGKILL)
