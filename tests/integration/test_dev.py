"""``linkd dev``: gateway and service in one command, and a service that restarts when its file changes."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.certificates import trust
from tests.processes import Platform, start_program

SERVICE = """
from pylinkd import Service, WsContext

service = Service("dev")


@service.ws.on("dev.version")
async def version(ctx: WsContext) -> int:
    return 1
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
