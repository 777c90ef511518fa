"""Whatever leaves a handler, its caller is answered once and the service goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pydantic
import pytest
import structlog

from pylinkd import (
    ConflictError,
    ForbiddenError,
    HandlerTimeoutError,
    HttpContext,
    InternalError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    Service,
    ServiceUnavailableError,
    WsContext,
)
from pylinkd.protocol.link import MAX_FRAME_SIZE, encode
from pylinkd.protocol.link_pb2 import Event, Frame
from pylinkd.sdk import safe_log
from pylinkd.sdk.context import EventContext
from pylinkd.testing import run

from .links import MemoryLink
from .test_jobs import closed, message, opened


@pytest.fixture
def service() -> Service[Any]:
    """Without handlers."""
    return Service("chat", stop_timeout=0.2)


@pytest.fixture
async def link(service: Service[Any]) -> AsyncIterator[MemoryLink]:
    """The service runs behind it."""
    async with service.opened() as runtime:
        yield MemoryLink(runtime)


class Panic(BaseException):
    """What no ``except Exception`` takes."""


class Unspeakable(Exception):
    """Says nothing of itself."""

    def __str__(self) -> str:
        raise SystemExit("no text")

    __repr__ = __str__

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]  # odd on purpose
        raise RuntimeError("no traceback")


class Unfinished(LinkdError):
    """Its author forgot to call ``super().__init__``."""

    def __init__(self) -> None:
        pass


class Opaque(LinkdError):
    """Nothing of it can be read."""

    def __getattribute__(self, name: str) -> Any:
        raise Panic(name)


FAULTS: list[Callable[[], BaseException]] = [
    lambda: Panic("x"),
    lambda: GeneratorExit("x"),
    lambda: SystemExit(3),
    lambda: KeyboardInterrupt(),
    lambda: BaseExceptionGroup("x", [Panic(), ConflictError()]),
    lambda: BaseExceptionGroup("x", [asyncio.CancelledError()]),
    lambda: ExceptionGroup("x", [ConflictError(), ConflictError()]),
    lambda: ExceptionGroup("x", [ConflictError(), ValueError()]),
    lambda: ExceptionGroup("x", [TimeoutError()]),
    lambda: TimeoutError("own"),
    lambda: StopAsyncIteration(),
    lambda: asyncio.CancelledError(),
    Unspeakable,
    Unfinished,
    Opaque,
    lambda: MemoryError(),
    lambda: RecursionError(),
]
NAMES = [
    "panic",
    "generator-exit",
    "system-exit",
    "interrupt",
    "base-group",
    "group-cancelled",
    "group-two",
    "group-mixed",
    "group-timeout",
    "timeout",
    "stop-iteration",
    "cancelled",
    "unspeakable",
    "unfinished",
    "opaque",
    "memory",
    "recursion",
]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=NAMES)


def offer(service: Service[Any], fault: Callable[[], BaseException]) -> None:
    """Every kind of handler, failing so."""

    async def fail(ctx: Any) -> None:
        await asyncio.sleep(0)
        raise fault()

    async def fine(ctx: Any) -> str:
        return "fine"

    async def surrounded(ctx: Any, call_next: Any) -> Any:
        if ctx.name == "inside":
            await fail(ctx)
        return await call_next(ctx)

    async def upload(ctx: Any, chunks: Any) -> None:
        await fail(ctx)

    service.ws.on("message", fail)
    service.ws.on("unordered", fail, ordered=False)
    service.ws.on("inside", fine)
    service.ws.use(surrounded)
    service.ws.on_stream("stream")(upload)
    service.action("action")(fail)
    service.events.on("event")(fail)
    service.ws.on_disconnect(fail)
    service.ws.on("fine", fine)


def questions() -> dict[str, Frame]:
    """What the gateway asks of each."""
    asked = {type: message(type) for type in ("message", "unordered", "inside")}
    stream, request, call = Frame(), Frame(), Frame()
    stream.stream_opened.session, stream.stream_opened.type = "s-1", "stream"
    request.http_request.action = call.call.action = "action"
    call.call.caller = "other"
    event = Frame(event=Event(type="event", source="other"))
    return {**asked, "stream": stream, "request": request, "call": call, "event": event, "end": closed()}


def error_id(error: LinkdError) -> str:
    """What the log has of it."""
    assert error.details is not None
    return str(error.details["errorId"])


@each_fault
async def test_whatever_a_handler_raises_is_an_internal_error(
    service: Service[Any], link: MemoryLink, fault: Callable[[], BaseException]
) -> None:
    """With an id of its own in the log; more often than there are workers, and the next message is handled."""
    offer(service, fault)
    await link.ask(opened())

    for name, question in questions().items():
        with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
            async with asyncio.timeout(2):
                await link.ask(question)
        assert [line["error_id"] for line in logs] == [error_id(caught.value)], name
        if name != "end":
            assert (await link.ask(message("fine"))).response.data == b'"fine"'

    assert link.runtime.dispatcher.unfinished == 0
    assert link.runtime.sockets == {}


@each_fault
async def test_whatever_on_connect_raises_refuses_the_session(
    service: Service[Any], link: MemoryLink, fault: Callable[[], BaseException]
) -> None:
    """The session's messages get the same answer, with the same id."""

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        raise fault()

    service.ws.on("fine", answering())
    with structlog.testing.capture_logs() as logs:
        answers = await asyncio.gather(link.ask(opened()), link.ask(message("fine")), return_exceptions=True)

    assert [type(answer) for answer in answers] == [InternalError, InternalError]
    assert {error_id(answer) for answer in answers if isinstance(answer, LinkdError)} == {logs[0]["error_id"]}
    assert len(logs) == 1


def answering() -> Any:
    """A handler that answers."""

    async def fine(ctx: Any) -> str:
        return "fine"

    return fine


@each_fault
async def test_whatever_a_schema_raises_is_an_internal_error(
    service: Service[Any], link: MemoryLink, fault: Callable[[], BaseException]
) -> None:
    """While data becomes what the handler asks for, and while its result becomes bytes."""

    class Note(pydantic.BaseModel):
        """Checked by its author."""

        @pydantic.model_validator(mode="before")
        @classmethod
        def check(cls, data: Any) -> Any:
            """Fails."""
            raise fault()

    class Result:
        """Cannot be told."""

        def model_dump(self, **options: Any) -> Any:
            """Fails."""
            raise fault()

    async def reads(ctx: WsContext, note: Any) -> None: ...

    async def tells(ctx: WsContext) -> Any:
        return Result()

    service.ws.on("reads", reads, validate=Note)
    service.ws.on("tells", tells)
    await link.ask(opened())
    for type in ("reads", "tells"):
        with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
            async with asyncio.timeout(2):
                await link.ask(message(type, b"{}"))
        assert [line["error_id"] for line in logs] == [error_id(caught.value)], type


async def test_many_panics_leave_no_client_deaf(service: Service[Any], link: MemoryLink) -> None:
    """Each is one answer; none costs a worker."""
    offer(service, Panic)
    await link.ask(opened())
    with structlog.testing.capture_logs():
        for _ in range(200):
            with pytest.raises(InternalError):
                await link.ask(message("message"))

    assert (await link.ask(message("fine"))).response.data == b'"fine"'


@pytest.mark.parametrize("kind", ["message", "request", "event", "end", "stream"])
async def test_group_of_one_error_is_that_error(service: Service[Any], link: MemoryLink, kind: str) -> None:
    """Task groups wrap what a task of theirs raised, one inside the other where they nest."""
    offer(service, lambda: ExceptionGroup("a", [ExceptionGroup("b", [ConflictError("Full.", type="ROOM_FULL")])]))
    await link.ask(opened())

    with structlog.testing.capture_logs() as logs, pytest.raises(ConflictError, match="Full") as caught:
        await link.ask(questions()[kind])

    assert (caught.value.type, logs) == ("ROOM_FULL", [])


async def test_group_of_one_error_refuses_a_session_with_it(service: Service[Any], link: MemoryLink) -> None:
    """The session, and what it sent meanwhile."""

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(refuse())

    async def refuse() -> None:
        raise ForbiddenError("Banned.")

    service.ws.on("fine", answering())
    answers = await asyncio.gather(link.ask(opened()), link.ask(message("fine")), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ForbiddenError, ForbiddenError]


@each_fault
async def test_other_handlers_of_an_event_have_their_turn(
    service: Service[Any], link: MemoryLink, fault: Callable[[], BaseException]
) -> None:
    """Whatever the first one raises; the same for the ends of sessions."""
    log: list[str] = []

    async def fail(ctx: Any) -> None:
        raise fault()

    async def noted(ctx: Any) -> None:
        log.append(ctx.name)

    for handler in (fail, noted):
        service.events.on("event")(handler)
        service.ws.on_disconnect(handler)
    await link.ask(opened())

    with structlog.testing.capture_logs():
        for kind in ("event", "end"):
            with pytest.raises(InternalError):
                await link.ask(questions()[kind])

    assert log == ["event", "disconnect"]


# time limits


async def test_time_limit_of_an_event_handler_is_its_own(service: Service[Any], link: MemoryLink) -> None:
    """408 is for the limit; a TimeoutError of something that the handler awaited is a fault like any other."""

    @service.events.on("own", timeout=5.0)
    async def own(ctx: EventContext) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    @service.events.on("limit", timeout=0.001)
    async def limit(ctx: EventContext) -> None:
        await asyncio.Event().wait()

    with structlog.testing.capture_logs():
        with pytest.raises(InternalError):
            await link.ask(Frame(event=Event(type="own", source="x")))
        with pytest.raises(HandlerTimeoutError):
            await link.ask(Frame(event=Event(type="limit", source="x")))


async def test_thread_that_goes_on_holds_up_nobody(
    service: Service[Any], link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """408 when it counts as stubborn, then the session's next messages, in order."""
    monkeypatch.setattr("pylinkd.sdk.dispatch._STUBBORN_AFTER", 0.1)
    gate = threading.Event()
    handled: list[int] = []

    @service.ws.on("thread", timeout=0.05)
    async def thread(ctx: WsContext) -> None:
        working = asyncio.get_running_loop().run_in_executor(None, gate.wait)
        while not working.done():
            try:
                await asyncio.shield(working)
            except asyncio.CancelledError:
                continue

    @service.ws.on("next")
    async def following(ctx: WsContext, number: int) -> int:
        handled.append(number)
        return number

    await link.ask(opened())
    try:
        with structlog.testing.capture_logs():
            slow = asyncio.ensure_future(link.ask(message("thread")))
            others = [asyncio.ensure_future(link.ask(message("next", b"%d" % number))) for number in range(5)]
            done, _ = await asyncio.wait([slow, *others], timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert done == {slow}
            with pytest.raises(HandlerTimeoutError):
                slow.result()
            await asyncio.gather(*others)
    finally:
        gate.set()

    assert handled == [0, 1, 2, 3, 4]
    assert await link.runtime.dispatcher.drain(2.0)


# what cannot be logged


class NoReader:
    """A log whose reader has gone."""

    def __getattr__(self, name: str) -> Any:
        return self._write

    def _write(self, event: str, **fields: Any) -> None:
        raise BrokenPipeError(32, "Broken pipe")


@each_fault
async def test_log_that_cannot_be_written_costs_no_answer(
    service: Service[Any], link: MemoryLink, fault: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any kind of handler."""
    offer(service, fault)
    await link.ask(opened())
    for module in ("answered_job", "dispatch"):
        monkeypatch.setattr(f"pylinkd.sdk.{module}.log", NoReader())

    for question in questions().values():
        with pytest.raises(InternalError):
            async with asyncio.timeout(2):
                await link.ask(question)


async def test_time_limit_holds_where_the_log_cannot_be_written(
    service: Service[Any], link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the sweep that looks for the next one goes on."""
    monkeypatch.setattr("pylinkd.sdk.answered_job.log", NoReader())
    monkeypatch.setattr("pylinkd.sdk.dispatch.log", NoReader())

    @service.ws.on("hangs", timeout=0.01)
    async def hangs(ctx: WsContext) -> None:
        await asyncio.Event().wait()

    await link.ask(opened())
    for _ in range(2):
        with pytest.raises(HandlerTimeoutError):
            async with asyncio.timeout(2):
                await link.ask(message("hangs"))


def test_exception_without_a_text_is_logged_by_its_class() -> None:
    """The line is there all the same."""
    lines: list[dict[str, Any]] = []

    def write(event: str, **fields: Any) -> None:
        str(fields.get("exc_info"))
        lines.append({"event": event, **fields})

    safe_log.report(write, "handler_failed", exc_info=Unspeakable(), type="a")

    assert lines == [{"event": "handler_failed", "exception_class": "Unspeakable", "type": "a"}]


# errors of the context


class Refusing:
    """A gateway that answers every question with an error."""

    def __init__(self, error: Callable[[], LinkdError]) -> None:
        self._error = error

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """See Asker."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error())
        return future


ASKS: dict[str, tuple[str, Callable[[WsContext], Any]]] = {
    "target-emit": ("emit board.note", lambda ctx: ctx.to("lobby").emit("board.note")),
    "send": ("emit board.note", lambda ctx: ctx.send("board.note")),
    "emit": ("emit order.placed", lambda ctx: ctx.emit("order.placed")),
    "call": ("call shop.items.price", lambda ctx: ctx.call("shop", "items.price")),
    "join": ("join", lambda ctx: ctx.join("lobby")),
    "leave": ("leave", lambda ctx: ctx.leave("lobby")),
    "members": ("members", lambda ctx: ctx.members("lobby")),
    "rooms": ("rooms", lambda ctx: ctx.rooms()),
    "disconnect": ("disconnect", lambda ctx: ctx.disconnect()),
}


@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize("error", [RateLimitedError, PayloadTooLargeError])
@pytest.mark.parametrize("grouped", [False, True])
async def test_limit_of_what_a_handler_sets_off_is_no_limit_of_the_message(
    service: Service[Any], link: MemoryLink, what: str, error: type[LinkdError], grouped: bool
) -> None:
    """The handler may have done a part: 500 without retryAfterMs, and the log names what was asked for."""
    target, ask = ASKS[what]

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        if not grouped:
            await ask(ctx)
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(ctx))

    link.runtime.link = Refusing(lambda: error(retry_after=2.0))
    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
        await link.ask(message())

    assert caught.value.retry_after is None
    (line,) = logs
    assert (line["event"], line["log_level"], line["target"]) == ("handler_failed", "error", target)
    assert line["error_id"] == error_id(caught.value)


@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize("error", [NotFoundError, ConflictError, ForbiddenError, ServiceUnavailableError])
async def test_other_errors_of_the_context_are_the_answer(
    service: Service[Any], link: MemoryLink, what: str, error: type[LinkdError]
) -> None:
    """As they are; the log names what was asked for, once."""
    target, ask = ASKS[what]

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        await ask(ctx)

    link.runtime.link = Refusing(lambda: error(details={"x": 1}))
    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(error) as caught:
        await link.ask(message())

    assert caught.value.details == {"x": 1}
    (line,) = logs
    level = "warning" if error is ServiceUnavailableError else "info"  # a client may bring the others about at will
    assert (line["event"], line["log_level"], line["target"]) == ("handler_failed", level, target)
    assert (line["code"], line["error"]) == (error.default_code, error.default_type)


async def test_limit_that_the_author_passes_on_is_the_answer(service: Service[Any], link: MemoryLink) -> None:
    """An error that a handler makes is meant for the client, whatever it was made of."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        try:
            await ctx.to("lobby").emit("x")
        except RateLimitedError as error:
            raise RateLimitedError("Slower.", retry_after=error.retry_after) from error

    link.runtime.link = Refusing(lambda: RateLimitedError(retry_after=2.0))
    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(RateLimitedError, match="Slower") as caught:
        await link.ask(message())

    assert (caught.value.retry_after, logs) == (2.0, [])


async def test_session_refused_by_the_context_is_logged_once(service: Service[Any], link: MemoryLink) -> None:
    """However many messages it sent meanwhile."""

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        await ctx.join("lobby")

    service.ws.on("fine", answering())
    link.runtime.link = Refusing(lambda: ConflictError(type="TOO_MANY_ROOMS"))
    with structlog.testing.capture_logs() as logs:
        answers = await asyncio.gather(
            link.ask(opened()), link.ask(message("fine")), link.ask(message("fine")), return_exceptions=True
        )

    assert [type(answer) for answer in answers] == [ConflictError] * 3
    assert [line["target"] for line in logs] == ["join"]


async def test_answer_that_is_too_large_is_logged_as_such(service: Service[Any], link: MemoryLink) -> None:
    """An answer, and an error."""

    @service.ws.on("result")
    async def result(ctx: WsContext) -> str:
        return "x" * MAX_FRAME_SIZE

    @service.ws.on("refusal")
    async def refusal(ctx: WsContext) -> None:
        raise ConflictError("x" * MAX_FRAME_SIZE)

    await link.ask(opened())
    for type in ("result", "refusal"):
        with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
            await link.ask(message(type))

        (line,) = logs
        assert (line["event"], line["limit"]) == ("answer_too_large", MAX_FRAME_SIZE)
        assert (line["type"], line["error_id"]) == (type, error_id(caught.value))


async def test_handler_may_act_on_an_error_before_it_is_answered(service: Service[Any], link: MemoryLink) -> None:
    """``target`` tells an author which of several questions it was."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> str | None:
        try:
            await ctx.call("shop", "items.price")
        except ServiceUnavailableError as error:
            return error.target
        return None

    await link.ask(opened())

    assert (await link.ask(message())).response.data == b'"call shop.items.price"'


async def test_calls_beyond_every_bound_are_unavailable(service: Service[Any]) -> None:
    """503 with retryAfterMs, and the log says which were."""
    service._max_concurrent = 1

    @service.action("down")
    async def down(ctx: HttpContext) -> Any:
        # Twice each: a chain of calls is cut before it meets the bound.
        return await asyncio.gather(ctx.call("chat", "down"), ctx.call("chat", "down"))

    async with service.opened() as runtime:
        link = MemoryLink(runtime)

        class Loop:
            def ask(self, frame: Frame) -> asyncio.Future[Any]:
                """The call comes back."""
                encode(frame)
                return asyncio.ensure_future(link.ask(frame))

        runtime.link = Loop()
        frame = Frame()
        frame.call.action = "down"
        with structlog.testing.capture_logs() as logs:
            with pytest.raises(ServiceUnavailableError) as caught:
                async with asyncio.timeout(5):
                    await link.ask(frame)
            assert await runtime.dispatcher.drain(5.0)

        assert caught.value.retry_after is not None
        assert "call_refused" in {line["event"] for line in logs}


@each_fault
async def test_memory_gateway_shows_the_same(service: Service[Any], fault: Callable[[], BaseException]) -> None:
    """A service's own tests see what its clients would."""
    offer(service, fault)
    service.ws.off("inside")

    with structlog.testing.capture_logs():
        async with run(service) as gateway:
            client = await gateway.connect()
            for type in ("message", "unordered"):
                with pytest.raises(InternalError):
                    await client.send(type)
            with pytest.raises(InternalError):
                await gateway.call("action")
            with pytest.raises(InternalError):
                await gateway.emit("event")
            assert await client.send("fine") == "fine"
            with pytest.raises(InternalError):
                await client.close()
