"""Sends durable events out of the outbox, until every service that takes them has each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic, time
from typing import Any

import structlog

from ..protocol.errors import LinkdError
from ..protocol.link_pb2 import Frame
from ..protocol.link_values import fill_identity
from ..protocol.patterns import Pattern
from .gateway_questions import asked
from .polling import POLL, Poller
from .safe_log import report
from .store.outbox import Outbox, Outgoing
from .work_headers import read_headers

log = structlog.get_logger("linkd.service")

_AT_ONCE = 32
_SEND_TIMEOUT = 10.0  # seconds for the gateway to say which services have stored an event: it waits 5 for them
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0  # seconds before an event is sent again, doubling
_PACE = 0.3  # seconds after some that nobody took, so that many of them do not keep the gateway busy
_ASK_EVERY = 30.0  # seconds between two looks at which services take durable events
_NOTE_EVERY = 600.0  # seconds between two notes that a service was seen
_DROP_AFTER = 3600.0  # seconds; a pattern that a service has no more is waited for no longer
_FORGET_AFTER = 30 * 86_400.0  # seconds; a service that was not seen for so long is waited for no longer


class Relay(Poller):
    """Sends what stands in the outbox.

    Args:
        outbox: The table of outgoing events.
        host: The running service.
    """

    def __init__(self, outbox: Outbox, host: Any) -> None:
        super().__init__("relay_failed")
        self._outbox = outbox
        self._host = host
        self._asked_at = self._noted_at = float("-inf")
        self._subscribers: Mapping[str, Sequence[str]] = {}
        self._link: Any = None
        self._sending: set[asyncio.Task[None]] = set()

    def subscribers_changed(self) -> None:
        """Another service takes durable events: ask which, soon."""
        self._asked_at = float("-inf")
        self.wake()

    async def run(self) -> None:
        """Run until it is cancelled."""
        try:
            await super().run()
        finally:
            for task in self._sending:
                task.cancel()

    async def _step(self) -> float:
        if monotonic() - self._asked_at >= _ASK_EVERY or self._link is not self._host.link:
            try:
                await self._ask_subscribers()
            except LinkdError:
                return POLL  # the gateway is gone; the link says so
        room = _AT_ONCE - len(self._sending)
        due_at = await self._outbox.next_due()
        if not room or due_at is None or due_at > time():
            return POLL
        events = await self._outbox.lease(time(), time() + 2 * _SEND_TIMEOUT, room)
        for event in events:  # in order, and none waits for a service that takes long with another
            task = asyncio.create_task(self._sent(event), name="linkd-relay-event")
            self._sending.add(task)
            task.add_done_callback(self._ended)
        # What was tried before is for services that are away: many such events may not keep the gateway busy.
        return _PACE if events and events[0].attempts > 1 else 0.0

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not self._sending:
            self.wake()

    async def _sent(self, event: Outgoing) -> None:
        try:
            await self._send(event)
        except Exception as error:  # its time comes again
            report(log.error, "relay_failed", exc_info=error)

    async def _ask_subscribers(self) -> None:
        link = self._host.link
        frame = Frame()
        frame.subscribers_query.SetInParent()
        answer = await asked(self._host, frame, "subscribers")
        await self._note(answer.event_done.subscribers)
        self._link, self._asked_at = link, monotonic()

    async def _note(self, wire: Any) -> None:
        """Remember which services take durable events: the gateway forgets them when it ends."""
        seen = {subscriber.service: list(subscriber.patterns) for subscriber in wire}
        known = {service: list(patterns) for service, patterns in self._subscribers.items()}
        is_old = monotonic() - self._noted_at >= _NOTE_EVERY
        if is_old or any(not set(patterns) <= set(known.get(service, ())) for service, patterns in seen.items()):
            await self._outbox.note_subscribers(seen, time(), dropped_after=_DROP_AFTER, gone_after=_FORGET_AFTER)
            self._subscribers = await self._outbox.subscribers()
            self._noted_at = monotonic()

    async def _send(self, event: Outgoing) -> None:
        frame = _frame(event)
        taken_by = set(event.taken_by)
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                answer = (await asked(self._host, frame, f"emit {event.type}")).event_done
        except (LinkdError, TimeoutError):
            await self._postpone(event, taken_by)
            return
        await self._note(answer.subscribers)
        taken_by |= set(answer.taken_by)
        if self._missing(event.type, taken_by):
            await self._postpone(event, taken_by)
        else:
            await self._outbox.remove(event.id)

    def _missing(self, type: str, taken_by: set[str]) -> set[str]:
        takers = {
            service
            for service, patterns in self._subscribers.items()
            if any(Pattern(pattern).matches(type) for pattern in patterns)
        }
        return takers - taken_by

    async def _postpone(self, event: Outgoing, taken_by: set[str]) -> None:
        delay = min(_FIRST_DELAY * 2 ** min(event.attempts - 1, 20), _LONGEST_DELAY)
        if event.attempts == 10:
            log.warning(
                "event_waits", type=event.type, id=event.id, missing=sorted(self._missing(event.type, taken_by))
            )
        await self._outbox.postpone(event.id, time() + delay, taken_by)


def _frame(event: Outgoing) -> Frame:
    headers = read_headers(event.headers)
    frame = Frame()
    frame.event.id = event.id
    frame.event.type = event.type
    frame.event.data = event.data
    frame.event.traceparent = headers.traceparent
    frame.event.taken_by.extend(sorted(event.taken_by))
    if headers.identity is not None:
        fill_identity(frame.event.identity, headers.identity)
    return frame
