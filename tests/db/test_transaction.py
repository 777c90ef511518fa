"""Transactions: who joins, what a failure undoes, and that nothing stays behind."""

# ruff: noqa: PT012 - how a block of statements ends is what is tested

from __future__ import annotations

import asyncio
import contextvars

import pytest

from pylinkd.db import (
    Database,
    DatabaseBusyError,
    ForeignKeyConflictError,
    TransactionAbortedError,
    TransactionClosedError,
    TransactionError,
    UniqueConflictError,
)

from .models import Base, ChatDatabase


class LeaveBlock(Exception):
    """Raised to leave a transaction."""


async def names(db: ChatDatabase) -> list[str]:
    """The names that are stored."""
    return [row.name for row in await db.users.select("name").order_by("name").get()]


async def test_block_commits_at_its_end(db: ChatDatabase) -> None:
    """What a block did is stored when it is over."""
    async with db.transaction():
        await db.users.insert(name="ann")
        await db.users.insert(name="bob")

    assert await names(db) == ["ann", "bob"]


async def test_exception_rolls_back(db: ChatDatabase) -> None:
    """A block left by an exception has done nothing."""
    with pytest.raises(LeaveBlock):
        async with db.transaction():
            await db.users.insert(name="ann")
            raise LeaveBlock

    assert await names(db) == []


async def test_block_sees_its_own_changes(db: ChatDatabase) -> None:
    """Reads join the transaction as writes do."""
    async with db.transaction():
        await db.users.insert(name="ann")
        assert await names(db) == ["ann"]


async def test_inner_block_undoes_its_own_part_only(db: ChatDatabase) -> None:
    """A failed inner block may be caught, and the outer one goes on."""
    async with db.transaction():
        await db.users.insert(name="ann")
        with pytest.raises(UniqueConflictError):
            async with db.transaction():
                await db.users.insert(name="bob")
                await db.users.insert(name="ann")
        await db.users.insert(name="cid")

    assert await names(db) == ["ann", "cid"]


async def test_inner_block_is_undone_with_the_outer(db: ChatDatabase) -> None:
    """An inner block that succeeded still depends on the outer one."""
    with pytest.raises(LeaveBlock):
        async with db.transaction():
            async with db.transaction():
                await db.users.insert(name="ann")
            raise LeaveBlock

    assert await names(db) == []


async def test_failed_statement_dooms_its_block(db: ChatDatabase) -> None:
    """An error caught inside a block does not let half of it be stored."""
    with pytest.raises(TransactionAbortedError) as caught:
        async with db.transaction():
            await db.users.insert(name="ann")
            with pytest.raises(UniqueConflictError):
                await db.users.insert(name="ann")

    assert isinstance(caught.value.__cause__, UniqueConflictError)
    assert await names(db) == []


async def test_statement_after_a_failed_one_is_refused(db: ChatDatabase) -> None:
    """Both databases refuse to go on, and say why."""
    with pytest.raises(TransactionAbortedError, match="inner"):
        async with db.transaction():
            await db.users.insert(name="ann")
            with pytest.raises(UniqueConflictError):
                await db.users.insert(name="ann")
            await db.users.insert(name="bob")


async def test_tasks_of_a_block_take_turns(db: ChatDatabase) -> None:
    """Statements of gathered tasks share the one connection without harm, and are undone together."""
    with pytest.raises(LeaveBlock):
        async with db.transaction():
            await asyncio.gather(*(db.users.insert(name=f"user {number}") for number in range(20)))
            assert await db.users.count() == 20
            raise LeaveBlock

    assert await names(db) == []


async def test_inner_blocks_of_tasks_do_not_mix(db: ChatDatabase) -> None:
    """A task's failed inner block undoes nothing of its sibling."""

    async def store(name: str, fail: bool) -> None:
        async with db.transaction():
            await db.users.insert(name=name)
            if fail:
                raise LeaveBlock

    async with db.transaction():
        done = await asyncio.gather(
            *(store(f"user {number}", fail=number % 2 == 0) for number in range(6)), return_exceptions=True
        )

    assert sum(isinstance(result, LeaveBlock) for result in done) == 3
    assert await names(db) == ["user 1", "user 3", "user 5"]


async def test_task_that_outlives_the_block_gets_a_clear_error(db: ChatDatabase) -> None:
    """A task started inside does not use a connection that others have by now."""
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        await db.users.insert(name="late")

    async with db.transaction():
        task = asyncio.create_task(late())
    ended.set()

    with pytest.raises(TransactionClosedError, match="await it inside"):
        await task
    assert await names(db) == []


async def test_statement_under_way_ends_before_the_block(db: ChatDatabase) -> None:
    """A commit waits for a task's statement instead of cutting into it."""
    async with db.transaction():
        task = asyncio.create_task(db.users.insert(name="ann"))
        await asyncio.sleep(0)  # the task has begun its statement

    assert (await task).name == "ann"
    assert await names(db) == ["ann"]


@pytest.mark.parametrize("failing", [False, True])
async def test_nothing_stays_in_the_context(db: ChatDatabase, failing: bool) -> None:
    """A task that is used again for other work is not in a transaction any more."""
    before = contextvars.copy_context()
    try:
        async with db.transaction():
            async with db.transaction():
                await db.users.insert(name="ann")
            if failing:
                raise LeaveBlock
    except LeaveBlock:
        pass

    after = contextvars.copy_context()
    # None is what a variable without a value reads as.
    assert {k: v for k, v in after.items() if v is not None} == {k: v for k, v in before.items() if v is not None}


async def test_other_tasks_do_not_join(db: ChatDatabase) -> None:
    """A task started before the block waits for it, or reads what was committed."""
    entered, checked = asyncio.Event(), asyncio.Event()

    async def other() -> int:
        await entered.wait()
        reading = asyncio.ensure_future(db.users.count())
        # In memory there is one connection, so the reader waits; elsewhere it need not.
        await asyncio.wait((reading,), timeout=0.1)
        checked.set()
        return await reading

    task = asyncio.create_task(other())
    with pytest.raises(LeaveBlock):
        async with db.transaction():
            await db.users.insert(name="ann")
            entered.set()
            await checked.wait()
            raise LeaveBlock

    assert await task == 0


async def test_writers_wait_for_each_other(db: ChatDatabase) -> None:
    """Transactions that read, then write, lose no update and never fail as locked."""
    await db.users.insert(name="ann", age=0)

    async def increment() -> None:
        async with db.transaction():
            await db.execute(db.lock_users())
            age = (await db.users.where_equals("name", "ann").one()).age
            assert age is not None
            await db.users.where_equals("name", "ann").update(age=age + 1)

    await asyncio.gather(*(increment() for _ in range(20)))

    assert (await db.users.where_equals("name", "ann").one()).age == 20


async def test_transactions_of_two_databases_are_apart(db: ChatDatabase) -> None:
    """A block on one database inside a block on another does not divert its queries."""
    async with Database("sqlite:///:memory:", tables=Base.metadata) as other:
        await other.create_all()
        with pytest.raises(LeaveBlock):
            async with db.transaction(), other.transaction():
                await db.users.insert(name="ann")
                await other.table("users").insert(name="bob")
                raise LeaveBlock

        assert await other.table("users").count() == 0
        assert await names(db) == []


async def test_waiting_for_oneself_ends_with_an_error(url: str) -> None:
    """An inner block that awaits a task of the outer one is told, instead of hanging."""
    async with ChatDatabase(url, tables=Base.metadata, timeout=0.2) as db, db.transaction():
        started = asyncio.Event()

        async def outer_statement() -> None:
            await started.wait()
            await db.execute(db.lock_users())

        task = asyncio.create_task(outer_statement())
        async with db.transaction():
            started.set()
            with pytest.raises(DatabaseBusyError, match="same transaction"):
                await task


async def test_transaction_is_entered_once(db: ChatDatabase) -> None:
    """A block that is over cannot be opened again by the same object."""
    transaction = db.transaction()
    async with transaction:
        pass

    with pytest.raises(TransactionError, match="twice"):
        await transaction.__aenter__()


async def test_refused_commit_stores_nothing(db: ChatDatabase) -> None:
    """A block whose COMMIT fails gives its connection back and says why."""
    with pytest.raises(ForeignKeyConflictError):
        async with db.transaction():
            await db.users.insert(name="ann")
            await db.table("replies").insert(to=99)

    assert await names(db) == []
