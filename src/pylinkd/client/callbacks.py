"""Calling functions of the application, so that whatever becomes of them the caller goes on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

_CANCELLED = "what it waited for was cancelled"


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """Whether calling it makes a coroutine, as far as can be known before."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def run_plain(function: Callable[..., object], *arguments: Any) -> None:
    """Call a function that is not to be awaited.

    Raises:
        RuntimeError: If it raised CancelledError, as the result of a task does that was cancelled. That would end the
            task that calls, without a word.
        TypeError: If it made a coroutine, which nobody would await.
        Exception: What else it raises.
    """
    try:
        result = function(*arguments)
    except asyncio.CancelledError as cause:
        raise RuntimeError(_CANCELLED) from cause
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("a plain function is wanted, which makes no coroutine")


async def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, and await what it returns where that can be awaited.

    Raises:
        RuntimeError: If it raised CancelledError though nobody cancels this task.
        Exception: What else it raises.
    """
    try:
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result
    except asyncio.CancelledError as cause:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(_CANCELLED) from cause
