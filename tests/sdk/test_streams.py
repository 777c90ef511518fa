"""Handlers of streams, with no socket."""

from __future__ import annotations

import pytest

from pylinkd import LinkdError, RegistrationError, Service, Stream, StreamAbortedError, WsContext
from pylinkd.testing import run


def made() -> Service:
    """A service that takes one kind of stream."""
    service = Service("files")

    @service.ws.on_stream("file.join", max_size=10)
    async def join(ctx: WsContext, chunks: Stream) -> str:
        """Join the chunks."""
        return f"{ctx.data}:" + "-".join([chunk.decode() async for chunk in chunks])

    return service


async def test_handler_gets_chunks_and_announcement() -> None:
    """In order, and what it returns is the answer."""
    async with run(made()) as gateway:
        client = await gateway.connect()

        assert await client.upload("file.join", [b"a", b"b"], "name") == "name:a-b"


async def test_limit_is_the_handlers_own() -> None:
    """413 with the number of bytes."""
    async with run(made()) as gateway:
        client = await gateway.connect()

        with pytest.raises(LinkdError) as caught:
            await client.upload("file.join", [b"x" * 6, b"x" * 5])

    assert (caught.value.code, caught.value.details) == (413, {"limit": 10})


async def test_stream_that_is_given_up_raises_in_the_handler() -> None:
    """And so becomes the answer."""
    async with run(made()) as gateway:
        client = await gateway.connect()

        with pytest.raises(LinkdError) as caught:
            await client.upload("file.join", [b"x"], abort=True)

    assert caught.value.type == StreamAbortedError.default_type


async def test_middleware_and_groups_hold_for_streams() -> None:
    """A group's prefix and rights, and middleware around the whole stream."""
    service = Service("files")
    seen: list[str] = []

    @service.ws.use
    async def note(ctx: WsContext, call_next: object) -> object:
        """Keep what is handled."""
        seen.append(ctx.type)
        return await call_next(ctx)  # type: ignore[operator]

    @service.ws.group("file", auth=True).on_stream("size")
    async def size(ctx: WsContext, chunks: Stream) -> int:
        """How many bytes came."""
        return sum([len(chunk) async for chunk in chunks])

    async with run(service) as gateway:
        nobody, una = await gateway.connect(), await gateway.connect(user="una")

        with pytest.raises(LinkdError) as caught:
            await nobody.upload("file.size", [b"x"])
        answer = await una.upload("file.size", [b"abc"])

    assert (caught.value.code, answer, seen) == (401, 3, ["file.size"])


def test_handler_of_another_form_is_refused() -> None:
    """At start, with the form that is wanted."""
    service = Service("files")

    with pytest.raises(RegistrationError, match="needs a second parameter"):

        @service.ws.on_stream("file.none")
        async def none(ctx: WsContext) -> None:
            """Take no chunks."""

    with pytest.raises(RegistrationError, match="positive"):

        @service.ws.on_stream("file.none", max_size=0)
        async def nothing(ctx: WsContext, chunks: Stream) -> None:
            """Take no bytes."""
