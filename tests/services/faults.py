"""Everything that a handler can do wrong."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
import sys
from typing import Any

from pylinkd import EventContext, ForbiddenError, HttpContext, LinkdError, NotFoundError, Service, Stream, WsContext
from pylinkd.protocol.link import MAX_FRAME_SIZE

SECRET = "hunter2"

service = Service("faults", stop_timeout=0.5)
released = asyncio.Event()


@service.ws.on("faults.fine")
async def fine(ctx: WsContext) -> str:
    return "fine"


@service.ws.on("faults.raises")
async def raises(ctx: WsContext) -> None:
    raise RuntimeError(f"the password is {SECRET}")


@service.ws.on("faults.raises_group")
async def raises_group(ctx: WsContext) -> None:
    raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])


class Panic(BaseException):
    """What no ``except Exception`` takes."""


class Unspeakable(Exception):
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


FATAL: dict[str, BaseException | type[BaseException]] = {
    "panic": Panic,
    "generator_exit": GeneratorExit,
    "base_group": BaseExceptionGroup(SECRET, [Panic()]),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "unspeakable": Unspeakable,
    "own_timeout": TimeoutError,
}
"""What may be raised in any handler, by the name that ``data`` has."""


@service.ws.on("faults.fatal")
async def fatal(ctx: WsContext, name: str) -> None:
    raise FATAL[name]


@service.ws.on_stream("faults.fatal_stream")
async def fatal_stream(ctx: WsContext, chunks: Stream) -> None:
    raise FATAL[ctx.data]


@service.action("faults.fatal", route="/faults/{name}")
async def fatal_action(ctx: HttpContext) -> None:
    raise FATAL[ctx.params["name"]]


@service.events.on("faults.happened")
async def fatal_event(ctx: EventContext, name: str) -> None:
    raise FATAL[name]


@service.ws.on("faults.emits")
async def emits(ctx: WsContext, name: str) -> int:
    return (await ctx.emit("faults.happened", name)).reached


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    if "on_connect" in ctx.socket.metadata:
        raise FATAL[ctx.socket.metadata["on_connect"]]


@service.ws.on_disconnect
async def disconnected(ctx: WsContext) -> None:
    if "on_disconnect" in ctx.socket.metadata:
        raise FATAL[ctx.socket.metadata["on_disconnect"]]


@service.ws.on("faults.exits")
async def exits(ctx: WsContext) -> None:
    sys.exit("a command-line tool would end here")


@service.ws.on("faults.exits_in_task")
async def exits_in_task(ctx: WsContext, how: str) -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(SECRET)

    match how:
        case "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(leave())
        case "nested":
            await asyncio.gather(_group(leave))
        case "wait_for":
            await asyncio.wait_for(leave(), 5)
        case "thread":
            await asyncio.to_thread(sys.exit, SECRET)
        case "forgotten":
            _forgotten.add(asyncio.create_task(leave()))
            await asyncio.sleep(0.01)
            raise RuntimeError("its task has ended, and nobody asked how")


_forgotten: set[asyncio.Task[None]] = set()


@service.ws.on("faults.group_of_one")
async def group_of_one(ctx: WsContext) -> None:
    async def refuse() -> None:
        raise NotFoundError("There is no such board.", type="NO_BOARD")

    async with asyncio.TaskGroup() as outer:
        outer.create_task(_group(refuse))


async def _group(work: Any) -> None:
    async with asyncio.TaskGroup() as inner:
        inner.create_task(work())


@service.ws.on("faults.emits_too_much")
async def emits_too_much(ctx: WsContext, caught: bool) -> Any:
    try:
        await ctx.everyone.emit("faults.event", "x" * MAX_FRAME_SIZE)
    except LinkdError as error:
        if not caught:
            raise
        return {"code": error.code, "details": error.details}


@service.ws.on("faults.returns_object")
async def returns_object(ctx: WsContext) -> object:
    return object()


@service.ws.on("faults.returns_surrogate")
async def returns_surrogate(ctx: WsContext) -> str:
    return "\ud800"


@service.ws.on("faults.returns_cycle")
async def returns_cycle(ctx: WsContext) -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@service.ws.on("faults.returns_too_much")
async def returns_too_much(ctx: WsContext) -> str:
    """More than a frame of the link may hold."""
    return "x" * (17 * 2**20)


@service.ws.on("faults.emits_object")
async def emits_object(ctx: WsContext) -> None:
    await ctx.send("faults.event", object())


@service.ws.on("faults.refuses")
async def refuses(ctx: WsContext) -> None:
    raise LinkdError("The room is full.", code=409, type="ROOM_FULL", details={"size": 3}, retry_after=2.0)


@service.ws.on("faults.details_object")
async def details_object(ctx: WsContext) -> None:
    raise ForbiddenError(details={"x": object()})


@service.ws.on("faults.details_surrogate")
async def details_surrogate(ctx: WsContext) -> None:
    raise ForbiddenError(details={"x": "\ud800"})


@service.ws.on("faults.details_cycle")
async def details_cycle(ctx: WsContext) -> None:
    details: dict[str, Any] = {}
    details["self"] = details
    raise ForbiddenError(details=details)


@service.ws.on("faults.message_surrogate")
async def message_surrogate(ctx: WsContext) -> None:
    raise ForbiddenError("\ud800")


@service.ws.on("faults.retry_never")
async def retry_never(ctx: WsContext) -> None:
    raise ForbiddenError(retry_after=float("inf"))


@service.ws.on("faults.hangs", timeout=0.3)
async def hangs(ctx: WsContext) -> None:
    await asyncio.Event().wait()


@service.ws.on("faults.hangs_and_fails", timeout=0.3)
async def hangs_and_fails(ctx: WsContext) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError(SECRET)


@service.ws.on("faults.stubborn", timeout=0.3)
async def stubborn(ctx: WsContext) -> None:
    while not released.is_set():
        try:
            await released.wait()
        except asyncio.CancelledError:
            continue


@service.ws.on("faults.release", ordered=False)
async def release(ctx: WsContext) -> None:
    released.set()
    await asyncio.sleep(0)
    released.clear()


@service.ws.on("faults.graceful", timeout=60)
async def graceful(ctx: WsContext) -> str:
    """Takes its cancellation as a wish to end early, as much code does."""
    ctx.logger.info("test_waiting")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        pass
    return "cancelled"


@service.ws.on("faults.obstinate", timeout=60)
async def obstinate(ctx: WsContext) -> None:
    ctx.logger.info("test_waiting")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@service.ws.on("faults.cancels_itself")
async def cancels_itself(ctx: WsContext) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@service.ws.on("faults.awaits_cancelled")
async def awaits_cancelled(ctx: WsContext) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@service.ws.on("faults.raises_cancelled")
async def raises_cancelled(ctx: WsContext) -> None:
    raise asyncio.CancelledError
