"""A transport that keeps what is written and still has a socket, which picows looks at."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ..doubles import RecordingTransport


class SocketTransport(RecordingTransport):
    """A recording transport with a TCP socket that is never connected: picows sets options on it."""

    address = "192.0.2.7"

    def __init__(self, unused: socket.socket) -> None:
        super().__init__(None, socket=unused, peername=(self.address, 4711), sockname=("192.0.2.1", 80))


@pytest.fixture
def socket_transport() -> Iterator[SocketTransport]:
    """Closed afterwards."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unused:
        yield SocketTransport(unused)
