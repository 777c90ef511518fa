"""Transient failures of real databases: handlers that ask for it are tried again, and what they wrote is there once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pylinkd import Retry, Service, TransientError, WsContext
from pylinkd.db import open_database
from pylinkd.testing import Client, run

from .conftest import fresh
from .shops import ShopDatabase, shop, sold

_PATIENCE = 40.0  # seconds; each attempt waits for the lock, and a busy machine makes it longer

RETRY = Retry(attempts=5, delay=0.02, max_delay=0.1, jitter=0.02)


@pytest.fixture
async def postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of PostgreSQL."""
    return await fresh("postgresql", tmp_path, request)


def swapping(url: str, runs: list[str], *, retry: Retry | None = RETRY) -> Service[Any]:
    """A service that changes two rows one after the other, so that two of its handlers can lock each other out."""
    service = shop(url)
    both = asyncio.Barrier(2)

    @service.ws.on("shop.swap", retry=retry)
    async def swap(ctx: WsContext[ShopDatabase], order: list[int]) -> None:
        runs.append("run")
        async with ctx.db.transaction():
            for number, id in enumerate(order):
                await ctx.db.sales.where_equals("id", id).update(item=f"by {order[0]}")
                if number == 0 and len(runs) <= 2:
                    await both.wait()

    return service


async def pair(service: Service[Any]) -> list[Any]:
    """What two clients are answered that change the same rows in opposite order."""
    async with run(service) as gateway:
        await service.db.sales.insert(item="tea")
        await service.db.sales.insert(item="milk")
        one, two = await gateway.connect(), await gateway.connect()
        sent = (one.send("shop.swap", [1, 2]), two.send("shop.swap", [2, 1]))
        return list(await asyncio.gather(*sent, return_exceptions=True))


async def test_deadlock_is_tried_again(postgresql: str) -> None:
    """The server ends one of two transactions; its handler runs once more."""
    runs: list[str] = []

    assert await pair(swapping(postgresql, runs)) == [None, None]
    assert len(runs) == 3


async def test_deadlock_is_answered_as_transient(postgresql: str) -> None:
    """Where no retry is asked for: 503, and when to try again."""
    answers = await pair(swapping(postgresql, [], retry=None))

    (failure,) = [answer for answer in answers if answer is not None]
    assert isinstance(failure, TransientError)
    assert failure.retry_after == 1.0


async def test_serialization_failure_is_tried_again(postgresql: str) -> None:
    """Two transactions that could not have run one after the other."""
    service, runs, both = shop(postgresql), [], asyncio.Barrier(2)

    @service.ws.on("shop.count", retry=RETRY)
    async def count(ctx: WsContext[ShopDatabase]) -> int:
        runs.append("run")
        async with ctx.db.transaction():
            await ctx.db.execute(sa.text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
            number = await ctx.db.sales.count()
            if len(runs) <= 2:
                await both.wait()
            await ctx.db.sales.insert(item=f"sale {number}")
        return number

    async with run(service) as gateway:
        one, two = await gateway.connect(), await gateway.connect()
        assert sorted(await asyncio.gather(one.send("shop.count"), two.send("shop.count"))) == [0, 1]
        assert await sold(service) == ["sale 0", "sale 1"]

    assert len(runs) == 3


async def test_connection_that_the_server_ends_is_tried_again(postgresql: str) -> None:
    """As a restart of it does, in the middle of a transaction: nothing of that is stored."""
    service, runs = shop(postgresql), []

    @service.ws.on("shop.sell", retry=RETRY)
    async def sell(ctx: WsContext[ShopDatabase], item: str) -> None:
        runs.append(item)
        async with ctx.db.transaction():
            await ctx.db.sales.insert(item=item)
            if len(runs) == 1:
                (pid,) = (await ctx.db.execute(sa.text("SELECT pg_backend_pid()"))).one()
                async with open_database(postgresql) as other:
                    await other.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))
            await ctx.db.sales.insert(item=f"{item} too")

    async with run(service) as gateway:
        client = await gateway.connect()
        await client.send("shop.sell", "tea")
        assert await sold(service) == ["tea", "tea too"]

    assert runs == ["tea", "tea"]


async def test_file_that_another_program_keeps_locked_is_tried_again(tmp_path: Path) -> None:
    """SQLite's second writer, of another process or thread."""
    service, runs = shop(f"sqlite:///{tmp_path}/shop.db"), []
    service.db._timeout = 0.3  # seconds that a statement waits for other writers

    @service.ws.on("shop.sell", retry=Retry(attempts=100, delay=0.02, max_delay=0.02, jitter=0.0))
    async def sell(ctx: WsContext[ShopDatabase], item: str) -> None:
        runs.append(item)
        await ctx.db.sales.insert(item=item)

    async with run(service) as gateway:
        client: Client = await gateway.connect()
        locked, release = threading.Event(), threading.Event()

        def other_writer() -> None:
            connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            locked.set()
            release.wait(_PATIENCE)
            connection.execute("ROLLBACK")
            connection.close()

        thread = threading.Thread(target=other_writer)
        thread.start()
        await asyncio.to_thread(locked.wait, _PATIENCE)
        sending = asyncio.create_task(client.send("shop.sell", "tea"))
        async with asyncio.timeout(_PATIENCE):
            while len(runs) < 3:
                await asyncio.sleep(0.01)
        release.set()
        await sending
        assert await sold(service) == ["tea"]
        thread.join()
