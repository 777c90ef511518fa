"""The service behind a siege: an echo, and a stream that is soon too large."""

from __future__ import annotations

import msgspec

from pylinkd import Service, Stream, WsContext

service = Service("bench")


class Text(msgspec.Struct):
    """What a request carries."""

    text: str


@service.ws.on("bench.echo")
async def echo(ctx: WsContext, message: Text) -> int:
    """An acknowledged request."""
    return len(message.text)


@service.ws.on_stream("bench.upload", max_size=1000)
async def upload(ctx: WsContext, chunks: Stream) -> int:
    """Refused with 413 at the first chunk of the siege."""
    return sum([len(chunk) async for chunk in chunks])
