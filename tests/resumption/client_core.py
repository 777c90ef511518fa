"""What a client that can resume has to do, without a socket: counting, acknowledging, coming back."""

from __future__ import annotations

import json
from collections import deque
from typing import Any


class ClientCore:
    """A client's side of a session.

    Attributes:
        delivered: What was handed to the application, oldest first: events, answers and errors.
        notices: What became of sessions: ``resumed``, or why not; before anything of the next session is delivered.
        unknown: Messages of sessions that were lost, of which nobody can say whether they came.
        came: Messages of sessions that were lost that had come.
        controls: Control messages that are not about resuming.
        dropped: Events that the gateway has dropped.
    """

    def __init__(self, subprotocol: str = "linkd.v1+json", *, acks: bool = True) -> None:
        self._subprotocol = subprotocol
        self._acks = acks
        self.delivered: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.unknown: list[dict[str, Any]] = []
        self.came: list[dict[str, Any]] = []
        self.controls: list[dict[str, Any]] = []
        self.dropped = 0
        self.session = ""
        self.token = ""
        self.welcome: dict[str, Any] | None = None
        self.received = 0  # counted messages of the session
        self._acknowledged = 0
        self.confirmed = 0  # of ours, how many the gateway has
        self._written = 0  # of ours, how many were handed to the present connection or have come
        self._messages: deque[dict[str, Any]] = deque()  # of ours, those behind the confirmed ones
        self._controls: deque[dict[str, Any]] = deque()

    # the application

    def send(self, type: str, data: Any = None, id: int | str | None = None) -> None:
        """Send a message, now or when the client is back."""
        message = {"type": type, "data": data}
        self._messages.append(message if id is None else {**message, "id": id})

    def respond(self, id: str, data: Any = None) -> None:
        """Answer an event that wants an answer."""
        self._messages.append({"type": "response", "id": id, "data": data})

    def acknowledge(self, *, echo: bool = False) -> None:
        """Say how far the two streams are; the count of what was sent is filled in when it is written."""
        self._controls.append({"type": "linkd.ack", "data": {"echo": True} if echo else {}})

    def control(self, type: str, data: Any = None, id: int | None = None) -> None:
        """Send a control message over the present connection."""
        message = {"type": type, "data": data}
        self._controls.append(message if id is None else {**message, "id": id})

    # the connection

    def offers(self) -> list[str]:
        """The subprotocols of the next handshake. Whatever the last connection still has to say is not heard."""
        self.welcome = None
        self._controls.clear()
        if not self.token:
            return [self._subprotocol, "linkd.resume"]
        return [self._subprotocol, f"linkd.resume.{self.token}.{self.received}"]

    def take(self) -> list[str]:
        """What is to be written now, in order."""
        if self.welcome is None:
            return []
        written = []
        while self._written - self.confirmed < len(self._messages):
            written.append(json.dumps(self._messages[self._written - self.confirmed]))
            self._written += 1
        while self._controls:
            control = self._controls.popleft()
            if control["type"] == "linkd.ack":
                control["data"] |= {"received": self.received, "sent": self._written}
                self._acknowledged = self.received
            written.append(json.dumps(control))
        return written

    def receive(self, text: str) -> None:
        """A message came."""
        message = json.loads(text)
        if message["type"] == "linkd.welcome":
            self._welcomed(message["data"])
        elif message["type"] == "linkd.ack":
            self._confirmed(message["data"])
        elif message["type"] == "linkd.dropped":
            self.dropped = message["data"]["total"]
        elif message["type"].startswith("linkd."):
            self.controls.append(message)
        else:
            self.received += 1
            self.delivered.append(message)
            if self._acks and self.received - self._acknowledged >= self._threshold:
                self.acknowledge()

    @property
    def _threshold(self) -> int:
        threshold: int = (self.welcome or {}).get("ack", {}).get("messages", 16)
        return threshold

    def _welcomed(self, welcome: dict[str, Any]) -> None:
        assert self.welcome is None, "a connection has one welcome"
        had_one = bool(self.token)
        self.welcome = welcome
        self.token = welcome["resume"]
        self.dropped = welcome["dropped"]
        if welcome.get("resumed"):
            assert welcome["session"] == self.session
            self._confirm(welcome["received"])
            self._written = self.confirmed
            self.notices.append("resumed")
            return
        if had_one:
            self._lose(welcome.get("received"))
            self.notices.append(welcome["reason"])
        self.session = welcome["session"]
        self.received = self._acknowledged = self.confirmed = self._written = 0

    def _lose(self, received: int | None) -> None:
        """The session is gone: what was not written goes out in the next one; of the rest the gateway may know."""
        written = [self._messages.popleft() for _ in range(self._written - self.confirmed)]
        if received is None:
            self.unknown += written
        else:
            count = received - self.confirmed
            assert 0 <= count <= len(written), "the gateway has other messages than were written"
            self.came += written[:count]
            for message in reversed(written[count:]):
                self._messages.appendleft(message)

    def _confirmed(self, ack: dict[str, Any]) -> None:
        assert ack["sent"] == self.received, f"the gateway has sent {ack['sent']} messages, {self.received} came"
        self._confirm(ack["received"])

    def _confirm(self, received: int) -> None:
        assert self.confirmed <= received <= self._written, "the gateway has what was never sent"
        for _ in range(received - self.confirmed):
            self._messages.popleft()
        self.confirmed = received
