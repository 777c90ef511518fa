"""``service.action``: what a service answers over HTTP, and to other services' ``ctx.call``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypedDict, TypeVar
from urllib.parse import parse_qsl

import msgspec
from typing_extensions import Unpack

from ..protocol.headers import check_header
from ..protocol.identity import Requirement
from ..protocol.patterns import check_name
from .context import HttpContext
from .dispatch import DEFAULT_TIMEOUT
from .middleware import Middleware, Next, Reach, Stack
from .options import check_options, listed_roles, role_names
from .signatures import check_name_given, schema_of
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Handler, RegistrationError, encode, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_BODYLESS = frozenset({"GET", "HEAD", "DELETE"})
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}")


class Response:
    """An HTTP answer that is not plain JSON with status 200.

    Args:
        body: Bytes and text go as they are, anything else as JSON; ``None`` is empty.
        status: 200 to 599.
        content_type: What the body is; ``application/json`` for what was encoded here.
        headers: Further headers; one that has several values joins them by ", " (RFC 9110 §5.3).
        cookies: Values of ``Set-Cookie``, each for a header of its own: they cannot be joined.

    Raises:
        ValueError: If HTTP cannot carry the status or a header (RFC 9110 §5).
        TypeError: If the body cannot be encoded.
    """

    __slots__ = ("body", "cookies", "headers", "status")

    def __init__(
        self,
        body: Any = None,
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Iterable[str] = (),
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"a response's status lies between 200 and 599, not {status}")
        self.status = status
        self.headers = dict(headers or {})
        self.cookies = [cookies] if isinstance(cookies, str) else list(cookies)
        if isinstance(body, bytes):
            self.body, default = body, "application/octet-stream"
        elif isinstance(body, str):
            self.body, default = body.encode(), "text/plain; charset=utf-8"
        else:
            self.body, default = encode(body), "application/json"
        for name, value in self.headers.items():
            check_header(name, value)
        for cookie in self.cookies:
            check_header("Set-Cookie", cookie)
        given = any(name.lower() == "content-type" for name in self.headers)
        if content_type or (self.body and not given):
            self.headers["Content-Type"] = content_type or default

    def as_json(self) -> bytes:
        """The body for another service's ``ctx.call``, which reads JSON: what is none becomes a string."""
        kinds = [value for name, value in self.headers.items() if name.lower() == "content-type"]
        if not self.body or kinds[:1] == ["application/json"]:
            return self.body
        try:
            return encode(self.body.decode())
        except UnicodeDecodeError:
            return encode(self.body)  # in base64

    @classmethod
    def of(cls, result: Any) -> Response:
        """What a handler's result becomes: itself, 204 for ``None``, else JSON."""
        if isinstance(result, Response):
            return result
        return cls(status=204) if result is None else cls(encode(result), content_type="application/json")


class GroupOptions(TypedDict, total=False):
    """What the actions of a group may share.

    Attributes:
        auth: Only for callers that signed in.
        roles: Only for callers that have one of these roles; implies ``auth``.
        timeout: Seconds after which the handler is cancelled and the caller told 408; ``None``: never. 30 unless told.
    """

    auth: bool
    roles: Iterable[str]
    timeout: float | None


class ActionOptions(GroupOptions, total=False):
    """How an action is run, and for whom.

    Attributes:
        description: For people and generated documentation.
        validate: The schema of the data, where the annotation does not say it.
    """

    description: str
    validate: Any


class ActionHandler:
    """A registered action, with everything around it compiled into one call."""

    __slots__ = ("call", "description", "function", "method", "name", "requirement", "route", "schema", "timeout")

    def __init__(
        self,
        name: str,
        function: Handler,
        *,
        route: str,
        method: str,
        auth: bool = False,
        roles: Iterable[str] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        description: str = "",
        validate: Any = None,
        text: TextPolicy = DEFAULT_POLICY,
    ) -> None:
        roles = listed_roles(roles)
        check_options(where(function), auth=auth, roles=roles, timeout=timeout, description=description)
        self.name = name
        self.function = function
        self.route = route
        self.method = method
        self.requirement = Requirement.of(auth, role_names(roles))
        self.timeout = timeout
        self.description = description
        self.schema = schema_of(function, HttpContext, validate=validate, text=text)
        self.call: Next = self.endpoint

    def endpoint(self, ctx: HttpContext[Any]) -> Awaitable[Any]:
        """Validate and run the function: data is the body, for GET and DELETE over HTTP the query."""
        if self.schema is None:
            return self.function(ctx)
        if ctx.caller is None and ctx.method in _BODYLESS:
            return self.function(ctx, self.schema.convert(ctx.query))
        return self.function(ctx, self.schema.read(ctx.body))


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
        **options: Unpack[ActionOptions],
    ) -> Callable[[F], F]:
        """Answer HTTP requests, as a decorator on ``async def handler(ctx)`` or ``(ctx, data)``.

        ``data`` is the JSON body (for GET and DELETE the query), read by its annotation. What the handler returns is
        the JSON answer; ``None`` is 204; a Response says more.

        Args:
            name: What other services call it by, such as ``rooms.list``.
            route: Path, with variables in braces: ``/chat/rooms/{id}``. ``None``: for other services only.
            method: GET (which answers HEAD too), POST, PUT, PATCH or DELETE.
            options: See ActionOptions.

        Raises:
            RegistrationError: If the name or route is taken or malformed, or the handler is not of this form.
            TypeError: If there is no option of this name.
        """
        check_name_given(name, "service.action", "rooms.list")

        def register(function: F) -> F:
            self._add(
                name,
                function,
                route=_check_route(route, function),
                method=_check_method(method, function) if route is not None else "",
                **options,
            )
            return function

        return register

    def _add(self, name: str, function: Handler, *, route: str, method: str, **options: Unpack[ActionOptions]) -> None:
        try:
            check_name(name)
        except ValueError as cause:
            raise RegistrationError(f"{where(function)}: {cause}") from cause
        for known in self._handlers.values():
            same_route = route and (known.method, _shape(known.route)) == (method, _shape(route))
            if known.name == name or same_route:
                what = f"the action {name!r}" if known.name == name else f"{method} {route}"
                raise RegistrationError(f"{where(function)}: {what} is taken by {where(known.function)}")
        self._handlers[name] = ActionHandler(name, function, route=route, method=method, text=self._text, **options)
        self._compile()

    def off(self, name: str) -> None:
        """Remove an action.

        Raises:
            RegistrationError: If there is none of this name.
        """
        if self._handlers.pop(name, None) is None:
            raise RegistrationError(f"{name} is not registered")
        self._compile()

    def group(self, prefix: str, *, route: str = "", **options: Unpack[GroupOptions]) -> ActionGroup:
        """Actions whose names begin with ``prefix.`` and whose routes begin with ``route``."""
        return ActionGroup(self, prefix, route, options)

    def use(self, first: str | Middleware | None = None, second: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every action, or around those whose name matches a pattern; see ``ws.use``."""
        return self.stack.use(first, second, order=order)

    def _compile(self) -> None:
        for name, handler in self._handlers.items():
            handler.call = self.stack.around(name, handler.endpoint)
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

    def __init__(self, actions: Actions, prefix: str, route: str, options: GroupOptions) -> None:
        check_name_given(prefix, "service.action.group", "rooms")
        if not isinstance(route, str):
            raise RegistrationError(f"group({prefix!r}): route is a text such as '/rooms', not {route!r}")
        unknown = options.keys() - GroupOptions.__annotations__.keys()
        if unknown:
            raise RegistrationError(f"group({prefix!r}): a group has no option {', '.join(sorted(unknown))}")
        self._actions = actions
        self._prefix = prefix
        self._route = route.rstrip("/")
        self._options = options
        if "roles" in options:
            self._options["roles"] = listed_roles(options["roles"])  # it is read once for each handler
        check_options(f"group({prefix!r})", **self._options)

    def __call__(
        self, name: str, *, route: str | None = None, method: str = "GET", **options: Unpack[ActionOptions]
    ) -> Callable[[F], F]:
        """As ``service.action``, with the group's prefix and route before those given."""
        check_name_given(name, "group", "list")
        merged: ActionOptions = {**self._options, **options}
        full = None if route is None else f"{self._route}{route}" or "/"
        return self._actions(f"{self._prefix}.{name}", route=full, method=method, **merged)

    def group(self, prefix: str, *, route: str = "", **options: Unpack[GroupOptions]) -> ActionGroup:
        """A group inside this one; what is not given is this one's."""
        check_name_given(prefix, "group.group", "admin")
        merged: GroupOptions = {**self._options, **options}
        return ActionGroup(self._actions, f"{self._prefix}.{prefix}", f"{self._route}{route}", merged)

    def use(self, middleware: Middleware | None = None, *, order: int = 0) -> Any:
        """Put middleware around every action of the group and of the groups in it."""
        return self._actions.stack.use(f"{self._prefix}.**", middleware, order=order, reach=Reach.GROUP)


def parse_query(query: str) -> dict[str, str]:
    """A query's parameters; of one that is repeated, the last."""
    return dict(parse_qsl(query, keep_blank_values=True))


def decode_result(data: bytes) -> Any:
    """What an action answered another service."""
    return msgspec.json.decode(data) if data else None


def _check_method(method: Any, function: Callable[..., Any]) -> str:
    if not isinstance(method, str) or method not in _METHODS:
        raise RegistrationError(f"{where(function)}: method is one of {', '.join(sorted(_METHODS))}, not {method!r}")
    return str(method)


def _check_route(route: str | None, function: Callable[..., Any]) -> str:
    if route is None:
        return ""
    if not isinstance(route, str):
        raise RegistrationError(f"{where(function)}: route is a text such as '/chat/rooms/{{id}}', not {route!r}")
    if not route:
        raise RegistrationError(f"{where(function)}: '' is no route; None makes an action for other services only")
    if route != "/":
        first, *segments = route.split("/")
        if first or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise RegistrationError(
                f"{where(function)}: {route!r} is no route; segments follow slashes, variables stand in braces, "
                "such as '/chat/rooms/{id}'"
            )
        variables = [segment for segment in segments if segment.startswith("{")]
        if len(set(variables)) != len(variables):
            raise RegistrationError(f"{where(function)}: {route!r} names a variable twice")
    return route


def _shape(route: str) -> str:
    """The route with its variables' names left out: two routes of one shape match the same paths."""
    return re.sub(r"\{[^}]*\}", "{}", route)
