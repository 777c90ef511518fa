"""What a service emits is compared with what it declares, by the gateway in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pylinkd import LinkdError, Service, WsContext
from pylinkd.testing import run


class Note(msgspec.Struct, rename="camel"):
    note_text: str


def emitting(*, declares: bool) -> Service[Any]:
    """A service whose clients say what it emits."""
    service = Service("notes")
    if declares:
        service.ws.event("notes.note", Note)
        service.ws.event("notes.cleared")

    @service.ws.on("notes.emit")
    async def emit(ctx: WsContext, event: tuple[str, Any]) -> None:
        await ctx.send(event[0], event[1])

    @service.ws.on("notes.bell")
    async def bell(ctx: WsContext) -> None:
        await ctx.send("notes.note", Note("\x07"))

    return service


@pytest.mark.parametrize("event", [("notes.note", {"noteText": "a"}), ("notes.cleared", None)])
async def test_event_as_declared_is_sent(event: tuple[str, Any]) -> None:
    """By its names on the wire."""
    async with run(emitting(declares=True)) as gateway:
        client = await gateway.connect()
        await client.send("notes.emit", event)

        assert [emitted.type for emitted in gateway.emitted] == [event[0]]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (("notes.other", 1), r"add service\.ws\.event\('notes\.other'"),
        (("notes.note", {"noteText": 1}), "does not fit .* noteText"),
        (("notes.cleared", 1), "does not fit"),
    ],
)
async def test_event_that_is_not_as_declared_is_refused(event: tuple[str, Any], said: str) -> None:
    """With what is wrong in the message."""
    async with run(emitting(declares=True)) as gateway:
        client = await gateway.connect()

        with pytest.raises(LinkdError, match=said):
            await client.send("notes.emit", event)
        assert gateway.emitted == []


async def test_service_that_declares_nothing_emits_anything() -> None:
    """Declarations are a choice."""
    async with run(emitting(declares=False)) as gateway:
        client = await gateway.connect()
        await client.send("notes.emit", ("notes.other", 1))

        assert len(gateway.emitted) == 1


async def test_policy_for_text_is_not_applied_to_events() -> None:
    """It is for what comes in."""
    async with run(emitting(declares=True)) as gateway:
        client = await gateway.connect()
        await client.send("notes.bell")

        assert gateway.emitted[0].data == {"noteText": "\x07"}
