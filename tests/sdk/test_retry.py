"""Handlers that are tried again, and the classes of failures that decide about it."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from pylinkd import (
    ConflictError,
    HandlerTimeoutError,
    HttpContext,
    InternalError,
    LinkdError,
    RegistrationError,
    Retry,
    Service,
    ServiceUnavailableError,
    TransientError,
    WsContext,
)
from pylinkd.db import DatabaseBusyError, DatabaseUnavailableError, StatementError, TransactionAbortedError
from pylinkd.protocol.errors import FailureClass
from pylinkd.sdk.failures import class_of
from pylinkd.testing import run

QUICK = Retry(attempts=3, delay=0.001, max_delay=0.002, jitter=0.0)


class ProviderError(Exception):
    """Of a library."""


def aborted_by(cause: Exception) -> Exception:
    """What a transaction raises at its end when one of its statements has failed."""
    try:
        raise TransactionAbortedError from cause
    except TransactionAbortedError as error:
        return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConflictError(), FailureClass.PERMANENT),
        (LinkdError(code=402), FailureClass.PERMANENT),
        (TransientError(), FailureClass.TRANSIENT),
        (ServiceUnavailableError(), FailureClass.TRANSIENT),
        (HandlerTimeoutError(), FailureClass.TRANSIENT),
        (DatabaseBusyError(), FailureClass.TRANSIENT),
        (DatabaseUnavailableError(), FailureClass.TRANSIENT),
        (aborted_by(DatabaseBusyError()), FailureClass.TRANSIENT),
        (ExceptionGroup("", [ExceptionGroup("", [DatabaseBusyError()])]), FailureClass.TRANSIENT),
        (aborted_by(StatementError()), FailureClass.BUG),
        (StatementError(), FailureClass.BUG),
        (InternalError(), FailureClass.BUG),
        (ConnectionError(), FailureClass.BUG),
        (KeyError(), FailureClass.BUG),
    ],
)
def test_classes_of_failures(error: Exception, kind: FailureClass) -> None:
    """What passes, what the caller has to change, and what nobody expected."""
    assert class_of(error) is kind


def failing(service: Service, *errors: Exception, **options: object) -> list[int]:
    """A handler that fails so, then succeeds; the list grows with each run."""
    runs: list[int] = []

    @service.ws.on("board.save", **options)  # type: ignore[call-overload, untyped-decorator]
    async def save(ctx: WsContext, number: int) -> int:
        runs.append(number)
        if len(runs) <= len(errors):
            raise errors[len(runs) - 1]
        return 2 * number

    return runs


async def test_transient_failures_are_tried_again() -> None:
    """The caller learns nothing of them, the log does."""
    service = Service("board")
    runs = failing(service, DatabaseBusyError(), TransientError(), retry=QUICK)
    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway:
            client = await gateway.connect()
            assert await client.send("board.save", 21) == 42

    assert runs == [21, 21, 21]
    retried = [entry for entry in logs if entry["event"] == "handler_retried"]
    assert [(entry["attempt"], entry["error"]) for entry in retried] == [
        (1, "DatabaseBusyError"),
        (2, "TransientError"),
    ]


async def test_last_failure_is_the_answer() -> None:
    """After so many attempts."""
    service = Service("board")
    runs = failing(service, *(TransientError("later", retry_after=9.0) for _ in range(5)), retry=QUICK)
    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(TransientError) as failure:
            await client.send("board.save", 1)

    assert len(runs) == 3
    assert failure.value.retry_after == 9.0


@pytest.mark.parametrize("error", [ConflictError(), KeyError("x")])
async def test_other_failures_are_not(error: Exception) -> None:
    """Neither what the caller has to change nor a bug."""
    service = Service("board")
    runs = failing(service, error, retry=QUICK)
    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(LinkdError):
            await client.send("board.save", 1)

    assert len(runs) == 1


async def test_nothing_is_tried_again_unasked() -> None:
    """What a handler did may have had an effect."""
    service = Service("board")
    runs = failing(service, TransientError())
    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(TransientError):
            await client.send("board.save", 1)

    assert len(runs) == 1


async def test_author_says_what_else_is_transient() -> None:
    """It is then tried again, and in the end answered with 503 instead of 500."""
    service = Service("board")
    runs = failing(service, *(ProviderError() for _ in range(5)), retry=QUICK, retry_on=ProviderError)
    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(TransientError) as failure:
            await client.send("board.save", 1)

    assert len(runs) == 3
    assert failure.value.retry_after == 1.0


async def test_all_attempts_have_the_handlers_time() -> None:
    """Not each its own."""
    service = Service("board")
    retry = Retry(attempts=1000, delay=0.01, max_delay=0.01, jitter=0.0)
    failing(service, *(TransientError() for _ in range(1000)), retry=retry, timeout=0.1)
    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(HandlerTimeoutError):
            await client.send("board.save", 1)


async def test_middleware_sees_one_call() -> None:
    """Tries are the handler's own affair."""
    service, seen = Service("board"), []
    failing(service, TransientError(), retry=QUICK)

    @service.ws.use
    async def counted(ctx: WsContext, call_next: object) -> object:
        seen.append(1)
        return await call_next(ctx)  # type: ignore[operator]

    async with run(service) as gateway:
        client = await gateway.connect()
        await client.send("board.save", 1)

    assert seen == [1]


@pytest.mark.parametrize("error", [DatabaseBusyError("x"), aborted_by(DatabaseUnavailableError("y"))])
async def test_busy_database_is_answered_with_503(error: Exception) -> None:
    """The client may try again; the log has the class of failure and no traceback."""
    service = Service("board")
    failing(service, error)
    with structlog.testing.capture_logs() as logs:
        async with run(service) as gateway:
            client = await gateway.connect()
            with pytest.raises(TransientError) as failure:
                await client.send("board.save", 1)

    (entry,) = [entry for entry in logs if entry["event"] == "handler_failed"]
    assert entry["failure"] == "transient"
    assert failure.value.details == {"errorId": entry["error_id"]}


async def test_called_action_has_the_time_that_is_left() -> None:
    """Its own would let it go on for a caller that is gone."""
    service, ended = Service("board"), asyncio.Event()

    @service.action("board.slow")
    async def slow(ctx: HttpContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    @service.ws.on("board.begin", timeout=0.2)
    async def begin(ctx: WsContext) -> None:
        await ctx.call("board", "board.slow")

    async with run(service) as gateway:
        client = await gateway.connect()
        with pytest.raises(HandlerTimeoutError):
            await client.send("board.begin")
        await asyncio.wait_for(ended.wait(), 5.0)


async def test_call_may_be_given_a_time() -> None:
    """It ends there for both."""
    service, ended = Service("board"), asyncio.Event()

    @service.action("board.slow")
    async def slow(ctx: HttpContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with run(service):
        with pytest.raises(HandlerTimeoutError) as failure:
            await service.call("board", "board.slow", timeout=0.1)
        assert failure.value.target == "call board.board.slow"
        await asyncio.wait_for(ended.wait(), 5.0)
        with pytest.raises(ValueError, match="timeout"):
            await service.call("board", "board.slow", timeout=0)


async def test_calls_in_a_circle_are_cut() -> None:
    """Long before anything is full."""
    service, depths = Service("board"), []

    @service.action("board.again")
    async def again(ctx: HttpContext) -> None:
        depths.append(1)
        await ctx.call("board", "board.again")

    async with run(service):
        with pytest.raises(LinkdError) as failure:
            await service.call("board", "board.again")

    assert (failure.value.code, failure.value.type) == (508, "CALL_LOOP")
    assert len(depths) == 16


async def test_trace_is_passed_on() -> None:
    """Of an HTTP request through its calls; the span is each one's own."""
    service, seen = Service("board"), []

    @service.action("board.first", route="/first")
    async def first(ctx: HttpContext) -> None:
        seen.append(ctx.traceparent)
        await ctx.call("board", "board.second")

    @service.action("board.second")
    async def second(ctx: HttpContext) -> None:
        seen.append(ctx.traceparent)

    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with run(service) as gateway:
        await gateway.request("GET", "/first", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        await service.call("board", "board.second")

    assert [value.split("-")[1] == trace for value in seen] == [True, True, False]
    assert len({value.split("-")[2] for value in seen}) == 3


@pytest.mark.parametrize("retry", [Retry(attempts=0), Retry(delay=-1), Retry(jitter=float("nan")), 3])
def test_odd_retries_are_refused(retry: object) -> None:
    """Where they are written."""
    with pytest.raises(RegistrationError, match=r"(?i)retry"):
        failing(Service("board"), retry=retry)


@pytest.mark.parametrize("retry_on", ["ValueError", ValueError(), BaseException, [1]])
def test_odd_classes_are_refused(retry_on: object) -> None:
    """Where they are written."""
    with pytest.raises(RegistrationError, match="retry_on"):
        failing(Service("board"), retry_on=retry_on)
