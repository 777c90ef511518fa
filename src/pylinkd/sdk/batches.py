"""Messages that are handled together: many clients' small messages as one insert."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, Generic, TypeVar

import msgspec

from ..protocol.errors import HandlerTimeoutError, InternalError, LinkdError
from .context import WsContext
from .options import check_count, is_seconds
from .signatures import batch_schema_of
from .text import TextPolicy
from .validation import Function, RegistrationError, Schema, where
from .websocket import MessageHandler

T = TypeVar("T")

_MOST_ITEMS = 10_000
_LONGEST_WAIT = 60.0  # seconds


class Batched(msgspec.Struct, Generic[T], frozen=True):
    """One message of a batch.

    Attributes:
        ctx: Its context.
        data: Its data, checked.
    """

    ctx: WsContext[Any]
    data: T


class _Batch:
    """Messages that came together."""

    __slots__ = ("answers", "full", "items")

    def __init__(self) -> None:
        self.items: list[Batched[Any]] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.full = asyncio.Event()


class BatchHandler(MessageHandler):
    """A handler of batches: ``async def handler(batch)``, which returns a list of answers, or nothing.

    The job of a batch's first message runs it; those of the others wait. One batch is handled after the other, and in a
    batch messages stand in the order in which they came.

    Args:
        type: Of the messages.
        function: As the author wrote it.
        max_items: Messages in a batch.
        max_wait: Seconds that the first one waits for others.
        options: See websocket.HandlerOptions.
    """

    __slots__ = ("_batch", "_max_items", "_max_wait", "_turn")

    kind = ""

    def __init__(
        self,
        type: str,
        function: Function,
        *,
        max_items: int = 100,
        max_wait: float = 0.01,
        **options: Any,
    ) -> None:
        place = where(function)
        check_count(place, "max_items", max_items, _MOST_ITEMS)
        if not is_seconds(max_wait) or max_wait > _LONGEST_WAIT:
            raise RegistrationError(f"{place}: max_wait is a number of seconds from 0 to {_LONGEST_WAIT:g}")
        super().__init__(type, function, ordered=False, **options)
        self._max_items = max_items
        self._max_wait = max_wait
        self._batch: _Batch | None = None
        self._turn = asyncio.Lock()

    def _schema_of(self, function: Function, validate: Any, text: TextPolicy) -> Schema:
        return batch_schema_of(function, Batched, validate=validate, text=text)

    def endpoint(self, ctx: WsContext[Any]) -> Awaitable[Any]:
        """Validate the message, and have it handled with others."""
        assert self.schema is not None
        data = self.schema.read(ctx.raw, ctx.socket._msgpack)
        batch = self._batch
        leads = batch is None
        if batch is None:
            batch = self._batch = _Batch()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        batch.items.append(Batched(ctx, data))
        batch.answers.append(answer)
        if len(batch.items) >= self._max_items:
            self._close(batch)
        return self._lead(batch, answer) if leads else answer

    def _close(self, batch: _Batch) -> None:
        """Nothing more comes to a batch."""
        if self._batch is batch:
            self._batch = None
        batch.full.set()

    async def _lead(self, batch: _Batch, answer: asyncio.Future[Any]) -> Any:
        """Wait for others, and run the function for all."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._max_wait):
                    await batch.full.wait()
            async with self._turn:  # the batch before is handled
                self._close(batch)
                _share_out(batch, await self.invoke(batch.items))
        except asyncio.CancelledError:
            _fail(batch, HandlerTimeoutError())
            answer.cancel()
            raise
        except BaseException as error:
            _fail(batch, error)
            raise
        finally:
            self._close(batch)
        return answer.result()


def _share_out(batch: _Batch, answers: Any) -> None:
    """Give each message its answer; one that is an error is the message's own."""
    if answers is None:
        answers = [None] * len(batch.items)
    if not isinstance(answers, list | tuple) or len(answers) != len(batch.items):
        raise TypeError(f"a handler of batches returns a list of answers, here {len(batch.items)} of them, or nothing")
    for future, answer in zip(batch.answers, answers, strict=True):
        if future.done():
            continue  # its time was up
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def _fail(batch: _Batch, error: BaseException) -> None:
    """All messages fail; the first one's job says what it was, in the log."""
    for future in batch.answers[1:]:
        if not future.done():
            future.set_exception(error if isinstance(error, LinkdError) else InternalError())
            future.exception()  # its job may have ended
