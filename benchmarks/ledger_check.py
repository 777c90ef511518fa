"""The rules of a ledger: what must not happen whatever fails, and where it happened. No I/O.

What a process was executing when it was killed, or stopped for longer than the gateway waits, is excused: its client
gets 503 though it was executed, its successor may run beside it, and its hooks may run again. That is counted.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from .ledger_members import missed, received
from .ledger_records import (
    Answer,
    Connection,
    Emission,
    Execution,
    HookRun,
    Interruption,
    Ledger,
    Period,
    Request,
    Violation,
)

GRACE = 0.5
"""Seconds before its interruption in which a process may have ended something whose answer had not left it."""

_UNAVAILABLE = 503
_IN_ORDER = frozenset({1001, 1012})
_SLOW = 1013


@dataclass(slots=True)
class Verdict:
    """What came of it.

    Attributes:
        violations: By fault and kind, in order of time.
        excused: What only an interruption excuses, by kind.
        answers: How requests were answered, by fault at that moment and code; ``0``: not at all.
        totals: How much was checked.
    """

    violations: dict[str, dict[str, list[Violation]]] = field(default_factory=dict)
    excused: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Of violations."""
        return sum(len(found) for kinds in self.violations.values() for found in kinds.values())


def check(ledger: Ledger) -> Verdict:
    """Hold the ledger against every rule."""
    return _Check(ledger).verdict()


class _Check:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._excused: Counter[str] = Counter()
        self._interruptions: dict[int, list[Interruption]] = defaultdict(list)
        for interruption in ledger.interruptions:
            self._interruptions[interruption.instance].append(interruption)
        self._by_request: dict[tuple[str, int], list[Execution]] = defaultdict(list)
        self._by_session: dict[str, list[Execution]] = defaultdict(list)
        for execution in sorted(ledger.executions, key=lambda one: one.begun):
            self._by_request[execution.session, execution.number].append(execution)
            self._by_session[execution.session].append(execution)

    def verdict(self) -> Verdict:
        ledger = self._ledger
        found = Verdict(excused=self._excused)
        rules = (self._requests(), self._executions(), self._order(), self._events(), self._ends(), self._hooks())
        for violation in sorted((one for rule in rules for one in rule), key=lambda one: one.at):
            fault = period_at(ledger.periods, violation.at).fault
            found.violations.setdefault(fault, {}).setdefault(violation.kind, []).append(violation)
        for connection in ledger.connections:
            for request in connection.requests.values():
                at, code = (request.answers[0].at, request.answers[0].code) if request.answers else (request.asked, 0)
                found.answers.setdefault(period_at(ledger.periods, at).fault, Counter())[code] += 1
        found.totals = {
            "connections": len(ledger.connections),
            "requests": sum(len(connection.requests) for connection in ledger.connections),
            "executions": len(ledger.executions),
            "events": len(ledger.emissions),
            "receipts": sum(len(got) for one in ledger.connections for got in one.received.values()),
            "dropped": sum(connection.dropped for connection in ledger.connections),
            "hooks": len(ledger.hooks),
        }
        return found

    def _interrupted(self, run: Execution | HookRun) -> bool:
        return self._interrupted_at(run) is not None

    def _interrupted_at(self, run: Execution | HookRun) -> float | None:
        for one in self._interruptions.get(run.instance, ()):
            if run.begun <= one.at and (run.ended is None or run.ended >= one.at - GRACE):
                return one.at
        return None

    def _over(self, run: Execution) -> float:
        """When it ran no more: its end, or the moment in which its process was killed."""
        if run.ended is not None:
            return run.ended
        interrupted = self._interrupted_at(run)
        return math.inf if interrupted is None else interrupted

    # requests and their answers

    def _requests(self) -> Iterator[Violation]:
        for connection in self._ledger.connections:
            for number, request in connection.requests.items():
                yield from self._request(connection, number, request)

    def _request(self, connection: Connection, number: int, request: Request) -> Iterator[Violation]:
        name = f"request {number} of session {connection.session}"
        executions = self._by_request.get((connection.session, number), [])
        if len(request.answers) > 1:
            codes = ", ".join(str(answer.code) for answer in request.answers)
            yield Violation("answered twice", request.asked, f"{name}: {codes}")
        if not request.answers:
            yield from self._unanswered(connection, name, request, executions)
        for answer in request.answers:
            if answer.code == _UNAVAILABLE:
                yield from self._refused(name, request, answer, executions)
            elif answer.code != 200:
                yield Violation("unexpected error", request.asked, f"{name}: {answer.code}")
            elif not executions:
                yield Violation("success without execution", request.asked, name)
            elif not any(answer[2:] == (one.instance, one.execution) for one in executions):
                told = f"{answer.instance}/{answer.execution}"
                yield Violation("another request's answer", request.asked, f"{name}: execution {told}")

    def _unanswered(
        self, connection: Connection, name: str, request: Request, executions: list[Execution]
    ) -> Iterator[Violation]:
        ended = connection.over
        if ended - request.asked >= self._ledger.patience:
            state = "executed" if executions else "not executed"
            yield Violation("no answer", request.asked, f"{name}: {state}, the connection lived on")
        elif connection.left is None and connection.code in _IN_ORDER:
            # Whoever is sent away gets first what is due. What was not begun is no loss: it can be asked again.
            done = [one for one in executions if one.ended is not None and not self._interrupted(one)]
            if done:
                waited = ended - request.asked
                text = f"{name}: executed, closed with {connection.code} {waited:.2f} s after it was asked"
                yield Violation("closed before the answer", request.asked, text)

    def _refused(self, name: str, request: Request, answer: Answer, executions: list[Execution]) -> Iterator[Violation]:
        if not executions:
            if not refused_between(self._ledger.periods, request.asked, answer.at):
                yield Violation("503 without reason", answer.at, f"{name}: after {answer.at - request.asked:.3f} s")
            return
        if all(self._interrupted(one) for one in executions):
            self._excused["503 though executed"] += 1
            return
        first = executions[0]
        ended = "not ended" if first.ended is None else f"ended after {first.ended - first.begun:.3f} s"
        text = f"{name}: by process {first.instance}, {first.begun - request.asked:.3f} s after it was asked, {ended}"
        yield Violation("503 though executed", answer.at, text)

    # executions

    def _executions(self) -> Iterator[Violation]:
        asked = {connection.session: connection.requests for connection in self._ledger.connections}
        for (session, number), executions in self._by_request.items():
            name = f"request {number} of session {session}"
            first = executions[0]
            if len(executions) > 1:
                where = ", ".join(str(one.instance) for one in executions)
                yield Violation("executed twice", first.begun, f"{name}: by processes {where}")
            if number not in asked.get(session, ()):
                yield Violation("never asked", first.begun, f"{name}: executed by process {first.instance}")
            for one in executions:
                if one.ended is None and not self._interrupted(one):
                    yield Violation("not finished", one.begun, f"{name}: by process {one.instance}")

    def _order(self) -> Iterator[Violation]:
        for session, executions in self._by_session.items():
            latest = 0
            before: Execution | None = None
            for one in executions:
                if one.number < latest:
                    text = f"session {session}: {one.number} began after {latest}, in process {one.instance}"
                    yield Violation("out of order", one.begun, text)
                latest = max(latest, one.number)
                if before is not None and self._over(before) > one.begun:
                    if self._interrupted(before):
                        self._excused["side by side"] += 1
                    else:
                        text = f"session {session}: {one.number} began while {before.number} ran"
                        yield Violation("side by side", one.begun, text)
                before = one

    # events

    def _events(self) -> Iterator[Violation]:
        rooms: dict[str, list[Emission]] = defaultdict(list)
        published: dict[str, dict[int, Emission]] = defaultdict(dict)
        for emission in self._ledger.emissions:
            rooms[emission.room].append(emission)
            published[emission.session][emission.number] = emission
        for member in self._ledger.connections:
            yield from received(member, published)
            yield from missed(member, rooms[member.room])

    # the ends of connections and sessions

    def _ends(self) -> Iterator[Violation]:
        for one in self._ledger.connections:
            if one.ended is None or one.left is not None:
                continue
            if one.code in _IN_ORDER or (one.slow and one.code == _SLOW):
                continue
            code = "no close frame" if one.code is None else one.code
            yield Violation("connection lost", one.ended, f"session {one.session}: {code}")

    def _hooks(self) -> Iterator[Violation]:
        sessions: dict[str, dict[str, list[HookRun]]] = defaultdict(lambda: {"connect": [], "disconnect": []})
        for run in sorted(self._ledger.hooks, key=lambda one: one.begun):
            sessions[run.session][run.hook].append(run)
        for session, runs in sessions.items():
            for hook in ("connect", "disconnect"):
                yield from self._once(session, hook, runs[hook])
            if runs["connect"] and not runs["disconnect"]:
                yield Violation("on_disconnect missing", runs["connect"][0].begun, f"session {session}")
            if runs["disconnect"]:
                yield from self._last(session, runs["disconnect"][0])
        for session, executions in self._by_session.items():
            if session not in sessions or not sessions[session]["connect"]:
                yield Violation("on_connect missing", executions[0].begun, f"session {session}")

    def _once(self, session: str, hook: str, runs: list[HookRun]) -> Iterator[Violation]:
        whole = [run for run in runs if not self._interrupted(run)]
        if len(whole) > 1:
            told = ", ".join(f"process {run.instance} {run.reason}".rstrip() for run in whole)
            yield Violation(f"on_{hook} twice", whole[1].begun, f"session {session}: {told}")
        elif len(runs) > 1:
            self._excused[f"on_{hook} twice"] += 1

    def _last(self, session: str, end: HookRun) -> Iterator[Violation]:
        for one in self._by_session.get(session, ()):
            over = one.begun if self._interrupted(one) else one.ended
            if over is not None and over > end.begun:
                text = f"session {session}: request {one.number} ended {over - end.begun:.3f} s after it began"
                yield Violation("on_disconnect too early", end.begun, text)


def period_at(periods: list[Period], at: float) -> Period:
    """The period of this moment."""
    return periods[_index_at(periods, at)]


def refused_between(periods: list[Period], since: float, until: float) -> bool:
    """Whether there was a moment between these two in which requests may be refused."""
    return any(period.refuses for period in periods[_index_at(periods, since) : _index_at(periods, until) + 1])


def _index_at(periods: list[Period], at: float) -> int:
    return max(0, bisect_right(periods, at, key=lambda period: period.since) - 1)
