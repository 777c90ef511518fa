"""A Transport over Redis's PUBLISH and SUBSCRIBE (transport.py), for clusters that have Redis and want no other server.

One connection speaks RESP3 (Redis 6 or later), in which messages come between answers. hiredis reads it.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis
import structlog

from .frames import MAX_PAYLOAD, OVERHEAD
from .redis_address import RedisAddress, RedisSettings
from .server_transport import ServerConnection, ServerTransport

log = structlog.get_logger("linkd.bus")

_MOST_UNREAD = 4 * (MAX_PAYLOAD + OVERHEAD)  # bytes of an answer that is not complete
_AT_ONCE = 512  # subjects of one SUBSCRIBE


class RedisTransport(ServerTransport[RedisAddress, "_Connection"]):
    """A connection to one of several servers, made anew until it is closed.

    Redis sends what is published back to the publisher, too: bus.py drops that. It has no groups; a server of its own
    knows at once what was subscribed, so that bus.py asks nobody else.

    Args:
        settings: Where it is, and who the gateway is to it.
        dice: In which order servers are tried, and when.
    """

    def __init__(self, settings: RedisSettings, dice: random.Random) -> None:
        super().__init__(settings.addresses, dice)
        self._settings = settings
        self._subscribed: set[str] = set()
        self.largest = MAX_PAYLOAD + OVERHEAD

    def subscribe(self, subjects: Iterable[str], *, group: str = "") -> None:
        """See Transport. Every server is one of its own here: nobody asks a group."""
        new = [subject for subject in subjects if subject not in self._subscribed]
        self._subscribed.update(new)
        if self._connection is not None:
            self._connection.subscribe(new)

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See Transport."""
        known = [subject for subject in subjects if subject in self._subscribed]
        self._subscribed.difference_update(known)
        if self._connection is not None and known:
            self._connection.command("UNSUBSCRIBE", *known)

    def publish(self, subject: str, data: bytes) -> bool:
        """See Transport."""
        connection = self._taking(len(data))
        if connection is None:
            return False
        connection.publish(subject, data)
        return True

    # the connection

    def _new_connection(self) -> _Connection:
        return _Connection(self._received)

    async def _begin(self, connection: _Connection, address: RedisAddress) -> str:
        context = (self._settings.tls or ssl.create_default_context()) if address.tls else None
        await self._loop.create_connection(lambda: connection, address.host, address.port, ssl=context)
        who = ("AUTH", address.user or "default", address.password) if address.password else ()
        connection.command("HELLO", "3", *who, "SETNAME", "linkd")
        await connection.answer()
        known = set(self._subscribed)
        connection.subscribe(sorted(known))
        await connection.flush()
        connection.subscribe(sorted(self._subscribed - known))  # what came while the connection was made
        return "redis"

    def _received(self, subject: bytes, data: bytes) -> None:
        if self._listener is not None:
            text = subject.decode("ascii", "replace")
            if text in self._subscribed:
                self._listener.received(text, data)


class _Connection(ServerConnection):
    """One TCP connection."""

    def __init__(self, on_message: Callable[[bytes, bytes], None]) -> None:
        super().__init__()
        self._on_message = on_message
        self._reader = hiredis.Reader()
        self._unread = 0

    def read(self, data: bytes) -> None:
        """See ServerConnection."""
        self._reader.feed(data)
        self._unread += len(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._unread = 0
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.fail(str(error))
        if self._unread > _MOST_UNREAD:
            self.fail("the server sends more than there can be")

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if len(reply) == 3 and reply[0] == b"message":
                self._on_message(reply[1], reply[2])
            return  # subscribed, unsubscribed
        if not self._answers:
            self.fail("an answer came that nobody asked for")
            return
        answer = self._answers.popleft()
        if isinstance(reply, hiredis.ReplyError):
            self.complaint = str(reply)
            if answer is None:
                log.error("bus_complains", error=self.complaint)
            elif not answer.done():
                answer.set_exception(ConnectionError(self.complaint))
        elif answer is not None and not answer.done():
            answer.set_result(None)

    def ping(self) -> None:
        """See ServerConnection."""
        self.command("PING")

    def subscribe(self, subjects: list[str]) -> None:
        """Subscribe, which is answered by a push."""
        for start in range(0, len(subjects), _AT_ONCE):
            self.command("SUBSCRIBE", *subjects[start : start + _AT_ONCE])

    def publish(self, subject: str, data: bytes) -> None:
        """Publish; the answer, how many have subscribed, matters to nobody."""
        self._answers.append(None)
        self.command("PUBLISH", subject, data)

    def command(self, *words: str | bytes) -> None:
        """Write a command, at the end of the turn."""
        self.write(hiredis.pack_command(cast(Any, words)))
