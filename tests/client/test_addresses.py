"""Addresses that are none: those that a program gives, and those that a server redirects to."""

from __future__ import annotations

import ssl

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from pylinkd.client import ConnectionLost, connect

from .clock import accelerated
from .servers import Peer, serve
from .watching import Watch


@pytest.mark.parametrize(
    "url",
    [
        "", "no address", "ftp://127.0.0.1/", "ws://", "ws://127.0.0.1:99999/", "ws://127.0.0.1:x/", "ws://[::1/",
        "ws://127.0.0.1/#fragment", "ws://user@127.0.0.1/", "ws://a..b/", "ws://" + "x" * 300 + "/",
    ],
)  # fmt: skip
def test_address_that_is_none_is_refused_at_once(url: str) -> None:
    """A mistake of the program's is no failure of the network."""
    with pytest.raises(ValueError, match="address"):
        connect(url)


def test_tls_context_for_an_address_without_tls_is_refused_at_once() -> None:
    """It would have no effect, which nobody wants."""
    with pytest.raises(ValueError, match="wss"):
        connect("ws://127.0.0.1/", ssl=ssl.create_default_context())


@pytest.mark.parametrize("location", ["wss://[", "ws://127.0.0.1:99999/", "ftp://127.0.0.1/", "ws://a..b/"])
@accelerated
async def test_redirect_to_what_is_no_address_ends_the_client(location: str) -> None:
    """With the reason: it is a mistake of whoever configured the server."""

    async def script(peer: Peer) -> None:
        await peer.welcome()

    headers = Headers([("Content-Length", "0"), ("Location", location)])
    async with serve(script, refuse=lambda _: Response(307, "There", headers)) as server:
        client = connect(server.url)
        watch = Watch(client)
        async with client:
            with pytest.raises(ConnectionLost, match="no connection can be made"):
                await client.wait()

            assert watch.sources == ["connect"]
            assert len(server.arrivals) == 1
