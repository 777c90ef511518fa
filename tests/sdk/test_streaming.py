"""Answers that are streamed, events for browsers, and request bodies that are streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest
import structlog

from pylinkd import (
    EventSourceResponse,
    HttpContext,
    LinkdError,
    PayloadTooLargeError,
    RegistrationError,
    Response,
    ServerSentEvent,
    Service,
    ServiceUnavailableError,
    Stream,
    StreamingResponse,
    UnknownActionError,
    WsContext,
)
from pylinkd.protocol.link import MAX_CHUNK_SIZE, STREAM_WINDOW
from pylinkd.protocol.link_pb2 import Frame, StreamChunk
from pylinkd.sdk.dispatch import time_left
from pylinkd.testing import StreamedAnswer, decode, run


@pytest.fixture
def service() -> Service[Any]:
    """Without actions."""
    return Service("files")


async def numbers(count: int) -> AsyncIterator[str]:
    """Some lines, one in each turn of the loop."""
    for number in range(count):
        yield f"{number}\n"
        await asyncio.sleep(0.001)


async def test_answer_comes_piece_by_piece(service: Service[Any]) -> None:
    """With its status and headers first."""

    @service.action("numbers", route="/numbers")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(numbers(3), status=206, content_type="text/plain", headers={"X-Kind": "lines"})

    async with run(service) as gateway:
        async with gateway.stream("GET", "/numbers") as streamed:
            assert streamed.status == 206
            assert streamed.headers == {"content-type": "text/plain", "x-kind": "lines"}
            assert [chunk async for chunk in streamed] == [b"0\n", b"1\n", b"2\n"]
        assert (await gateway.request("GET", "/numbers")).body == b"0\n1\n2\n"


async def test_generator_runs_only_as_far_as_the_client_reads(service: Service[Any]) -> None:
    """A few chunks are under way, and no more are made; small pieces go together."""
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x" * 100

    @service.action("endless", route="/endless")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(endless())

    async with run(service) as gateway, gateway.stream("GET", "/endless") as streamed:
        first = await asyncio.wait_for(anext(streamed), 5)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(first) == MAX_CHUNK_SIZE
        assert made * 100 <= (STREAM_WINDOW + 3) * MAX_CHUNK_SIZE


async def test_large_chunks_are_cut_up(service: Service[Any]) -> None:
    """None is larger than the link takes."""
    whole = bytes(range(256)) * (5 * MAX_CHUNK_SIZE // 512)

    async def large() -> AsyncIterator[bytes]:
        yield whole

    @service.action("large", route="/large")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(large(), size=len(whole))

    async with run(service) as gateway, gateway.stream("GET", "/large") as streamed:
        assert streamed.headers["content-length"] == str(len(whole))
        chunks = [chunk async for chunk in streamed]

    assert b"".join(chunks) == whole
    assert max(map(len, chunks)) == MAX_CHUNK_SIZE


async def test_generator_is_closed_when_the_client_leaves(service: Service[Any]) -> None:
    """It can let go of what it holds."""
    closed = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            closed.set()

    @service.action("held", route="/held")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(held())

    async with run(service) as gateway:
        async with gateway.stream("GET", "/held") as streamed:
            await anext(streamed)
        await asyncio.wait_for(closed.wait(), 5)


async def test_generator_that_fails_breaks_the_answer_off(service: Service[Any]) -> None:
    """The client sees that it is incomplete, and the log says why, with the action."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.001)
        raise LookupError("a secret")

    @service.action("failing", route="/failing")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(failing())

    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway, gateway.stream("GET", "/failing") as streamed:
            assert await anext(streamed) == b"x"
            with pytest.raises(ServiceUnavailableError):
                await anext(streamed)

    (line,) = [line for line in logs if line["event"] == "answer_stream_failed"]
    assert line["action"] == "failing"
    assert line["error_id"]


async def test_chunk_that_is_no_bytes_breaks_the_answer_off(service: Service[Any]) -> None:
    """It is a mistake of the author's."""

    async def wrong() -> AsyncIterator[Any]:
        yield 7

    @service.action("wrong", route="/wrong")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(wrong())

    async with run(service) as gateway, gateway.stream("GET", "/wrong") as streamed:
        with pytest.raises(ServiceUnavailableError):
            await anext(streamed)


async def test_exit_in_a_generator_ends_no_process(service: Service[Any]) -> None:
    """As in a handler."""

    async def leaving() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.001)
        raise SystemExit(3)

    @service.action("leaving", route="/leaving")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(leaving())

    async with run(service) as gateway, gateway.stream("GET", "/leaving") as streamed:
        assert await anext(streamed) == b"x"
        with pytest.raises(ServiceUnavailableError):
            await anext(streamed)


async def test_streams_take_no_place_of_a_handler(service: Service[Any]) -> None:
    """Though as many clients listen as handlers may run."""
    service = Service("files", max_concurrent=2)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    @service.action("silent", route="/silent")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(silent())

    async with (
        run(service) as gateway,
        gateway.stream("GET", "/silent") as one,
        gateway.stream("GET", "/silent") as two,
        gateway.stream("GET", "/silent") as three,
    ):
        assert [await anext(each) for each in (one, two, three)] == [b"x"] * 3


async def test_generator_has_its_handlers_context_and_not_its_time(service: Service[Any]) -> None:
    """What the handler set is there; its timeout is over with it."""
    variable = ContextVar("variable", default="")
    seen: list[Any] = []

    async def look() -> AsyncIterator[bytes]:
        seen.extend((variable.get(), time_left()))
        yield b"x"

    @service.action("look", route="/look", timeout=5.0)
    async def answer(ctx: HttpContext) -> Response:
        variable.set("of the handler")
        return StreamingResponse(look())

    async with run(service) as gateway:
        await gateway.request("GET", "/look")

    assert seen == ["of the handler", float("inf")]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_generator_does_not_run_where_no_body_is_sent(service: Service[Any], method: str) -> None:
    """HEAD has none, and a client whose copy is current needs none."""
    began = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal began
        began = True
        yield b"x"

    @service.action("body", route="/body")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(body(), etag="v1", size=1)

    headers = {"If-None-Match": '"v1"'} if method == "GET" else {}
    async with run(service) as gateway:
        response = await gateway.request(method, "/body", headers=headers)

    assert response.status == (304 if method == "GET" else 200)
    assert not began


async def test_streamed_answer_is_none_to_a_call(service: Service[Any]) -> None:
    """A call has one answer."""

    @service.action("numbers", route="/numbers")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(numbers(3))

    async with run(service) as gateway:
        with pytest.raises(LinkdError) as caught:
            await gateway.call("numbers")

    assert caught.value.code == 500


async def test_streamed_answer_cannot_be_kept_for_a_key(service: Service[Any]) -> None:
    """It is said at the first request, whose generator does not run."""

    @service.action("numbers", route="/numbers", method="POST", once=True)
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(numbers(3))

    async with run(service) as gateway:
        with pytest.raises(LinkdError) as caught:
            await gateway.request("POST", "/numbers", headers={"Idempotency-Key": "k"})

    assert isinstance(caught.value.__cause__, TypeError)


def test_chunks_have_to_be_asynchronous() -> None:
    """A list would be sent at once: that is a Response."""
    with pytest.raises(TypeError, match="async generator"):
        StreamingResponse([b"x"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async generator"):
        EventSourceResponse(["x"])  # type: ignore[arg-type]


# events


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (ServerSentEvent("a"), b"data: a\n\n"),
        (ServerSentEvent("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (ServerSentEvent(""), b"data: \n\n"),
        (ServerSentEvent({"price": 1.5}), b'data: {"price":1.5}\n\n'),
        (ServerSentEvent(None), b"data: null\n\n"),
        (ServerSentEvent("a", event="tick", id="7", retry=1.5), b"event: tick\nid: 7\nretry: 1500\ndata: a\n\n"),
        (ServerSentEvent("a", id=""), b"id: \ndata: a\n\n"),
        (ServerSentEvent("ü"), "data: ü\n\n".encode()),
    ],
)
def test_events_are_sent_as_browsers_read_them(event: ServerSentEvent, sent: bytes) -> None:
    """WHATWG HTML, "Server-sent events"."""
    assert event.encode() == sent


@pytest.mark.parametrize(
    "options", [{"event": "a\nb"}, {"id": "a\rb"}, {"id": "a\0b"}, {"event": "a\r"}], ids=lambda options: repr(options)
)
def test_line_breaks_cannot_make_further_fields(options: dict[str, str]) -> None:
    """Not even in what comes from a user."""
    with pytest.raises(ValueError, match="an event's"):
        ServerSentEvent("x", **options)  # type: ignore[arg-type]


async def test_events_and_comments_in_silence(service: Service[Any]) -> None:
    """Whatever is on the way sees that the connection lives."""
    more = asyncio.Event()

    async def events() -> AsyncIterator[Any]:
        yield {"n": 1}
        await more.wait()
        yield ServerSentEvent("end", event="end")

    @service.action("events", route="/events")
    async def answer(ctx: HttpContext) -> Response:
        return EventSourceResponse(events(), heartbeat=0.01)

    async with run(service) as gateway, gateway.stream("GET", "/events") as streamed:
        assert streamed.headers["content-type"] == "text/event-stream"
        assert streamed.headers["cache-control"] == "no-store"
        assert await anext(streamed) == b'data: {"n":1}\n\n'
        assert await anext(streamed) == b":\n\n"
        more.set()
        rest = [chunk async for chunk in streamed if chunk != b":\n\n"]

    assert rest == [b"event: end\ndata: end\n\n"]


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan")])
def test_heartbeat_is_a_time(heartbeat: float) -> None:
    """Else it would be one without pause."""
    with pytest.raises(ValueError, match="heartbeat"):
        EventSourceResponse(numbers(1), heartbeat=heartbeat)


# request bodies


async def test_body_comes_chunk_by_chunk(service: Service[Any]) -> None:
    """It is never whole in memory."""

    @service.action.on_stream("files.put", route="/files/{name}", method="PUT")
    async def put(ctx: HttpContext, chunks: Stream) -> Any:
        return {"name": ctx.params["name"], "sizes": [len(chunk) async for chunk in chunks], "size": chunks.size}

    async with run(service) as gateway:
        answer = await gateway.request("PUT", "/files/a", body=[b"abc", b"de"])
        empty = await gateway.request("PUT", "/files/b")

    assert decode(answer) == {"name": "a", "sizes": [3, 2], "size": 5}
    assert decode(empty) == {"name": "b", "sizes": [], "size": 0}


async def test_body_that_is_larger_than_the_action_takes_is_refused(service: Service[Any]) -> None:
    """413, wherever it is noticed."""

    @service.action.on_stream("files.put", route="/files", max_size=4)
    async def put(ctx: HttpContext, chunks: Stream) -> int:
        return sum([len(chunk) async for chunk in chunks])

    async with run(service) as gateway:
        assert decode(await gateway.request("POST", "/files", body=[b"ab", b"cd"])) == 4
        with pytest.raises(PayloadTooLargeError):
            await gateway.request("POST", "/files", body=[b"ab", b"cde"])


async def test_body_may_be_left_unread(service: Service[Any]) -> None:
    """The answer is the end of it."""

    @service.action.on_stream("files.put", route="/files")
    async def put(ctx: HttpContext, chunks: Stream) -> str:
        return "enough"

    async with run(service) as gateway:
        assert decode(await gateway.request("POST", "/files", body=[b"x"] * 100)) == "enough"


async def test_generator_cannot_read_the_body_behind_the_answer(service: Service[Any]) -> None:
    """It does not wait for chunks that nobody sends any more."""

    @service.action.on_stream("files.put", route="/files")
    async def put(ctx: HttpContext, chunks: Stream) -> Response:
        return StreamingResponse(chunks)

    async with run(service) as gateway, gateway.stream("POST", "/files", body=[]) as streamed:
        with pytest.raises(ServiceUnavailableError):
            await anext(streamed)


async def test_action_with_a_stream_is_none_for_calls(service: Service[Any]) -> None:
    """Calls have no body that could be streamed."""

    @service.action.on_stream("files.put", route="/files")
    async def put(ctx: HttpContext, chunks: Stream) -> None:
        """Never called."""

    async with run(service) as gateway:
        with pytest.raises(UnknownActionError):
            await gateway.call("files.put")


async def test_groups_have_actions_with_streams(service: Service[Any]) -> None:
    """With their prefix, route and requirement; their timeout is not meant for streams."""
    files = service.action.group("files", route="/files", auth=True, timeout=1.0)

    @files.on_stream("put", route="/{name}", method="PUT")
    async def put(ctx: HttpContext, chunks: Stream) -> str | None:
        return None if ctx.identity is None else ctx.identity.user

    (handler,) = service.action.handlers
    assert (handler.name, handler.route, handler.timeout) == ("files.put", "/files/{name}", None)
    async with run(service) as gateway:
        assert decode(await gateway.request("PUT", "/files/a", body=b"x", user="ann")) == "ann"
        with pytest.raises(LinkdError) as caught:
            await gateway.request("PUT", "/files/a", body=b"x")
    assert caught.value.code == 401


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "GET"}, "method is one of PATCH, POST, PUT"),
        ({"max_size": 0}, "max_size"),
        ({"max_size": 2**32}, "max_size"),
        ({"idle_timeout": 0}, "idle_timeout"),
        ({"route": ""}, "is no route"),
    ],
)
def test_wrong_options_are_refused(service: Service[Any], options: dict[str, Any], says: str) -> None:
    """Where they are written."""

    async def put(ctx: HttpContext, chunks: Stream) -> None:
        """Never called."""

    with pytest.raises(RegistrationError, match=says):
        service.action.on_stream("files.put", **{"route": "/files", **options})(put)


def test_handler_has_to_take_the_chunks(service: Service[Any]) -> None:
    """There is nothing else to do with them."""

    async def put(ctx: HttpContext) -> None:
        """Never called."""

    with pytest.raises(RegistrationError, match=r"takes \(ctx, chunks\)"):
        service.action.on_stream("files.put", route="/files")(put)


# the awkward ends


def fails(service: Service[Any], chunks: Any, **options: Any) -> None:
    """An action that answers with these."""

    @service.action("fails", route="/fails")
    async def answer(ctx: HttpContext) -> Response:
        return StreamingResponse(chunks(), **options)


async def cancelled() -> AsyncIterator[bytes]:
    """Awaits something that somebody cancelled."""
    yield b"x"
    gone = asyncio.ensure_future(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(gone.cancel)
    await gone


class Unready:
    """Cannot even begin."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise LookupError("not now")


@pytest.mark.parametrize("chunks", [cancelled, Unready])
async def test_body_that_ends_of_itself_is_broken_off(service: Service[Any], chunks: Any) -> None:
    """A cancellation from within is a failure as any other, and the log says so."""
    fails(service, chunks)
    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway, asyncio.timeout(5):
            with pytest.raises(ServiceUnavailableError):
                await gateway.request("GET", "/fails")

    assert [line["event"] for line in logs].count("answer_stream_failed") == 1


@pytest.mark.parametrize(("pieces", "size"), [([b"12345", b"67890"], 5), ([b"123456"], 5), ([b"1234"], 5), ([], 1)])
async def test_body_is_as_long_as_it_says_or_broken_off(service: Service[Any], pieces: list[bytes], size: int) -> None:
    """No client has all the bytes that were promised, where there are others."""

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0.001)

    fails(service, chunks, size=size)
    got: list[bytes] = []

    async def read(streamed: StreamedAnswer) -> None:
        async for chunk in streamed:
            got.append(chunk)

    async with run(service) as gateway, gateway.stream("GET", "/fails") as streamed:
        with pytest.raises(ServiceUnavailableError):
            await read(streamed)

    assert len(b"".join(got)) < size


@pytest.mark.parametrize("size", [-1, 1.5, "10", True])
def test_size_is_a_number_of_bytes(size: Any) -> None:
    """Said where it is written."""
    with pytest.raises(ValueError, match="size is a number"):
        StreamingResponse(numbers(1), size=size)


async def test_generator_that_swallows_its_end_stops_all_the_same(service: Service[Any]) -> None:
    """Nothing is left of it, and the service can stop."""
    swallowed = asyncio.Event()

    async def stubborn() -> AsyncIterator[bytes]:
        yield b"x"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed.set()
        while True:
            yield b"more"

    fails(service, stubborn)
    async with run(service) as gateway:
        async with gateway.stream("GET", "/fails") as streamed:
            await anext(streamed)
        await asyncio.wait_for(swallowed.wait(), 5)
        async with asyncio.timeout(5):
            while any(task.get_name() == "linkd-answer" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.001)


class Source:
    """Chunks with something to let go of."""

    def __init__(self) -> None:
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """See AsyncGenerator."""
        self.closed = True


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("HEAD", {}, 200), ("GET", {"If-None-Match": '"v1"'}, 200), ("GET", {}, 204), ("GET", {}, 200)],
)
@pytest.mark.parametrize("events", [False, True])
async def test_chunks_are_closed_whether_they_are_sent_or_not(
    service: Service[Any], method: str, headers: dict[str, str], status: int, events: bool
) -> None:
    """Such as another server's answer, or a cursor."""
    source = Source()

    @service.action("source", route="/source")
    async def answer(ctx: HttpContext) -> Response:
        if events:
            return EventSourceResponse(source)
        return StreamingResponse(source, status=status, etag="v1")

    async with run(service) as gateway:
        if events and method == "GET":
            async with gateway.stream(method, "/source", headers=headers):
                pass
        else:
            await gateway.request(method, "/source", headers=headers)
        async with asyncio.timeout(5):
            while not source.closed:
                await asyncio.sleep(0)


async def test_heartbeat_never_stands_within_an_event(service: Service[Any]) -> None:
    """Nor are there more chunks under way than there may be."""
    event = ServerSentEvent("x" * 200_000)

    async def events() -> AsyncIterator[Any]:
        for _ in range(5):
            yield event
            await asyncio.sleep(0.003)

    @service.action("events", route="/events")
    async def answer(ctx: HttpContext) -> Response:
        return EventSourceResponse(events(), heartbeat=0.0005)

    got = b""
    async with run(service) as gateway, gateway.stream("GET", "/events") as streamed:
        async for chunk in streamed:
            got += chunk
            await asyncio.sleep(0.001)

    assert got.replace(b":\n\n", b"") == event.encode() * 5
    assert got.count(event.encode()) == 5


def test_headers_of_a_streamed_answer_stand_once() -> None:
    """What the author gives counts."""
    csv = StreamingResponse(numbers(1), headers={"content-type": "text/csv"})
    events = EventSourceResponse(numbers(1), headers={"cache-control": "no-transform"})

    assert [value for name, value in csv.header_list if name.lower() == "content-type"] == ["text/csv"]
    assert [value for name, value in events.header_list if name.lower() == "cache-control"] == ["no-transform"]
    with pytest.raises(ValueError, match="text/event-stream"):
        EventSourceResponse(numbers(1), headers={"Content-Type": "text/plain"})


async def test_events_are_asked_for_as_a_stream_in_tests(service: Service[Any]) -> None:
    """A request would never end."""

    @service.action("events", route="/events")
    async def answer(ctx: HttpContext) -> Response:
        return EventSourceResponse(numbers(1))

    async with run(service) as gateway:
        with pytest.raises(TypeError, match=r"gateway\.stream"):
            await gateway.request("GET", "/events")


@pytest.mark.parametrize("option", ["once", "retry", "breaker", "dead_letters", "max_body", "validate"])
def test_actions_with_streams_have_no_option_that_would_lose_them(service: Service[Any], option: str) -> None:
    """A second try would find the chunks used up."""

    async def put(ctx: HttpContext, chunks: Stream) -> None:
        """Never called."""

    async def upload(ctx: WsContext, chunks: Stream) -> None:
        """Never called."""

    with pytest.raises(TypeError, match=option):
        service.action.on_stream("files.put", route="/files", **{option: True})(put)  # type: ignore[arg-type]
    if option != "max_body":
        with pytest.raises(TypeError, match=option):
            service.ws.on_stream("files.upload", **{option: True})(upload)  # type: ignore[arg-type]


async def test_handlers_that_wait_for_their_clients_keep_nobody_out() -> None:
    """As many slow clients as handlers may run."""
    service = Service("files", max_concurrent=2)

    @service.ws.on_stream("files.upload")
    async def upload(ctx: WsContext, chunks: Stream) -> int:
        return sum([len(chunk) async for chunk in chunks])

    @service.action("hello", route="/hello")
    async def hello(ctx: HttpContext) -> str:
        return "hello"

    async with run(service) as gateway:
        waiting = []
        for number in range(5):
            client = await gateway.connect(f"u{number}")
            frame = Frame()
            frame.stream_opened.session, frame.stream_opened.type = client.id, "files.upload"
            waiting.append((frame, asyncio.ensure_future(gateway.tell(frame))))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            assert decode(await gateway.request("GET", "/hello")) == "hello"
        for frame, answer in waiting:
            gateway.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(data=b"abc")))
            gateway.say(Frame(request_id=frame.request_id, stream_chunk=StreamChunk(last=True)))
            assert (await answer).response.data == b"3"


async def test_answer_of_a_link_that_is_gone_is_let_go_of(service: Service[Any]) -> None:
    """Its number may be another answer's by now."""
    source, ready = Source(), asyncio.Event()

    @service.action("late", route="/late")
    async def late(ctx: HttpContext) -> Response:
        await ready.wait()
        return StreamingResponse(source)

    async with run(service) as gateway:
        asking = asyncio.ensure_future(gateway.request("GET", "/late"))
        await asyncio.sleep(0.01)
        runtime = gateway._runtime
        runtime.lost()
        runtime.link = gateway
        ready.set()
        async with asyncio.timeout(5):
            while not source.closed:
                await asyncio.sleep(0.001)
        assert not runtime.answer_streams._streams
        asking.cancel()
