"""What a ledger run writes down: by the clients, by the instances of the service, by whoever causes the faults.

All times are seconds of the monotonic clock, which is one for all processes of a machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Answer(NamedTuple):
    """An answer that a client got.

    Attributes:
        code: 200, or the code of the error.
        at: When it came.
        instance, execution: What a success says about who executed the request; ``None``: nothing.
    """

    code: int
    at: float
    instance: int | None = None
    execution: int | None = None


@dataclass(slots=True)
class Request:
    """A request that a client sent.

    Attributes:
        asked: When.
        answers: All that came to it.
    """

    asked: float
    answers: list[Answer] = field(default_factory=list)


@dataclass(slots=True)
class Connection:
    """What one client knows of its connection.

    Attributes:
        session: The session's id, from ``linkd.welcome``.
        room: The room that ``on_connect`` joined it to.
        slow: Whether it reads too slowly, as it pleases.
        requests: By number; the numbers of a session ascend.
        joined: When its first success came, and with it the certainty that ``on_connect`` has ended.
        received: Numbers of the events that came, in their order, by the session that published them.
        dropped: Events that ``linkd.dropped`` reported.
        settled: When it asked, with nobody publishing any more, what was answered after all events before that
            moment; ``None``: it did not come to that.
        left: When the client ended it, or began to, of its own accord; ``None``: it did not.
        ended: When it ended.
        code: The close code that the gateway sent; ``None``: none came.
    """

    session: str
    room: str
    slow: bool = False
    requests: dict[int, Request] = field(default_factory=dict)
    joined: float | None = None
    received: dict[str, list[int]] = field(default_factory=dict)
    dropped: int = 0
    settled: float | None = None
    left: float | None = None
    ended: float | None = None
    code: int | None = None

    @property
    def over(self) -> float:
        """When it ended, or its client began to end it."""
        return min(time for time in (self.left, self.ended, math.inf) if time is not None)


@dataclass(slots=True)
class Execution:
    """One run of the handler.

    Attributes:
        instance: The process.
        execution: Its number there.
        ended: ``None``: it did not get to its end.
    """

    session: str
    number: int
    instance: int
    execution: int
    begun: float
    ended: float | None = None


@dataclass(slots=True)
class Emission:
    """One event, published by the handler of the request with the same number.

    Attributes:
        confirmed: When the gateway's receipt came; ``None``: it did not, and the event may have been sent or not.
    """

    room: str
    session: str
    number: int
    begun: float
    confirmed: float | None = None


@dataclass(slots=True)
class HookRun:
    """One run of ``on_connect`` or ``on_disconnect``.

    Attributes:
        hook: ``connect`` or ``disconnect``.
        reason: The session's end reason.
    """

    hook: str
    session: str
    instance: int
    begun: float
    reason: str = ""
    ended: float | None = None


class Interruption(NamedTuple):
    """A process was killed, or stopped for longer than the gateway waits for it.

    Whatever it was executing may be answered with 503, and done again by another.
    """

    instance: int
    at: float


class Period(NamedTuple):
    """In which a fault was caused, and what it caused was mended.

    Attributes:
        fault: Its name.
        since: When it began; it lasts until the next one begins.
        refuses: Whether requests may be refused in it: what is not executed, and answered with 503.
    """

    fault: str
    since: float
    refuses: bool


class Violation(NamedTuple):
    """Something that must not happen.

    Attributes:
        kind: Which rule it breaks.
        at: When it happened: a wrong answer when it came, a run when it began.
        text: What happened, for people.
    """

    kind: str
    at: float
    text: str


@dataclass(slots=True)
class Ledger:
    """All of it.

    Attributes:
        patience: Seconds after which an answer that has not come is missing.
    """

    patience: float = 45.0
    connections: list[Connection] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    emissions: list[Emission] = field(default_factory=list)
    hooks: list[HookRun] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)

    def read(self, instance: int, lines: Iterable[str]) -> None:
        """Take in what an instance of the service wrote (ledger_service.py); a line that was cut off is no record."""
        executions: dict[int, Execution] = {}
        emissions: dict[int, Emission] = {}
        hooks: dict[int, HookRun] = {}
        for line in lines:
            if not line.endswith("\n"):
                break
            kind, run, at, *more = json.loads(line)
            match kind:
                case "begin":
                    executions[run] = Execution(more[0], more[1], instance, run, at)
                case "end":
                    executions[run].ended = at
                case "emit":
                    emissions[run] = Emission(more[0], more[1], more[2], at)
                case "emitted":
                    emissions[run].confirmed = at
                case "connect" | "disconnect":
                    hooks[run] = HookRun(kind, more[0], instance, at, more[1])
                case "hooked":
                    hooks[run].ended = at
                case _:
                    raise ValueError(f"an instance of the service wrote {kind!r}")
        self.executions += executions.values()
        self.emissions += emissions.values()
        self.hooks += hooks.values()
