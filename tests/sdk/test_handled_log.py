"""What level debug shows of a service, and that nothing of it is there otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pylinkd import ForbiddenError, HttpContext, Response, Service, Stream, WsContext
from pylinkd.sdk.runtime import Runtime
from pylinkd.testing import run


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """What is logged from the level on that the test asks for."""
    captured = structlog.testing.LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[captured],
        wrapper_class=structlog.make_filtering_bound_logger(request.param),
        cache_logger_on_first_use=False,
    )
    yield captured.entries
    structlog.configure(**before)


@pytest.fixture
def service() -> Service[Any]:
    """With one handler of each kind."""
    service = Service("chat")

    @service.ws.on("say")
    async def say(ctx: WsContext, text: str) -> str:
        if text == "no":
            raise ForbiddenError("No.")
        return text

    @service.ws.on_stream("upload")
    async def upload(ctx: WsContext, chunks: Stream) -> int:
        return len([chunk async for chunk in chunks])

    @service.action("page", route="/page/{id}", method="POST")
    async def page(ctx: HttpContext) -> Response:
        return Response("x", status=201)

    @service.events.on("news.*")
    async def heard(ctx: Any) -> None: ...

    return service


async def use_everything(service: Service[Any]) -> None:
    """A message, a refused one, a stream, a request, a call, an event, and a session around them."""
    async with run(service) as gateway:
        client = await gateway.connect("una")
        await client.send("say", "secret")
        with pytest.raises(ForbiddenError):
            await client.send("say", "no")
        await client.upload("upload", [b"1", b"2"])
        await gateway.request("POST", "/page/7", body="secret", query={"q": "secret"}, user="bob")
        await gateway.call("page")
        await gateway.emit("news.flash", "secret")
        await client.close()


@pytest.mark.parametrize("lines", [logging.DEBUG], indirect=True)
async def test_debug_shows_a_line_for_everything_that_was_handled(lines: list[Any], service: Service[Any]) -> None:
    """With what it was, for whom, its code and how long it took; never with data."""
    await use_everything(service)

    shown = [line for line in lines if line["log_level"] == "debug"]
    assert all(line.pop("milliseconds") >= 0 for line in shown)
    for line in shown:
        del line["log_level"]
    session = {"session": "session-1", "user": "una"}
    assert shown == [
        {"event": "session_begun", **session, "path": "/ws/chat", "code": 200},
        {"event": "message_handled", "type": "say", **session, "code": 200},
        {"event": "message_handled", "type": "say", **session, "code": 403, "error_type": "FORBIDDEN"},
        {"event": "stream_handled", "type": "upload", **session, "code": 200},
        {"event": "request_handled", "action": "page", "method": "POST", "user": "bob", "code": 201},
        {"event": "call_handled", "action": "page", "caller": "test", "user": None, "code": 200},
        {"event": "event_handled", "type": "news.flash", "source": "test", "user": None, "code": 200},
        {"event": "session_over", **session, "reason": "client_closed", "code": 200},
    ]
    assert "secret" not in str(lines)


@pytest.mark.parametrize("lines", [logging.INFO, logging.NOTSET], indirect=True)
async def test_nothing_is_noted_otherwise(lines: list[Any], service: Service[Any]) -> None:
    """The runtime is the plain one: a message costs no call more."""
    await use_everything(service)

    assert [line for line in lines if line["event"].endswith("_handled")] == []
    async with service.opened() as runtime:
        assert type(runtime) is Runtime
