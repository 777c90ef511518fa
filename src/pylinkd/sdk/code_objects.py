"""The code behind a function, which is what a stack shows of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any


def codes_of(function: Any) -> Iterator[CodeType]:
    """The code of a function and of those that it wraps: partial functions, callable objects, functools.wraps."""
    while function is not None:
        if isinstance(function, functools.partial):
            function = function.func
            continue
        if not inspect.isroutine(function):
            function = type(function).__call__
        code = getattr(function, "__code__", None)
        if isinstance(code, CodeType):
            yield code
        function = getattr(function, "__wrapped__", None)
