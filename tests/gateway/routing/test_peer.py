"""Who is at the other end of a link."""

from __future__ import annotations

import asyncio
import os
import socket

from pylinkd.gateway.routing.peer import Peer, peer_of

from ..doubles import RecordingTransport


async def test_process_on_a_unix_socket_has_a_user() -> None:
    """The kernel says which, and the process's number."""
    here, there = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=here)

    peer = peer_of(transport)

    transport.abort()
    there.close()
    assert peer == Peer(os.getuid(), f"uid {os.getuid()}, pid {os.getpid()}")


async def test_process_on_the_network_has_an_address() -> None:
    """And no user."""
    with socket.socket() as inet:
        transport = RecordingTransport(socket=inet, peername=("10.0.0.1", 4000))

        assert peer_of(transport) == Peer(None, "10.0.0.1 port 4000")


async def test_process_that_is_gone_has_nothing() -> None:
    """It left before it was looked at."""
    assert peer_of(RecordingTransport()) == Peer(None, "unknown")
