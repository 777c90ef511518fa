"""``service.action``: what a service answers over HTTP, and to other services' ``ctx.call``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from typing_extensions import Unpack

from ..protocol.headers import check_cookie_name
from ..protocol.patterns import check_name
from ..protocol.routes import check_route, shape
from .context import HttpContext
from .handlers import Handler, Options, SharedOptions, checked_group, once_option
from .middleware import Middleware, Reach, Stack
from .once import Once
from .options import check_count, check_known, check_options
from .signatures import check_name_given, parameters_of
from .streams import DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_SIZE
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_BODYLESS = frozenset({"GET", "HEAD", "DELETE"})
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})
_OF_ROUTES = frozenset({"route", "method", "cookies", "text"})
_LARGEST = 2**32 - 1  # bytes of a body that the gateway can be asked for


class ActionOptions(Options, total=False):
    """How an action is run, and for whom.

    Attributes:
        once: A request with an ``Idempotency-Key`` that was handled before is answered as then, and not handled again.
    """

    once: bool | Once


class StreamActionOptions(SharedOptions, total=False):
    """How an action with a streamed body is run, and for whom. Its ``timeout`` is by default ``None``: never.

    Attributes:
        description: For people and generated documentation.
        max_size: Most bytes of a body; 64 MiB by default. What is larger is answered with 413. The gateway's own limit
            (``LINKD_MAX_BODY_SIZE``) is one for bodies that it keeps, and does not count.
        idle_timeout: Seconds to wait for the next chunk; 30 by default. Then the request is answered with 408.
    """

    description: str
    max_size: int
    idle_timeout: float


class ActionHandler(Handler):
    """A handler of an action.

    Attributes:
        route: Its path; empty: it is for other services only.
        method: Of the requests that it answers.
        cookies: Names of the cookies that it reads.
        max_body: Most bytes of a request's body; ``None``: as many as the gateway takes.
        once: Whether the keys of its requests are known for a time; ``None``: they are nothing to it.
    """

    __slots__ = ("cookies", "max_body", "method", "once", "route")

    context = HttpContext
    kind = "action"

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        route: str,
        method: str,
        cookies: Sequence[str],
        max_body: int | None,
        once: bool | Once = False,
        **options: Any,
    ) -> None:
        self.once = once_option(where(function), once)
        super().__init__(name, function, once=self.once, **options)
        self.route = route
        self.method = method
        self.cookies = cookies
        self.max_body = max_body

    def endpoint(self, ctx: HttpContext[Any]) -> Awaitable[Any]:
        """See Handler. Data is the body, for GET and DELETE over HTTP the query."""
        if self.schema is None:
            return self.invoke(ctx)
        if ctx.caller is None and ctx.method in _BODYLESS:
            return self.invoke(ctx, self.schema.convert(ctx.query))
        return self.invoke(ctx, self.schema.read(ctx.body))


class StreamActionHandler(ActionHandler):
    """An action that takes its body as a stream: ``async def handler(ctx, chunks)``.

    Attributes:
        max_size: Most bytes of a body.
        idle_timeout: Seconds to wait for the next chunk.
    """

    __slots__ = ("idle_timeout", "max_size")

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        max_size: int = DEFAULT_MAX_SIZE,
        idle_timeout: float = DEFAULT_IDLE_TIMEOUT,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        place = where(function)
        check_known(options, StreamActionOptions, _OF_ROUTES)
        check_options(place, idle_timeout=idle_timeout)
        check_count(place, "max_size", max_size, _LARGEST)
        super().__init__(name, function, timeout=timeout, max_body=max_size, validate=Any, **options)
        self.max_size = max_size
        self.idle_timeout = idle_timeout

    def endpoint(self, ctx: HttpContext[Any]) -> Awaitable[Any]:
        """Run the function with the chunks."""
        return self.invoke(ctx, ctx.stream)


class Actions:
    """The actions of one service. May be added and removed while it runs.

    Args:
        text: What the strings of their data have to be.

    Attributes:
        stack: The middleware around them.
        changed: Called after each change.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: dict[str, ActionHandler] = {}
        self.stack = Stack(self._compile, HttpContext)
        self.changed: Callable[[], None] = lambda: None

    def __call__(
        self,
        name: str,
        *,
        route: str | None = None,
        method: str = "GET",
        cookies: Sequence[str] = (),
        max_body: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Callable[[F], F]:
        """Answer HTTP requests, as a decorator on ``async def handler(ctx)`` or ``(ctx, data)``.

        ``data`` is the JSON body (for GET and DELETE the query), read by its annotation. What the handler returns is
        the JSON answer; ``None`` is 204; a Response says more.

        Args:
            name: What other services call it by, such as ``rooms.list``.
            route: Path, with variables in braces: ``/chat/rooms/{id}``. ``None``: for other services only.
            method: GET (which answers HEAD too), POST, PUT, PATCH or DELETE.
            cookies: Names of the cookies that it reads, in ``ctx.cookies``; all others stay with the gateway.
            max_body: Most bytes of a request's body, above which the gateway answers 413; ``None``, and at most: what
                the gateway takes (``LINKD_MAX_BODY_SIZE``).
            options: See ActionOptions.

        Raises:
            RegistrationError: If the name or route is taken or malformed, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(name, "service.action", "rooms.list")

        def register(function: F) -> F:
            handler = ActionHandler(
                name,
                function,
                route=_checked_route(route, function),
                method=_check_method(method, function) if route is not None else "",
                cookies=_checked_cookies(cookies, route, function),
                max_body=_checked_max_body(max_body, route, function),
                text=self._text,
                **options,
            )
            self._add(handler)
            return function

        return register

    def on_stream(
        self,
        name: str,
        *,
        route: str,
        method: str = "POST",
        cookies: Sequence[str] = (),
        **options: Unpack[StreamActionOptions],
    ) -> Callable[[F], F]:
        """Answer HTTP requests whose bodies are too large to be kept, as their chunks come.

        The handler is ``async def handler(ctx, chunks)``, and ``async for chunk in chunks`` gives ``bytes``. What it
        returns is the answer, also where it returns before the end.

        Args:
            name: Such as ``files.put``.
            route: Path, with variables in braces.
            method: POST, PUT or PATCH.
            cookies: As of an action.
            options: See StreamActionOptions.

        Raises:
            RegistrationError: If the name or route is taken or malformed, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(name, "service.action.on_stream", "files.put")

        def register(function: F) -> F:
            if len(parameters_of(function, HttpContext)) != 2:
                raise RegistrationError(f"{where(function)}: an action with a stream takes (ctx, chunks)")
            handler = StreamActionHandler(
                name,
                function,
                route=_checked_route(route, function),
                method=_check_method(method, function, _WITH_BODY),
                cookies=_checked_cookies(cookies, route, function),
                text=self._text,
                **options,
            )
            self._add(handler)
            return function

        return register

    def _add(self, handler: ActionHandler) -> None:
        place, name, route = where(handler.function), handler.name, (handler.method, shape(handler.route))
        try:
            check_name(name)
        except ValueError as cause:
            raise RegistrationError(f"{place}: {cause}") from cause
        for known in self._handlers.values():
            same_route = handler.route and (known.method, shape(known.route)) == route
            if known.name == name or same_route:
                what = f"the action {name!r}" if known.name == name else f"{handler.method} {handler.route}"
                raise RegistrationError(f"{place}: {what} is taken by {where(known.function)}")
        self._handlers[name] = handler
        self._compile()

    def off(self, name: str) -> None:
        """Remove an action.

        Raises:
            RegistrationError: If there is none of this name.
        """
        if self._handlers.pop(name, None) is None:
            raise RegistrationError(f"{name} is not registered")
        self._compile()

    def group(self, prefix: str, *, route: str = "", **options: Unpack[SharedOptions]) -> ActionGroup:
        """Actions whose names begin with ``prefix.`` and whose routes begin with ``route``."""
        return ActionGroup(self, prefix, route, options)

    def use(self, first: str | Middleware | None = None, second: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every action, or around those whose name matches a pattern; see ``ws.use``."""
        return self.stack.use(first, second, order=order)

    def _compile(self) -> None:
        for handler in self._handlers.values():
            handler.compile(self.stack.around)
        self.changed()

    @property
    def handlers(self) -> Iterable[ActionHandler]:
        """All actions."""
        return self._handlers.values()

    def find(self, name: str) -> ActionHandler | None:
        """The action of this name."""
        return self._handlers.get(name)


class ActionGroup:
    """Actions with a common prefix, route and options; made by ``action.group``.

    An action's own option replaces the group's.
    """

    def __init__(self, actions: Actions, prefix: str, route: str, options: SharedOptions) -> None:
        self._options: SharedOptions = checked_group(prefix, options, SharedOptions, "service.action.group", "rooms")
        if not isinstance(route, str):
            raise RegistrationError(f"group({prefix!r}): route is a text such as '/rooms', not {route!r}")
        self._actions = actions
        self._prefix = prefix
        self._route = route.rstrip("/")

    def __call__(
        self,
        name: str,
        *,
        route: str | None = None,
        method: str = "GET",
        cookies: Sequence[str] = (),
        max_body: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Callable[[F], F]:
        """As ``service.action``, with the group's prefix and route before those given."""
        check_name_given(name, "group", "list")
        merged: ActionOptions = {**self._options, **options}
        full = None if route is None else f"{self._route}{route}" or "/"
        full_name = f"{self._prefix}.{name}"
        return self._actions(full_name, route=full, method=method, cookies=cookies, max_body=max_body, **merged)

    def on_stream(
        self,
        name: str,
        *,
        route: str,
        method: str = "POST",
        cookies: Sequence[str] = (),
        **options: Unpack[StreamActionOptions],
    ) -> Callable[[F], F]:
        """As ``service.action.on_stream``, with the group's prefix, route, ``auth`` and ``roles``.

        The group's ``timeout`` is not for streams.
        """
        check_name_given(name, "group.on_stream", "put")
        shared: Any = {option: value for option, value in self._options.items() if option != "timeout"}
        merged: StreamActionOptions = {**shared, **options}
        full = f"{self._route}{route}"
        return self._actions.on_stream(f"{self._prefix}.{name}", route=full, method=method, cookies=cookies, **merged)

    def group(self, prefix: str, *, route: str = "", **options: Unpack[SharedOptions]) -> ActionGroup:
        """A group inside this one; what is not given is this one's."""
        check_name_given(prefix, "group.group", "admin")
        merged: SharedOptions = {**self._options, **options}
        return ActionGroup(self._actions, f"{self._prefix}.{prefix}", f"{self._route}{route}", merged)

    def use(self, middleware: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every action of the group and of the groups in it."""
        return self._actions.stack.use(f"{self._prefix}.**", middleware, order=order, reach=Reach.GROUP)


def parse_query(query: str) -> dict[str, str]:
    """A query's parameters; of one that is repeated, the last."""
    return dict(parse_qsl(query, keep_blank_values=True))


def _check_method(method: Any, function: Callable[..., Any], known: frozenset[str] = _METHODS) -> str:
    if not isinstance(method, str) or method not in known:
        raise RegistrationError(f"{where(function)}: method is one of {', '.join(sorted(known))}, not {method!r}")
    return str(method)


def _checked_route(route: str | None, function: Callable[..., Any]) -> str:
    if route is None:
        return ""
    if not isinstance(route, str):
        raise RegistrationError(f"{where(function)}: route is a text such as '/chat/rooms/{{id}}', not {route!r}")
    if not route:
        raise RegistrationError(f"{where(function)}: '' is no route; None makes an action for other services only")
    try:
        check_route(route)
    except ValueError as cause:
        raise RegistrationError(f"{where(function)}: {cause}") from cause
    return route


def _checked_cookies(cookies: Any, route: str | None, function: Callable[..., Any]) -> tuple[str, ...]:
    if isinstance(cookies, str) or not isinstance(cookies, Sequence):
        raise RegistrationError(f"{where(function)}: cookies is a list of names, such as ['refresh'], not {cookies!r}")
    if cookies and route is None:
        raise RegistrationError(f"{where(function)}: cookies come over HTTP, and without a route nothing does")
    try:
        return tuple(check_cookie_name(str(name)) for name in cookies)
    except ValueError as cause:
        raise RegistrationError(f"{where(function)}: {cause}") from cause


def _checked_max_body(size: Any, route: str | None, function: Callable[..., Any]) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= _LARGEST:
        raise RegistrationError(f"{where(function)}: max_body is a number of bytes, such as 2**20, not {size!r}")
    if route is None:
        raise RegistrationError(f"{where(function)}: max_body limits HTTP requests, and without a route there are none")
    return size
