"""``service.ws``: which messages a service handles, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar, overload

from typing_extensions import Unpack

from ..protocol.patterns import check_name
from ..protocol.rate import parse_rate
from .breaker import Breaker
from .context import WsContext
from .failures import ErrorClasses
from .handlers import Handler, Options, SharedOptions, checked_group, once_option
from .middleware import Middleware, Reach, Stack
from .once import Once
from .options import check_known, check_options
from .retry import Retry
from .signatures import check_name_given, parameters_of
from .streams import DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_SIZE
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, Schema, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

CATCH_ALL = "*"
"""What the catch-all handler is called where a type would stand."""


_UNCHANGED = TextPolicy(controls="keep")  # the policy of a service is for what comes in


class GroupOptions(SharedOptions, total=False):
    """What the handlers of a group may share, beside SharedOptions.

    Attributes:
        ordered: One at a time and in order with the session's other messages, the default. ``False``: at once.
        rate: How many messages of one session each handler takes, such as ``10/s`` or ``5/10s``: so many at once, then
            one after the other as time passes. More are answered with 429 by the gateway. Its own limits hold as well.
    """

    ordered: bool
    rate: str | None


class HandlerOptions(Options, GroupOptions, total=False):
    """How a handler of messages is run, and for whom.

    Attributes:
        once: A message with a ``key`` that was handled before is answered as then, and not handled again. Without a
            key its ``id`` is one, within the session.
    """

    once: bool | Once


class BatchOptions(SharedOptions, total=False):
    """How a handler of batches is run, and for whom.

    Attributes:
        description: For people and generated documentation.
        validate: The schema of each message's data, where the annotation does not say it.
        rate: As of GroupOptions.
        retry: How often a batch is tried again after a transient failure.
        retry_on: Errors that are transient beside those that are known to be.
        breaker: When its callers are refused because it fails again and again.
    """

    description: str
    validate: Any
    rate: str | None
    retry: Retry | None
    retry_on: ErrorClasses
    breaker: Breaker | None


class StreamOptions(SharedOptions, total=False):
    """How a handler of streams is run, and for whom. Its ``timeout`` is by default ``None``: never.

    Attributes:
        description: For people and generated documentation.
        max_size: Most bytes of a stream; 64 MiB by default. What is larger is answered with 413.
        idle_timeout: Seconds to wait for the next chunk; 30 by default. Then the stream is answered with 408.
    """

    description: str
    max_size: int
    idle_timeout: float


class MessageHandler(Handler):
    """A handler of messages.

    Attributes:
        rate: How many in how many seconds one session may send; zeros: the service does not say.
        ordered: Whether it waits for the session's earlier messages, and later ones for it.
        once: Whether the keys of its messages are known for a time; ``None``: they are nothing to it.
    """

    __slots__ = ("once", "ordered", "rate")

    context = WsContext
    kind = "message"

    def __init__(
        self,
        type: str,
        function: Function,
        *,
        ordered: bool = True,
        rate: str | None = None,
        once: bool | Once = False,
        **options: Any,
    ) -> None:
        check_options(where(function), ordered=ordered, rate=rate)
        self.once = once_option(where(function), once)
        super().__init__(type, function, once=self.once, **options)
        self.rate = (0, 0.0) if rate is None else parse_rate(rate)
        self.ordered = ordered

    def endpoint(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        """See Handler."""
        if self.schema is None:
            return self.invoke(ctx)
        return self.invoke(ctx, self.schema.read(ctx.raw, ctx.socket._msgpack))


class StreamHandler(MessageHandler):
    """A handler of streams: ``async def handler(ctx, chunks)``.

    Attributes:
        max_size: Most bytes of a stream.
        idle_timeout: Seconds to wait for the next chunk.
    """

    __slots__ = ("idle_timeout", "max_size")

    def __init__(
        self,
        type: str,
        function: Function,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
        idle_timeout: float = DEFAULT_IDLE_TIMEOUT,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        check_known(options, StreamOptions)
        check_options(where(function), max_size=max_size, idle_timeout=idle_timeout)
        # A stream holds nobody up: the session's messages are handled beside it.
        super().__init__(type, function, timeout=timeout, ordered=False, validate=Any, **options)
        self.max_size = max_size
        self.idle_timeout = idle_timeout

    def endpoint(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        """Run the function with the chunks."""
        return self.invoke(ctx, ctx.stream)


class WebSocket:
    """The messages of one service. Handlers may be added, replaced and removed while it runs.

    Args:
        text: What the strings of their data have to be.

    Attributes:
        events: What the service declares that it emits, by type.
        stack: The middleware around them.
        changed: Called after each change.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: dict[str, MessageHandler] = {}
        self._catch_all: MessageHandler | None = None
        self.events: dict[str, Schema] = {}
        self.stack = Stack(self._compile, WsContext)
        self.changed: Callable[[], None] = lambda: None
        self.connect_handlers: list[Function] = []
        self.disconnect_handlers: list[Function] = []
        self.detach_handlers: list[Function] = []
        self.resume_handlers: list[Function] = []

    # registration

    @overload
    def on(self, type: str, handler: None = None, **options: Unpack[HandlerOptions]) -> Callable[[F], F]: ...

    @overload
    def on(self, type: str, handler: F, **options: Unpack[HandlerOptions]) -> F: ...

    def on(self, type: str, handler: Any = None, **options: Unpack[HandlerOptions]) -> Any:
        """Handle messages of this type, as a decorator or with the handler given.

        The handler is ``async def handler(ctx)`` or ``async def handler(ctx, data)``; the annotation of ``data`` is
        the schema. What it returns is the answer.

        Args:
            type: Such as ``chat.send``.
            handler: The handler, where this is no decorator.
            options: See HandlerOptions.

        Raises:
            RegistrationError: If the type is taken or no name, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(type, "service.ws.on", "chat.send")

        def register(function: F) -> F:
            self._add(MessageHandler(type, function, text=self._text, **options))
            return function

        return register if handler is None else register(handler)

    def on_stream(self, type: str, **options: Unpack[StreamOptions]) -> Callable[[F], F]:
        """Handle streams of this type: messages too large to be kept, as their chunks come.

        The handler is ``async def handler(ctx, chunks)``, and ``async for chunk in chunks`` gives ``bytes``. What it
        returns is the answer, also where it returns before the end. ``ctx.data`` is what the client announced it with.

        Raises:
            RegistrationError: If the type is taken or no name, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(type, "service.ws.on_stream", "file.upload")

        def register(function: F) -> F:
            self._add(StreamHandler(type, function, **options))
            return function

        return register

    def on_batch(
        self, type: str, *, max_items: int = 100, max_wait: float = 0.01, **options: Unpack[BatchOptions]
    ) -> Callable[[F], F]:
        """Handle messages of this type together, as a decorator on ``async def handler(batch: list[Batched[T]])``.

        It returns a list with an answer for each message, or nothing; an exception in the list is that message's alone.
        What it raises all of them get. Messages whose data does not fit never come to it. It keeps the order of the
        messages of this type, and none with a session's others.

        Args:
            type: Such as ``metrics.push``.
            max_items: Messages in a batch.
            max_wait: Seconds that the first message of a batch waits for others.
            options: See BatchOptions.

        Raises:
            RegistrationError: If the type is taken or no name, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        from .batches import BatchHandler

        check_name_given(type, "service.ws.on_batch", "metrics.push")

        def register(function: F) -> F:
            self._add(BatchHandler(type, function, max_items=max_items, max_wait=max_wait, text=self._text, **options))
            return function

        return register

    def event(self, type: str, data: Any = None) -> None:
        """Declare an event that the service emits to clients: for documents about it, and for its tests.

        Once one is declared, ``pylinkd.testing`` refuses those that are not, and data that does not fit.

        Args:
            type: Such as ``chat.message``.
            data: The type of its data; ``None``: it has none.

        Raises:
            RegistrationError: If the type is declared already or no name, or no data becomes ``data``.
        """
        check_name_given(type, "service.ws.event", "chat.message")
        place = f"service.ws.event({type!r})"
        try:
            check_name(type)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        if type in self.events:
            raise RegistrationError(f"{place}: {type!r} is declared already; declare an event once")
        try:
            self.events[type] = Schema(data, _UNCHANGED)
        except RegistrationError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause

    def _add(self, handler: MessageHandler) -> None:
        place = where(handler.function)
        try:
            check_name(handler.name)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        known = self._handlers.get(handler.name)
        if known is not None:
            raise RegistrationError(
                f"{place}: {handler.name!r} is handled by {where(known.function)} already; off() removes it"
            )
        self._handlers[handler.name] = handler
        self._compile()

    def off(self, what: str | Function | Middleware) -> None:
        """Remove the handler of this type, or a handler or middleware given as function, wherever it stands.

        Raises:
            RegistrationError: If it is not registered.
        """
        if isinstance(what, str):
            found = self._handlers.pop(what, None) is not None
        else:
            types = [type for type, handler in self._handlers.items() if handler.function is what]
            for type in types:
                del self._handlers[type]
            found = bool(types) | self.stack.remove(what)
            if self._catch_all is not None and self._catch_all.function is what:
                self._catch_all, found = None, True
            for handlers in self._hooks.values():
                if what in handlers:
                    handlers.remove(what)
                    found = True
        if not found:
            name = what if isinstance(what, str) else where(what)
            raise RegistrationError(f"{name} is not registered")
        self._compile()

    def group(self, prefix: str, **options: Unpack[GroupOptions]) -> Group:
        """Handlers whose types begin with ``prefix.`` and that share these options.

        Raises:
            RegistrationError: If the prefix is no name.
        """
        return Group(self, prefix, options)

    def use(self, first: str | Middleware | None = None, second: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every handler, or around those whose type matches a pattern.

        ``use(middleware)``, ``use("chat.*", middleware)``, or as a decorator: ``@use``, ``@use("chat.*")``,
        ``@use(order=-1)``. In a pattern ``*`` is one segment and a last ``**`` any number. middleware.py states
        the order in which middleware nests.

        Raises:
            RegistrationError: If the pattern or the middleware is not of this form.
        """
        return self.stack.use(first, second, order=order)

    def on_connect(self, handler: F) -> F:
        """Run ``async def handler(ctx)`` when a session begins, before its first message.

        A LinkdError that it raises refuses the session: the client gets the error and is disconnected.
        """
        return self._hook(self.connect_handlers, handler)

    def on_disconnect(self, handler: F) -> F:
        """Run ``async def handler(ctx)`` when a session has ended, after its last message.

        ``ctx.end_reason`` says why, ``ctx.rooms()`` which rooms it was in.
        """
        return self._hook(self.disconnect_handlers, handler)

    def on_detach(self, handler: F) -> F:
        """Run ``async def handler(ctx)`` when a session has lost its connection and its client may come back to it.

        What is sent to it meanwhile waits. If it comes back in time, ``on_resume`` follows, else ``on_disconnect``.
        A process learns what happens while it has the session, not what had happened before.
        """
        return self._hook(self.detach_handlers, handler)

    def on_resume(self, handler: F) -> F:
        """Run ``async def handler(ctx)`` when the client of a detached session is back, before its next message."""
        return self._hook(self.resume_handlers, handler)

    @property
    def _hooks(self) -> dict[str, list[Function]]:
        return {
            "connect": self.connect_handlers,
            "disconnect": self.disconnect_handlers,
            "detach": self.detach_handlers,
            "resume": self.resume_handlers,
        }

    def _hook(self, handlers: list[Function], handler: F) -> F:
        if len(parameters_of(handler, WsContext)) > 1:
            raise RegistrationError(f"{where(handler)}: it takes (ctx)")
        handlers.append(handler)
        return handler

    def on_message(self, handler: F) -> F:
        """Handle every message whose type no handler names; ``ctx.type`` says which it is.

        Raises:
            RegistrationError: If there is a catch-all already.
        """
        if self._catch_all is not None:
            raise RegistrationError(
                f"{where(handler)}: {where(self._catch_all.function)} takes all other messages already"
            )
        self._catch_all = MessageHandler(CATCH_ALL, handler, text=self._text)
        self._compile()
        return handler

    def _compile(self) -> None:
        for handler in self._handlers.values():
            handler.compile(self.stack.around)
        if self._catch_all is not None:
            self._catch_all.compile(self.stack.around, by="name")
        self.changed()

    # lookup

    @property
    def handlers(self) -> Iterable[MessageHandler]:
        """All handlers but the catch-all."""
        return self._handlers.values()

    def handler_names(self) -> Iterator[tuple[Function, str]]:
        """Every function that is registered, and what to call it in logs."""
        yield from ((handler.function, type) for type, handler in self._handlers.items())
        if self._catch_all is not None:
            yield self._catch_all.function, CATCH_ALL
        for name, handlers in self._hooks.items():
            yield from ((handler, f"{name} {where(handler)}") for handler in handlers)

    @property
    def catches_all(self) -> bool:
        """Whether there is a catch-all."""
        return self._catch_all is not None

    def find(self, type: str) -> MessageHandler | None:
        """Who handles this type."""
        return self._handlers.get(type) or self._catch_all


class Group:
    """Handlers with a common prefix and common options; made by ``ws.group``.

    A handler's own option replaces the group's.
    """

    def __init__(self, websocket: WebSocket, prefix: str, options: GroupOptions) -> None:
        self._options: GroupOptions = checked_group(prefix, options, GroupOptions, "service.ws.group", "chat")
        try:
            check_name(prefix)
        except ValueError as cause:
            raise RegistrationError(f"group({prefix!r}): {cause}") from cause
        self._websocket = websocket
        self._prefix = prefix

    @overload
    def on(self, type: str, handler: None = None, **options: Unpack[HandlerOptions]) -> Callable[[F], F]: ...

    @overload
    def on(self, type: str, handler: F, **options: Unpack[HandlerOptions]) -> F: ...

    def on(self, type: str, handler: Any = None, **options: Unpack[HandlerOptions]) -> Any:
        """As ``ws.on``, with the group's prefix before the type and its options where none is given."""
        check_name_given(type, "group.on", "send")
        merged: HandlerOptions = {**self._options, **options}
        return self._websocket.on(f"{self._prefix}.{type}", handler, **merged)

    def on_stream(self, type: str, **options: Unpack[StreamOptions]) -> Callable[[F], F]:
        """As ``ws.on_stream``, with the group's prefix before the type and its ``auth`` and ``roles``."""
        check_name_given(type, "group.on_stream", "upload")
        shared: StreamOptions = {}
        if "auth" in self._options:
            shared["auth"] = self._options["auth"]
        if "roles" in self._options:
            shared["roles"] = self._options["roles"]
        merged: StreamOptions = {**shared, **options}
        return self._websocket.on_stream(f"{self._prefix}.{type}", **merged)

    def on_batch(
        self, type: str, *, max_items: int = 100, max_wait: float = 0.01, **options: Unpack[BatchOptions]
    ) -> Callable[[F], F]:
        """As ``ws.on_batch``, with the group's prefix before the type and its options where none is given."""
        check_name_given(type, "group.on_batch", "push")
        shared: Any = {name: value for name, value in self._options.items() if name != "ordered"}
        merged: BatchOptions = {**shared, **options}
        return self._websocket.on_batch(f"{self._prefix}.{type}", max_items=max_items, max_wait=max_wait, **merged)

    def group(self, prefix: str, **options: Unpack[GroupOptions]) -> Group:
        """A group inside this one; what is not given is this one's."""
        check_name_given(prefix, "group.group", "admin")
        return Group(self._websocket, f"{self._prefix}.{prefix}", {**self._options, **options})

    def use(self, middleware: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every handler of the group and of the groups in it."""
        return self._websocket.stack.use(f"{self._prefix}.**", middleware, order=order, reach=Reach.GROUP)
