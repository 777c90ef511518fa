"""Who is at the other end of a link, by the word of the kernel."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...link_endpoint import peer_credentials


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
    credentials = peer_credentials(transport)
    if credentials is not None:
        return Peer(credentials.uid, f"uid {credentials.uid}, pid {credentials.pid}")
    name = transport.get_extra_info("peername")
    return Peer(None, f"{name[0]} port {name[1]}" if name else "unknown")
