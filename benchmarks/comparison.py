"""Linkd beside its peers, other WebSocket servers and frameworks: acknowledged requests, and fan-out to a room.

In every round each question is put to a bare server in C, to Linkd and to every peer in turn, each freshly started
and alone, since the machine's speed changes over minutes.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from . import tables
from .peer_programs import PEERS, install, runnable, serving, versions
from .programs import HERE, Server, limit, linkd, load

_BARE = "bare C echo"
_OURS = "Linkd"
_PAYLOAD = 128  # bytes of a request's data
_FANOUT = {"members": 1000, "broadcasts": 30, "interval_ms": 20}
_EVENT = '{"type":"bench.event","data":{"text":"' + "x" * 64 + '"}}'


class _Question(NamedTuple):
    """One measurement.

    Attributes:
        connections: Of ``requests``, each with one outstanding; 0 stands for the fan-out.
    """

    connections: int

    @property
    def name(self) -> str:
        if self.connections:
            return f"requests, {self.connections:,} connections"
        return f"fan-out to {_FANOUT['members']:,}"


_SPREAD = ("smallest", "largest")
_QUESTIONS = (_Question(64), _Question(1000), _Question(0))


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=int, default=3, help="how long requests are sent in each round")
    parser.add_argument(
        "--only", action="append", choices=PEERS, metavar="NAME", help=f"a peer, repeatable: {', '.join(PEERS)}"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Put all questions to all servers ``rounds`` times."""
    names = runnable(list(dict.fromkeys(options.only or PEERS)))
    chosen = [PEERS[name] for name in names]
    install(chosen)
    results: dict[str, Any] = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": versions(chosen),
        "questions": {question.name: {name: [] for name in (_BARE, _OURS, *names)} for question in _QUESTIONS},
    }
    servers = [_OURS, *names]
    for number in range(options.rounds):
        turn = number * len(servers) // options.rounds  # nobody is always the first or the last
        for question in _QUESTIONS:
            measured = results["questions"][question.name]
            for name in (_BARE, *servers[turn:], *servers[:turn]):
                measured[name].append(_ask(question, name, options.seconds))
                if name == _BARE and question is _QUESTIONS[0]:
                    bare = measured[_BARE][-1]
                    print(
                        f"round {number + 1} of {options.rounds}: {_BARE} {bare['rate']:,.0f} requests/s, "
                        f"{bare['cpu_us'][0]:.2f} µs each",
                        flush=True,
                    )
    return results


def _ask(question: _Question, name: str, seconds: int) -> dict[str, Any]:
    with _server(name) as server:
        return _fanout(server, name) if not question.connections else _requests(server, name, question, seconds)


@contextlib.contextmanager
def _server(name: str) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        if name == _BARE:
            yield stack.enter_context(limit(_EVENT))
        elif name == _OURS:
            yield stack.enter_context(linkd(HERE / "echo_service.py", "/ws/bench"))
        else:
            yield stack.enter_context(serving(PEERS[name]))


def _dialect(name: str) -> str:
    return PEERS[name].dialect if name in PEERS else "linkd"


def _requests(server: Server, name: str, question: _Question, seconds: int) -> dict[str, Any]:
    measured = load(
        "requests", server, connections=question.connections, outstanding=1, seconds=seconds, warmup=1,
        payload=_PAYLOAD, dialect=_dialect(name),
    )  # fmt: skip
    return {
        "rate": measured["rate"],
        "cpu_us": measured["watched_cpu_us_per_request"],
        "p50_ms": measured["latency_us"]["p50"] / 1000,
        "p99_ms": measured["latency_us"]["p99"] / 1000,
        "errors": measured["failed"] + measured["errors"] + measured["unanswered"] + measured["unmatched"],
    }


def _fanout(server: Server, name: str) -> dict[str, Any]:
    publish = "publish" if name == _BARE else "bench.publish"  # the echo knows no other
    measured = load(
        "fanout", server, event="bench.event", join='{"type":"bench.join","data":null}',
        publish=f'{{"type":"{publish}","data":null}}', dialect=_dialect(name), **_FANOUT,
    )  # fmt: skip
    lost = measured["failed"] + measured["join_errors"] + measured["missing"] + measured["publish_errors"]
    return {
        "last_ms": measured["last_ms"]["median"],
        "cpu_us": measured["watched_cpu_us_per_delivery"],
        "errors": lost,
    }


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    told = results["versions"]
    rows: list[Sequence[object]] = []
    for question in _QUESTIONS:
        if rows:
            rows.append([""] * 9)
        if question.connections:
            rows.append((question.name, "per s", *_SPREAD, "ours/peer", "CPU µs", "p50 ms", "p99 ms", "errors"))
        else:
            rows.append((question.name, "last ms", *_SPREAD, "peer/ours", "CPU µs", "", "", "errors"))
        servers = results["questions"][question.name]
        rows += [_row(question, _label(name, told), rounds, servers[_OURS]) for name, rounds in servers.items()]
    interpreters = "  ".join(f"{name} {told[name]}" for name in ("python", "node", "go") if name in told)
    return f"{interpreters}\n{tables.lines([str(cell) for cell in rows[0]], rows[1:])}"


def _label(name: str, told: dict[str, str]) -> str:
    return f"  {name} {told[PEERS[name].package]}" if name in PEERS else f"  {name}"


def _row(question: _Question, label: str, rounds: list[dict[str, Any]], ours: list[dict[str, Any]]) -> Sequence[object]:
    key = "rate" if question.connections else "last_ms"
    values = [float(one[key]) for one in rounds]
    # Within a round the machine was about the same for both.
    better = [
        mine[key] / its if question.connections else its / mine[key] for mine, its in zip(ours, values, strict=True)
    ]
    cpu = [median(parts) for parts in zip(*(one["cpu_us"] for one in rounds), strict=True)]
    return (
        label,
        median(values),
        min(values),
        max(values),
        median(better),
        " + ".join(f"{part:.1f}" for part in cpu),
        *(median(one[name] for one in rounds) if name in rounds[0] else "" for name in ("p50_ms", "p99_ms")),
        sum(one["errors"] for one in rounds),
    )
