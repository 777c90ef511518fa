"""What both ends of the link do with the socket itself, past its transport."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

_CHUNK = 256 * 1024  # bytes read at once
_MOST = 64 * 2**20  # bytes; more than any kernel keeps for a socket


def read_rest(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """What the peer wrote before it ended, and nobody has read. For ``connection_lost``, while the socket is open.

    A transport whose write fails ends at once, though answers of the peer may still wait in the kernel. Over TLS there
    is nothing to be had: what waits cannot be decrypted any more.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("ssl_object") is not None:
        return
    size = 0
    while size < _MOST:
        try:
            data = os.read(connection.fileno(), _CHUNK)
        except OSError:  # nothing is left for now, or the reset that ended the connection
            return
        if not data:
            return
        size += len(data)
        yield data
