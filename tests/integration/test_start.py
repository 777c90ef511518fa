"""Starting: what stops it, and what is said then."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.integration.client import client
from tests.processes import Platform, Program, make_token, platform, start_program

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

ECHO = "tests/services/echo.py"
SECRET = "a-secret-of-our-own-with-32-bytes-or-more"


async def refused_start(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    """The one sentence with which a program ends that cannot start, after checking status and form."""
    known = {"LINKD_LINK": str(folder / "link.sock"), "LINKD_PORT": "0"}
    program = await start_program(folder, "refused", *arguments, env={**known, **(env or {})}, forked=False)
    assert await program.stop(0) == 1
    lines = [line for line in program.text().splitlines() if not line.startswith("{")]
    assert len(lines) == 1, program.text()
    assert lines[0].startswith("linkd: ")
    return lines[0]


async def test_development_secret_stops_the_start_in_production(tmp_path: Path) -> None:
    """A secret that everybody can read is no secret; the sentence names the setting and not the value."""
    sentence = await refused_start(tmp_path, "serve", env={"LINKD_ENV": "production"})

    assert "LINKD_JWT_SECRET" in sentence
    assert "never-use-it" not in sentence


async def test_short_secret_stops_the_start(tmp_path: Path) -> None:
    """Less than 32 bytes are refused, and not printed."""
    sentence = await refused_start(tmp_path, "serve", env={"LINKD_JWT_SECRET": "hunter2"})

    assert "LINKD_JWT_SECRET" in sentence
    assert "hunter2" not in sentence


async def test_production_starts_with_a_secret_of_its_own(tmp_path: Path) -> None:
    """Tokens of that secret are taken."""
    env = {"LINKD_ENV": "production", "LINKD_JWT_SECRET": SECRET}
    async with (
        platform(tmp_path, ECHO, env=env) as running,
        client(running.url("/ws/echo"), token=make_token(secret=SECRET)) as one,
    ):
        assert await one.ask("echo.member") == "u-1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("LINKD_PORT", "70000"), ("LINKD_PORT", "many"), ("LINKD_MAX_MESSAGE_SIZE", "1"), ("LINKD_ENV", "test")],
)
async def test_bad_setting_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    """The sentence names the setting as the environment does."""
    assert name in await refused_start(tmp_path, "serve", env={name: value})


async def test_port_in_use_stops_the_start(tmp_path: Path) -> None:
    """The sentence names the port and what to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        sentence = await refused_start(tmp_path, "serve", env={"LINKD_PORT": port})

    assert port in sentence
    assert "LINKD_PORT" in sentence
    assert not (tmp_path / "link.sock").exists()


async def test_socket_of_a_living_gateway_stops_the_start(tmp_path: Path) -> None:
    """A second gateway is refused, and the first serves on."""
    async with platform(tmp_path, ECHO) as running:
        sentence = await refused_start(tmp_path, "serve")

        assert str(running.link) in sentence
        assert "LINKD_LINK" in sentence
        async with client(running.url("/ws/echo")) as one:
            assert await one.ask("echo.any", 1) == 1


async def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed gateway left behind is in nobody's way, and the new socket is for this user alone."""
    async with platform(tmp_path) as running:
        await running.gateway.kill()
        assert running.link.exists()
        await running.start_gateway()
        await running.start_service(ECHO)

        assert stat.S_IMODE(os.stat(running.link).st_mode) == 0o600


async def test_file_in_place_of_the_socket_stops_the_start(tmp_path: Path) -> None:
    """A file that is no socket is never removed."""
    (tmp_path / "link.sock").write_text("precious")

    assert "link.sock" in await refused_start(tmp_path, "serve")
    assert (tmp_path / "link.sock").read_text() == "precious"


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("tests/services/nothing.py", "nothing.py"),
        ("tests.services.nothing:service", "nothing"),
        ("tests/services/echo.py:other", "'other'"),
    ],
)
async def test_service_that_is_not_there_stops_the_start(tmp_path: Path, target: str, named: str) -> None:
    """A wrong target is one sentence, not a traceback."""
    assert named in await refused_start(tmp_path, "run", target)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("@service.ws.on('a b')\nasync def f(ctx): ...", "'a b'"),
        ("@service.ws.on('linkd.x')\nasync def f(ctx): ...", "linkd."),
        ("@service.ws.on('x.y')\ndef f(ctx): ...", "async def"),
        ("@service.ws.on('x.y')\nasync def f(): ...", "(ctx, data)"),
        ("@service.ws.on('x.y')\nasync def f(ctx): ...\nservice.ws.on('x.y', f)", "'x.y'"),
        ("@service.ws.on('x.y', roles='admin')\nasync def f(ctx): ...", "['admin']"),
        ("@service.action('x', route='x')\nasync def f(ctx): ...", "'x'"),
    ],
)
async def test_handler_that_cannot_be_registered_stops_the_start(tmp_path: Path, body: str, named: str) -> None:
    """The sentence says what is wrong and where it stands."""
    target = tmp_path / "broken_service.py"
    target.write_text(f"from pylinkd import Service\nservice = Service('broken')\n{body}\n")

    sentence = await refused_start(tmp_path, "run", str(target))

    assert named in sentence
    assert "broken_service.py:" in sentence


@pytest.mark.parametrize("path", ["/ws", "/health"])
async def test_service_cannot_claim_the_gateways_own_paths(tmp_path: Path, path: str) -> None:
    """The registration is refused, and the service ends with one sentence."""
    target = tmp_path / "claims_service.py"
    target.write_text(f"from pylinkd import Service\nservice = Service('claims', path={path!r})\n")
    async with platform(tmp_path) as running:
        program = await start_program(tmp_path, "claims", "run", str(target), env=running.env, forked=False)

        assert await program.stop(0) == 1
        assert path in program.text().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_programs_end_with_status_0_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    """Gateway and service, with nothing to do, end at once and remove the socket."""
    async with platform(tmp_path) as running:
        service = await running.start_service(ECHO)

        assert await service.stop(number, timeout=5) == 0
        assert await running.gateway.stop(number, timeout=5) == 0
        assert not running.link.exists()


async def test_second_signal_ends_a_program_that_waits(tmp_path: Path) -> None:
    """A service that waits for a handler ends at once at the second signal."""
    async with platform(tmp_path) as running:
        service: Program = await running.start_service(ECHO)
        async with client(running.url("/ws/echo")) as one:
            await one.send({"type": "echo.overtake", "data": 60.0})
            await one.ask("echo.any")
            service.process.send_signal(signal.SIGTERM)
            await service.wait_logged("service_stopping")

            assert await service.stop(signal.SIGTERM, timeout=3) == -signal.SIGTERM


async def test_service_without_a_gateway_can_be_stopped(tmp_path: Path) -> None:
    """A service that still waits for its gateway ends with status 0."""
    running = Platform(tmp_path)
    service = await start_program(tmp_path, "alone", "run", ECHO, env=running.env, forked=False)
    await service.wait_logged("gateway_unreachable")

    assert await service.stop(signal.SIGTERM, timeout=5) == 0


async def test_sigusr1_does_not_end_a_gateway_that_starts(tmp_path: Path) -> None:
    """A hook after the renewal of a certificate does not know how far it is. Here it waits for its settings."""
    issuers = tmp_path / "issuers.toml"
    os.mkfifo(issuers)
    gateway = await start_program(tmp_path, "gateway", "serve", env={"LINKD_ISSUERS": str(issuers)}, forked=False)
    try:
        with await asyncio.to_thread(issuers.open, "w") as writing:  # opens when the gateway reads
            gateway.process.send_signal(signal.SIGUSR1)
            writing.write("not toml")
        async with asyncio.timeout(20):
            assert await gateway.process.wait() == 1
    finally:
        await gateway.kill()
