"""Requests that are handled once, however often they come: by a key that comes with them.

Whoever repeats a request whose answer got lost sends the same key, and gets the answer of the first. With a database
the key, the answer and what the handler writes are one transaction; without one keys are kept in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import wraps
from time import time
from typing import TYPE_CHECKING, Any

import msgspec

from ..protocol.errors import ConflictError
from .options import check_count, check_options
from .response import Response
from .streaming import StreamingResponse
from .validation import Function, encode

if TYPE_CHECKING:
    from .store import Keys

_MOST_KEYS = 10_000_000
_MOST_BYTES = 64 * 2**20  # of answers in memory

Answer = Callable[[], Awaitable[Any]]


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a handler knows what it has handled.

    Attributes:
        window: Seconds for which the answer to a key is kept.
        most: Keys that are kept; the oldest go first. In a database, which all handlers share, the largest ``most`` of
            the service holds for all together.
    """

    window: float = 86_400.0
    most: int = 100_000

    def check(self, place: str) -> None:
        """Look at the values.

        Raises:
            RegistrationError: If one makes no sense.
        """
        check_count(place, "Once.most", self.most, _MOST_KEYS)
        check_options(f"{place}: Once", window=self.window)


class KnownKeys:
    """What the handlers of a running service have handled, and do at the moment.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        # Of each way of keeping keys: what one handler keeps is not the other's to throw out.
        self._stored: dict[int, OrderedDict[str, tuple[str, bytes, float]]] = {}
        self._size = 0  # bytes of the answers
        self._running: dict[str, tuple[str, asyncio.Future[None]]] = {}

    async def answer(
        self,
        once: Once,
        key: str,
        fingerprint: str,
        handle: Answer,
        db: Any,
        keys: Keys | None,
        *,
        msgpack: bool = False,
    ) -> Any:
        """The answer to a key: that of the first request that had it, or else of this one.

        Args:
            once: For how long keys are known.
            key: The key, by which no two handlers and callers share anything.
            fingerprint: Of the payload.
            handle: Runs the handler.
            db: The service's database; ``None``: it has none.
            keys: Its table of keys; ``None``: they are kept in memory.
            msgpack: Whether whoever asks speaks MessagePack: as such an answer is stored then, which says more.

        Raises:
            ConflictError: If the key came with another payload (type ``KEY_REUSED``).
            Exception: What the handler raises; it is not kept, so that a repetition runs it again.
        """
        while (running := self._running.get(key)) is not None:
            _check_same(running[0], fingerprint)
            await asyncio.shield(running[1])
        ended = asyncio.get_running_loop().create_future()
        self._running[key] = fingerprint, ended
        try:
            if keys is None:
                return await self._in_memory(once, key, fingerprint, handle, msgpack)
            return await self._in_database(once, key, fingerprint, handle, db, keys, msgpack)
        finally:
            del self._running[key]
            ended.set_result(None)

    async def _in_memory(self, once: Once, key: str, fingerprint: str, handle: Answer, msgpack: bool) -> Any:
        now, stored = self._clock(), self._stored.setdefault(id(once), OrderedDict())
        known = stored.get(key)
        if known is not None and known[2] >= now - once.window:
            _check_same(known[0], fingerprint)
            return _read(known[1])
        result = await handle()
        # What was known may have been forgotten meanwhile.
        replaced, answer = stored.pop(key, None), _written(result, msgpack)
        stored[key] = fingerprint, answer, self._clock()
        self._size += len(answer) - (0 if replaced is None else len(replaced[1]))
        if len(stored) > once.most:
            self._forget_oldest(stored)
        while self._size > _MOST_BYTES:
            self._forget_oldest(max(self._stored.values(), key=len))
        return result

    def _forget_oldest(self, stored: OrderedDict[str, tuple[str, bytes, float]]) -> None:
        _, (_, answer, _) = stored.popitem(last=False)
        self._size -= len(answer)

    async def _in_database(
        self, once: Once, key: str, fingerprint: str, handle: Answer, db: Any, keys: Keys, msgpack: bool
    ) -> Any:
        since = self._clock() - once.window
        while True:
            known = await keys.find(key, since)
            if known is not None and known.answer is not None:
                _check_same(known.fingerprint, fingerprint)
                return _read(known.answer)
            async with db.transaction():
                # Another instance may be at it: then this waits for its transaction, and finds the answer.
                if await keys.claim(key, fingerprint, self._clock(), since):
                    result = await handle()
                    await keys.answered(key, _written(result, msgpack))
                    return result


def handled_once(function: Function, once: Once, name: str) -> Function:
    """The function, which a key has run once.

    Args:
        function: A handler's.
        once: For how long keys are known.
        name: The handler's, with what it is a handler of.
    """

    @wraps(function)
    async def call(ctx: Any, *data: Any) -> Any:
        if not ctx.key:
            return await function(ctx, *data)
        host = ctx._host
        keys = None if host.persistence is None else host.persistence.keys
        return await host.known_keys.answer(
            once,
            _digest(name, ctx._key_scope, ctx.key),
            _digest(ctx._payload),
            lambda: function(ctx, *data),
            None if keys is None else host.db,
            keys,
            msgpack=ctx._msgpack,
        )

    return call


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        encoded = part if isinstance(part, bytes) else part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def _check_same(known: str, fingerprint: str) -> None:
    if known != fingerprint:
        raise ConflictError("This key came with another payload before.", type="KEY_REUSED")


class _Kept(msgspec.Struct, tag="response"):
    status: int
    headers: list[tuple[str, str]]
    cookies: list[str]
    body: bytes


def _written(result: Any, msgpack: bool) -> bytes:
    """An answer as it is stored: one byte for its kind, and JSON or MessagePack."""
    if isinstance(result, StreamingResponse):
        raise TypeError("once keeps answers, and an answer that is streamed is never whole")
    if isinstance(result, Response):
        headers = [header for header in result.header_list if header[0] != "Set-Cookie"]
        return b"R" + msgspec.json.encode(_Kept(result.status, headers, result.cookies, result.body))
    return b"M" + encode(result, True) if msgpack else b"J" + encode(result)


def _read(stored: bytes) -> Any:
    kind, content = stored[:1], stored[1:]
    if kind == b"J":
        return msgspec.json.decode(content) if content else None
    if kind == b"M":
        return msgspec.msgpack.decode(content, strict=False) if content else None
    kept = msgspec.json.decode(content, type=_Kept)
    headers: dict[str, list[str]] = {}
    for name, value in kept.headers:
        headers.setdefault(name, []).append(value)
    return Response(kept.body, status=kept.status, headers=headers, cookies=kept.cookies)
