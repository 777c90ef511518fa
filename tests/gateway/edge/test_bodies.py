"""Room for the bodies of HTTP requests."""

from __future__ import annotations

import asyncio

import pytest

from pylinkd.gateway.edge.bodies import Bodies
from pylinkd.protocol.errors import ServiceUnavailableError

from ..doubles import turns

LARGE = 100_000


async def hold(bodies: Bodies, size: int, release: asyncio.Event, order: list[int], name: int) -> None:
    """Take room, note it, and keep it."""
    async with bodies.space(size, f"192.0.2.{name}"):
        order.append(name)
        await release.wait()


async def test_large_bodies_wait_in_order() -> None:
    """As many as fit; the next when one is done."""
    bodies, releases, order = Bodies(4 * LARGE, 5.0), [asyncio.Event() for _ in range(4)], list[int]()
    tasks = [asyncio.create_task(hold(bodies, LARGE, releases[n], order, n)) for n in range(4)]
    await turns()
    assert (order, bodies.waiting) == ([0, 1], 2)

    releases[1].set()
    await turns()
    assert (order, bodies.waiting) == ([0, 1, 2], 1)

    for release in releases:
        release.set()
    await asyncio.gather(*tasks)
    assert (bodies.taken, bodies.waiting) == (0, 0)


async def test_small_bodies_and_a_single_huge_one_need_no_room() -> None:
    """Otherwise large ones would keep everybody out, or could never come in."""
    bodies = Bodies(LARGE, 5.0)

    async with bodies.space(10 * LARGE, "192.0.2.1"), bodies.space(1000, "192.0.2.2"):
        assert bodies.taken == 20 * LARGE


async def test_one_address_takes_a_quarter() -> None:
    """What it wants beyond that waits, and others pass by; its first is taken whatever its size."""
    bodies, release, order = Bodies(16 * LARGE, 5.0), asyncio.Event(), list[int]()
    greedy = [asyncio.create_task(hold(bodies, LARGE, release, order, 1)) for _ in range(20)]
    await turns()
    assert (order, bodies.waiting) == ([1, 1], 18)

    others = [asyncio.create_task(hold(bodies, size, release, order, n)) for n, size in ((2, LARGE), (3, 5 * LARGE))]
    await turns()
    assert (order, bodies.waiting) == ([1, 1, 2, 3], 18)

    release.set()
    await asyncio.gather(*greedy, *others)
    assert (bodies.taken, bodies.waiting) == (0, 0)


async def test_who_waits_too_long_or_leaves_takes_nothing() -> None:
    """503 with when to come back; a request that is cancelled while it waits leaves its place to the next."""
    bodies = Bodies(2 * LARGE, 0.01)

    async with bodies.space(LARGE, "192.0.2.1"):
        with pytest.raises(ServiceUnavailableError) as refusal:
            async with bodies.space(LARGE, "192.0.2.1"):
                pass
        waiting = asyncio.create_task(hold(bodies, LARGE, asyncio.Event(), [], 0))
        await turns()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert refusal.value.retry_after == 1.0
    assert (bodies.taken, bodies.waiting) == (0, 0)


async def test_cancelled_request_is_passed_over() -> None:
    """Before it has noticed."""
    bodies, order, last = Bodies(2 * LARGE, 5.0), list[int](), asyncio.Event()
    async with bodies.space(LARGE, "192.0.2.1"):
        tasks = [asyncio.create_task(hold(bodies, LARGE, last, order, n)) for n in (2, 3)]
        await turns()
        tasks[0].cancel()
    await turns()

    assert order == [3]
    last.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (bodies.taken, bodies.waiting) == (0, 0)
