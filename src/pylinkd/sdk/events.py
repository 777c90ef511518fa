"""``service.events``: what a service wants to hear of from other services' ``ctx.emit``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from typing_extensions import Unpack

from ..protocol.patterns import Pattern
from .context import EventContext
from .handlers import Handler, Options
from .middleware import Middleware, Stack
from .signatures import check_name_given
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class EventHandler(Handler):
    """A handler of service events.

    Attributes:
        pattern: Of the events that it is for.
    """

    __slots__ = ("pattern",)

    context = EventContext

    def __init__(self, pattern: Pattern, function: Function, **options: Any) -> None:
        super().__init__(pattern.text, function, **options)
        self.pattern = pattern

    def endpoint(self, ctx: EventContext[Any]) -> Awaitable[Any]:
        """See Handler."""
        if self.schema is None:
            return self.invoke(ctx)
        return self.invoke(ctx, self.schema.read(ctx.raw))


class Events:
    """The service events that a service handles.

    Args:
        text: What the strings of their data have to be.

    Attributes:
        stack: The middleware around them.
        changed: Called after each change.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: list[EventHandler] = []
        self.stack = Stack(self._compile, EventContext)
        self.changed: Callable[[], None] = lambda: None

    def on(self, pattern: str, **options: Unpack[Options]) -> Callable[[F], F]:
        """Handle service events, as a decorator on ``async def handler(ctx)`` or ``(ctx, data)``.

        One instance of the service gets each event; of its handlers every one that matches runs.

        Args:
            pattern: Such as ``user.created``, ``user.*`` or ``**``.
            options: See handlers.Options. The caller is on whose behalf the event was emitted.

        Raises:
            RegistrationError: If the pattern is none, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(pattern, "service.events.on", "user.created")

        def register(function: F) -> F:
            try:
                compiled = Pattern(pattern)
            except ValueError as cause:
                raise RegistrationError(f"{where(function)}: {cause}") from cause
            self._handlers.append(EventHandler(compiled, function, text=self._text, **options))
            self._compile()
            return function

        return register

    def use(self, first: str | Middleware | None = None, second: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every handler, or around it for the events that match a pattern; see ``ws.use``."""
        return self.stack.use(first, second, order=order)

    def _compile(self) -> None:
        for handler in self._handlers:
            handler.compile(self.stack.around, by="name")  # the event's, which the handler's pattern does not say
        self.changed()

    def off(self, handler: Function) -> None:
        """Remove a handler.

        Raises:
            RegistrationError: If it is not registered.
        """
        kept = [known for known in self._handlers if known.function is not handler]
        if len(kept) == len(self._handlers):
            raise RegistrationError(f"{where(handler)} is not registered")
        self._handlers = kept
        self._compile()

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
