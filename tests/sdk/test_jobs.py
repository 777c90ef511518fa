"""What the gateway asks of a service, and the one answer that each question gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from pylinkd import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    HandlerTimeoutError,
    InternalError,
    LinkdError,
    NotFoundError,
    Service,
    WsContext,
)
from pylinkd.protocol.link_pb2 import CODEC_MSGPACK, Frame
from pylinkd.sdk.runtime import Runtime

from .links import MemoryLink


@pytest.fixture
def service() -> Service[Any]:
    """Without handlers."""
    return Service("chat", stop_timeout=0.2)


@pytest.fixture
async def link(service: Service[Any]) -> AsyncIterator[MemoryLink]:
    """The service runs behind it."""
    async with service.opened() as runtime:
        yield MemoryLink(runtime)


def opened(id: str = "s-1", *, adopted: bool = False, codec: int = 0) -> Frame:
    """A session begins."""
    frame = Frame()
    frame.session_opened.session.id = id
    frame.session_opened.session.codec = codec  # type: ignore[assignment]
    frame.session_opened.adopted = adopted
    return frame


def closed(id: str = "s-1", *rooms: str) -> Frame:
    """It ends."""
    frame = Frame()
    frame.session_closed.session.id = id
    frame.session_closed.reason = "client_closed"
    frame.session_closed.rooms.extend(rooms)
    return frame


def message(type: str = "a", data: bytes = b"", id: str = "s-1") -> Frame:
    """It sends something."""
    frame = Frame()
    frame.inbound.session = id
    frame.inbound.type = type
    frame.inbound.data = data
    return frame


# answers


async def test_unordered_message_waits_for_on_connect_alone(service: Service[Any], link: MemoryLink) -> None:
    """And not for an ordered one that came before it while on_connect ran."""
    connected, slow, log = asyncio.Event(), asyncio.Event(), list[str]()

    @service.ws.on_connect
    async def connect(ctx: WsContext) -> None:
        await connected.wait()
        log.append("connect")

    @service.ws.on("a")
    async def ordered(ctx: WsContext) -> None:
        await slow.wait()
        log.append("a")

    @service.ws.on("b", ordered=False)
    async def unordered(ctx: WsContext) -> None:
        log.append("b")

    asked = [asyncio.create_task(link.ask(frame)) for frame in (opened(), message("a"), message("b"))]
    await asyncio.sleep(0)
    connected.set()
    await asyncio.wait_for(asked[2], 2.0)
    slow.set()
    await asyncio.gather(*asked)

    assert log == ["connect", "b", "a"]


async def test_answers_of_jobs_that_overlap_are_not_mixed_up(service: Service[Any], link: MemoryLink) -> None:
    """Each question gets its own, whatever is reused in between."""

    @service.ws.on("a", ordered=False)
    async def handler(ctx: WsContext, number: int) -> int:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        return number

    await link.ask(opened())
    answers = await asyncio.gather(*(link.ask(message(data=b"%d" % number)) for number in range(50)))

    assert [answer.response.data for answer in answers] == [b"%d" % number for number in range(50)]


async def test_error_of_the_handler_is_the_answer(service: Service[Any], link: MemoryLink) -> None:
    """A LinkdError as it is; nothing is logged, it was meant."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        raise ConflictError("Full.", type="ROOM_FULL", details={"limit": 3}, retry_after=1.0)

    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(ConflictError, match="Full") as caught:
        await link.ask(message())

    assert (caught.value.type, caught.value.details, caught.value.retry_after) == ("ROOM_FULL", {"limit": 3}, 1.0)
    assert logs == []


async def test_fault_of_the_handler_tells_nothing_but_an_id(service: Service[Any], link: MemoryLink) -> None:
    """The log has the same id, the exception, and who asked for what; not the data."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        raise KeyError("password")

    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
        await link.ask(message(data=b'"secret"'))

    assert caught.value.details is not None
    assert "password" not in str(caught.value.details) + caught.value.message
    (line,) = logs
    assert (line["event"], line["error_id"]) == ("handler_failed", caught.value.details["errorId"])
    assert (line["type"], line["session"]) == ("a", "s-1")
    assert isinstance(line["exc_info"], KeyError)
    assert "secret" not in str(line)


def recursive() -> dict[str, Any]:
    """Contains itself."""
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@pytest.mark.parametrize(
    "result",
    [object(), {"x": {1, 2, object()}}, "\ud800", recursive(), "x" * (17 * 2**20), {("a", 1): 1}],
    ids=["object", "inside", "surrogate", "recursive", "large", "key"],
)
async def test_result_that_cannot_be_told_is_an_internal_error(
    service: Service[Any], link: MemoryLink, result: Any
) -> None:
    """The client gets an answer in any case."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> Any:
        return result

    await link.ask(opened())
    with structlog.testing.capture_logs(), pytest.raises(InternalError):
        await link.ask(message())


@pytest.mark.parametrize(
    "error",
    [
        lambda: ForbiddenError("\ud800"),
        lambda: ForbiddenError(details={"x": object()}),
        lambda: ForbiddenError(details={"x": "\ud800"}),
        lambda: ForbiddenError(details=recursive()),
        lambda: ForbiddenError("x" * (17 * 2**20)),
    ],
)
async def test_error_that_cannot_be_told_is_an_internal_error(
    service: Service[Any], link: MemoryLink, error: Any
) -> None:
    """Once, and the job counts as done."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        raise error()

    await link.ask(opened())
    with structlog.testing.capture_logs(), pytest.raises(InternalError):
        await link.ask(message())
    assert link.runtime.dispatcher.unfinished == 0


async def test_handler_that_takes_too_long_is_answered_for(service: Service[Any], link: MemoryLink) -> None:
    """408, and it was cancelled."""
    ends: list[str] = []

    @service.ws.on("a", timeout=0.01)
    async def handler(ctx: WsContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    await link.ask(opened())
    with structlog.testing.capture_logs() as logs, pytest.raises(HandlerTimeoutError):
        await link.ask(message())

    assert ends == ["cancelled"]
    assert [line["event"] for line in logs] == ["handler_timed_out"]


async def test_handler_may_answer_after_its_cancellation(service: Service[Any], link: MemoryLink) -> None:
    """What it says in its own defence is the answer."""

    @service.ws.on("a", timeout=0.01)
    async def handler(ctx: WsContext) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "partial"
        return "never"

    await link.ask(opened())

    assert (await link.ask(message())).response.data == b'"partial"'


async def test_handler_that_cancels_itself_is_answered_for(service: Service[Any], link: MemoryLink) -> None:
    """500, and the session goes on."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        raise asyncio.CancelledError

    await link.ask(opened())
    for _ in range(2):
        with structlog.testing.capture_logs(), pytest.raises(InternalError):
            async with asyncio.timeout(2):
                await link.ask(message())


async def test_messagepack_sessions_are_answered_in_messagepack(service: Service[Any], link: MemoryLink) -> None:
    """Data and answer are in the session's codec."""

    @service.ws.on("a")
    async def handler(ctx: WsContext, data: dict[str, int]) -> Any:
        assert ctx.data == data
        return [data["x"], None]

    await link.ask(opened(codec=CODEC_MSGPACK))

    assert (await link.ask(message(data=b"\x81\xa1x\x05"))).response.data == b"\x92\x05\xc0"


@pytest.mark.parametrize(
    ("frame", "code"),
    [(message(id="unknown"), 503), (message("unknown"), 404)],
)
async def test_message_for_nobody_is_answered(service: Service[Any], link: MemoryLink, frame: Frame, code: int) -> None:
    """An unknown session may come back, an unknown type will not."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None: ...

    await link.ask(opened())
    with pytest.raises(LinkdError) as caught:
        await link.ask(frame)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", ["http_request", "call"])
async def test_action_that_is_not_there_is_not_found(link: MemoryLink, kind: str) -> None:
    """It was removed meanwhile."""
    frame = Frame()
    getattr(frame, kind).action = "gone"

    with pytest.raises(LinkdError) as caught:
        await link.ask(frame)
    assert caught.value.code == 404


async def test_signs_of_life_are_given(link: MemoryLink) -> None:
    """At once, without a job."""
    frame = Frame()
    frame.ping.SetInParent()

    assert (await link.ask(frame)).WhichOneof("body") == "done"


async def test_frame_of_a_later_version_is_refused(link: MemoryLink) -> None:
    """Rather than left without an answer."""
    frame = Frame()
    frame.publish.SetInParent()

    with structlog.testing.capture_logs(), pytest.raises(LinkdError, match="publish"):
        await link.ask(frame)


# the beginning and the end of a session


async def test_session_begins_before_its_messages_and_ends_after_them(service: Service[Any], link: MemoryLink) -> None:
    """Also if all of it comes at once and each takes its time."""
    log: list[str] = []

    async def noted(ctx: WsContext) -> None:
        await asyncio.sleep(0)
        log.append(ctx.name)

    service.ws.on_connect(noted)
    service.ws.on_disconnect(noted)
    service.ws.on("a", noted)
    service.ws.on("b", noted)

    await asyncio.gather(*(link.ask(frame) for frame in (opened(), message("a"), message("b"), closed())))

    assert log == ["connect", "a", "b", "disconnect"]
    assert link.runtime.sockets == {}


async def test_refused_session_handles_nothing(service: Service[Any], link: MemoryLink) -> None:
    """Messages that were sent before the refusal get it as their answer; on_disconnect does not run."""
    log: list[str] = []

    @service.ws.on_connect
    async def banned(ctx: WsContext) -> None:
        await asyncio.sleep(0)
        raise ForbiddenError("Banned.")

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        log.append("a")

    @service.ws.on_disconnect
    async def disconnected(ctx: WsContext) -> None:
        log.append("disconnect")

    results = await asyncio.gather(
        *(link.ask(frame) for frame in (opened(), message(), message(), closed())), return_exceptions=True
    )

    assert [type(result) for result in results] == [ForbiddenError] * 3 + [Frame]
    assert log == []
    assert link.runtime.sockets == {}


async def test_refusal_holds_when_the_link_breaks(service: Service[Any], link: MemoryLink) -> None:
    """The gateway did not hear it and asks again: the answer is the same."""

    @service.ws.on_connect
    async def banned(ctx: WsContext) -> None:
        raise ForbiddenError("Banned.")

    for _ in range(2):
        with pytest.raises(ForbiddenError):
            await link.ask(opened())


async def test_gateway_that_asks_again_meanwhile_waits_for_on_connect(service: Service[Any], link: MemoryLink) -> None:
    """The link broke while on_connect ran: the session is not taken as accepted before it has ended."""
    gate = asyncio.Event()

    @service.ws.on_connect
    async def slow(ctx: WsContext) -> None:
        await gate.wait()
        raise ForbiddenError("Banned.")

    first = asyncio.create_task(link.ask(opened()))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(link.ask(opened()))
    await asyncio.sleep(0.01)
    gate.set()

    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [ForbiddenError, ForbiddenError]


async def test_adopted_session_does_not_begin_again(service: Service[Any], link: MemoryLink) -> None:
    """on_connect has run in an earlier instance."""
    log: list[str] = []

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        log.append(ctx.socket.id)

    await link.ask(opened("s-1", adopted=True))
    await link.ask(opened("s-2"))
    await link.ask(opened("s-2", adopted=True))

    assert log == ["s-2"]


async def test_end_of_an_unknown_session_is_handled(service: Service[Any], link: MemoryLink) -> None:
    """An earlier instance knew it; reason and rooms are told."""
    ends: list[Any] = []

    @service.ws.on_disconnect
    async def disconnected(ctx: WsContext) -> None:
        ends.append((ctx.socket.id, ctx.end_reason, await ctx.rooms()))

    await link.ask(closed("old", "a", "b"))

    assert ends == [("old", "client_closed", ["a", "b"])]


async def test_every_disconnect_handler_runs(service: Service[Any], link: MemoryLink) -> None:
    """One that fails does not keep the others from cleaning up; that it failed is told."""
    log: list[str] = []

    @service.ws.on_disconnect
    async def broken(ctx: WsContext) -> None:
        raise RuntimeError("x")

    @service.ws.on_disconnect
    async def cleanup(ctx: WsContext) -> None:
        log.append("cleaned")

    await link.ask(opened())
    with structlog.testing.capture_logs(), pytest.raises(InternalError):
        await link.ask(closed())

    assert log == ["cleaned"]
    assert link.runtime.sockets == {}


@pytest.fixture
def ends(service: Service[Any]) -> list[Any]:
    """Which sessions ended, and why."""
    ends: list[Any] = []

    @service.ws.on_disconnect
    async def disconnected(ctx: WsContext) -> None:
        ends.append((ctx.socket.id, ctx.end_reason))

    return ends


async def test_another_gateway_process_ends_all_sessions(link: MemoryLink, ends: list[Any]) -> None:
    """They went with the old one."""
    link.register("gateway-1")
    await link.ask(opened())

    link.register("gateway-2")
    await link.runtime.dispatcher.drain(1.0)

    assert ends == [("s-1", "gateway_lost")]
    assert link.runtime.sockets == {}


async def test_same_gateway_process_ends_none(link: MemoryLink, ends: list[Any]) -> None:
    """Sessions outlive the link; their end is told once, when it comes."""
    link.register("gateway-1")
    await link.ask(opened())

    link.register("gateway-1")
    await link.ask(opened(adopted=True))
    await link.runtime.dispatcher.drain(1.0)
    assert ends == []
    await link.ask(closed())

    assert ends == [("s-1", "client_closed")]


# what is registered


def test_registration_says_what_the_service_offers(service: Service[Any]) -> None:
    """Handlers, actions and events, with their requirements."""

    async def scenario() -> Frame:
        return Runtime(service, 1).registration()

    @service.ws.on("b", roles=["z", "y"], description="B.")
    @service.ws.on("a", auth=True)
    async def handler(ctx: WsContext) -> None: ...

    @service.action("list", route="/rooms/{id}", method="POST", auth=True)
    async def action(ctx: Any) -> None: ...

    @service.events.on("user.*")
    async def event(ctx: Any) -> None: ...

    service.ws.on_message(handler)
    register = asyncio.run(scenario()).register

    assert (register.service, register.path, register.namespace) == ("chat", "/ws/chat", "chat")
    handlers = {item.type: (item.auth, list(item.roles), item.description) for item in register.handlers}
    assert handlers == {"a": (True, [], ""), "b": (True, ["y", "z"], "B.")}
    (found,) = register.actions
    assert (found.name, found.method, found.route, found.auth) == ("list", "POST", "/rooms/{id}", True)
    assert (list(register.events), register.catch_all) == (["user.*"], True)
    assert len(register.instance) >= 8


@pytest.mark.parametrize(("data", "codec"), [(b'{"a":"\xff"}', 0), (b"{", 0), (b"\xa1\xff", CODEC_MSGPACK)])
async def test_broken_data_is_a_bad_request(service: Service[Any], link: MemoryLink, data: bytes, codec: int) -> None:
    """``ctx.data`` is read without a schema; what cannot be read is the client's fault, and no line in the log."""

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> Any:
        return ctx.data

    await link.ask(opened(codec=codec))
    with structlog.testing.capture_logs() as logs, pytest.raises(BadRequestError):
        await link.ask(message(data=data))
    assert logs == []


async def test_session_stays_in_order_when_the_link_breaks(service: Service[Any], link: MemoryLink) -> None:
    """One message at a time: what was under way has to end before the adopted session's next message begins."""
    log: list[str] = []
    gate = asyncio.Event()

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        log.append("+")
        await gate.wait()
        log.append("-")

    link.register("gateway-1")
    await link.ask(opened())
    first = asyncio.create_task(link.ask(message()))
    await asyncio.sleep(0.01)
    link.register("gateway-1")
    await link.ask(opened(adopted=True))
    second = asyncio.create_task(link.ask(message()))
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(first, second)

    assert log == ["+", "-", "+", "-"]


async def test_unordered_message_waits_for_on_connect_and_blocks_nobody(
    service: Service[Any], link: MemoryLink
) -> None:
    """It overtakes other messages, never ``on_connect``; and what comes after it need not wait for it."""
    log: list[str] = []
    gate = asyncio.Event()

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        await gate.wait()
        log.append("connected")

    @service.ws.on("free", ordered=False)
    async def free(ctx: WsContext) -> None:
        log.append("free")
        await asyncio.Event().wait()

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        log.append("a")

    link.register("gateway-1")
    opening = asyncio.create_task(link.ask(opened()))
    endless = asyncio.create_task(link.ask(message("free")))
    after = asyncio.create_task(link.ask(message()))
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(opening, after)

    assert log[0] == "connected"
    assert sorted(log[1:]) == ["a", "free"]
    endless.cancel()


async def test_on_connect_that_ignores_its_end_opens_nothing(
    service: Service[Any], link: MemoryLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is over time and goes on: the session is refused, and so is what waits behind it."""
    monkeypatch.setattr("pylinkd.sdk.jobs.DEFAULT_TIMEOUT", 0.05)
    monkeypatch.setattr("pylinkd.sdk.dispatch._STUBBORN_AFTER", 0.05)
    gate = asyncio.Event()
    handled: list[str] = []

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None:
        handled.append("a")

    link.register("gateway-1")
    opening = asyncio.create_task(link.ask(opened()))
    waiting = asyncio.create_task(link.ask(message()))

    for question in (opening, waiting):
        with pytest.raises(HandlerTimeoutError):
            await question
    assert handled == []
    gate.set()


@pytest.mark.parametrize("fault", [NotFoundError(type="SESSION_GONE"), ForbiddenError()])
async def test_client_that_leaves_during_on_connect(service: Service[Any], link: MemoryLink, fault: LinkdError) -> None:
    """That its session has ended is no refusal: what on_connect had begun, on_disconnect ends. A refusal is one."""
    begun, left = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    @service.ws.on_connect
    async def connected(ctx: WsContext) -> None:
        begun.set()
        await left.wait()
        raise fault

    @service.ws.on_disconnect
    async def disconnected(ctx: WsContext) -> None:
        ended.append(ctx.socket.id)

    link.register("gateway-1")
    opening = asyncio.create_task(link.ask(opened()))
    await begun.wait()
    closing = asyncio.create_task(link.ask(closed()))
    await asyncio.sleep(0)
    left.set()
    with pytest.raises(LinkdError):
        await opening
    await closing

    assert ended == ([] if isinstance(fault, ForbiddenError) else ["s-1"])
