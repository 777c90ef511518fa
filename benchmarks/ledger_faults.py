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

_CALM = 2.0  # seconds before each fault
_AFTERMATH = 3.0  # seconds after it, in which its consequences still count as its own
_LONG_AFTERMATH = 8.0  # the same where somebody slept: the silence limits are looked at every five seconds


@dataclass(frozen=True, slots=True)
class Stage:
    """Where faults happen.

    Attributes:
        pause: Seconds for which the gateway is stopped.
        freeze: Seconds for which an instance is stopped, longer than the gateway waits for it.
    """

    fleet: Fleet
    crew: Crew
    ledger: Ledger
    dice: random.Random
    pause: float
    freeze: float

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
    gateway = stage.fleet.gateway
    gateway.signal(signal.SIGSTOP)
    await asyncio.sleep(stage.pause)
    gateway.signal(signal.SIGCONT)
    await asyncio.sleep(_LONG_AFTERMATH)


async def _freeze(stage: Stage) -> None:
    stage.begin("freeze", refuses=True)
    instance = stage.victim()
    stage.ledger.interruptions.append(Interruption(instance.pid, time.monotonic()))
    instance.signal(signal.SIGSTOP)
    await asyncio.sleep(stage.freeze)
    instance.signal(signal.SIGCONT)
    await asyncio.sleep(_LONG_AFTERMATH)


_Cause = Callable[[Stage], Awaitable[None]]

_SHORT: dict[str, Sequence[_Cause]] = {
    "kill": (_kill_one, _kill_all),
    "redeploy": (_new_first, _old_first, _all_old_first),
}
_LONG: dict[str, _Cause] = {"pause": _pause, "freeze": _freeze}


async def cause(stage: Stage, faults: Sequence[str], seconds: float) -> None:
    """Cause the faults, each long one once and the short ones in turn, until the time is over."""
    until = time.monotonic() + seconds
    long = [fault for name, fault in _LONG.items() if name in faults]
    short = _in_turn([fault for name, several in _SHORT.items() if name in faults for fault in several])
    stage.dice.shuffle(long)
    while True:
        stage.begin(CALM)
        await asyncio.sleep(min(_CALM, max(0.0, until - time.monotonic())))
        if time.monotonic() >= until:
            return
        fault = next(short, None)
        if fault is not None:
            await fault(stage)
            await asyncio.sleep(_AFTERMATH)
        if long and time.monotonic() < until:
            await long.pop()(stage)


def _in_turn(faults: Sequence[_Cause]) -> Iterator[_Cause]:
    while faults:
        yield from faults


async def stop_gateway(stage: Stage) -> None:
    """SIGTERM for the gateway, while everybody asks."""
    stage.begin("stop", refuses=True)
    stage.crew.go_on()
    await asyncio.sleep(_CALM)
    stage.crew.stop_coming()
    stage.crew.volley()
    status = await stage.fleet.gateway.stop()
    if status != 0:
        raise RuntimeError(f"the gateway ended with status {status}")
