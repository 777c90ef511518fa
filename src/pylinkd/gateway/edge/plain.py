"""A new connection of a port that takes HTTP alone, such as the admin port."""

from __future__ import annotations

import asyncio
from typing import cast

from .reading import BUFFER
from .requests import HttpConnection
from .serving import Serving


class HttpArrival(asyncio.BufferedProtocol):
    """A new connection of a port that takes no WebSockets.

    Args:
        serving: What all connections of the port share.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        serving, open_ = self._serving, cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        client = (peer[0], peer[1]) if isinstance(peer, tuple) else None
        address = client[0] if client else ""
        if not serving.enter(address, shared=False):
            open_.abort()
            return
        connection = HttpConnection(serving, open_, client, lambda: serving.bound.leave(address))
        open_.set_protocol(connection)
        connection.begin(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        """See asyncio.BufferedProtocol."""
        return BUFFER
