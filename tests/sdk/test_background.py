"""What a service does beside its handlers: sending, background tasks, other threads."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest
import structlog

from pylinkd import HttpContext, Service, ServiceUnavailableError, WsContext
from pylinkd.testing import Gateway, run


def board() -> Service:
    """A service whose clients join rooms."""
    service = Service("board")

    @service.ws.on("board.join")
    async def join(ctx: WsContext, room: str) -> None:
        await ctx.join(room)

    @service.action("board.double")
    async def double(ctx: HttpContext, number: int) -> int:
        return 2 * number

    return service


async def in_room(gateway: Gateway, room: str) -> str:
    """The session of a new client in a room."""
    client = await gateway.connect(user="alice")
    await client.send("board.join", room)
    return client.id


async def test_service_sends_without_a_handler() -> None:
    """Everything that a context can send, with the same receipts."""
    service = board()
    async with run(service) as gateway:
        session = await in_room(gateway, "lobby")

        assert (await service.to("lobby").emit("board.note", 1)).reached == 1
        assert (await service.everyone.emit("board.note", 2)).reached == 1
        assert (await service.session(session).send("board.note", 3)).reached == 1
        assert [member.session for member in await service.members("lobby")] == [session]
        assert [event.data for event in gateway.emitted] == [1, 2, 3]
        await service.emit("board.changed", {"x": 1})
        assert gateway.service_events == [("board.changed", {"x": 1})]
        assert await service.call("board", "board.double", 21) == 42
        await service.disconnect(session, code=4000)
        await gateway.until_idle()
        assert not gateway.clients


async def test_service_that_does_not_run_says_so() -> None:
    """Before its start and after its end."""
    service = board()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="'board' does not run"):
            await service.everyone.emit("board.note")
        with pytest.raises(RuntimeError, match="'board' does not run"):
            _ = service.background(asyncio.sleep(0))
        with pytest.raises(RuntimeError, match="'board' does not run"):
            _ = service.portal
        async with run(service):
            pass


async def test_background_task_ends_with_the_service() -> None:
    """It is cancelled, and may clean up."""
    service = board()
    seen: list[object] = []

    async def ticking() -> None:
        try:
            while True:
                seen.append((await service.everyone.emit("board.tick")).reached)
                await asyncio.sleep(0)
        finally:
            seen.append("ended")

    async with run(service) as gateway:
        await gateway.connect()
        _ = service.background(ticking())
        while len(seen) < 3:
            await asyncio.sleep(0)

    assert seen[:3] == [1, 1, 1]
    assert seen[-1] == "ended"


async def test_error_of_a_background_task_is_logged() -> None:
    """Nobody awaits it."""
    service = board()

    async def failing() -> None:
        raise ValueError("no price")

    with structlog.testing.capture_logs() as logs:
        async with run(service):
            task = service.background(failing(), name="prices")
            await asyncio.wait({task})

    (entry,) = [entry for entry in logs if entry["event"] == "background_failed"]
    assert entry["task"] == "prices"
    assert isinstance(entry["exc_info"], ValueError)


async def test_background_task_sees_nothing_of_the_handler_that_starts_it() -> None:
    """Neither its context variables nor its place among the handlers."""
    service, variable, seen = board(), ContextVar("variable", default="unset"), []

    async def later() -> None:
        seen.append(variable.get())
        seen.append(await service.call("board", "board.double", 2))

    @service.ws.on("board.begin")
    async def begin(ctx: WsContext) -> None:
        variable.set("set")
        _ = service.background(later())

    async with run(service) as gateway:
        client = await gateway.connect()
        await client.send("board.begin")
        while len(seen) < 2:
            await asyncio.sleep(0)

    assert seen == ["unset", 4]


async def test_service_that_stops_takes_no_background_task() -> None:
    """What began now would be cut off at once."""
    service, refused = board(), []

    @service.before_stop
    async def last(service: Service) -> None:
        try:
            _ = service.background(asyncio.sleep(0))
        except ServiceUnavailableError as error:
            refused.append(error)

    async with run(service):
        pass

    assert len(refused) == 1


async def test_other_threads_send_through_the_portal() -> None:
    """They get the result, or the error."""
    service = board()
    async with run(service) as gateway:
        await in_room(gateway, "lobby")

        def in_thread() -> tuple[int, str]:
            receipt = service.portal.run(service.to("lobby").emit("board.note", 1), timeout=5.0)
            try:
                service.portal.run(service.emit("no name"))
            except ValueError as error:
                return receipt.reached, str(error)
            raise AssertionError("it was sent")

        reached, error = await asyncio.to_thread(in_thread)

        assert reached == 1
        assert "no name" in error


async def test_portal_cancels_what_takes_too_long() -> None:
    """The thread gets TimeoutError."""
    service, ended = board(), asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with run(service):

        def in_thread() -> None:
            with pytest.raises(TimeoutError):
                service.portal.run(slow(), timeout=0.05)

        await asyncio.to_thread(in_thread)
        await asyncio.wait_for(ended.wait(), 5.0)


async def test_portal_is_refused_in_the_loop_itself() -> None:
    """It would wait for itself."""
    service = board()
    async with run(service):
        with pytest.raises(RuntimeError, match="for other threads"):
            service.portal.run(service.everyone.emit("board.note"))
