"""Errors that a context raises and that leave a handler: the log says which question it was."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from pylinkd import (
    ConflictError,
    HttpContext,
    InternalError,
    LinkdError,
    NotFoundError,
    Service,
    ServiceUnavailableError,
    WsContext,
)
from pylinkd.testing import Gateway, run


async def ended_with(service: Service[Any], answer: LinkdError | None = None) -> tuple[LinkdError, list[Any]]:
    """What a client gets for ``do``, where shop.items.price answers so; and what was logged of it."""

    async def price(params: Any) -> Any:
        assert answer is not None
        raise answer

    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway:
            if answer is not None:
                gateway.provide("shop", "items.price", price)
            with pytest.raises(LinkdError) as caught:
                await (await gateway.connect("una")).send("do")
    return caught.value, [line for line in logs if line["event"] == "handler_failed"]


@pytest.fixture
def service() -> Service[Any]:
    """Calls another service for each message."""
    service = Service("chat")

    @service.ws.on("do")
    async def do(ctx: WsContext) -> Any:
        return await ctx.call("shop", "items.price")

    return service


@pytest.mark.parametrize(
    ("answer", "level", "details"),
    [
        (InternalError(details={"errorId": "1f"}), "warning", {"errorId": "1f"}),
        (ServiceUnavailableError(), "warning", None),
        (LinkdError("Late.", code=408, type="TIMEOUT"), "warning", None),
        (ConflictError("Sold out.", details={"item": "tea"}), "info", {"item": "tea"}),
    ],
)
async def test_failed_call_is_logged_once_with_its_target(
    service: Service[Any], answer: LinkdError, level: str, details: Any
) -> None:
    """What the action answers is passed on as it is: clients are not told how services are put together."""
    error, logged = await ended_with(service, answer)

    assert error.details == details
    (line,) = logged
    assert (line["target"], line["log_level"], line["code"]) == ("call shop.items.price", level, error.code)
    assert (line["type"], line["user"]) == ("do", "una")


async def test_call_of_an_action_that_does_not_exist_is_the_handlers_fault(service: Service[Any]) -> None:
    """Its client gets 500; the log names the action."""
    error, logged = await ended_with(service)

    assert isinstance(error, InternalError)
    (line,) = logged
    assert (line["target"], line["log_level"]) == ("call shop.items.price", "error")


async def test_other_questions_are_named_too() -> None:
    """Of a session that has ended, for one."""
    service = Service("chat")

    @service.ws.on("do")
    async def do(ctx: WsContext) -> None:
        await ctx.leave("lobby", session="gone")

    error, logged = await ended_with(service)

    assert isinstance(error, NotFoundError)
    assert [line["target"] for line in logged] == ["leave"]


class Refusing:
    """A link on which no event leaves."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def ask(self, frame: Any) -> Any:
        """Refuse events, pass on the rest."""
        future = self._gateway.ask(frame)
        if frame.HasField("publish"):
            future = future.get_loop().create_future()
            future.set_exception(ServiceUnavailableError("The gateway is gone."))
        return future


async def test_refused_event_is_named(service: Service[Any]) -> None:
    """By its type."""

    @service.action("tell")
    async def tell(ctx: HttpContext) -> None:
        await ctx.everyone.emit("news.flash", "secret")

    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway:
            gateway._runtime.link = Refusing(gateway)
            with pytest.raises(ServiceUnavailableError):
                await gateway.call("tell")

    (line,) = [line for line in logs if line["event"] == "handler_failed"]
    assert (line["target"], line["action"], line["caller"]) == ("emit news.flash", "tell", "test")
    assert "secret" not in str(logs)


async def test_errors_of_the_handler_and_those_it_catches_are_no_news() -> None:
    """They are its answers."""
    service = Service("chat")

    @service.ws.on("do")
    async def do(ctx: WsContext) -> None:
        try:
            await ctx.call("shop", "items.price")
        except NotFoundError:
            raise ConflictError("No shop.") from None

    error, logged = await ended_with(service)

    assert isinstance(error, ConflictError)
    assert logged == []


async def test_refusal_of_a_session_is_logged_once(service: Service[Any]) -> None:
    """Not again for each message that waits behind on_connect."""

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        await ctx.call("shop", "items.price")

    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway:
            for _ in range(2):
                with pytest.raises(InternalError):
                    await gateway.connect("una")

    assert len([line for line in logs if line["event"] == "handler_failed"]) == 2
