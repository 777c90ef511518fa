"""``service.events``: what a service hears from others."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import structlog

from pylinkd import (
    EventContext,
    InternalError,
    LinkdError,
    Next,
    RegistrationError,
    Service,
    UnauthorizedError,
    ValidationError,
    WsContext,
)
from pylinkd.testing import run


class User(msgspec.Struct):
    id: int


@pytest.fixture
def service() -> Service[Any]:
    """Without handlers."""
    return Service("mail")


async def handler(ctx: EventContext) -> None:
    """Does nothing."""


async def test_events_reach_the_handlers_that_match(service: Service[Any]) -> None:
    """One after another, in the order of registration; each sees type, source and data."""
    heard: list[Any] = []

    @service.events.on("user.*")
    async def first(ctx: EventContext, user: User) -> None:
        heard.append(("first", ctx.name, ctx.source, user))

    @service.events.on("**")
    async def second(ctx: EventContext) -> None:
        heard.append(("second", ctx.name, ctx.raw))

    @service.events.on("user.deleted")
    async def third(ctx: EventContext) -> None:
        heard.append("third")

    async with run(service) as gateway:
        await gateway.emit("user.created", {"id": 1})

    assert heard == [("first", "user.created", "test", User(1)), ("second", "user.created", b'{"id":1}')]


async def test_event_that_nobody_wants_is_no_error(service: Service[Any]) -> None:
    """It was removed meanwhile."""
    async with run(service) as gateway:
        await gateway.emit("user.created")


async def test_data_that_does_not_fit_is_told(service: Service[Any]) -> None:
    """To the gateway, which logs it."""

    @service.events.on("user.created")
    async def created(ctx: EventContext, user: User) -> None: ...

    async with run(service) as gateway:
        with pytest.raises(ValidationError, match="id"):
            await gateway.emit("user.created", {"id": "x"})


async def test_every_matching_handler_runs(service: Service[Any]) -> None:
    """One that fails does not keep the event from the others; that it failed is told."""
    heard: list[str] = []

    @service.events.on("user.*")
    async def broken(ctx: EventContext) -> None:
        raise RuntimeError("x")

    @service.events.on("user.created")
    async def other(ctx: EventContext) -> None:
        heard.append("other")

    async with run(service) as gateway:
        with structlog.testing.capture_logs(), pytest.raises(InternalError):
            async with asyncio.timeout(2):
                await gateway.emit("user.created")

    assert heard == ["other"]


async def test_fault_of_a_handler_is_answered(service: Service[Any]) -> None:
    """With the id that the log has, beside the event's name and source."""

    @service.events.on("user.*")
    async def broken(ctx: EventContext) -> None:
        raise RuntimeError("x")

    async with run(service) as gateway:
        with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
            async with asyncio.timeout(2):
                await gateway.emit("user.created")

    assert caught.value.details is not None
    (line,) = logs
    assert (line["event"], line["error_id"]) == ("handler_failed", caught.value.details["errorId"])
    assert "user.created" in line.values()


async def test_handler_that_takes_too_long_is_cancelled_alone(service: Service[Any]) -> None:
    """Its time is its own: another one that may take for ever is not cancelled with it."""
    heard: list[str] = []

    @service.events.on("user.*", timeout=0.01)
    async def slow(ctx: EventContext) -> None:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    @service.events.on("user.*", timeout=None)
    async def patient(ctx: EventContext) -> None:
        heard.append("patient")

    async with run(service) as gateway:
        with structlog.testing.capture_logs():
            try:
                async with asyncio.timeout(2):
                    await gateway.emit("user.created")
            except LinkdError:
                heard.append("told")

    assert heard == ["cancelled", "patient", "told"]


@pytest.mark.parametrize("pattern", ["", "a.**.b", "a*", "a b"])
def test_odd_patterns_are_refused_with_the_place(service: Service[Any], pattern: str) -> None:
    """Rather than never matching."""
    with pytest.raises(RegistrationError, match=r"handler \(.*test_events\.py:\d+\)"):
        service.events.on(pattern)(handler)


@pytest.mark.parametrize("timeout", [0, -1.0])
def test_odd_timeouts_are_refused(service: Service[Any], timeout: float) -> None:
    """As for messages and actions."""
    with pytest.raises(RegistrationError, match="positive number of seconds"):
        service.events.on("a", timeout=timeout)(handler)


def test_functions_that_are_no_handlers_are_refused(service: Service[Any]) -> None:
    """As for messages."""

    def plain(ctx: EventContext) -> None: ...

    with pytest.raises(RegistrationError, match="'async def'"):
        service.events.on("a")(plain)  # type: ignore[type-var]


async def test_handlers_come_and_go_while_the_service_runs(service: Service[Any]) -> None:
    """Wherever the function stands; the patterns for the gateway follow."""
    changes: list[int] = []
    service.events.changed = lambda: changes.append(1)
    service.events.on("b.*")(handler)
    service.events.on("a.*")(handler)
    service.events.on("a.*")(handler)
    assert list(service.events.patterns) == ["a.*", "b.*"]

    service.events.off(handler)

    assert list(service.events.patterns) == []
    assert len(changes) == 4
    with pytest.raises(RegistrationError, match=r"handler .*is not registered"):
        service.events.off(handler)


async def test_own_events_are_heard_too(service: Service[Any]) -> None:
    """``ctx.emit`` reaches every service that asked, this one included: also in pylinkd.testing."""
    heard = asyncio.Event()

    @service.events.on("user.created")
    async def created(ctx: EventContext) -> None:
        assert ctx.source == "mail"
        heard.set()

    @service.ws.on("create")
    async def create(ctx: WsContext) -> int:
        return (await ctx.emit("user.created")).reached

    async with run(service) as gateway:
        assert await (await gateway.connect()).send("create") == 1
        async with asyncio.timeout(1):
            await heard.wait()


async def test_middleware_lies_around_handlers_of_events(service: Service[Any]) -> None:
    """By the event's name, whatever the handler's pattern; outside validation."""
    log: list[str] = []

    @service.events.use
    async def everywhere(ctx: EventContext, call_next: Next) -> Any:
        log.append(f"all {ctx.name}")
        return await call_next(ctx)

    async def some(ctx: EventContext, call_next: Next) -> Any:
        log.append("some")
        return await call_next(ctx)

    service.events.use("user.created", some)

    @service.events.on("user.*")
    async def heard(ctx: EventContext) -> None:
        log.append("handler")

    async with run(service) as gateway:
        await gateway.emit("user.created")
        await gateway.emit("user.deleted")

    assert log == ["all user.created", "some", "handler", "all user.deleted", "handler"]


async def test_handlers_of_events_take_the_options_of_others(service: Service[Any]) -> None:
    """Who the event was emitted on behalf of counts; the schema may be given."""

    @service.events.on("user.created", auth=True)
    async def signed_in(ctx: EventContext) -> None: ...

    @service.events.on("user.deleted", validate=User, description="Tidies up.")
    async def tidy(ctx: EventContext, user: Any) -> None: ...

    async with run(service) as gateway:
        with pytest.raises(UnauthorizedError):
            await gateway.emit("user.created")
        with pytest.raises(ValidationError):
            await gateway.emit("user.deleted", {"id": "x"})
    with pytest.raises(TypeError):
        service.events.on("user.changed", ordered=False)(handler)  # type: ignore[call-arg]
