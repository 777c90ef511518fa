"""Getting an issuer's keys: whom to believe about the server's certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pylinkd.gateway.guard.fetching import Fetching
from tests.certificates import Certificate, make_certificate

from .test_keys import P256, jwk, jwks


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Signed by nobody whom the system believes."""
    return make_certificate(tmp_path)


@pytest.fixture
async def url(certificate: Certificate) -> AsyncIterator[str]:
    """Where an issuer with this certificate publishes its keys."""
    document = jwks(jwk(P256, "ES256", kid="k"))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(document) + document)
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certfile, certificate.keyfile)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"


async def test_private_authority_is_believed_where_the_operator_names_it(url: str, certificate: Certificate) -> None:
    """And nowhere else."""
    believing, others = Fetching(certificate.certfile), Fetching()
    try:
        assert (await believing.keys(url, ["ES256"])).find("k", "ES256") is not None
        with pytest.raises(OSError, match="cannot be fetched"):
            await others.keys(url, ["ES256"])
    finally:
        await believing.close()
        await others.close()


async def test_client_that_was_closed_can_be_used_again(url: str, certificate: Certificate) -> None:
    """The task that fetches keys may be started anew."""
    fetching = Fetching(certificate.certfile)

    for _ in range(2):
        assert await fetching.keys(url, ["ES256"])
        await fetching.close()
