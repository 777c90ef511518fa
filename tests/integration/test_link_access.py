"""Who may be a service: the user at the Unix socket, the secret, and TLS where the link is a TCP port."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio

from pylinkd.protocol.link import encode
from pylinkd.protocol.link_pb2 import Frame
from tests.certificates import Certificate, make_certificate, trust
from tests.integration.client import client
from tests.integration.raw_link import raw_link
from tests.integration.test_start import refused_start
from tests.processes import Platform, platform, start_program

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.plain("it is about services, not about connections of clients"),
]

ECHO = "tests/services/echo.py"
SECRET = "the-links-secret-with-32-bytes-or-more"
OTHER = "another-secret-that-is-as-long-as-that"
ALLOWED, STRANGER = 12345, 54321

# Gives up root's rights but for the group, as an operator would share the socket; connects, sends what it is told, and
# prints what comes first, or that the other side closed.
AS_ANOTHER_USER = """
import os, socket, sys
os.setgroups([]); os.setuid(int(sys.argv[1]))
with socket.socket(socket.AF_UNIX) as link:
    link.connect(sys.argv[2])
    try:
        link.sendall(bytes.fromhex(sys.argv[3]))
        print(link.recv(65536).hex())
    except ConnectionError:
        print()
"""


def link_env(certificate: Certificate, secret: str = SECRET) -> dict[str, str]:
    """The settings of gateway and services that meet by TCP."""
    return {
        "LINKD_LINK": "tcp://127.0.0.1:0",
        "LINKD_LINK_CERTFILE": str(certificate.certfile),
        "LINKD_LINK_KEYFILE": str(certificate.keyfile),
        "LINKD_LINK_CAFILE": str(certificate.certfile),
        "LINKD_LINK_SECRET": secret,
    }


def everything_told(running: Platform) -> str:
    """All that gateway and services printed."""
    return "".join(program.text() for program in running.programs)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secretive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway with a secret on a Unix socket, and a service that knows it."""
    async with platform(tmp_path_factory.mktemp("p"), ECHO, env={"LINKD_LINK_SECRET": SECRET}) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def networked(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> AsyncIterator[Platform]:
    """A gateway whose link is a TCP port, and a service on it."""
    async with platform(tmp_path_factory.mktemp("p"), ECHO, env=link_env(certificate)) as running:
        yield running


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can pass through, as those of tests are not."""
    with TemporaryDirectory(prefix="linkd-") as folder:
        os.chmod(folder, 0o711)
        yield Path(folder)


# the secret


async def test_service_that_knows_the_secret_is_taken(secretive: Platform) -> None:
    """Gateway and service read the same variable, and print its value nowhere."""
    async with client(secretive.url("/ws/echo")) as one:
        assert await one.ask("echo.any", 1) == 1

    assert SECRET not in everything_told(secretive)


@pytest.mark.parametrize("secret", ["", OTHER], ids=["missing", "wrong"])
async def test_service_without_the_secret_is_refused(secretive: Platform, tmp_path: Path, secret: str) -> None:
    """It ends with one sentence, the same whether the secret is missing or wrong, that says what to set."""
    env = {**secretive.env, "LINKD_LINK_SECRET": secret}

    program = await start_program(tmp_path, "refused", "run", ECHO, env=env)

    assert await program.stop(0) == 1
    assert program.text().splitlines()[-1] == (
        "linkd: The gateway takes only services that know its secret: "
        "set LINKD_LINK_SECRET to the same value for gateway and service."
    )
    assert secretive.gateway.logged("link_closed_by_gateway")[-1]["service"] == "unregistered"
    told = everything_told(secretive) + program.text()
    assert SECRET not in told
    assert OTHER not in told


async def test_secret_comes_before_all_else(secretive: Platform) -> None:
    """A stranger does not even learn the version of the protocol, and gets no second try on a link."""
    first, second = Frame(request_id=1), Frame(request_id=2)
    first.register.protocol_version, first.register.secret = 99, OTHER.encode()
    second.register.protocol_version, second.register.secret = 1, SECRET.encode()
    async with raw_link(secretive.link) as link:
        await link.send_bytes(encode(first) + encode(second))

        assert (await link.receive("failure")).failure.type == "LINK_SECRET"
        assert await link.ended() == b""


async def test_short_secret_stops_the_start(tmp_path: Path) -> None:
    """Of gateway and service alike; the sentence does not show it."""
    for arguments in (("serve",), ("run", ECHO)):
        sentence = await refused_start(tmp_path, *arguments, env={"LINKD_LINK_SECRET": "hunter2"})

        assert sentence == "linkd: LINKD_LINK_SECRET must have 32 bytes or more"


# before the registration


@pytest.mark.parametrize("kind", ["done", "response", "publish", None])
async def test_nothing_but_a_registration_is_taken_first(secretive: Platform, kind: str | None) -> None:
    """Answers and unknown frames cut the link as well."""
    frame = Frame(request_id=1)
    if kind is not None:
        getattr(frame, kind).SetInParent()
    async with raw_link(secretive.link) as link:
        await link.send(frame)

        assert await link.ended(timeout=3) == b""


async def test_large_frame_is_cut_before_the_registration(secretive: Platform) -> None:
    """Its length is enough: a stranger cannot make the gateway keep more than 64 KiB."""
    async with raw_link(secretive.link) as link:
        await link.send_bytes(struct.pack(">I", 64 * 1024 + 1))

        assert await link.ended(timeout=3) == b""


async def test_large_frame_is_taken_after_the_registration(secretive: Platform) -> None:
    """The limit is the stranger's, not the service's."""
    async with raw_link(secretive.link) as link:
        await link.register("large", secret=SECRET)
        await link.receive("registered")
        frame = Frame(request_id=2)
        frame.publish.type = "large.event"
        frame.publish.data = b'"' + b"x" * 100_000 + b'"'
        await link.send(frame)

        assert (await link.receive("published")).request_id == 2


async def test_process_that_never_registers_is_cut(secretive: Platform) -> None:
    """After 5 s, with a line in the log that says whose it was."""
    async with raw_link(secretive.link) as link:
        assert await link.ended() == b""

    reasons = [(line["reason"], line["peer"]) for line in secretive.gateway.logged("link_closed_by_gateway")]
    assert ("no registration within 5 seconds", f"uid {os.getuid()}, pid {os.getpid()}") in reasons


# users


@pytest.mark.skipif(os.getuid() != 0, reason="becomes other users, which only root can")
async def test_process_of_another_user_is_refused(tmp_path: Path, shared_folder: Path) -> None:
    """The socket's group may connect to it, and of them only who is listed is let in."""
    env = {"LINKD_LINK": str(shared_folder / "link.sock"), "LINKD_LINK_UIDS": f"0,{ALLOWED}"}
    registration = Frame(request_id=1)
    registration.register.protocol_version = 1
    registration.register.service = "other"
    async with platform(tmp_path, env=env) as running:

        async def register_as(uid: int) -> bytes:
            arguments = (str(uid), running.env["LINKD_LINK"], encode(registration).hex())
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", AS_ANOTHER_USER, *arguments, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            assert process.returncode == 0
            return bytes.fromhex(output.decode().strip())

        assert stat.S_IMODE(os.stat(running.env["LINKD_LINK"]).st_mode) == 0o660
        assert await register_as(STRANGER) == b""
        refused = await running.gateway.wait_logged("link_closed_by_gateway")
        assert refused["peer"].startswith(f"uid {STRANGER}, pid ")
        assert "LINKD_LINK_UIDS" in refused["reason"]
        assert running.gateway.logged("service_registered") == []
        answer = await register_as(ALLOWED)
        assert Frame.FromString(answer[4:]).WhichOneof("body") == "registered"


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which only root can")
async def test_service_does_not_talk_to_the_socket_of_another_user(tmp_path: Path, shared_folder: Path) -> None:
    """Who puts a socket in the gateway's place gets neither messages nor the secret."""
    path = shared_folder / "link.sock"
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()
        ended.set()

    shared_folder.chmod(0o777)
    os.seteuid(STRANGER)  # the kernel notes who calls listen()
    try:
        server = await asyncio.start_unix_server(listen, str(path))
    finally:
        os.seteuid(0)
    async with server:
        env = {"LINKD_LINK": str(path), "LINKD_LINK_SECRET": SECRET}
        program = await start_program(tmp_path, "deceived", "run", ECHO, env=env)
        try:
            line = await program.wait_logged("gateway_unreachable")
            async with asyncio.timeout(5):
                await ended.wait()
        finally:
            await program.kill()

    assert f"user {STRANGER}" in line["error"]
    assert "LINKD_LINK_UIDS" in line["error"]
    assert set(heard) == {b""}


# TCP


async def test_service_meets_its_gateway_over_tcp(networked: Platform) -> None:
    """With TLS and the secret it is as on the Unix socket."""
    assert networked.env["LINKD_LINK"].startswith("tcp://127.0.0.1:")
    async with client(networked.url("/ws/echo")) as one:
        assert await one.ask("echo.any", "x" * 50_000) == "x" * 50_000


async def test_service_comes_back_over_tcp(tmp_path: Path, certificate: Certificate) -> None:
    """A gateway that starts anew on the same port is found again."""
    async with platform(tmp_path, ECHO, env=link_env(certificate)) as running:
        await running.gateway.kill()
        await running.start_gateway()
        await running.wait_ready()

        async with client(running.url("/ws/echo")) as one:
            assert await one.ask("echo.any", 1) == 1


async def test_service_leaves_in_good_order_over_tcp(tmp_path: Path, certificate: Certificate) -> None:
    """TLS's goodbye holds up neither service nor gateway."""
    async with platform(tmp_path, env=link_env(certificate)) as running:
        service = await running.start_service(ECHO)

        assert await service.stop(timeout=5) == 0
        await running.gateway.wait_logged("service_left")
        assert await running.gateway.stop(timeout=5) == 0


@pytest.mark.parametrize("missing", ["LINKD_LINK_CERTFILE", "LINKD_LINK_KEYFILE", "LINKD_LINK_SECRET"])
async def test_tcp_without_tls_or_secret_stops_the_start(
    tmp_path: Path, certificate: Certificate, missing: str
) -> None:
    """One sentence that says what to set."""
    sentence = await refused_start(tmp_path, "serve", env={**link_env(certificate), missing: ""})

    assert missing in sentence
    assert "tcp://127.0.0.1:0" in sentence


async def test_service_without_the_secret_does_not_start_over_tcp(networked: Platform, tmp_path: Path) -> None:
    """It does not ask the gateway first."""
    env = {**networked.env, "LINKD_LINK_SECRET": ""}

    assert "LINKD_LINK_SECRET" in await refused_start(tmp_path, "run", ECHO, env=env)


async def test_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path, certificate: Certificate) -> None:
    """A key in place of the certificate, for example."""
    env = {**link_env(certificate), "LINKD_LINK_CERTFILE": str(certificate.keyfile)}

    sentence = await refused_start(tmp_path, "serve", env=env)

    assert "LINKD_LINK_CERTFILE and LINKD_LINK_KEYFILE" in sentence


async def test_port_in_use_stops_the_start(networked: Platform, tmp_path: Path) -> None:
    """The sentence names it and the setting."""
    env = {name: value for name, value in networked.env.items() if name.startswith("LINKD_LINK")}

    sentence = await refused_start(tmp_path, "serve", env=env)

    assert networked.env["LINKD_LINK"] in sentence


@pytest.mark.parametrize("name", ["authority", "host"])
async def test_service_believes_no_other_certificate(networked: Platform, tmp_path: Path, name: str) -> None:
    """One of another authority, or for another host, is none: the service says so and goes on trying."""
    env = dict(networked.env)
    if name == "authority":
        env["LINKD_LINK_CAFILE"] = str(make_certificate(tmp_path).certfile)
    else:
        # The certificate is for the address; its common name says localhost, which counts for nothing.
        env["LINKD_LINK"] = env["LINKD_LINK"].replace("127.0.0.1", "localhost")
    program = await start_program(tmp_path, "doubtful", "run", ECHO, env=env)
    try:
        line = await program.wait_logged("gateway_unreachable")
    finally:
        await program.kill()

    assert "certificate" in line["error"]
    assert program.logged("gateway_connected") == []


async def test_stranger_on_the_tcp_link_is_refused(networked: Platform) -> None:
    """TLS alone makes nobody a service."""
    async with raw_link(networked.env["LINKD_LINK"], link_trust()) as link:
        await link.register("stranger", secret=OTHER)

        assert (await link.receive("failure")).failure.type == "LINK_SECRET"
        assert await link.ended() == b""


@pytest.mark.parametrize("shakes_hands", [True, False], ids=["tls", "silent"])
async def test_peer_that_never_registers_is_cut(networked: Platform, shakes_hands: bool) -> None:
    """After 5 s, with TLS and without a byte of it."""
    async with raw_link(networked.env["LINKD_LINK"], link_trust() if shakes_hands else None) as link:
        assert await link.ended() == b""


async def test_large_frame_is_cut_over_tcp(networked: Platform) -> None:
    """As on the Unix socket."""
    async with raw_link(networked.env["LINKD_LINK"], link_trust()) as link:
        await link.send_bytes(struct.pack(">I", 64 * 1024 + 1))

        assert await link.ended(timeout=3) == b""


async def test_plain_text_is_cut_over_tcp(networked: Platform) -> None:
    """A registration without TLS, even with the secret, gets no answer."""
    async with raw_link(networked.env["LINKD_LINK"]) as link:
        await link.register("plain", secret=SECRET)
        await link.ended(timeout=5)

    assert "plain" not in [line["service"] for line in networked.gateway.logged("service_registered")]


def link_trust() -> ssl.SSLContext | None:
    """The tests' own trust: it holds for the link's certificate, too."""
    return trust("https:")
