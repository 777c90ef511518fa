"""The example of two services: durable events and jobs, while each process is killed again and again."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pylinkd import LinkdError
from pylinkd.client import Client, connect
from pylinkd.db import open_database
from tests.processes import ROOT, platform

ORDERS = ROOT / "examples/orders/orders.py"
BILLING = ROOT / "examples/orders/billing.py"
PATIENCE = 60.0  # seconds

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")


def settings(folder: Path) -> dict[str, str]:
    """Where the two keep what they know."""
    return {
        "ORDERS_DATABASE": f"sqlite:///{folder}/orders.db",
        "BILLING_DATABASE": f"sqlite:///{folder}/billing.db",
        "LINKD_PARK_TIMEOUT_MS": "10000",
    }


async def rows(folder: Path, database: str, statement: str) -> list[tuple[Any, ...]]:
    """What a database holds, as another process sees it."""
    async with open_database(f"sqlite:///{folder}/{database}.db") as db:
        return [tuple(row) for row in await db.execute(sa.text(statement))]


async def place(client: Client, count: int, until: asyncio.Future[None] | None = None) -> set[int]:
    """Place orders one after the other, until so many are confirmed and something is done; their ids."""
    placed: set[int] = set()
    async with asyncio.timeout(PATIENCE):
        while len(placed) < count or not (until is None or until.done()):
            try:
                placed.add(await client.call("orders.place", {"item": f"tea {len(placed)}"}, timeout=20.0))
            except LinkdError:  # who is away was not asked, or died with the question
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.01)
    return placed


async def billed(folder: Path, wanted: set[int]) -> None:
    """Wait until all these orders are billed."""
    async with asyncio.timeout(PATIENCE):
        while wanted - {id for (id,) in await rows(folder, "orders", "SELECT id FROM orders WHERE state = 'billed'")}:
            await asyncio.sleep(0.2)


@pytest.mark.timeout(180)
async def test_every_order_has_one_invoice_whoever_is_killed(tmp_path: Path) -> None:
    """Orders, billing and gateway by turns, with SIGKILL."""
    env = settings(tmp_path)
    async with platform(tmp_path, ORDERS, env=env) as running:
        programs = {"orders": running.programs[-1], "billing": await running.start_service(BILLING)}
        targets = {"orders": ORDERS, "billing": BILLING}

        async def kill_by_turns() -> None:
            for name in ("billing", "orders", "gateway", "billing", "orders"):
                await asyncio.sleep(0.7)
                if name == "gateway":
                    await running.gateway.kill()
                    await running.start_gateway()
                    continue
                await programs[name].kill()
                programs[name] = await running.start_service(targets[name])

        async with connect(running.url("/ws/orders")) as client:
            await client.wait()
            killing = asyncio.create_task(kill_by_turns())
            placed = await place(client, 100, killing)
            await killing
        stored = {id for (id,) in await rows(tmp_path, "orders", "SELECT id FROM orders")}
        await billed(tmp_path, stored)
        invoices = Counter(order for (order,) in await rows(tmp_path, "billing", 'SELECT "order" FROM invoices'))

        assert placed <= stored
        assert set(invoices) == stored
        assert set(invoices.values()) == {1}
        async with running.http_client() as http:
            answer = await http.get("/billing/invoices")
            assert {invoice["order"] for invoice in json.loads(answer.content)} == stored


async def test_event_waits_for_a_service_that_is_away_longer_than_the_gateway_lives(tmp_path: Path) -> None:
    """The emitter knows from before who takes it: a new gateway does not."""
    env = settings(tmp_path)
    async with platform(tmp_path, ORDERS, env=env) as running:
        billing = await running.start_service(BILLING)
        async with connect(running.url("/ws/orders")) as client:
            first = await client.call("orders.place", {"item": "tea"})
            await billed(tmp_path, {first})
            await billing.stop()
            await running.gateway.kill()
            await running.start_gateway()
            second = await client.call("orders.place", {"item": "milk"}, timeout=20.0)
            waiting = await rows(tmp_path, "orders", "SELECT count(*) FROM linkd_outbox")
            assert waiting == [(1,)]
            await running.start_service(BILLING)
            await billed(tmp_path, {first, second})
