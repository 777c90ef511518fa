"""The client in a script: lines come in, and answers and events go out as JSON lines.

An answer looks as on the wire, with the number of its line as ``id``: ``{"type":"response","id":1,"data":…,"ms":1.9}``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from ...client import Client, Event, Failure, Gap, QueueFull, State, StateChange
from ...protocol.envelope import error_body
from ...protocol.errors import LinkdError
from .leaving import wait_until_confirmed
from .lines import Call, Command, LineError, Send, read_line
from .rendering import json_text, printable
from .target import ConnectError, Target
from .wording import describe_end, describe_error, describe_gap, describe_no_connection, describe_waiting

T = TypeVar("T")

_AT_ONCE = 32  # calls without an answer; further lines are read when there is one
_LONGEST_LINE = 16 * 1024 * 1024  # bytes
_CHUNK = 64 * 1024
_PAUSE = 0.05  # seconds; the client does not say when its queue has room


async def run_script(target: Target, *, timeout: float) -> bool:
    """Send what standard input says, line by line, until it ends and every answer has come.

    Args:
        target: Where to.
        timeout: Seconds for the first connection, and for each answer.

    Returns:
        Whether every call was answered, and no message was refused.

    Raises:
        ConnectError: If there is no connection in time, or none can be made any more.
    """
    return await _Script(target, timeout).run()


class _Script:
    def __init__(self, target: Target, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._good = True
        self._was_open = False
        self._change: StateChange | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # raises why it cannot go on
        self._calls: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> bool:
        async with self._target.client() as client:
            client.on("*", self._event)
            client.on_state(self._state_changed)
            client.on_gap(self._gap)
            client.on_error(self._failed)
            work = asyncio.create_task(self._work(client))
            ends: list[asyncio.Future[Any]] = [work, self._over]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
                else:
                    self._over.result()
            finally:
                for task in (work, *self._calls):
                    task.cancel()
        return self._good

    async def _work(self, client: Client) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await client.wait(State.OPEN)
        except TimeoutError:
            raise ConnectError(describe_no_connection(self._change, self._target, self._timeout)) from None
        except LinkdError:
            return await self._over  # the state has said why
        number = 0
        async for text in read_lines(sys.stdin.fileno()):
            number += 1
            await self._take(client, number, text)
        await asyncio.gather(*self._calls)
        await self._confirmed(client)
        return None

    async def _take(self, client: Client, number: int, text: str) -> None:
        try:
            line = read_line(text)
            if isinstance(line, Command):
                raise LineError(f".{printable(line.name)} is for the prompt: a script sends messages")
        except LineError as error:
            self._good = False
            _complain(f"line {number}: {error}")
            return
        if isinstance(line, Send):
            await self._send(client, number, line)
        elif isinstance(line, Call):
            await self._free.acquire()
            task = asyncio.create_task(self._call(client, number, line))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _call(self, client: Client, number: int, call: Call) -> None:
        started = time.perf_counter()
        try:
            answer = await self._when_there_is_room(
                lambda: client.call(call.type, call.data, returns=msgspec.Raw, timeout=self._timeout)
            )
        except LinkdError as error:
            self._good = False
            self._write({"type": "error", "id": number, "error": error_body(error), "ms": _milliseconds(started)})
        else:
            self._write({"type": "response", "id": number, "data": answer, "ms": _milliseconds(started)})
        finally:
            self._free.release()

    async def _send(self, client: Client, number: int, message: Send) -> None:
        try:
            await self._when_there_is_room(lambda: client.send(message.type, message.data))
        except LinkdError as error:
            self._good = False
            self._write({"type": "error", "id": number, "error": error_body(error)})

    async def _when_there_is_room(self, send: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await send()
            except QueueFull:
                await asyncio.sleep(_PAUSE)

    async def _confirmed(self, client: Client) -> None:
        if not await wait_until_confirmed(client, self._timeout):
            self._good = False
            _complain(f"{client.pending} messages were not confirmed within {self._timeout:g} s")

    # what comes

    def _event(self, event: Event) -> None:
        line: dict[str, Any] = {"type": event.type, "data": event.data}
        if event.room is not None:
            line |= {"room": event.room, "offset": event.offset}
        self._write(line)

    def _state_changed(self, change: StateChange) -> None:
        self._change = change
        if change.state is State.OPEN:
            self._was_open = True
        elif change.state is State.WAITING and self._was_open:
            _complain(describe_waiting(change, self._target, was_open=True))
        elif change.state is State.CLOSED and not self._over.done():
            self._over.set_exception(ConnectError(describe_end(change, self._target)))
            self._over.exception()  # where it is this program that closed it, nobody asks

    def _gap(self, gap: Gap) -> None:
        _complain(describe_gap(gap))

    def _failed(self, failure: Failure) -> None:
        self._good = False
        if isinstance(failure.error, LinkdError):
            self._write({"type": "error", "error": error_body(failure.error)})
        else:
            _complain(f"{printable(failure.source)}: {describe_error(failure.error)}")

    def _write(self, line: dict[str, Any]) -> None:
        # Blocks while nobody reads it: nothing piles up, since the connection is not read meanwhile either.
        try:
            print(json_text(line), flush=True)
        except BrokenPipeError as error:
            if not self._over.done():
                self._over.set_exception(error)
        except ValueError as error:
            self._good = False
            _complain(f"a message of type {printable(str(line['type']))} cannot be shown: {error}")


async def read_lines(descriptor: int) -> AsyncIterator[str]:
    """The lines of a file, a pipe or a terminal; one is read ahead.

    Raises:
        ConnectError: If a line is longer than any message.
    """
    # A thread, since an event loop cannot wait for a regular file; and no file object, whose lock a thread that still
    # waits would hold when the interpreter ends.
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(1)

    def read() -> None:
        try:
            while chunk := os.read(descriptor, _CHUNK):
                asyncio.run_coroutine_threadsafe(chunks.put(chunk), loop).result()
            asyncio.run_coroutine_threadsafe(chunks.put(b""), loop).result()
        except (RuntimeError, asyncio.CancelledError):
            pass  # the loop has ended

    threading.Thread(target=read, name="standard input", daemon=True).start()
    begun = b""
    while chunk := await chunks.get():
        *lines, begun = (begun + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if len(begun) > _LONGEST_LINE:
            raise ConnectError(f"a line of standard input has more than {_LONGEST_LINE:,} bytes")
    if begun:
        yield begun.decode(errors="replace")


def _milliseconds(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _complain(text: str) -> None:
    print(f"linkd: {text}", file=sys.stderr, flush=True)
