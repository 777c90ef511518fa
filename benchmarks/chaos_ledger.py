"""What clients asked and heard in the scenario ``chaos``, what the service handled, and what must not happen. No I/O.

Whoever is told is not wronged: a request that got 503, or whose session was lost, which the client learns with a
reason, has an end. What has none when everything is quiet is lost.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_UNAVAILABLE = 503
_EXAMPLES = 5  # that are kept, of each kind of violation


class Execution(NamedTuple):
    """What the service wrote down: when it began to handle which request, in which session."""

    at: float
    session: str
    client: int
    number: int


@dataclass(slots=True)
class Ledger:
    """Everybody's counts, and what was wrong.

    Attributes:
        requests: ``sent``, ``answered``; what became of the others is in ``told``.
        told: Requests whose end the client learned, by reason: ``503``, or why the session was lost.
        sessions: ``first`` and ``resumed``, and those that did not go on by their reason.
        events, broadcasts: Those that came.
        latest: The last broadcast of each instance that anybody has heard.
        closes: Connections that were established, by the close code that their client saw.
        violations: By kind, such as ``events lost``.
        examples: The first of each kind, for people.
    """

    requests: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    events: int = 0
    broadcasts: int = 0
    latest: dict[str, int] = field(default_factory=dict)
    closes: Counter[int] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def violation(self, kind: str, text: str, count: int = 1) -> None:
        """Something happened that must not."""
        self.violations[kind] += count
        known = self.examples.setdefault(kind, [])
        if len(known) < _EXAMPLES:
            known.append(text)


class Book:
    """What one client knows, over all of its sessions.

    Args:
        client: Its number.
        ledger: Where it is counted.

    Attributes:
        outstanding: Requests without an answer of which the client was not told anything either.
        session: The present session.
        answered: Requests that were.
        broadcasts: The last broadcast of each instance that came in this session.
    """

    def __init__(self, client: int, ledger: Ledger) -> None:
        self._client = client
        self.ledger = ledger
        self._asked = 0
        self.answered: set[int] = set()
        self.outstanding: set[int] = set()
        self.session = ""
        self.broadcasts: dict[str, int] = {}
        self._events: set[int] = set()
        self._last_event = self._last_answer = 0

    def _wrong(self, kind: str, what: str, count: int = 1) -> None:
        self.ledger.violation(kind, f"client {self._client}, session {self.session}: {what}", count)

    def ask(self) -> int:
        """The number of the next request, which counts as sent."""
        self._asked += 1
        self.ledger.requests["sent"] += 1
        self.outstanding.add(self._asked)
        return self._asked

    def lost(self, number: int, reason: str) -> None:
        """A request's answer will not come, and the client was told so."""
        if number in self.outstanding:
            self.outstanding.remove(number)
            self.ledger.told[reason] += 1
        else:
            self._wrong("requests doubled", f"request {number} has another end")

    def resumed(self) -> None:
        """The session goes on."""
        self.ledger.sessions["resumed"] += 1

    def began(self, session: str, reason: str | None, again: Set[int] = frozenset()) -> None:
        """A new session.

        Args:
            session: Its id.
            reason: Why the one before does not go on; ``None``: there was none.
            again: Requests that had not come, and are sent in this one. All others that wait had come, or may have:
                their answers are lost with the session.
        """
        self.ledger.sessions[reason or "first"] += 1
        if reason is not None and not self.outstanding <= again:
            self.ledger.told[reason] += len(self.outstanding - again)
            self.outstanding &= again
        self.session = session
        self.broadcasts = {}
        self._events = set()
        self._last_event = self._last_answer = 0

    def heard(self, message: dict[str, Any]) -> None:
        """An event, an answer or an error came."""
        match message["type"]:
            case "chaos.event":
                self._event(message["data"]["number"])
            case "chaos.broadcast":
                self._broadcast(message["data"]["instance"], message["data"]["number"])
            case "response":
                self._answer(message["id"])
            case "error":
                self._error(message.get("id"), message["error"])
            case other:
                self._wrong("unknown messages", other)

    def _event(self, number: int) -> None:
        self.ledger.events += 1
        if number in self._events:
            self._wrong("events doubled", f"event {number}")
        elif number < self._last_event:
            self._wrong("events out of order", f"event {number} after {self._last_event}")
        self._events.add(number)
        self._last_event = max(self._last_event, number)

    def _broadcast(self, instance: str, number: int) -> None:
        self.ledger.broadcasts += 1
        self.ledger.latest[instance] = max(number, self.ledger.latest.get(instance, 0))
        last = self.broadcasts.get(instance)
        self.broadcasts[instance] = number if last is None else max(last, number)
        if last is None or number == last + 1:
            return
        text = f"broadcast {number} of {instance} after {last}"
        if number > last:
            self._wrong("broadcasts lost", text, number - last - 1)
        else:
            self._wrong("broadcasts doubled" if number == last else "broadcasts out of order", text)

    def _answer(self, number: int) -> None:
        if self._taken(number):
            self.answered.add(number)
            self.ledger.requests["answered"] += 1
        if number not in self._events:
            self._wrong("events lost", f"request {number} was answered, and its event did not come before")
        if number < self._last_answer:
            self._wrong("requests out of order", f"answer {number} after {self._last_answer}")
        self._last_answer = max(self._last_answer, number)

    def _error(self, number: Any, error: dict[str, Any]) -> None:
        if self._taken(number):
            self.ledger.told[str(error["code"])] += 1
        if error["code"] != _UNAVAILABLE:
            self._wrong("unexpected errors", f"request {number}: {error}")

    def _taken(self, number: Any) -> bool:
        if number in self.outstanding:
            self.outstanding.remove(number)
            return True
        self._wrong("requests doubled", f"another answer to request {number}, or one to nothing")
        return False

    def behind(self, present: str | None) -> dict[str, tuple[int, int]]:
        """Instances whose last broadcast has not come in this session: what came of them, and what should have.

        Args:
            present: The instance that runs now, of which everybody must have heard; ``None``: it is not known. Of the
                others only who has heard of them in this session, since it may have begun later.
        """
        wanted = dict(self.broadcasts)
        if present is not None:
            wanted.setdefault(present, 0)
        latest = self.ledger.latest
        return {one: (last, latest[one]) for one, last in wanted.items() if last < latest[one]}

    def close(self, present: str | None) -> None:
        """Everything is quiet: what has no end now is lost. See ``behind``."""
        for instance, (last, latest) in self.behind(present).items():
            text = f"{last} came of {instance}, whose last is {latest}"
            self._wrong("broadcasts lost", text, latest - last if last else 1)
        for number in sorted(self.outstanding):
            self._wrong("requests lost", f"request {number}")


def read(lines: Iterable[str]) -> list[Execution]:
    """What one process of the service wrote down."""
    return [Execution(*json.loads(line)) for line in lines if line.endswith("\n")]


def compare(ledger: Ledger, books: dict[int, Book], executions: Iterable[Execution]) -> None:
    """Hold what the service handled against what clients heard."""
    handled: Counter[tuple[int, int]] = Counter()
    last: dict[str, int] = defaultdict(int)
    for one in sorted(executions):
        handled[one.client, one.number] += 1
        if handled[one.client, one.number] > 1:
            text = f"client {one.client}, session {one.session}: request {one.number} was handled again"
            ledger.violation("requests doubled", text)
        elif one.number < last[one.session]:
            text = f"client {one.client}, session {one.session}: {one.number} handled after {last[one.session]}"
            ledger.violation("requests out of order", text)
        last[one.session] = max(last[one.session], one.number)
    for client, book in books.items():
        for number in sorted(book.answered):
            if not handled[client, number]:
                ledger.violation("requests lost", f"client {client}: request {number} was answered and never handled")
