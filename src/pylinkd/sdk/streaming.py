"""Answers whose body is made while it is sent: ``StreamingResponse``, and events for browsers as one."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from .response import Response
from .validation import encode

BODILESS = (204, 205, 304)
"""Statuses whose answers have no content (RFC 9110 §6.4.1, §15.3.6)."""

_COMMENT = b":\n\n"  # which no client hands to anybody


class StreamingResponse(Response):
    """An HTTP answer whose body comes piece by piece, as an async generator makes it.

    The generator begins when the handler has returned: outside its middleware, its ``timeout`` and its transactions,
    and beside the handlers that may run at once. It goes on as fast as the client reads, and is closed when the client
    is gone. Where it raises, the client's connection is cut, since the answer has begun.

    Args:
        chunks: Bytes, or text that is sent as UTF-8.
        status: 200 to 599.
        content_type: What the body is; by default what ``headers`` say, else ``application/octet-stream``.
        headers: Further headers; a list of values is sent as a header each.
        cookies: Values of ``Set-Cookie``.
        etag: See Response.
        last_modified: See Response.
        size: Bytes of the body, if they are known: then clients can show how far they are. The body has to have
            exactly so many.

    Raises:
        ValueError: If HTTP cannot carry the status or a header, or the size is none.
        TypeError: If ``chunks`` is not asynchronous.
    """

    __slots__ = ("chunks", "size")

    def __init__(
        self,
        chunks: AsyncIterable[bytes | str],
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Iterable[str] = (),
        etag: str | None = None,
        last_modified: datetime | None = None,
        size: int | None = None,
    ) -> None:
        if not isinstance(chunks, AsyncIterable):
            raise TypeError(f"chunks is an async generator or the like, not {type(chunks).__name__}")
        if size is not None and not _is_size(size):
            raise ValueError(f"size is a number of bytes, 0 or more, not {size!r}")
        if content_type is None and not _has(headers, "content-type"):
            content_type = "application/octet-stream"
        super().__init__(
            b"",
            status=status,
            content_type=content_type,
            headers=headers,
            cookies=cookies,
            etag=etag,
            last_modified=last_modified,
        )
        self.chunks = chunks
        self.size = size

    @property
    def header_list(self) -> list[tuple[str, str]]:
        """See Response."""
        no_length = self.size is None or self.status in BODILESS
        length = [] if no_length else [("Content-Length", str(self.size))]
        return [*super().header_list, *length]

    def as_json(self) -> bytes:
        """See Response.

        Raises:
            TypeError: Always: a call has one answer.
        """
        raise TypeError("an action that another service calls cannot answer with a stream")

    @property
    def heartbeat(self) -> float:
        """Seconds of silence after which ``beat`` is sent; infinite: it never is."""
        return math.inf

    @property
    def beat(self) -> bytes:
        """What is sent where nothing else is, so that nobody on the way takes the connection for dead."""
        return b""


def _has(headers: Mapping[str, Any] | None, name: str) -> bool:
    return any(each.lower() == name for each in headers or ())


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class ServerSentEvent:
    """One event of an EventSourceResponse (WHATWG HTML, "Server-sent events").

    Args:
        data: Text goes as it is, anything else as JSON.
        event: Its type; empty: ``message``.
        id: What a client that comes back sends as ``Last-Event-ID``; ``None``: as before.
        retry: Seconds after which clients come back whose connection is lost; ``None``: as before.

    Raises:
        ValueError: If the type or the id has a line break, or the id a null character.
        TypeError: If the data cannot be encoded.
    """

    __slots__ = ("_encoded",)

    def __init__(self, data: Any, *, event: str = "", id: str | None = None, retry: float | None = None) -> None:
        fields = []
        if event:
            fields.append(("event", _line("event", event)))
        if id is not None:
            if "\0" in id:
                raise ValueError(f"an event's id has no null character: {id!r}")
            fields.append(("id", _line("id", id)))
        if retry is not None:
            fields.append(("retry", str(round(retry * 1000))))
        text = data if isinstance(data, str) else encode(data).decode() or "null"
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        fields.extend(("data", line) for line in lines)
        self._encoded = "".join(f"{name}: {value}\n" for name, value in fields).encode() + b"\n"

    def encode(self) -> bytes:
        """As it is sent."""
        return self._encoded


def _line(field: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError(f"an event's {field} is one line, not {value!r}")
    return value


class EventSourceResponse(StreamingResponse):
    """Events for a browser's ``EventSource``, as long as it listens.

    When the service or the gateway stops, the answer ends, and the client comes back by itself; ``ctx.headers`` has its
    ``last-event-id`` then.

    Args:
        events: ServerSentEvents, or their data.
        heartbeat: Seconds of silence after which a comment is sent.
        headers: Further headers.
        cookies: Values of ``Set-Cookie``.

    Raises:
        ValueError: If HTTP cannot carry a header, one says another content type, or the heartbeat is not above 0.
        TypeError: If ``events`` is not asynchronous.
    """

    __slots__ = ("_heartbeat",)

    def __init__(
        self,
        events: AsyncIterable[Any],
        *,
        heartbeat: float = 15.0,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Iterable[str] = (),
    ) -> None:
        if not heartbeat > 0:
            raise ValueError(f"heartbeat is a number of seconds above 0, not {heartbeat!r}")
        if not isinstance(events, AsyncIterable):
            raise TypeError(f"events is an async generator or the like, not {type(events).__name__}")
        if _has(headers, "content-type"):
            raise ValueError("the content type of events is text/event-stream")
        # What is on the way shall neither keep events nor collect them.
        own = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        kept = {name: value for name, value in own.items() if not _has(headers, name.lower())}
        chunks = _EventChunks(events)
        super().__init__(chunks, content_type="text/event-stream", headers={**kept, **(headers or {})}, cookies=cookies)
        self._heartbeat = heartbeat

    @property
    def heartbeat(self) -> float:
        """See StreamingResponse."""
        return self._heartbeat

    @property
    def beat(self) -> bytes:
        """See StreamingResponse."""
        return _COMMENT


class _EventChunks:
    """Events as they are sent. No generator: one that has not begun would not close what it is made of."""

    def __init__(self, events: AsyncIterable[Any]) -> None:
        self._events = events
        self._iterator: AsyncIterator[Any] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._iterator = aiter(self._events)
        return self

    async def __anext__(self) -> bytes:
        assert self._iterator is not None
        event = await anext(self._iterator)
        return (event if isinstance(event, ServerSentEvent) else ServerSentEvent(event)).encode()

    async def aclose(self) -> None:
        """Close the events."""
        await closed(self._events if self._iterator is None else self._iterator)


async def closed(iterator: AsyncIterable[Any]) -> None:
    """Let a generator clean up that is not used up; other iterators have nothing to close."""
    aclose = getattr(iterator, "aclose", None)
    if aclose is not None:
        await aclose()
