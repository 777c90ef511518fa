"""``service.events``: what a service wants to hear of from other services' ``ctx.emit``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

from typing_extensions import Unpack

from ..protocol.patterns import Pattern
from .context import EventContext
from .handlers import Handler, Options, checked_part
from .middleware import Middleware, Stack
from .options import check_options
from .retry import Retry
from .signatures import check_name_given
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


DURABLE_RETRY = Retry(attempts=20, delay=1.0, max_delay=300.0, jitter=1.0)
"""How often a durable event is handled until that succeeds, unless its handler says otherwise: for over an hour."""


_LONGEST_ID = 200  # characters


class EventOptions(Options, total=False):
    """How a handler of service events is run.

    Attributes:
        durable: Events that were emitted with ``durable=True`` are stored in the service's database, then handled until
            that succeeds, ``retry`` at most, and become dead letters after that.
        once: What a durable handler writes to the database, and that it has handled the event, is one transaction.
    """

    durable: bool
    once: bool


class EventHandler(Handler):
    """A handler of service events.

    Attributes:
        pattern: Of the events that it is for.
        durable: Whether events are stored for it.
        once: Whether it runs in a transaction with the note that it has.
        policy: How often it is tried where it is durable.
        id: By which the database knows it: its pattern and its name.
    """

    __slots__ = ("durable", "id", "once", "pattern", "policy")

    context = EventContext

    def __init__(
        self,
        pattern: Pattern,
        function: Function,
        *,
        durable: bool = False,
        once: bool = False,
        retry: Retry | None = None,
        **options: Any,
    ) -> None:
        place = where(function)
        check_options(place, durable=durable, once=once)
        if once and not durable:
            raise RegistrationError(f"{place}: once=True is for handlers with durable=True: others run once at most")
        super().__init__(pattern.text, function, retry=None if durable else retry, **options)
        self.pattern = pattern
        self.durable = durable
        self.once = once
        self.policy = DURABLE_RETRY if retry is None else checked_part(place, "retry", retry, Retry)
        self.id = f"{pattern.text}/{function.__qualname__}"
        if durable and len(self.id) > _LONGEST_ID:
            raise RegistrationError(f"{place}: pattern and name have {len(self.id)} characters, {_LONGEST_ID} at most")

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

    def on(self, pattern: str, **options: Unpack[EventOptions]) -> Callable[[F], F]:
        """Handle service events, as a decorator on ``async def handler(ctx)`` or ``(ctx, data)``.

        One instance of the service gets each event; of its handlers every one that matches runs.

        Args:
            pattern: Such as ``user.created``, ``user.*`` or ``**``.
            options: See EventOptions. The caller is on whose behalf the event was emitted.

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
            handler = EventHandler(compiled, function, text=self._text, **options)
            if handler.durable and any(known.durable and known.id == handler.id for known in self._handlers):
                raise RegistrationError(f"{where(function)}: there is a durable handler {handler.id!r} already")
            self._handlers.append(handler)
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
        """What the gateway has to send here, and is handled at once."""
        return sorted({handler.pattern.text for handler in self._handlers if not handler.durable})

    @property
    def durable_patterns(self) -> Iterable[str]:
        """Durable events that the gateway has to send here."""
        return sorted({handler.pattern.text for handler in self._handlers if handler.durable})

    def matching(self, name: str) -> Iterator[EventHandler]:
        """Who handles the event of this name."""
        return (handler for handler in self._handlers if handler.pattern.matches(name))
