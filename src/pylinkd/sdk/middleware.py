"""Middleware: functions around handlers, ``async def timed(ctx, call_next): return await call_next(ctx)``.

Order, outermost first: middleware for everything, then of the group and its parents, then by pattern, each in the
order of registration. ``order=`` moves one: lower numbers lie further out, 0 is where all begin.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from enum import IntEnum
from typing import Any

from ..protocol.patterns import Pattern
from .options import check_options
from .signatures import check_context, is_async, positional_of
from .validation import RegistrationError, where

Next = Callable[[Any], Awaitable[Any]]
Middleware = Callable[[Any, Next], Awaitable[Any]]


class Reach(IntEnum):
    """What a middleware was registered for, in the order in which they nest."""

    ALL = 0
    GROUP = 1
    PATTERN = 2


class Layer:
    """One registered middleware; ``key`` sorts layers from the outermost to the innermost."""

    __slots__ = ("_pattern", "key", "middleware")

    def __init__(
        self, middleware: Middleware, *, reach: Reach, pattern: Pattern | None, order: int, sequence: int
    ) -> None:
        self.middleware = middleware
        # A group lies inside its parents whichever was registered first.
        depth = pattern.text.count(".") if pattern is not None and reach is Reach.GROUP else 0
        self.key = (order, reach, depth, sequence)
        self._pattern = pattern

    def applies(self, name: str) -> bool:
        """Whether it lies around the handler of this name."""
        return self._pattern is None or self._pattern.matches(name)


class Stack:
    """All middleware of one side of a service: its messages, its actions or its events.

    Args:
        changed: Called after each change.
        context: The class of the context that they get.
    """

    def __init__(self, changed: Callable[[], None], context: type) -> None:
        self._context = context
        self._layers: list[Layer] = []
        self._changed = changed
        self._sequence = itertools.count()

    def use(
        self,
        first: str | Middleware | None,
        second: Middleware | None = None,
        *,
        order: int,
        reach: Reach = Reach.ALL,
    ) -> Any:
        """Register middleware, given after an optional pattern, or as a decorator where none is given.

        Raises:
            RegistrationError: If it is no coroutine function of two parameters, its first is annotated as another
                context, or the pattern is none.
        """
        pattern = first if isinstance(first, str) else None
        middleware = second if isinstance(first, str) else first
        if pattern is not None and reach is Reach.ALL:
            reach = Reach.PATTERN

        def register(function: Middleware) -> Middleware:
            self._add(function, reach, pattern, order)
            return function

        return register if middleware is None else register(middleware)

    def _add(self, middleware: Middleware, reach: Reach, pattern: str | None, order: int) -> None:
        parameters = positional_of(middleware) if is_async(middleware) else []
        if len(parameters) != 2:
            raise RegistrationError(f"{where(middleware)}: middleware is 'async def name(ctx, call_next)'")
        check_context(middleware, parameters[0], self._context)
        check_options(where(middleware), order=order)
        try:
            compiled = None if pattern is None else Pattern(pattern)
        except ValueError as cause:
            raise RegistrationError(f"{where(middleware)}: {cause}") from cause
        layer = Layer(middleware, reach=reach, pattern=compiled, order=order, sequence=next(self._sequence))
        self._layers.append(layer)
        self._layers.sort(key=lambda layer: layer.key)
        self._changed()

    def remove(self, middleware: Middleware) -> bool:
        """Take a middleware out wherever it is registered; ``False``: it is not."""
        before = len(self._layers)
        self._layers = [layer for layer in self._layers if layer.middleware is not middleware]
        return len(self._layers) != before

    @property
    def middleware(self) -> Iterator[Middleware]:
        """Everything that is registered."""
        return (layer.middleware for layer in self._layers)

    def around(self, name: str, endpoint: Next) -> Next:
        """``endpoint`` with everything that applies to ``name`` around it."""
        chain = endpoint
        for layer in reversed(self._layers):
            if layer.applies(name):
                chain = _wrap(layer.middleware, chain)
        return chain


def _wrap(middleware: Middleware, call_next: Next) -> Next:
    # A plain function, not a coroutine: each layer costs one coroutine, the middleware's own.
    def call(ctx: Any) -> Awaitable[Any]:
        return middleware(ctx, call_next)

    return call
