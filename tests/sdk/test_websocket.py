"""``service.ws``: registration, groups and options, removal at run time."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from pylinkd import RegistrationError, Service, UnauthorizedError, UnknownMessageTypeError, WsContext
from pylinkd.sdk.dispatch import DEFAULT_TIMEOUT
from pylinkd.testing import run


@pytest.fixture
def service() -> Service[Any]:
    """Without handlers."""
    return Service("chat")


async def handler(ctx: WsContext) -> str:
    """Answers with the message's type."""
    return ctx.type


async def another(ctx: WsContext) -> str:
    """Answers with something else."""
    return f"another {ctx.type}"


async def no_middleware(ctx: Any) -> None:
    """Lacks call_next."""


def plain(ctx: WsContext) -> None:
    """Is not asynchronous."""


async def nothing() -> None:
    """Takes nothing."""


async def much(ctx: WsContext, data: Any, more: Any) -> None:
    """Takes too much."""


async def unreadable(ctx: WsContext, data: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
    """Is annotated with what does not exist."""


# what is refused, and how


@pytest.mark.parametrize("type", ["", "linkd.welcome", "a b", "chat.", "*", "chat.*", "x" * 129])
def test_odd_types_are_refused_with_the_place(service: Service[Any], type: str) -> None:
    """The message names the handler's file and line."""
    with pytest.raises(RegistrationError, match=r"handler \(.*test_websocket\.py:\d+\): "):
        service.ws.on(type)(handler)


def test_type_that_is_taken_is_refused_with_both_places(service: Service[Any]) -> None:
    """Whoever reads it need not search."""
    service.ws.on("a", handler)

    with pytest.raises(RegistrationError, match=r"^another \(.*'a' is handled by handler \(.*off\(\) removes it"):
        service.ws.on("a", another)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (plain, "plain .*'async def'"),
        (nothing, r"nothing .*\(ctx\) or \(ctx, data\)"),
        (much, r"much .*\(ctx\) or \(ctx, data\)"),
        (unreadable, "unreadable .*'Missing' of its parameter 'data' cannot be read"),
    ],
)
def test_functions_that_are_no_handlers_are_refused(service: Service[Any], function: Any, says: str) -> None:
    """With what a handler is."""
    with pytest.raises(RegistrationError, match=says):
        service.ws.on("a")(function)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 0}, "positive number of seconds, not 0"),
        ({"timeout": -1.5}, "positive number of seconds"),
        ({"roles": "admin"}, r"\['admin'\]"),
        ({"validate": int}, "second parameter"),
    ],
)
def test_bad_options_are_refused_with_the_place(service: Service[Any], options: Any, says: str) -> None:
    """Where the handler is, and what the option should be."""
    with pytest.raises(RegistrationError, match=rf"handler \(.*{says}"):
        service.ws.on("a", **options)(handler)


def test_options_that_do_not_exist_are_refused(service: Service[Any]) -> None:
    """A slip is no option, on a handler or on a group."""
    options: Any = {"time_out": 5}
    with pytest.raises(TypeError, match="time_out"):
        service.ws.on("a", **options)(handler)
    with pytest.raises(RegistrationError, match=r"group\('g'\).*time_out"):
        service.ws.group("g", **options)


def test_refused_handler_is_not_registered(service: Service[Any]) -> None:
    """Not even half."""
    for function in (plain, much):
        with pytest.raises(RegistrationError):
            service.ws.on("a")(function)  # type: ignore[type-var]

    assert list(service.ws.handlers) == []


@pytest.mark.parametrize("prefix", ["", "a b", "linkd.x", "a..b"])
def test_odd_group_prefixes_are_refused(service: Service[Any], prefix: str) -> None:
    """At the group, not at its first handler."""
    with pytest.raises(RegistrationError, match="group"):
        service.ws.group(prefix)


def test_roles_of_a_group_are_a_list(service: Service[Any]) -> None:
    """A string would be taken for its letters."""
    roles: Any = "admin"
    with pytest.raises(RegistrationError, match=r"\['admin'\]"):
        service.ws.group("g", roles=roles).on("a", handler)


def test_second_catch_all_is_refused(service: Service[Any]) -> None:
    """With the place of the first."""
    service.ws.on_message(handler)

    with pytest.raises(RegistrationError, match=r"another .*handler .*takes all other messages"):
        service.ws.on_message(another)


def test_hooks_of_sessions_take_the_context_alone(service: Service[Any]) -> None:
    """There is no data."""

    async def with_data(ctx: WsContext, data: int) -> None: ...

    for register in (service.ws.on_connect, service.ws.on_disconnect):
        with pytest.raises(RegistrationError, match=r"with_data .*takes \(ctx\)"):
            register(with_data)


# options


def test_decorators_give_the_function_back(service: Service[Any]) -> None:
    """It can be called and tested as it was written."""
    assert service.ws.on("a")(handler) is handler
    assert service.ws.on("b", another) is another
    assert service.ws.on_connect(handler) is handler
    assert service.ws.on_message(another) is another


def options_of(service: Service[Any], type: str) -> tuple[bool, frozenset[str], float | None, bool]:
    """What a handler is run with."""
    found = service.ws.find(type)
    assert found is not None
    return found.requirement.auth, found.requirement.roles, found.timeout, found.ordered


def test_handler_without_options_is_open_and_ordered(service: Service[Any]) -> None:
    """For everybody, half a minute, in order."""
    service.ws.on("a", handler)

    assert options_of(service, "a") == (False, frozenset(), DEFAULT_TIMEOUT, True)


def test_group_hands_its_options_on(service: Service[Any]) -> None:
    """Its handlers' own options replace them one by one; None is an option too."""
    group = service.ws.group("g", auth=True, timeout=5.0, ordered=False)
    group.on("same", handler)
    group.on("open", handler, auth=False)
    group.on("never", handler, timeout=None)
    group.on("ordered", handler, ordered=True)
    group.on("admins", handler, roles=["admin"])

    assert options_of(service, "g.same") == (True, frozenset(), 5.0, False)
    assert options_of(service, "g.open") == (False, frozenset(), 5.0, False)
    assert options_of(service, "g.never") == (True, frozenset(), None, False)
    assert options_of(service, "g.ordered") == (True, frozenset(), 5.0, True)
    assert options_of(service, "g.admins") == (True, frozenset({"admin"}), 5.0, False)


def test_groups_nest(service: Service[Any]) -> None:
    """Prefixes join, options are inherited."""
    inner = service.ws.group("a", roles=["x"]).group("b", timeout=1.0).group("c")
    inner.on("d", handler)

    assert options_of(service, "a.b.c.d") == (True, frozenset({"x"}), 1.0, True)


def test_roles_of_a_group_may_be_any_iterable(service: Service[Any]) -> None:
    """One that can be walked once serves all its handlers."""
    group = service.ws.group("g", roles=iter(["admin"]))
    group.on("a", handler)
    group.on("b", handler)

    assert options_of(service, "g.a") == options_of(service, "g.b")


async def test_callable_objects_are_handlers(service: Service[Any]) -> None:
    """And partial functions: whatever is called asynchronously, with a schema too."""

    class Greeter:
        async def __call__(self, ctx: WsContext, data: int) -> int:
            return data + 1

    async def add(number: int, ctx: WsContext, data: int) -> int:
        return data + number

    service.ws.on("object", Greeter())
    service.ws.on("partial", functools.partial(add, 10))

    async with run(service) as gateway:
        client = await gateway.connect()
        assert await client.send("object", 1) == 2
        assert await client.send("partial", 1) == 11


async def test_data_with_a_default_is_not_passed_over(service: Service[Any]) -> None:
    """``data: int = 0`` either gets what was sent or is refused; it is never silently the default."""

    async def forgetful(ctx: WsContext, data: int = 0) -> int:
        return data

    try:
        service.ws.on("a", forgetful)
    except RegistrationError:
        return
    async with run(service) as gateway:
        assert await (await gateway.connect()).send("a", 5) == 5


# at run time


async def test_handlers_come_and_go_while_the_service_runs(service: Service[Any]) -> None:
    """By type or by function; each change is reported."""
    changes: list[int] = []
    service.ws.changed = lambda: changes.append(1)
    async with run(service) as gateway:
        client = await gateway.connect()
        service.ws.on("a", handler)
        assert await client.send("a") == "a"

        service.ws.off("a")
        service.ws.on("a", another)
        assert await client.send("a") == "another a"
        service.ws.off(another)

        with pytest.raises(UnknownMessageTypeError):
            await client.send("a")
    assert len(changes) == 4


def test_off_removes_wherever_it_stands(service: Service[Any]) -> None:
    """Types, the catch-all and the hooks of sessions, at once."""
    service.ws.on("a", handler)
    service.ws.on("b", handler)
    service.ws.on_message(handler)
    service.ws.on_connect(handler)
    service.ws.on_disconnect(handler)

    service.ws.off(handler)

    assert service.ws.find("a") is service.ws.find("b") is service.ws.find("c") is None
    assert (service.ws.connect_handlers, service.ws.disconnect_handlers) == ([], [])


@pytest.mark.parametrize("what", ["a", handler])
def test_off_of_what_is_not_there_is_told(service: Service[Any], what: Any) -> None:
    """By name or place."""
    with pytest.raises(RegistrationError, match=r"(a|handler .*) is not registered"):
        service.ws.off(what)


async def test_catch_all_takes_what_no_handler_names(service: Service[Any]) -> None:
    """With its data, and under the middleware of its type."""
    seen: list[str] = []

    async def noted(ctx: Any, call_next: Any) -> Any:
        seen.append(ctx.type)
        return await call_next(ctx)

    async def rest(ctx: WsContext, data: int) -> list[object]:
        return [ctx.type, data]

    service.ws.on("known", handler)
    service.ws.on_message(rest)
    service.ws.use("odd.*", noted)
    async with run(service) as gateway:
        client = await gateway.connect()

        assert await client.send("odd.type", 1) == ["odd.type", 1]
        assert await client.send("other", 2) == ["other", 2]
        assert await client.send("known") == "known"
    assert seen == ["odd.type"]


async def test_requirement_is_checked_in_the_service_too(service: Service[Any]) -> None:
    """It trusts nobody."""
    service.ws.on("a", handler, auth=True)
    async with run(service) as gateway:
        with pytest.raises(UnauthorizedError):
            await (await gateway.connect()).send("a")
        assert await (await gateway.connect("una")).send("a") == "a"
