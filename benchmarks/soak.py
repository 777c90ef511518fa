"""Half an hour of churn: 50 connections a second, each of a user never seen before, a third ended by a reset.

Whoever comes joins a room, asks something, and goes. The memory of gateway and service is printed every minute; in the
end it has to have levelled off.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jwt
import msgspec

from pylinkd.gateway.settings import DEVELOPMENT_SECRET

from . import tables
from .async_client import AsyncClient, open_client
from .programs import HERE, Server, linkd, metrics
from .raw_client import HandshakeError
from .usage import resident_kib

_ROOMS = 100
_STAY = (0.5, 3.0)  # seconds
_REQUESTS = 3  # of each visitor, most
_RESETS = 1 / 3
_LATE = 1.0  # seconds by which the next visitor may be due before it is left out
_TOKEN_LIFETIME = 3600  # seconds
_SETTLE = 10.0  # seconds in which the last sessions have to be gone
_MOST_GROWTH = 0.03  # of its memory, by which a process may grow in the second half


class Sample(NamedTuple):
    """The memory of the processes at one moment, in MiB.

    Attributes:
        minute: Since the beginning.
    """

    minute: float
    gateway: float
    service: float


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second value grows for each unit of the first: least squares."""
    count = len(points)
    middle_x, middle_y = (sum(values) / count for values in zip(*points, strict=True))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


class Level(NamedTuple):
    """Whether a process's memory levels off.

    Attributes:
        slope: MiB a minute in the second half.
        growth: What that is for the whole half, as a share of the memory at its beginning.
    """

    slope: float
    growth: float

    @property
    def passed(self) -> bool:
        """Whether it does."""
        return self.growth <= _MOST_GROWTH


def level(samples: Sequence[tuple[float, float]]) -> Level:
    """Judge the second half of the samples: minute and MiB."""
    half = samples[len(samples) // 2 :]
    rising = slope(half)
    return Level(rising, rising * (half[-1][0] - half[0][0]) / half[0][1])


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=50, help="connections a second")
    parser.add_argument("--every", type=float, default=60, help="seconds between two looks at the memory")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    with linkd(HERE / "rooms_service.py", "/ws/rooms") as ours:
        return asyncio.run(Soak(ours, options.rate, options.seed).run(60 * options.minutes, options.every))


class Soak:
    """The visitors, and what they make of the memory.

    Args:
        server: Where they go.
        rate: How many a second.
        seed: Of everything that is random.
    """

    def __init__(self, server: Server, rate: float, seed: int) -> None:
        self._server = server
        self._rate = rate
        self._dice = random.Random(seed)
        self._counts: Counter[str] = Counter()
        self._present: set[asyncio.Task[None]] = set()
        self._samples: list[Sample] = []

    async def run(self, seconds: float, every: float) -> dict[str, Any]:
        """Let them come for so long; look at the memory every so often."""
        begun = time.monotonic()
        watching = asyncio.create_task(self._watch(begun, every))
        await self._come(begun + seconds)
        await asyncio.gather(*self._present)
        watching.cancel()
        left = await self._left()
        samples = self._samples
        failures = self._counts["failed"] + self._counts["errors"]
        levels = {
            "gateway": level([(sample.minute, sample.gateway) for sample in samples]),
            "service": level([(sample.minute, sample.service) for sample in samples]),
        }
        return {
            "minutes": seconds / 60,
            "rate": self._rate,
            "samples": [sample._asdict() for sample in samples],
            "levels": {role: one._asdict() for role, one in levels.items()},
            "counts": dict(self._counts),
            "left": left,
            "passed": all(one.passed for one in levels.values()) and not left and not failures,
        }

    async def _watch(self, begun: float, every: float) -> None:
        while True:
            memory = (resident_kib(self._server.pids[role]) / 1024 for role in ("gateway", "service"))
            sample = Sample((time.monotonic() - begun) / 60, *memory)
            self._samples.append(sample)
            print(
                f"{sample.minute:5.1f} min: gateway {sample.gateway:.1f} MiB, service {sample.service:.1f} MiB, "
                f"{self._counts['came']:,} visitors",
                flush=True,
            )
            await asyncio.sleep(every)

    async def _come(self, until: float) -> None:
        due = time.monotonic()
        while due < until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - due < _LATE:
                self._counts["came"] += 1
                task = asyncio.create_task(self._visit(self._counts["came"], random.Random(self._dice.random())))
                self._present.add(task)
                task.add_done_callback(self._present.discard)
            else:
                self._counts["left out"] += 1
            due += 1 / self._rate

    async def _visit(self, number: int, dice: random.Random) -> None:
        try:
            client = await self._open(number)
        except (HandshakeError, OSError):
            self._counts["failed"] += 1
            return
        room = dice.randrange(_ROOMS)
        _send(client, "rooms.join", {"rooms": [room]})
        stay = dice.uniform(*_STAY)
        for _ in range(dice.randint(1, _REQUESTS)):
            _send(client, *dice.choice((("rooms.publish", {"room": room}), ("rooms.members", {"room": room}))))
            await asyncio.sleep(stay / _REQUESTS)
        if dice.random() < _RESETS:
            client.reset()
            self._counts["resets"] += 1
        else:
            client.close()

    async def _open(self, number: int) -> AsyncClient:
        claims = {"sub": f"soak-{number}", "name": f"Visitor {number}", "exp": int(time.time()) + _TOKEN_LIFETIME}
        token = jwt.encode(claims, DEVELOPMENT_SECRET, algorithm="HS256")
        return await open_client(
            self._server.port, self._server.path, self._take, lambda: None, headers=[f"Authorization: Bearer {token}"]
        )

    def _take(self, payload: bytes) -> None:
        if payload.startswith(b'{"type":"response"'):
            self._counts["answers"] += 1
        else:
            self._counts["errors" if payload.startswith(b'{"type":"error"') else "events"] += 1

    async def _left(self) -> float:
        """Sessions and rooms that are there when everybody has gone."""
        until = time.monotonic() + _SETTLE
        while True:
            now = await asyncio.to_thread(metrics, self._server)
            left = now['linkd_sessions{service="rooms"}'] + now["linkd_rooms"]
            if not left or time.monotonic() > until:
                return left
            await asyncio.sleep(0.1)


def _send(client: AsyncClient, type: str, data: dict[str, Any]) -> None:
    client.send(msgspec.json.encode({"type": type, "data": data, "id": 1}))


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rows = [
        [role, results["samples"][0][role], results["samples"][-1][role], one["slope"], 100 * one["growth"]]
        for role, one in results["levels"].items()
    ]
    counts = ", ".join(f"{count:,} {what}" for what, count in sorted(results["counts"].items()))
    head = [f"{results['minutes']:g} min, {results['rate']:g}/s", "MiB first", "last", "MiB/min", "second half %"]
    verdict = "levels off" if results["passed"] else "does NOT level off, or something failed or was left behind"
    return "\n\n".join(
        (
            tables.lines(head, rows),
            f"{counts}; sessions and rooms left behind: {results['left']:g}",
            f"memory {verdict}: at most {100 * _MOST_GROWTH:g} % in the second half",
        )
    )
