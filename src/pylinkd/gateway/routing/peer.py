"""Who is at the other end of a link, by the word of the kernel."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that connected.

    Attributes:
        uid: Its user, at the time of connecting; ``None``: it came over the network.
        name: For logs: user and process id, or address and port.
    """

    uid: int | None
    name: str


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The process behind a transport."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_UNIX:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(credentials)
        return Peer(uid, f"uid {uid}, pid {pid}")
    name = transport.get_extra_info("peername")
    return Peer(None, f"{name[0]} port {name[1]}" if name else "unknown")
