"""Functions of the application that a task of the client's awaits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and await what it returns where that can be awaited.

    Raises:
        RuntimeError: If it raised CancelledError though nobody cancels this task, such as where it waits for a task
            that somebody cancelled. Passed on it would end this task without a word.
    """
    try:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result
    except asyncio.CancelledError as cause:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("what it waited for was cancelled") from cause
