"""What the kernel knows of a client's TCP connection."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

_TCP_INFO = struct.Struct("=B23xI28xI")  # of struct tcp_info, linux/tcp.h: tcpi_state, tcpi_unacked, tcpi_last_ack_recv
_ESTABLISHED = 1
_UNREACHABLE_MS = 20_000  # without an acknowledgement of what was sent; the kernel repeats it every few seconds


def is_reachable(transport: asyncio.Transport | None) -> bool:
    """Whether the client's kernel acknowledges what we send, which says nothing of the client itself."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    state, unacknowledged, silence_ms = _TCP_INFO.unpack(info)
    # Any other state: it has closed its end, or reset the connection, which nobody reads that does not read.
    return bool(state == _ESTABLISHED and not (unacknowledged and silence_ms >= _UNREACHABLE_MS))


def reset_on_close(transport: asyncio.Transport) -> None:
    """Have the connection end with a reset, and not with the end of a stream."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def unread(transport: asyncio.Transport) -> int:
    """Bytes that were written and that the client's kernel has not acknowledged."""
    # The transport's buffer alone stands still for long: the kernel takes more only when a third of its is free.
    size = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None:
        return size
    (queued,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(size + queued)
