"""Cancellation, as by a handler's timeout: it is prompt, undoes transactions and harms no one else."""

# ruff: noqa: PT012 - how a block of statements ends is what is tested

from __future__ import annotations

import asyncio
import itertools
import types
from collections.abc import Coroutine, Generator
from typing import Any

import pytest
import sqlalchemy as sa

from pylinkd.db import TransactionAbortedError

from .models import ChatDatabase

# Runs for minutes on either database, and is one statement inside the driver.
ENDLESS = sa.text(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000) SELECT count(*) FROM n"
)


async def cancel_during(statement: sa.Executable, db: ChatDatabase) -> None:
    """Run a statement that a timeout cancels."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await db.execute(statement)


async def test_cancelled_queries_leave_the_pool_usable(db: ChatDatabase) -> None:
    """More cancelled queries than connections, and the database still answers and has its data."""
    await db.users.insert(name="ann")
    async with asyncio.timeout(20):
        await asyncio.gather(*(cancel_during(ENDLESS, db) for _ in range(7)))

        assert await db.users.count() == 1
        await asyncio.gather(*(db.users.insert(name=f"user {number}") for number in range(10)))


async def test_cancelled_transaction_is_rolled_back(db: ChatDatabase) -> None:
    """Nothing of a block is stored when its handler is cancelled in the middle of a statement."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), db.transaction():
            await db.users.insert(name="ann")
            await db.execute(ENDLESS)

    assert await db.users.count() == 0
    await db.users.insert(name="ann")


async def test_cancelled_between_statements_is_rolled_back(db: ChatDatabase) -> None:
    """A cancellation outside of a statement undoes the block as well."""

    async def handler() -> None:
        async with db.transaction():
            await db.users.insert(name="ann")
            written.set()
            await asyncio.Event().wait()

    written = asyncio.Event()
    task = asyncio.create_task(handler())
    await written.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db.users.count() == 0


async def test_swallowed_timeout_does_not_save_the_block(db: ChatDatabase) -> None:
    """A statement cancelled inside a block dooms the block, inner blocks or not."""
    with pytest.raises(TransactionAbortedError):
        async with db.transaction():
            await db.users.insert(name="ann")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), db.transaction():
                    await db.execute(ENDLESS)

    assert await db.users.count() == 0


async def test_cancelled_while_waiting_for_a_turn_leaves_it(db: ChatDatabase) -> None:
    """A writer that gave up waiting does not block those behind it."""
    held, release = asyncio.Event(), asyncio.Event()

    async def holder() -> None:
        async with db.transaction():
            await db.execute(db.lock_users())
            held.set()
            await release.wait()

    async def waiter() -> None:
        async with db.transaction():
            await db.execute(db.lock_users())

    holding = asyncio.create_task(holder())
    await held.wait()
    waiting = asyncio.create_task(waiter())
    await asyncio.wait((waiting,), timeout=0.1)
    waiting.cancel()
    await asyncio.wait((waiting,))
    release.set()
    await holding

    assert waiting.cancelled()
    await asyncio.wait_for(waiter(), 5)


@types.coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await ``work``, and cancel the task when it waits for the given time; counts from 1."""
    waits = 0
    try:
        waiting_for = work.send(None)
        while True:
            waits += 1
            if waits == step:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waiting_for
            except BaseException as error:
                waiting_for = work.throw(error)
            else:
                waiting_for = work.send(None)
    except StopIteration:
        return


async def test_cancelled_at_any_wait_leaves_all_or_nothing(db: ChatDatabase) -> None:
    """Wherever in a transaction the cancellation hits, the pool is whole and no half is stored."""

    async def handler() -> None:
        async with db.transaction():
            await db.users.insert(name="ann")
            async with db.transaction():
                await db.users.insert(name="bob")

    for step in itertools.count(1):
        task = asyncio.ensure_future(cancelled_at(step, handler()))
        await asyncio.wait((task,))
        async with asyncio.timeout(5):
            # Two although cancelled: a cancellation during COMMIT is raised once the commit is through.
            stored = await db.users.count()
            assert stored in ((0, 2) if task.cancelled() else (2,))
            await asyncio.gather(*(db.users.exists() for _ in range(5)))
            await db.users.delete(all_rows=True)
        if not task.cancelled():
            break


async def test_single_statement_cancelled_at_any_wait_harms_no_other(db: ChatDatabase) -> None:
    """Outside of a transaction too, the pool is whole wherever the cancellation hits."""

    async def handler() -> None:
        await db.users.upsert({"name": "ann", "age": 1}, conflict=["name"])

    for step in itertools.count(1):
        task = asyncio.ensure_future(cancelled_at(step, handler()))
        await asyncio.wait((task,))
        async with asyncio.timeout(5):
            await asyncio.gather(*(db.users.where_equals("name", "bob").update(age=1) for _ in range(5)))
        if not task.cancelled():
            break


async def test_cancelled_twice_still_rolls_back(db: ChatDatabase) -> None:
    """An impatient second cancellation does not interrupt the rollback."""

    async def handler() -> None:
        async with db.transaction():
            await db.users.insert(name="ann")
            started.set()
            await db.execute(ENDLESS)

    started = asyncio.Event()
    task = asyncio.create_task(handler())
    await started.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)

    assert await db.users.count() == 0
