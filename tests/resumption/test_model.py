"""Any order of sending, acknowledging, breaking and coming back, on both ends: what must hold, holds after each step.

The invariants are named as in the design: I1 counts in order, I2 equal counts at each acknowledgement (the cores check
it themselves), I3 nothing twice, I4 a prefix of what was sent, I5 everything once it is quiet, I7 bounded memory, I9
told of a loss before anything new, I10 a connection that was given up changes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pylinkd.gateway.core import delivery

from .client_core import ClientCore
from .world import Client, Line, Loop, World

CLIENTS = 2
AWAY_BYTES = 4096
LARGE = "x" * 600


class Ledger:
    """What was sent to one client and by it, session by session.

    Attributes:
        emitted: Of each session, what the service sent.
        asked: What the client sent, over all sessions.
    """

    def __init__(self) -> None:
        self.emitted: dict[str, list[int]] = {}
        self.asked: list[int] = []


class Resumption(RuleBasedStateMachine):
    """Two clients, one gateway, one service."""

    def __init__(self) -> None:
        super().__init__()
        self._logs = structlog.testing.capture_logs()
        self._logged = self._logs.__enter__()
        self._few = patch.object(delivery, "_FEW", 1)  # an event to two goes the way of one to many
        self._few.start()
        self._folder = Path(tempfile.mkdtemp())
        self.loop = Loop()
        self.loop.enter()
        self.world = World(
            self.loop, self._folder, away_bytes=AWAY_BYTES, retained_bytes=20_000, resume_window_ms=60_000
        )
        self.clients = [self.make_client(f"user-{number}") for number in range(CLIENTS)]
        self.ledgers = [Ledger() for _ in self.clients]
        self._number = 0
        self._checked = [0] * CLIENTS
        self._heard: list[dict[str, list[int]]] = [{} for _ in self.clients]

    def make_client(self, user: str) -> Client:
        """A client of the tests' own."""
        return Client(self.world, user, ClientCore(acks=False))

    def teardown(self) -> None:
        """Everything arrives once it is quiet (I5)."""
        try:
            self._quiet()
        finally:
            self.world.close()
            self.loop.leave()
            shutil.rmtree(self._folder)
            self._few.stop()
            self._logs.__exit__(None, None, None)
        assert [line for line in self._logged if line["log_level"] == "error"] == []

    def _admitted(self) -> list[Any]:
        return [session for service in self.world.routing.services for session in service.admitted]

    def _next(self) -> int:
        self._number += 1
        return self._number

    @initialize()
    def begin(self) -> None:
        """Everybody is there."""
        for client in self.clients:
            client.connect()

    who = st.integers(0, CLIENTS - 1)

    @rule(who=who, large=st.booleans())
    def emit(self, who: int, large: bool) -> None:
        """The service sends one client an event."""
        client = self.clients[who]
        number = self._next()
        _, _, dropped = self.world.emit([number, LARGE if large else ""], client)
        if not dropped:
            self.ledgers[who].emitted.setdefault(client.core.session, []).append(number)

    @rule(large=st.booleans())
    def emit_to_everyone(self, large: bool) -> None:
        """The service sends everybody an event."""
        number = self._next()
        # As the gateway has it: a client may not know yet which session it has by now, and one to which on_connect has
        # not said yes hears of nobody.
        for session in self._admitted():
            who = int(session.identity.user.rpartition("-")[2])
            if not session.outbox.overflowed:
                self.ledgers[who].emitted.setdefault(session.id, []).append(number)
        self.world.emit([number, LARGE if large else ""], everyone=True)

    @rule(who=who, answered=st.booleans())
    def ask(self, who: int, answered: bool) -> None:
        """A client sends a message, with an id or without."""
        number = self._next()
        self.ledgers[who].asked.append(number)
        self.clients[who].core.send("chat.send", number, id=number if answered else None)

    @rule(who=who)
    def write(self, who: int) -> None:
        """What a client has to say is written."""
        self.clients[who].write()

    @rule(who=who, size=st.integers(0, 200) | st.none())
    def carry_up(self, who: int, size: int | None) -> None:
        """It reaches the gateway, as far as told."""
        line = self.clients[who].line
        if line is not None:
            line.carry_up(size)

    @rule(who=who, size=st.integers(0, 400) | st.none())
    def carry_down(self, who: int, size: int | None) -> None:
        """What the gateway wrote reaches the client, as far as told."""
        self.clients[who].hear(size)
        self._check_delivered(who)

    @rule(answering=st.booleans())
    def turn(self, answering: bool) -> None:
        """The gateway's loop turns, and the service answers or is slow."""
        self.world.answering = answering
        self.world.turn()

    @rule(who=who, echo=st.booleans())
    def acknowledge(self, who: int, echo: bool) -> None:
        """A client acknowledges."""
        if self.clients[who].core.welcome is not None:
            self.clients[who].core.acknowledge(echo=echo)

    @rule(who=who)
    def cut(self, who: int) -> None:
        """A connection breaks, and both notice."""
        self.clients[who].cut()

    @rule(who=who)
    def dial(self, who: int) -> None:
        """A client connects anew, be it that the gateway has noticed or not."""
        self.clients[who].dial()

    @rule(who=who)
    def lose_old(self, who: int) -> None:
        """The gateway notices the end of a connection that the client gave up (I10)."""
        if self.clients[who].old:
            self.clients[who].old.pop(0).cut()

    @rule(who=who, pause=st.booleans())
    def press(self, who: int, pause: bool) -> None:
        """A transport takes nothing more, or takes more again."""
        line = self.clients[who].line
        if line is not None and not line.lost and _is_open(line):
            protocol: Any = line.transport.get_protocol()
            protocol.pause_writing() if pause else protocol.resume_writing()

    @rule(seconds=st.sampled_from([1.0, 6.0, 40.0, 70.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.pass_(seconds)

    @invariant()
    def counts_hold(self) -> None:
        """I1, I7, and no drift."""
        assert self.world.traffic.drift == 0
        retention = self.world.routing.lifecycle.retention
        assert 0 <= retention.held <= CLIENTS * 2 * (20_000 + AWAY_BYTES + 2**10)
        for session in self.world.routing.registry:
            kept = session.resumption
            if kept is not None and kept.lost is None:
                assert 0 <= kept.acknowledged <= kept.written
                assert kept.confirmed <= kept.received
                assert kept.size == sum(map(len, kept.frames))
        if not self.world.routing.registry:
            assert retention.held == 0

    def _check_delivered(self, who: int) -> None:
        """I3 and I4: of each session a prefix of what was sent to it, in order, once."""
        client, heard = self.clients[who], self._heard[who]
        for message in client.core.delivered[self._checked[who] :]:
            if message["type"] == "n":
                heard.setdefault(client.core.session, []).append(message["data"][0])
        self._checked[who] = len(client.core.delivered)
        for session, numbers in heard.items():
            assert numbers == self.ledgers[who].emitted.get(session, [])[: len(numbers)]

    def _quiet(self) -> None:
        self.world.answering = True
        for who, client in enumerate(self.clients):
            for old in client.old:
                old.cut()
            client.cut()
            before = len(client.core.notices)
            session = client.core.session
            client.connect()
            client.core.acknowledge(echo=True)
            client.pump()
            self._check_delivered(who)
            notices = client.core.notices[before:]
            assert notices in (["resumed"], ["overflow"], ["expired"], ["unknown"], [])
            if notices == ["resumed"]:
                assert self._heard[who].get(session, []) == self.ledgers[who].emitted.get(session, [])
            self._check_asked(who)
        assert self.world.traffic.drift == 0

    def _check_asked(self, who: int) -> None:
        """I6 upwards: what the service handled is what was sent, in order, once; what is missing is known to be."""
        client, ledger = self.clients[who], self.ledgers[who]
        mine = set(ledger.asked)
        handled = [data for _, data in self.world.handled if data in mine]
        assert handled == sorted(set(handled)), "handled twice, or out of order"
        unsure = {message["data"] for message in client.core.unknown}
        assert mine - set(handled) <= unsure
        came = {message["data"] for message in client.core.came}
        assert came <= set(handled)


def _is_open(line: Line) -> bool:
    protocol: Any = line.transport.get_protocol()
    return hasattr(protocol, "pause_writing") and line.transport.bytes.startswith(b"HTTP/1.1 101")


TestResumption = Resumption.TestCase
TestResumption.settings = settings(
    max_examples=400,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
