"""A process of the scenario ``memory``: many connections that each send large messages, and count the answers.

It opens them, waits for a line on standard input, and notes in a file how far it is until standard input ends.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import sys
import time
from pathlib import Path

from .notes import write_note
from .programs import raise_descriptors
from .raw_client import frame, open_clients, whole_frames

_NOTE_INTERVAL = 0.25  # seconds
_LONGEST = 600.0  # seconds; nobody is left behind who waits for ever
_SEND_BUFFER = 32 * 1024  # bytes; the kernel doubles it. What the kernel holds for thousands of senders is limited


class Sender:
    """One connection: how much of the messages has left, and what came back."""

    __slots__ = ("at", "received", "socket")

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.at = 0
        self.received = bytearray()


class Senders:
    """All connections of this process.

    Args:
        clients: Open connections.
        stream: The bytes that each of them sends.
        note: Where to write how far they are.
    """

    def __init__(self, clients: list[socket.socket], stream: bytes, note: Path) -> None:
        self._stream = memoryview(stream)
        self._note = note
        self._selector = selectors.DefaultSelector()
        self._counts = {"opened": len(clients), "sent_bytes": 0, "answers": 0, "errors": 0, "closed": 0}
        for client in clients:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.register(client, both, Sender(client))

    def run(self) -> None:
        """Send and receive until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        until = time.monotonic() + _LONGEST
        noted = 0.0
        while (now := time.monotonic()) < until:
            if now - noted > _NOTE_INTERVAL:
                noted = now
                write_note(self._note, self._counts)
            for key, events in self._selector.select(_NOTE_INTERVAL):
                if key.data is None:
                    return
                self._serve(key.data, events)

    def _serve(self, sender: Sender, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(sender)
            if events & selectors.EVENT_READ:
                self._receive(sender)
        except BlockingIOError:
            pass
        except OSError:
            self._end(sender)

    def _send(self, sender: Sender) -> None:
        sent = sender.socket.send(self._stream[sender.at :])
        sender.at += sent
        self._counts["sent_bytes"] += sent
        if sender.at == len(self._stream):
            self._selector.modify(sender.socket, selectors.EVENT_READ, sender)

    def _receive(self, sender: Sender) -> None:
        data = sender.socket.recv(65536)
        if not data:
            self._end(sender)
            return
        received = sender.received
        received += data
        end = 0
        for opcode, start, end in whole_frames(received):  # the last end is where the rest begins
            if opcode == 0x1:
                good = received.startswith(b'{"type":"response"', start)
                self._counts["answers" if good else "errors"] += 1
            elif opcode == 0x9:
                sender.socket.send(frame(bytes(received[start:end]), 0xA))
        del received[:end]

    def _end(self, sender: Sender) -> None:
        self._counts["closed"] += 1
        self._selector.unregister(sender.socket)
        sender.socket.close()


def messages(count: int, size: int) -> bytes:
    """Frames of as many messages, each of this size with its envelope."""
    envelope = '{"type":"crowd.hold","data":"%s","id":%d}'
    fill = {number: "x" * (size - len(envelope % ("", number))) for number in range(count)}
    return b"".join(frame((envelope % (text, number)).encode()) for number, text in fill.items())


def main() -> None:
    """Read the command line, open, wait, send."""
    parser = argparse.ArgumentParser()
    for name in ("--port", "--connections", "--messages", "--size"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--note", type=Path, required=True)
    options = parser.parse_args()
    raise_descriptors()
    clients = list(
        open_clients(options.port, "/ws/crowd", options.connections, source=options.source, send_buffer=_SEND_BUFFER)
    )
    senders = Senders(clients, messages(options.messages, options.size), options.note)
    print("open", flush=True)
    if os.read(sys.stdin.fileno(), 1):  # unbuffered: the selector watches the same pipe
        senders.run()


if __name__ == "__main__":
    main()
