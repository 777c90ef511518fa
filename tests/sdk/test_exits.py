"""SystemExit in tasks that handlers start; everything else about their tasks is as anywhere."""

from __future__ import annotations

import asyncio
import warnings

import pytest

from pylinkd.sdk.exits import HandlerExitError, contain, inside_handler


@pytest.fixture(autouse=True)
async def contained() -> None:
    """The loop makes tasks so."""
    contain(asyncio.get_running_loop())


async def leave(error: type[BaseException]) -> None:
    """End the process, it wants."""
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_exit_reaches_who_awaits_the_task(error: type[BaseException]) -> None:
    """With what it was as its cause; also from a task of a task."""
    inside_handler.set(True)

    async def parent() -> None:
        await asyncio.create_task(leave(error))

    with pytest.raises(HandlerExitError, match=error.__name__) as caught:
        await asyncio.create_task(parent())
    assert type(caught.value.__cause__) is error


async def test_other_results_and_errors_are_unchanged() -> None:
    """What a task returns, raises, awaits, is called, and that it can be cancelled."""
    inside_handler.set(True)

    async def double(number: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * number

    async def fail() -> None:
        raise KeyError("x")

    task = asyncio.create_task(double(2), name="doubling")
    assert "double" in repr(task)
    assert (task.get_name(), await task) == ("doubling", 4)
    with pytest.raises(KeyError):
        await asyncio.create_task(fail())

    endless = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless


async def test_task_that_is_cancelled_before_it_began_warns_of_nothing() -> None:
    """Its coroutine is closed, as by asyncio."""
    inside_handler.set(True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = asyncio.create_task(leave(SystemExit))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_tasks_outside_of_handlers_are_left_alone() -> None:
    """Their coroutine is the one that was given."""
    coroutine = asyncio.sleep(0)
    task = asyncio.create_task(coroutine)

    assert task.get_coro() is coroutine
    await task


async def test_loop_with_a_factory_of_its_own_is_left_alone() -> None:
    """Whoever set it wants its tasks so."""
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coroutine: object, **options: object) -> asyncio.Future[None]:
        raise AssertionError("unused")

    loop.set_task_factory(factory)  # type: ignore[arg-type]
    contain(loop)
    assert loop.get_task_factory() is factory
    loop.set_task_factory(None)
