"""What a stored piece of work says beside its data: who set it off, and what its context is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..protocol.identity import Identity
from .context import Context, EventContext, HttpContext, WsContext
from .host import Host
from .scheduled import JobContext
from .socket import Socket
from .store.work import Item


class Headers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored beside the data.

    Attributes:
        id: Of an event.
        type: The event's or message's type.
        identity: On whose behalf; ``None``: nobody's.
        source: The service that emitted an event, or called an action.
        traceparent: Of the trace that it belongs to.
        session: Id of the client's session.
        path: The session's path, or the request's.
        msgpack: Whether the data is MessagePack.
        method: The HTTP method.
        params: The variables of the route.
        query: The parameters of the query.
        header_list: The request's headers.
        key: By which a handler of messages with ``once`` knows it.
        address: The client's.
    """

    id: str = ""
    type: str = ""
    identity: Identity | None = None
    source: str = ""
    traceparent: str = ""
    session: str = ""
    path: str = ""
    msgpack: bool = False
    method: str = ""
    params: dict[str, str] = {}
    query: dict[str, str] = {}
    header_list: list[tuple[str, str]] = []
    key: str = ""
    address: str = ""


def read_headers(stored: bytes) -> Headers:
    """As they were stored."""
    return msgspec.json.decode(stored or b"{}", type=Headers)


def write_headers(headers: Headers) -> bytes:
    """As they are stored."""
    return msgspec.json.encode(headers)


def headers_of(ctx: Context[Any]) -> tuple[bytes, bytes]:
    """Data and headers of what a handler was given."""
    headers = Headers(identity=ctx.identity)
    data = b""
    change: Mapping[str, Any] = {}
    if isinstance(ctx, WsContext):
        data = ctx.raw
        change = {
            "type": ctx.type, "session": ctx.socket.id, "path": ctx.socket.path, "msgpack": ctx.socket._msgpack,
            "key": getattr(ctx, "_key", ""),
        }  # fmt: skip
    elif isinstance(ctx, HttpContext):
        data = ctx.body
        change = {
            "method": ctx.method, "path": ctx.path, "source": ctx.caller or "",
            "params": dict(ctx.params), "query": dict(ctx.query), "header_list": list(ctx.header_list),
            "address": ctx.remote_address,
        }  # fmt: skip
    return data, msgspec.json.encode(msgspec.structs.replace(headers, **change))


def context_for(host: Host, item: Item) -> Context[Any]:
    """The context in which a piece of work is handled."""
    headers = read_headers(item.headers)
    match item.kind:
        case "job":
            return JobContext(
                host, item.name, raw=item.data, key=item.key, attempt=item.attempts, due_at=item.scheduled_at
            )
        case "event":
            return EventContext(
                host,
                headers.type,
                headers.identity,
                source=headers.source,
                raw=item.data,
                id=headers.id,
                traceparent=headers.traceparent,
            )
        case "message":
            socket = Socket(
                id=headers.session,
                path=headers.path,
                msgpack=headers.msgpack,
                identity=headers.identity,
                remote_address="",
                user_agent="",
                connected_at=0.0,
                metadata={},
                connected=False,
            )
            ctx: WsContext[Any] = WsContext(host, headers.type, socket, item.data)
            ctx._key = headers.key
            return ctx
        case _:
            return HttpContext(
                host,
                item.name,
                headers.identity,
                method=headers.method,
                path=headers.path,
                params=headers.params,
                query=headers.query,
                header_list=headers.header_list,
                remote_address=headers.address,
                body=item.data,
                caller=headers.source or None,
            )
