"""Recorded conversations, held against both clients' sessions and the gateway's core.

A trace in tests/conformance/wire is a list of steps, of which each side takes those that it receives for input and
those that it sends for what has to come out:

    act      the client's application does something: a command of cores.py
    offer    the client connects with these subprotocols
    up       the client sends a message, and the gateway gets it
    lost     the client sends a message, which does not arrive
    down     the gateway sends a message; in its welcome there may be more than the trace says
    raw      the gateway sends what is no message
    service  the service emits an event, holds its answers back, or gives them
    cut      the connection breaks
    wait     milliseconds pass
    heard    what the client's session has said since the last such step; ``*`` is anything

Names with a dollar stand for what the gateway makes up: tokens and ids of sessions. ``only`` names the side that a
trace is for, where the other cannot be brought to it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..resumption.conftest import make_world
from ..resumption.world import Client, World
from .conftest import MakeCore
from .cores import Core, Heard

__all__ = ["make_world"]

_TRACES = sorted((Path(__file__).parents[1] / "conformance" / "wire").glob("*.json"))


def steps(path: Path, side: str) -> list[tuple[str, Any]]:
    """The steps of a trace, if it is for this side."""
    trace = json.loads(path.read_text())
    if trace.get("only", side) != side:
        return []
    return [next(iter(step.items())) for step in trace["steps"]]


def traces(side: str) -> list[Any]:
    """The traces of a side."""
    return [pytest.param(path, id=path.stem) for path in _TRACES if steps(path, side)]


class ClientReplay:
    """The client's side of a trace."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._now = 0.0
        self._heard: Heard = []
        self._written: deque[Any] = deque()

    def step(self, kind: str, what: Any) -> None:
        """Take a step."""
        if kind == "act":
            self._do(*what)
        elif kind == "offer":
            self._do("dial", self._now)
            assert self._do("offers") == what
        elif kind in ("up", "lost"):
            assert self._written, f"nothing was written where {what} should have been"
            assert self._written.popleft() == what
        elif kind in ("down", "raw"):
            self._do("receive", what if kind == "raw" else json.dumps(what), self._now)
        elif kind == "cut":
            self._do("detach")
        elif kind == "wait":
            self._now += what
        elif kind == "heard":
            assert _like(self._heard, what), self._heard
            self._heard = []
        if kind not in ("cut", "service"):
            self._written += [json.loads(text) for text in self._do("take", self._now)]

    def _do(self, name: str, *arguments: Any) -> Any:
        result, heard = self._core.do(name, *arguments)
        self._heard += heard
        return result

    def end(self) -> None:
        """Nothing more came out."""
        assert not self._written
        assert not self._heard


class GatewayReplay:
    """The gateway's side of a trace."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client = Client(world, "una")
        self._names: dict[str, str] = {}
        self._written: deque[Any] = deque()

    def step(self, kind: str, what: Any) -> None:
        """Take a step."""
        client = self._client
        if kind == "offer":
            client.dial(offers=[self._known(name) for name in what])
        elif kind == "up":
            client.say(json.dumps(what))
        elif kind == "down":
            assert self._written, f"nothing was written where {what} should have been"
            self._check(what, self._written.popleft())
        elif kind == "service":
            self._serve(what)
        elif kind == "cut":
            client.cut()
        elif kind == "wait":
            self._world.pass_(what / 1000)
        self._world.turn()
        if client.line is not None:
            client.line.carry_up()
            self._world.turn()
            self._written += [json.loads(text) for text in client.line.carry_down()]

    def _serve(self, what: Any) -> None:
        if isinstance(what, dict):
            self._world.emit_to(self._names["$session"], data=what["emit"])
        else:
            self._world.answering = what == "answer"

    def _known(self, name: str) -> str:
        for placeholder, value in self._names.items():
            name = name.replace(placeholder, value)
        return name

    def _check(self, expected: Any, got: Any) -> None:
        """Whether what came is what was to come. In the welcome there may be more."""
        if isinstance(expected, dict):
            assert isinstance(got, dict)
            if got.get("type") != "linkd.welcome" and "session" not in expected:
                assert expected.keys() == got.keys()
            for key, value in expected.items():
                assert key in got, f"{key} is missing in {got}"
                self._check(value, got[key])
        elif isinstance(expected, str) and expected.startswith("$"):
            assert self._names.setdefault(expected, got) == got
        else:
            assert expected == got

    def end(self) -> None:
        """Nothing more came out, and nobody has counted wrong."""
        assert not self._written
        assert self._world.traffic.drift == 0
        self._client.cut()


def _like(heard: Any, expected: Any) -> bool:
    if expected == "*":
        return True
    if isinstance(expected, list):
        return len(heard) == len(expected) and all(map(_like, heard, expected))
    return bool(heard == expected)


@pytest.fixture
def core(make_core: MakeCore) -> Iterator[Core]:
    """A session of one of the clients."""
    core = make_core(0.6)  # so that an acknowledgement is due after 4 s
    yield core
    core.forget()


@pytest.mark.parametrize("path", traces("client"))
def test_client_keeps_to_the_trace(path: Path, core: Core) -> None:
    """Its messages and what it tells its application."""
    replay = ClientReplay(core)
    for kind, what in steps(path, "client"):
        replay.step(kind, what)
    replay.end()


@pytest.mark.parametrize("path", traces("gateway"))
def test_gateway_keeps_to_the_trace(path: Path, make_world: Callable[..., World]) -> None:
    """Its messages."""
    replay = GatewayReplay(make_world(ack_messages=64))
    for kind, what in steps(path, "gateway"):
        replay.step(kind, what)
    replay.end()
