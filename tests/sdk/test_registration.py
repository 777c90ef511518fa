"""What is registered wrongly is refused at once, with whose it is and how it is written rightly."""

# ruff: noqa: D103 - most functions here are handlers, and only their parameters matter

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import pydantic
import pytest

from pylinkd import Context, EventContext, HttpContext, RegistrationError, Service, WsContext
from pylinkd.testing import run

if TYPE_CHECKING:
    from somewhere import OnlyForTypeCheckers  # type: ignore[import-not-found]


class Note(msgspec.Struct):
    text: str


class Query(TypedDict):
    text: str


@pytest.fixture
def service() -> Service[Any]:
    """A service with nothing."""
    return Service("chat")


async def handler(ctx: Any) -> None: ...


# decorators without parentheses


@pytest.mark.parametrize(
    ("decorator", "written"),
    [
        (lambda service: service.ws.on, r"@service\.ws\.on\('chat\.send'\)"),
        (lambda service: service.ws.on_stream, r"@service\.ws\.on_stream\("),
        (lambda service: service.ws.group, r"@service\.ws\.group\("),
        (lambda service: service.ws.group("a").on, r"@group\.on\('send'\)"),
        (lambda service: service.ws.group("a").on_stream, r"@group\.on_stream\("),
        (lambda service: service.ws.group("a").group, r"@group\.group\("),
        (lambda service: service.action, r"@service\.action\("),
        (lambda service: service.action.group, r"@service\.action\.group\("),
        (lambda service: service.action.group("a"), r"@group\('list'\)"),
        (lambda service: service.events.on, r"@service\.events\.on\('user\.created'\)"),
    ],
)
def test_decorator_without_parentheses_is_refused(
    service: Service[Any], decorator: Callable[[Service[Any]], Any], written: str
) -> None:
    """It would swallow the handler; the sentence shows how it is written."""
    with pytest.raises(RegistrationError, match=rf"handler \(.*test_registration\.py:\d+\): .*{written}"):
        decorator(service)(handler)
    with pytest.raises(RegistrationError, match="7"):
        decorator(service)(7)


# cookies


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"route": "/a", "cookies": "refresh"}, r"such as \['refresh'\]"),
        ({"route": "/a", "cookies": 7}, "a list of names"),
        ({"route": "/a", "cookies": ["a b"]}, "'a b' is no name of a cookie"),
        ({"cookies": ["refresh"]}, "without a route"),
    ],
)
def test_cookies_that_no_request_brings_are_refused(service: Service[Any], options: Any, said: str) -> None:
    """They are names, and come over HTTP."""
    with pytest.raises(RegistrationError, match=said):
        service.action("a", **options)(handler)


# contexts


async def on_message(ctx: WsContext) -> None: ...
async def on_request(ctx: HttpContext[Any]) -> None: ...
async def on_event(ctx: EventContext) -> None: ...
async def on_two(ctx: WsContext | HttpContext) -> None: ...
async def on_any(ctx: Context) -> None: ...
async def on_data(data: Note) -> None: ...
async def on_query(data: Query) -> None: ...
async def unreadable_context(ctx: OnlyForTypeCheckers) -> None: ...
async def unreadable_result(ctx: WsContext, data: Note) -> OnlyForTypeCheckers: ...


REGISTRATIONS: dict[str, Callable[[Service[Any], Any], Any]] = {
    "ws.on": lambda service, function: service.ws.on("a", function),
    "ws.on_message": lambda service, function: service.ws.on_message(function),
    "ws.on_connect": lambda service, function: service.ws.on_connect(function),
    "ws.on_disconnect": lambda service, function: service.ws.on_disconnect(function),
    "action": lambda service, function: service.action("a")(function),
    "events.on": lambda service, function: service.events.on("a")(function),
}
MESSAGES = {"ws.on", "ws.on_message", "ws.on_connect", "ws.on_disconnect"}


@pytest.mark.parametrize("side", REGISTRATIONS)
@pytest.mark.parametrize(
    ("function", "fits"),
    [
        (on_message, MESSAGES),
        (on_request, {"action"}),
        (on_event, {"events.on"}),
        (on_two, {*MESSAGES, "action"}),
        (on_any, set(REGISTRATIONS)),
        (on_data, set()),
        (on_query, set()),
        (unreadable_context, set(REGISTRATIONS)),
    ],
)
def test_context_that_a_handler_does_not_get_is_refused(
    service: Service[Any], side: str, function: Any, fits: set[str]
) -> None:
    """An annotation that only a type checker sees says nothing, and refuses nothing."""
    if side in fits:
        REGISTRATIONS[side](service, function)
    else:
        with pytest.raises(RegistrationError, match=rf"{function.__name__} .*first parameter.*write '\w+: \w+Context'"):
            REGISTRATIONS[side](service, function)


def test_middleware_and_hooks_are_looked_at_too(service: Service[Any]) -> None:
    """What lies around messages gets no HttpContext, and a hook no context at all."""

    async def around(ctx: HttpContext, call_next: Any) -> Any: ...

    async def hook(ctx: WsContext) -> None: ...

    service.action.use(around)
    with pytest.raises(RegistrationError, match="gets is a WsContext"):
        service.ws.use(around)
    with pytest.raises(RegistrationError, match="gets is a Service"):
        service.before_start(hook)


def test_stream_handler_gets_a_context_of_messages(service: Service[Any]) -> None:
    """Its second parameter is no schema."""

    async def upload(ctx: HttpContext, chunks: OnlyForTypeCheckers) -> None: ...

    async def right(ctx: WsContext, chunks: OnlyForTypeCheckers) -> None: ...

    with pytest.raises(RegistrationError, match="gets is a WsContext"):
        service.ws.on_stream("a")(upload)
    service.ws.on_stream("a")(right)


# annotations


class Unresolved(msgspec.Struct):
    inner: OnlyForTypeCheckers


class UnresolvedModel(pydantic.BaseModel):
    inner: OnlyForTypeCheckers


async def missing(ctx: Any, wanted: OnlyForTypeCheckers) -> None: ...
async def attribute(ctx: Any, wanted: msgspec.Missing) -> None: ...  # type: ignore[name-defined]
async def nested(ctx: Any, wanted: list[OnlyForTypeCheckers]) -> None: ...
async def inside(ctx: Any, wanted: Unresolved) -> None: ...
async def model(ctx: Any, wanted: UnresolvedModel) -> None: ...
async def operator(ctx: Any, wanted: 1 | 2) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize("side", ["ws.on", "action", "events.on"])
@pytest.mark.parametrize("function", [missing, attribute, nested, inside, model, operator])
def test_annotation_that_cannot_be_read_says_whose_it_is(service: Service[Any], side: str, function: Any) -> None:
    """The handler, its place, and the parameter."""
    with pytest.raises(
        RegistrationError, match=rf"^{function.__name__} \(.*test_registration\.py:\d+\): .*parameter 'wanted'"
    ):
        REGISTRATIONS[side](service, function)


def test_annotation_of_the_result_may_be_for_type_checkers_alone(service: Service[Any]) -> None:
    """It is nobody's schema."""
    service.ws.on("a", unreadable_result)


def test_model_is_completed_by_what_was_written_after_it(service: Service[Any]) -> None:
    """As pydantic does itself with the first message."""

    async def handler(ctx: Any, data: Any) -> None: ...

    service.ws.on("a", handler, validate=Early)


class Early(pydantic.BaseModel):
    later: Later


class Later(pydantic.BaseModel):
    n: int


def test_keyword_that_nobody_gives_is_refused(service: Service[Any]) -> None:
    """Rather than failing with each message."""

    async def demanding(ctx: Any, *, database: str) -> None: ...

    async def content(ctx: Any, *, database: str = "") -> None: ...

    with pytest.raises(RegistrationError, match="keyword 'database'"):
        service.ws.on("a", demanding)
    service.ws.on("a", content)


# options

WRONG: list[tuple[str, list[Any]]] = [
    ("auth", ["no", 1, None]),
    ("roles", ["admin", None, 5, [5], [""], [None], b"admin"]),
    ("timeout", ["5s", "5", 0, -1, True, float("nan"), float("inf"), 10**400, [5]]),
    ("description", [None, 5]),
    ("ordered", ["no", 1, None]),
    ("rate", [10, 10.5, "10", "", "10000000000000/s", b"10/s"]),
    ("max_size", ["64MB", 1e6, 0, -1, True, None]),
    ("idle_timeout", ["5s", None, 0, float("inf"), True]),
]
OPTIONS: dict[str, tuple[Callable[..., Any], set[str]]] = {
    "ws.on": (
        lambda service, options: service.ws.on("a", **options)(handler),
        {"auth", "roles", "timeout", "description", "ordered", "rate"},
    ),
    "ws.group": (
        lambda service, options: service.ws.group("a", **options),
        {"auth", "roles", "timeout", "ordered", "rate"},
    ),
    "ws.on_stream": (
        lambda service, options: service.ws.on_stream("a", **options)(streams),
        {"auth", "roles", "timeout", "description", "max_size", "idle_timeout"},
    ),
    "action": (
        lambda service, options: service.action("a", **options)(handler),
        {"auth", "roles", "timeout", "description"},
    ),
    "action.group": (lambda service, options: service.action.group("a", **options), {"auth", "roles", "timeout"}),
    "events.on": (lambda service, options: service.events.on("a", **options)(handler), {"timeout"}),
}


async def streams(ctx: Any, chunks: Any) -> None: ...


@pytest.mark.parametrize(
    ("side", "option", "value"),
    [
        pytest.param(side, option, value, id=f"{side}-{option}-{number}")
        for side, (_, known) in OPTIONS.items()
        for option, values in WRONG
        if option in known
        for number, value in enumerate(values)
    ],
)
def test_option_of_the_wrong_kind_is_refused(service: Service[Any], side: str, option: str, value: Any) -> None:
    """At registration, by a sentence that begins with the place and names the option."""
    with pytest.raises(RegistrationError, match=rf"^(handler|streams|group\('a'\)).*: (a )?{option}"):
        OPTIONS[side][0](service, {option: value})


@pytest.mark.parametrize(
    "options",
    [{"route": 5}, {"route": b"/x"}, {"route": "/x", "method": None}, {"route": "/x", "method": ["GET"]}],
)
def test_routes_and_methods_are_texts(service: Service[Any], options: Any) -> None:
    """Anything else has a sentence as well."""
    with pytest.raises(RegistrationError, match=r"handler .*(route|method) is"):
        service.action("a", **options)(handler)


def test_order_of_middleware_is_a_number(service: Service[Any]) -> None:
    """Else it could not be sorted."""

    async def around(ctx: Any, call_next: Any) -> Any: ...

    wrong: list[Any] = ["1", None, float("nan")]
    for order in wrong:
        with pytest.raises(RegistrationError, match="order is a number"):
            service.ws.use(around, order=order)


@pytest.mark.parametrize(
    "options",
    [
        {"auth": "no"}, {"version": 1.0}, {"max_concurrent": "10"}, {"max_concurrent": 1.5}, {"stop_timeout": "10s"},
        {"stop_timeout": -1}, {"stop_timeout": None}, {"path": 5}, {"namespace": 5}, {"text": "strip"},
    ],
)  # fmt: skip
def test_options_of_a_service_are_looked_at(options: Any) -> None:
    """The same kinds of mistakes, the same kind of sentence."""
    (name,) = options
    with pytest.raises(RegistrationError, match=rf"Service\('chat'\): {name} is"):
        Service("chat", **options)


def test_name_of_a_service_is_a_text() -> None:
    """A forgotten name, for one."""
    wrong: Any = None
    with pytest.raises(RegistrationError, match="name is a text"):
        Service(wrong)


async def test_roles_may_be_members_of_an_enum(service: Service[Any]) -> None:
    """The hash of such a member is not that of its text, the roles of a token are texts."""

    class Role(str, enum.Enum):  # noqa: UP042
        BOSS = "admin"

    @service.ws.on("a", roles=[Role.BOSS])
    async def admins(ctx: WsContext) -> str:
        return "yes"

    async with run(service) as gateway:
        assert await (await gateway.connect("una", roles=["admin"])).send("a") == "yes"


# targets


async def test_sessions_are_excepted_by_keyword_too(service: Service[Any]) -> None:
    """As ctx.to takes them; one or several."""

    @service.ws.on("a")
    async def tell(ctx: WsContext, sessions: list[str]) -> list[int]:
        one = await ctx.everyone.except_(session=sessions[0]).emit("b")
        several = await ctx.everyone.except_(session=sessions).emit("b")
        mixed = await ctx.everyone.except_(sessions[0], session=sessions[1], user="cid").emit("b")
        return [one.reached, several.reached, mixed.reached]

    async with run(service) as gateway:
        una, bob, _ = await gateway.connect("una"), await gateway.connect("bob"), await gateway.connect("cid")

        assert await una.send("a", [una.id, bob.id]) == [2, 1, 0]
