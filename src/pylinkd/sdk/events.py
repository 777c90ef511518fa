"""``service.events``: what a service wants to hear of from other services' ``ctx.emit``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from ..protocol.patterns import Pattern
from .context import EventContext
from .dispatch import DEFAULT_TIMEOUT
from .options import check_options
from .signatures import check_name_given, schema_of
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Handler, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class EventHandler:
    """A registered handler of service events."""

    __slots__ = ("_schema", "function", "pattern", "timeout")

    def __init__(self, pattern: Pattern, function: Handler, timeout: float | None, text: TextPolicy) -> None:
        check_options(where(function), timeout=timeout)
        self.pattern = pattern
        self.function = function
        self.timeout = timeout
        self._schema = schema_of(function, EventContext, text=text)

    def call(self, ctx: EventContext[Any]) -> Awaitable[Any]:
        """Validate and run the function."""
        if self._schema is None:
            return self.function(ctx)
        return self.function(ctx, self._schema.read(ctx.raw))


class Events:
    """The service events that a service handles.

    Args:
        text: What the strings of their data have to be.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: list[EventHandler] = []
        self.changed: Callable[[], None] = lambda: None

    def on(self, pattern: str, *, timeout: float | None = DEFAULT_TIMEOUT) -> Callable[[F], F]:
        """Handle service events, as a decorator on ``async def handler(ctx)`` or ``(ctx, data)``.

        One instance of the service gets each event; of its handlers every one that matches runs.

        Args:
            pattern: Such as ``user.created``, ``user.*`` or ``**``.
            timeout: Seconds after which the handler is cancelled; ``None``: never.

        Raises:
            RegistrationError: If the pattern is none, or the handler is not of this form.
        """
        check_name_given(pattern, "service.events.on", "user.created")

        def register(function: F) -> F:
            try:
                compiled = Pattern(pattern)
            except ValueError as cause:
                raise RegistrationError(f"{where(function)}: {cause}") from cause
            self._handlers.append(EventHandler(compiled, function, timeout, self._text))
            self.changed()
            return function

        return register

    def off(self, handler: Handler) -> None:
        """Remove a handler.

        Raises:
            RegistrationError: If it is not registered.
        """
        kept = [known for known in self._handlers if known.function is not handler]
        if len(kept) == len(self._handlers):
            raise RegistrationError(f"{where(handler)} is not registered")
        self._handlers = kept
        self.changed()

    @property
    def handlers(self) -> Iterable[EventHandler]:
        """All handlers."""
        return self._handlers

    @property
    def patterns(self) -> Iterable[str]:
        """What the gateway has to send here."""
        return sorted({handler.pattern.text for handler in self._handlers})

    def matching(self, name: str) -> Iterator[EventHandler]:
        """Who handles the event of this name."""
        return (handler for handler in self._handlers if handler.pattern.matches(name))
