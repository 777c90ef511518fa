"""A TCP proxy that does to connections what networks do to them: it cuts, resets, stalls and swallows, by a seed.

Bytes are passed on as they are, so it does not matter to it whether they are TLS. What it may keep of a connection is
bounded: as long as one side does not take, the other is not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_PIECE = 16 * 1024  # bytes that are read at once; a reader keeps up to twice as many
_FAREWELL = 2.0  # seconds in which a side has to take what is left for it
_AFTER = (60, 20_000)  # bytes: one in three befalls a handshake or a welcome, the others what comes later
_STALL = (0.1, 4.0)  # seconds: some are longer than a client's patience


class Direction(StrEnum):
    """Where bytes go."""

    UP = "up"
    """From the client to the gateway."""
    DOWN = "down"

    @property
    def opposite(self) -> Direction:
        """The other one."""
        return Direction.DOWN if self is Direction.UP else Direction.UP


class Fault(StrEnum):
    """What may befall a connection."""

    NONE = "none"
    CUT = "cut"
    BLACKHOLE = "blackhole"
    STALL = "stall"
    RST = "rst"
    HALF_CLOSE = "half_close"
    HOLD_FIN = "hold_fin"


_WEIGHTS = {
    Fault.NONE: 1, Fault.CUT: 3, Fault.BLACKHOLE: 2, Fault.STALL: 3, Fault.RST: 3, Fault.HALF_CLOSE: 2,
    Fault.HOLD_FIN: 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What befalls one connection, and when.

    Attributes:
        fault: What.
        direction: Whose bytes are counted, and, where the fault has a direction, which one it befalls; a reset is that
            of the side which they come from.
        after: Bytes of this direction that pass first.
        seconds: How long a stall takes.
    """

    fault: Fault = Fault.NONE
    direction: Direction = Direction.UP
    after: int = 0
    seconds: float = 0.0


def draw(dice: random.Random, after: tuple[int, int] = _AFTER) -> Plan:
    """A plan as the dice fall.

    Args:
        dice: Where it comes from.
        after: Bytes that pass first, least and most. As many plans are between 100 and 1,000 as up to 10,000.
    """
    least, most = after
    (fault,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    direction = dice.choice((Direction.UP, Direction.DOWN))
    return Plan(fault, direction, int(least * (most / least) ** dice.random()), dice.uniform(*_STALL))


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Passage:
    """One connection of a client, and that to the gateway which belongs to it.

    Args:
        client: The client's side.
        gateway: The gateway's side.
        plan: What befalls it of itself.
        caused: Counts the faults that came about.
    """

    def __init__(self, client: _Stream, gateway: _Stream, plan: Plan, caused: Counter[str]) -> None:
        self._readers = {Direction.UP: client[0], Direction.DOWN: gateway[0]}
        self._writers = {Direction.UP: gateway[1], Direction.DOWN: client[1]}
        self._plan: Plan | None = None if plan.fault is Fault.NONE else plan
        self._caused = caused
        self._swallowed: set[Direction] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    # what may befall it

    def cut(self) -> None:
        """Close both sides, once they have what was passed on."""
        for writer in self._writers.values():
            writer.close()

    def blackhole(self, direction: Direction) -> None:
        """Swallow this direction's bytes from now on, and its end. Nothing is closed."""
        self._swallowed.add(direction)

    def stall(self, seconds: float) -> None:
        """Pass nothing for so long, in neither direction."""
        self._flowing.clear()
        asyncio.get_running_loop().call_later(seconds, self._flowing.set)

    def rst(self, direction: Direction) -> None:
        """Reset the side that this direction leads to, and drop the other one."""
        self._reset(self._writers[direction])
        self._writers[direction.opposite].transport.abort()

    def half_close(self, direction: Direction) -> None:
        """End this direction; the other goes on."""
        self._swallowed.add(direction)
        self._end(self._writers[direction])

    def hold_fin(self) -> None:
        """The client's connection ends, and the gateway is not told: its own stays, and nobody is there."""
        self._swallowed |= set(Direction)
        self._writers[Direction.DOWN].close()

    def calm(self) -> None:
        """Nothing more befalls it, and a stall is over. Where bytes are swallowed, the two sides have to notice."""
        self._plan = None
        self._flowing.set()

    # what it does otherwise

    async def run(self) -> None:
        """Pass bytes on until both sides have ended. Safe to cancel: both are dropped."""
        try:
            await asyncio.gather(*(self._carry(direction) for direction in Direction))
            self.cut()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    for writer in self._writers.values():
                        await writer.wait_closed()
        finally:
            for writer in self._writers.values():
                writer.transport.abort()

    async def _carry(self, direction: Direction) -> None:
        reader, writer = self._readers[direction], self._writers[direction]
        passed = 0
        try:
            while data := await reader.read(_PIECE):
                plan = self._plan
                if plan is not None and plan.direction is direction and passed + len(data) >= plan.after:
                    data, rest = data[: plan.after - passed], data[plan.after - passed :]
                    await self._pass(direction, data)
                    self._befall(plan)
                    data = rest
                passed += len(data)
                await self._pass(direction, data)
        except OSError:  # the side that is read from has reset its connection
            if direction not in self._swallowed:
                self._reset(writer)
            return
        await self._flowing.wait()
        if direction not in self._swallowed:
            self._end(writer)

    async def _pass(self, direction: Direction, data: bytes) -> None:
        await self._flowing.wait()
        if not data or direction in self._swallowed:
            return
        writer = self._writers[direction]
        try:
            writer.write(data)
            await writer.drain()
        except OSError:
            # Who should take it has gone. The side that it comes from is told, unless it is not to be.
            if direction.opposite in self._swallowed:
                self._swallowed.add(direction)
            else:
                self._reset(self._writers[direction.opposite])

    def _befall(self, plan: Plan) -> None:
        self._plan = None
        self._caused[plan.fault] += 1
        does: dict[Fault, Callable[[], None]] = {
            Fault.CUT: self.cut,
            Fault.BLACKHOLE: lambda: self.blackhole(plan.direction),
            Fault.STALL: lambda: self.stall(plan.seconds),
            Fault.RST: lambda: self.rst(plan.direction),
            Fault.HALF_CLOSE: lambda: self.half_close(plan.direction),
            Fault.HOLD_FIN: self.hold_fin,
        }
        does[plan.fault]()

    @staticmethod
    def _end(writer: asyncio.StreamWriter) -> None:
        if not writer.is_closing():
            with contextlib.suppress(OSError):  # it is not connected any more
                writer.write_eof()

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> None:
        if not writer.transport.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class ChaosProxy:
    """Listens on a port of 127.0.0.1 of its own, and gives each connection a plan.

    Args:
        target: The gateway's port on 127.0.0.1.
        dice: Of all that is random.
        draw: Makes a connection's plan.

    Attributes:
        port: Where clients connect.
        accepted: Connections that there were.
        caused: Faults that came about, by kind.
        passages: The connections that there are.
    """

    def __init__(self, target: int, dice: random.Random, *, draw: Callable[[random.Random], Plan] = draw) -> None:
        self._target = target
        self._dice = dice
        self._draw = draw
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calm = False
        self.port = 0
        self.accepted = 0
        self.caused: Counter[str] = Counter()
        self.passages: set[Passage] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_PIECE, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def calm(self) -> None:
        """From now on nothing befalls anybody."""
        self._calm = True
        for passage in self.passages:
            passage.calm()

    async def close(self) -> None:
        """Listen no more, and drop every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        plan = Plan() if self._calm else self._draw(self._dice)
        task = asyncio.get_running_loop().create_task(self._serve((reader, writer), plan))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _Stream, plan: Plan) -> None:
        try:
            gateway = await asyncio.open_connection("127.0.0.1", self._target, limit=_PIECE)
        except OSError:
            client[1].transport.abort()
            return
        passage = Passage(client, gateway, Plan() if self._calm else plan, self.caused)
        self.passages.add(passage)
        try:
            await passage.run()
        finally:
            self.passages.discard(passage)
