"""What the proxy of tests/chaos_proxy.py does to a connection, seen from both of its ends."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from tests.chaos_proxy import ChaosProxy, Direction, Fault, Plan, draw

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
UP, DOWN = Direction
WAIT = 10.0  # seconds


class Ends:
    """The client's end of a connection, and the server's."""

    def __init__(self, proxy: ChaosProxy, client: Stream, server: Stream) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server


@contextlib.asynccontextmanager
async def connected(plan: Plan) -> AsyncIterator[Ends]:
    """A connection with this plan."""
    arrived: asyncio.Queue[Stream] = asyncio.Queue()
    server = await asyncio.start_server(lambda *stream: arrived.put_nowait(stream), "127.0.0.1", 0)
    proxy = ChaosProxy(server.sockets[0].getsockname()[1], random.Random(1), draw=lambda _: plan)
    await proxy.start()
    client = await asyncio.open_connection("127.0.0.1", proxy.port)
    taken = await arrived.get()
    try:
        yield Ends(proxy, client, taken)
    finally:
        client[1].transport.abort()
        taken[1].transport.abort()
        await proxy.close()
        server.close()


async def came(stream: Stream, size: int) -> bytes:
    """So many bytes that came, or fewer and then the end."""
    async with asyncio.timeout(WAIT):
        try:
            return await stream[0].readexactly(size)
        except asyncio.IncompleteReadError as error:
            return error.partial


async def test_without_a_fault_bytes_and_ends_pass() -> None:
    """Also the end of one direction alone."""
    async with connected(Plan()) as ends:
        ends.client[1].write(b"question")
        ends.client[1].write_eof()
        assert await came(ends.server, 100) == b"question"

        ends.server[1].write(b"answer")
        ends.server[1].close()
        assert await came(ends.client, 100) == b"answer"


async def test_cut_comes_after_as_many_bytes_as_planned() -> None:
    """Both ends see it."""
    async with connected(Plan(Fault.CUT, UP, 3)) as ends:
        ends.client[1].write(b"question")

        assert await came(ends.server, 100) == b"que"
        assert await came(ends.client, 1) == b""
        assert ends.proxy.caused == {Fault.CUT: 1}


async def test_reset_is_one() -> None:
    """And no end in good order."""
    async with connected(Plan(Fault.RST, DOWN, 0)) as ends:
        ends.server[1].write(b"answer")

        with pytest.raises(ConnectionResetError):
            await came(ends.client, 1)


async def test_black_hole_swallows_one_direction_and_closes_nothing() -> None:
    """The other goes on."""
    async with connected(Plan(Fault.BLACKHOLE, UP, 3)) as ends:
        ends.client[1].write(b"question")
        ends.client[1].write_eof()
        ends.server[1].write(b"answer")

        assert await came(ends.client, 6) == b"answer"
        assert await came(ends.server, 3) == b"que"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ends.server[0].read(1)


async def test_stall_is_over_after_a_while() -> None:
    """Everything passes then."""
    async with connected(Plan(Fault.STALL, UP, 3, 0.1)) as ends:
        begun = asyncio.get_running_loop().time()
        ends.client[1].write(b"question")

        assert await came(ends.server, 8) == b"question"
        assert asyncio.get_running_loop().time() - begun >= 0.09


async def test_half_close_ends_one_direction() -> None:
    """The other goes on."""
    async with connected(Plan(Fault.HALF_CLOSE, UP, 3)) as ends:
        ends.client[1].write(b"question")
        assert await came(ends.server, 100) == b"que"

        ends.server[1].write(b"answer")
        assert await came(ends.client, 6) == b"answer"


async def test_held_end_is_not_passed_on() -> None:
    """The client's connection is gone, and the server's is there."""
    async with connected(Plan(Fault.HOLD_FIN, UP, 3)) as ends:
        ends.client[1].write(b"question")

        assert await came(ends.client, 1) == b""
        assert await came(ends.server, 3) == b"que"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ends.server[0].read(1)


async def test_who_does_not_read_stops_who_writes() -> None:
    """The proxy keeps little."""
    async with connected(Plan()) as ends:
        ends.client[1].write(bytes(64 * 2**20))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ends.client[1].drain()


def test_plans_come_from_the_seed() -> None:
    """The same seed has the same plans, in which everything happens."""
    first, second = random.Random(5), random.Random(5)

    plans = [draw(first) for _ in range(200)]

    assert plans == [draw(second) for _ in range(200)]
    assert {plan.fault for plan in plans} == set(Fault)
