"""``service.ws``: which messages a service handles, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypedDict, TypeVar, overload

from typing_extensions import Unpack

from ..protocol.identity import Requirement
from ..protocol.patterns import check_name
from ..protocol.rate import parse_rate
from .context import WsContext
from .dispatch import DEFAULT_TIMEOUT
from .middleware import Middleware, Next, Reach, Stack
from .options import check_options, listed_roles, role_names
from .signatures import check_name_given, parameters_of, schema_of
from .streams import DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_SIZE
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Handler, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

CATCH_ALL = "*"
"""What the catch-all handler is called where a type would stand."""


class GroupOptions(TypedDict, total=False):
    """What the handlers of a group may share.

    Attributes:
        auth: Only for clients that signed in.
        roles: Only for clients that have one of these roles; implies ``auth``.
        timeout: Seconds after which the handler is cancelled and the client told 408; ``None``: never. 30 unless told.
        ordered: One at a time and in order with the session's other messages, the default. ``False``: at once.
        rate: How many messages of one session each handler takes, such as ``10/s`` or ``5/10s``: so many at once, then
            one after the other as time passes. More are answered with 429 by the gateway. Its own limits hold as well.
    """

    auth: bool
    roles: Iterable[str]
    timeout: float | None
    ordered: bool
    rate: str | None


class HandlerOptions(GroupOptions, total=False):
    """How a handler is run, and for whom.

    Attributes:
        description: For people and generated documentation.
        validate: The schema of the data, where the annotation does not say it.
    """

    description: str
    validate: Any


class StreamOptions(TypedDict, total=False):
    """How a handler of streams is run, and for whom.

    Attributes:
        auth: Only for clients that signed in.
        roles: Only for clients that have one of these roles; implies ``auth``.
        timeout: Seconds after which the handler is cancelled and the client told 408; ``None``, the default: never.
        description: For people and generated documentation.
        max_size: Most bytes of a stream; 64 MiB unless told. What is larger is answered with 413.
        idle_timeout: Seconds to wait for the next chunk; 30 unless told. Then the stream is answered with 408.
    """

    auth: bool
    roles: Iterable[str]
    timeout: float | None
    description: str
    max_size: int
    idle_timeout: float


class MessageHandler:
    """A registered handler, with everything around it compiled into one call.

    Attributes:
        type: The message type.
        timeout: Seconds after which it is cancelled; ``None``: never.
        rate: How many in how many seconds one session may send; zeros: the service does not say.
        ordered: Whether it waits for the session's earlier messages, and later ones for it.
        call: Runs middleware, validation and the function.
    """

    __slots__ = ("call", "description", "function", "ordered", "rate", "requirement", "schema", "timeout", "type")

    def __init__(
        self,
        type: str,
        function: Handler,
        *,
        auth: bool = False,
        roles: Iterable[str] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        ordered: bool = True,
        rate: str | None = None,
        description: str = "",
        validate: Any = None,
        text: TextPolicy = DEFAULT_POLICY,
    ) -> None:
        roles = listed_roles(roles)
        check_options(
            where(function),
            auth=auth,
            roles=roles,
            timeout=timeout,
            ordered=ordered,
            rate=rate,
            description=description,
        )
        self.rate = (0, 0.0) if rate is None else parse_rate(rate)
        self.type = type
        self.function = function
        self.requirement = Requirement.of(auth, role_names(roles))
        self.timeout = timeout
        self.ordered = ordered
        self.description = description
        self.schema = schema_of(function, WsContext, validate=validate, text=text)
        self.call: Next = self.endpoint

    def endpoint(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        """Validate and run the function. Validation is innermost, so that middleware sees its errors."""
        if self.schema is None:
            return self.function(ctx)
        return self.function(ctx, self.schema.read(ctx.raw, ctx.socket._msgpack))


class StreamHandler(MessageHandler):
    """A registered handler of streams: ``async def handler(ctx, chunks)``.

    Attributes:
        max_size: Most bytes of a stream.
        idle_timeout: Seconds to wait for the next chunk.
    """

    __slots__ = ("idle_timeout", "max_size")

    def __init__(
        self,
        type: str,
        function: Handler,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
        idle_timeout: float = DEFAULT_IDLE_TIMEOUT,
        timeout: float | None = None,
        auth: bool = False,
        roles: Iterable[str] = (),
        description: str = "",
    ) -> None:
        check_options(where(function), max_size=max_size, idle_timeout=idle_timeout)
        # A stream holds nobody up: the session's messages are handled beside it.
        super().__init__(
            type,
            function,
            auth=auth,
            roles=roles,
            timeout=timeout,
            ordered=False,
            description=description,
            validate=Any,
        )
        self.max_size = max_size
        self.idle_timeout = idle_timeout

    def endpoint(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        """Run the function with the chunks."""
        return self.function(ctx, ctx.stream)


class WebSocket:
    """The messages of one service. Handlers may be added, replaced and removed while it runs.

    Args:
        text: What the strings of their data have to be.

    Attributes:
        stack: The middleware around them.
        changed: Called after each change.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: dict[str, MessageHandler] = {}
        self._catch_all: MessageHandler | None = None
        self.stack = Stack(self._compile, WsContext)
        self.changed: Callable[[], None] = lambda: None
        self.connect_handlers: list[Handler] = []
        self.disconnect_handlers: list[Handler] = []

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

    def _add(self, handler: MessageHandler) -> None:
        place = where(handler.function)
        try:
            check_name(handler.type)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        known = self._handlers.get(handler.type)
        if known is not None:
            raise RegistrationError(
                f"{place}: {handler.type!r} is handled by {where(known.function)} already; off() removes it"
            )
        self._handlers[handler.type] = handler
        self._compile()

    def off(self, what: str | Handler | Middleware) -> None:
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
            for handlers in (self.connect_handlers, self.disconnect_handlers):
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

    def _hook(self, handlers: list[Handler], handler: F) -> F:
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
        for type, handler in self._handlers.items():
            handler.call = self.stack.around(type, handler.endpoint)
        if self._catch_all is not None:
            self._catch_all.call = self._catch_all_call
        self.changed()

    def _catch_all_call(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        # The types are the clients' to choose: nothing may be kept for each.
        assert self._catch_all is not None
        return self.stack.around(ctx.type, self._catch_all.endpoint)(ctx)

    # lookup

    @property
    def handlers(self) -> Iterable[MessageHandler]:
        """All handlers but the catch-all."""
        return self._handlers.values()

    def handler_names(self) -> Iterator[tuple[Handler, str]]:
        """Every function that is registered, and what to call it in logs."""
        yield from ((handler.function, type) for type, handler in self._handlers.items())
        if self._catch_all is not None:
            yield self._catch_all.function, CATCH_ALL
        yield from ((handler, f"connect {where(handler)}") for handler in self.connect_handlers)
        yield from ((handler, f"disconnect {where(handler)}") for handler in self.disconnect_handlers)

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
        check_name_given(prefix, "service.ws.group", "chat")
        try:
            check_name(prefix)
        except ValueError as cause:
            raise RegistrationError(f"group({prefix!r}): {cause}") from cause
        unknown = options.keys() - GroupOptions.__annotations__.keys()
        if unknown:
            raise RegistrationError(f"group({prefix!r}): a group has no option {', '.join(sorted(unknown))}")
        self._websocket = websocket
        self._prefix = prefix
        self._options = options
        if "roles" in options:
            self._options["roles"] = listed_roles(options["roles"])  # it is read once for each handler
        check_options(f"group({prefix!r})", **self._options)

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

    def group(self, prefix: str, **options: Unpack[GroupOptions]) -> Group:
        """A group inside this one; what is not given is this one's."""
        check_name_given(prefix, "group.group", "admin")
        return Group(self._websocket, f"{self._prefix}.{prefix}", {**self._options, **options})

    def use(self, middleware: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every handler of the group and of the groups in it."""
        return self._websocket.stack.use(f"{self._prefix}.**", middleware, order=order, reach=Reach.GROUP)
