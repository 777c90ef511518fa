"""What is NATS's own: signing in, TLS, several servers, a server that hangs, and bytes that are not its protocol."""

from __future__ import annotations

import asyncio
import base64
import binascii
import random
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pylinkd.gateway.cluster.nats import NatsTransport
from pylinkd.gateway.cluster.nats_address import (
    NatsAddress,
    NatsSettings,
    private_key,
    public_key,
)
from pylinkd.gateway.cluster.nats_protocol import NatsProtocolError, NatsReader
from pylinkd.gateway.cluster.server_address import ServerAddressError
from tests.certificates import make_certificate
from tests.servers.nats import NatsServer

from .cluster import Cluster, OnNats, Raw, until


@pytest.fixture
def servers(tmp_path: Path) -> Any:
    """Makes servers, which are ended afterwards."""
    made: list[NatsServer] = []

    def make(configuration: str = "", neighbour: NatsServer | None = None) -> NatsServer:
        server = NatsServer(tmp_path / f"nats{len(made)}", configuration, neighbour=neighbour)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.stop()


async def connected(settings: NatsSettings) -> NatsTransport:
    """A transport that is connected."""
    transport, raw = NatsTransport(settings, random.Random(1)), Raw()
    transport.open(raw)
    await until(lambda: raw.is_up)
    return transport


def seed() -> str:
    """A new nkey of a user."""
    body = bytes([18 << 3 | 20 << 3 >> 5, (20 << 3 & 31) << 3]) + random.randbytes(32)
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def spoiled(text: str) -> str:
    """A seed with another letter in it."""
    return text[:20] + ("A" if text[20] != "A" else "B") + text[21:]


# signing in


@pytest.mark.parametrize("way", ["password", "token", "nkey", "wrong"])
async def test_gateway_signs_in(servers: Any, way: str) -> None:
    """By user and password, a token, or a key; who is wrong is not let in, and goes on trying."""
    own = seed()
    known = {
        "password": "authorization { user: una, password: 'se cret' }",
        "token": "authorization { token: s3cret }",
        "nkey": f"authorization {{ users: [{{ nkey: {public_key(private_key(own))} }}] }}",
        "wrong": "authorization { token: another }",
    }
    server = servers(known[way])
    prefix = {"password": "una:se%20cret@", "token": "s3cret@", "nkey": "", "wrong": "s3cret@"}[way]
    address = NatsAddress.parse(f"nats://{prefix}127.0.0.1:{server.port}")
    settings = NatsSettings((address,), nkey=own if way == "nkey" else "")
    if way != "wrong":
        await (await connected(settings)).close()
        return
    transport, raw = NatsTransport(settings, random.Random(1)), Raw()
    transport.open(raw)
    await asyncio.sleep(0.5)
    assert not raw.is_up
    async with asyncio.timeout(5):
        await transport.close()


async def test_gateway_speaks_tls(servers: Any, tmp_path: Path) -> None:
    """Where the server asks for it, or the address; a certificate of nobody's is refused."""
    certificate = make_certificate(tmp_path)
    server = servers(f"tls {{ cert_file: {certificate.certfile}, key_file: {certificate.keyfile} }}")
    trust = ssl.create_default_context(cafile=certificate.certfile)
    plain, address = (NatsAddress.parse(f"{scheme}://127.0.0.1:{server.port}") for scheme in ("nats", "tls"))
    for each in (plain, address):
        await (await connected(NatsSettings((each,), tls=trust))).close()

    transport, raw = NatsTransport(NatsSettings((address,)), random.Random(1)), Raw()
    transport.open(raw)
    await asyncio.sleep(0.5)
    assert not raw.is_up
    await transport.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("nats://a", NatsAddress("a", 4222)),
        ("a:1", NatsAddress("a", 1)),
        ("tls://u:p%40@a:1", NatsAddress("a", 1, True, "u", "p@")),
        ("nats://[::1]:1", NatsAddress("::1", 1)),
    ],
)
def test_addresses(text: str, address: NatsAddress) -> None:
    """With what can be left out."""
    assert NatsAddress.parse(text) == address


@pytest.mark.parametrize("text", ["", "http://a", "nats://", "nats://a:x", "nats://a/b", "nats://a?b"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With how one is written."""
    with pytest.raises(ServerAddressError, match="is written"):
        NatsAddress.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "SU", "no base32!", public_key(Ed25519PrivateKey.generate()), spoiled(seed())],
    ids=["nothing", "its beginning", "no base32", "a public key", "a wrong sum"],
)
def test_what_is_no_seed_is_refused(text: str) -> None:
    """A public key is none, either."""
    with pytest.raises(ServerAddressError, match="begins with SU"):
        private_key(text)


# servers


@pytest.fixture
async def pair(servers: Any) -> AsyncIterator[tuple[NatsServer, NatsServer, Cluster]]:
    """Two servers of one cluster, and gateways that use either."""
    one = servers()
    two = servers(neighbour=one)
    cluster = Cluster(OnEither())
    yield one, two, cluster
    await cluster.close()


class OnEither(OnNats):
    """Nothing of its own: each gateway of these tests says which server it means."""

    def __init__(self) -> None:
        pass

    def stop(self) -> None:
        pass


def at(server: NatsServer) -> NatsTransport:
    """A connection to this server."""
    return NatsTransport(NatsSettings((NatsAddress.parse(server.url),)), random.Random(1))


async def test_barrier_covers_the_other_servers(pair: tuple[NatsServer, NatsServer, Cluster]) -> None:
    """What is subscribed at one server is known at the other once the barrier is through, and not before."""
    one_server, two_server, cluster = pair
    one, _ = await cluster.join(transport=at(one_server))
    two, second = await cluster.join(transport=at(two_server))
    await until(lambda: one.members and two.members)

    for number in range(100):
        name = f"room {number}"
        two.subscribe([name])
        await two.barrier()
        assert one.publish(name, b"x")

    await until(lambda: len(second.of("received")) == 100)


async def test_gateway_goes_on_at_another_server(pair: tuple[NatsServer, NatsServer, Cluster]) -> None:
    """Where its own has ended."""
    one_server, two_server, cluster = pair
    both = tuple(NatsAddress.parse(server.url) for server in (one_server, two_server))
    _, first = await cluster.join(transport=NatsTransport(NatsSettings(both), random.Random(3)))
    one_server.stop()
    two_server.stop()
    await until(lambda: first.of("down"))
    two_server.start()

    await until(lambda: first.of("up")[-1] == 2)


async def test_what_waits_for_a_server_that_hangs_is_bounded(servers: Any) -> None:
    """More is not taken, and nothing waits that would be sent late."""
    server = servers()
    transport = await connected(NatsSettings((NatsAddress.parse(server.url),)))
    server.signal(signal.SIGSTOP)
    taken = 0
    for _ in range(2000):
        taken += transport.publish("lk.tests.x", bytes(100_000))
        await asyncio.sleep(0)

    assert 10 <= taken < 500
    server.signal(signal.SIGCONT)
    async with asyncio.timeout(10):
        await transport.flush()
    assert transport.publish("lk.tests.x", b"x")
    await transport.close()


async def test_message_that_the_server_does_not_take_costs_no_connection(servers: Any) -> None:
    """It says how large one may be."""
    server = servers("max_payload: 65536")
    transport = await connected(NatsSettings((NatsAddress.parse(server.url),)))

    assert not transport.publish("lk.tests.x", bytes(65537))
    assert transport.publish("lk.tests.x", bytes(65536))
    await transport.flush()
    await transport.close()


# the protocol


class Heard:
    """Keeps what a reader tells. A NatsListener."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_info(self, info: dict[str, Any]) -> None:
        self.heard.append(info)

    def on_message(self, sid: bytes, payload: bytes) -> None:
        self.heard.append((sid, payload))

    def on_ping(self) -> None:
        self.heard.append("ping")

    def on_pong(self) -> None:
        self.heard.append("pong")

    def on_error(self, text: str) -> None:
        self.heard.append(text)


STREAM = (
    b'INFO {"max_payload":10}\r\nPING\r\nPONG\r\n+OK\r\nMSG a 7 3\r\nx\r\n\r\nMSG a.b 8 reply 0\r\n\r\n'
    b"-ERR 'Slow Consumer'\r\nMSG a 7 4\r\nlast\r\n"
)
HEARD = [{"max_payload": 10}, "ping", "pong", (b"7", b"x\r\n"), (b"8", b""), "Slow Consumer", (b"7", b"last")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_read_however_they_are_cut(size: int) -> None:
    """Line breaks in a payload are a part of it."""
    heard = Heard()
    reader = NatsReader(heard)
    reader.largest = 10
    for start in range(0, len(STREAM), size):
        reader.feed(STREAM[start : start + size])

    assert heard.heard == HEARD


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"MSG a 7 11\r\n",
        b"MSG a 7 -1\r\n",
        b"MSG a\r\n",
        b"MSG a 7 b c d 1\r\n",
        b"INFO {\r\n",
        b"INFO []\r\n",
        b"x" * 70_000,
    ],
    ids=repr,
)
def test_what_is_no_nats_is_refused(data: bytes) -> None:
    """Before anything of it is kept."""
    reader = NatsReader(Heard())
    reader.largest = 10

    with pytest.raises(NatsProtocolError):
        reader.feed(data)
