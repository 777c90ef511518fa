"""The faults of a ledger run, and when each is caused."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from .fleet import Fleet, Program
from .ledger_clients import Crew
from .ledger_records import Interruption, Ledger, Period

FAULTS = ("kill", "redeploy", "stop", "pause", "slow", "freeze")
"""``slow`` are clients, and ``stop`` is the end of the run; the others come in between."""

CALM = "none"
"""The period in which nothing is done on purpose."""

_READY = 0.5  # seconds until the large answers for slow readers are ready, and wait for them in the gateway
_ASKING = 2.0  # seconds of requests before the gateway is stopped
_SILENCE_LIMIT = 20.0  # seconds after which a gateway gives up a service that says nothing
_LONG_REST = 8.0  # seconds after a sleep of that length, since silence is looked at every five


@dataclass(frozen=True, slots=True)
class Stage:
    """Where faults happen.

    Attributes:
        pause: Seconds for which the gateway is stopped.
        freeze: Seconds for which an instance is stopped.
        rest: Seconds after a fault in which its consequences still count as its own, and half of them are calm.
    """

    fleet: Fleet
    crew: Crew
    ledger: Ledger
    dice: random.Random
    pause: float
    freeze: float
    rest: float

    def begin(self, fault: str, *, refuses: bool = False) -> None:
        """From now on whatever goes wrong is this fault's, which makes the gateway refuse requests or does not."""
        self.ledger.periods.append(Period(fault, time.monotonic(), refuses))

    def victim(self) -> Program:
        """One of the instances."""
        return self.dice.choice(self.fleet.instances)

    async def kill(self, instance: Program) -> None:
        """``kill -9`` of an instance."""
        self.ledger.interruptions.append(Interruption(instance.pid, await self.fleet.kill_instance(instance)))


async def _kill_one(stage: Stage) -> None:
    stage.begin("kill one", refuses=True)
    await stage.kill(stage.victim())
    await asyncio.sleep(stage.dice.uniform(0.0, 1.0))
    await stage.fleet.start_instance()


async def _kill_all(stage: Stage) -> None:
    stage.begin("kill all", refuses=True)
    for instance in list(stage.fleet.instances):
        await stage.kill(instance)
    await asyncio.gather(stage.fleet.start_instance(), stage.fleet.start_instance())


async def _new_first(stage: Stage) -> None:
    stage.begin("redeploy, new first")
    old = stage.victim()
    await stage.fleet.start_instance()
    stage.crew.volley()
    await asyncio.sleep(stage.dice.uniform(0.0, 0.2))
    await stage.fleet.stop_instance(old)


async def _old_first(stage: Stage) -> None:
    stage.begin("redeploy, old first")
    stage.crew.volley()
    await stage.fleet.stop_instance(stage.victim())
    await stage.fleet.start_instance()


async def _all_old_first(stage: Stage) -> None:
    stage.begin("redeploy, all old first")
    await asyncio.gather(*(stage.fleet.stop_instance(instance) for instance in list(stage.fleet.instances)))
    await asyncio.gather(stage.fleet.start_instance(), stage.fleet.start_instance())


async def _pause(stage: Stage) -> None:
    stage.begin("pause")
    await _sleep(stage, stage.fleet.gateway, stage.pause)


async def _freeze(stage: Stage) -> None:
    instance, too_long = stage.victim(), stage.freeze > _SILENCE_LIMIT
    stage.begin("freeze", refuses=too_long)
    if too_long:
        stage.ledger.interruptions.append(Interruption(instance.pid, time.monotonic()))
    await _sleep(stage, instance, stage.freeze)


async def _sleep(stage: Stage, program: Program, seconds: float) -> None:
    program.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    program.signal(signal.SIGCONT)
    await asyncio.sleep(_LONG_REST if seconds > _SILENCE_LIMIT else 0.0)


_Cause = Callable[[Stage], Awaitable[None]]

_SHORT: Sequence[tuple[str, _Cause]] = (
    ("kill", _kill_one), ("redeploy", _new_first), ("kill", _kill_all), ("redeploy", _old_first),
    ("redeploy", _all_old_first),
)  # fmt: skip
_LONG: Sequence[tuple[str, _Cause]] = (("pause", _pause), ("freeze", _freeze))


async def cause(stage: Stage, faults: Sequence[str], seconds: float) -> None:
    """Cause the faults, each long one once and the short ones in turn, until the time is over."""
    until = time.monotonic() + seconds
    long = [fault for name, fault in _LONG if name in faults]
    short = _in_turn([fault for name, fault in _SHORT if name in faults])
    stage.dice.shuffle(long)
    while True:
        stage.begin(CALM)
        await asyncio.sleep(min(stage.rest / 2, max(0.0, until - time.monotonic())))
        if time.monotonic() >= until:
            return
        fault = next(short, None)
        if fault is not None:
            await fault(stage)
            await asyncio.sleep(stage.rest)
        if long and time.monotonic() < until:
            await long.pop()(stage)
            await asyncio.sleep(stage.rest)


def _in_turn(faults: Sequence[_Cause]) -> Iterator[_Cause]:
    while faults:
        yield from faults


async def stop_gateway(stage: Stage) -> None:
    """SIGTERM for the gateway, while everybody asks."""
    stage.begin("stop", refuses=True)
    stage.crew.go_on()
    await asyncio.sleep(_ASKING)
    stage.crew.stop_coming()
    stage.crew.volley(slow=True)
    await asyncio.sleep(_READY)
    status = await stage.fleet.gateway.stop()
    if status != 0:
        raise RuntimeError(f"the gateway ended with status {status}")
