"""The service of ``formats``: answers and events of texts as people write them, short or long."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from pylinkd import Next, Service, WsContext

service = Service("formats")

LENGTHS = {"short": 128, "long": 2048}
"""Characters of the texts."""

_VOCABULARY = (  # by frequency, the most frequent first
    "the I you to a it that and is of in we for on have not be this just so what do can with are if but was like know "
    "there they get no at about think me will my good how all out up one or from time when your now go see would why "
    "meeting tomorrow lunch server deploy thanks sure maybe really today yesterday morning train office question "
    "answer somebody message picture weekend family project release broken fixed review customer waiting coffee "
    "probably already everything anything something great later again still never always before after because between "
    "another"
)


def _prose(length: int) -> str:
    """Words as often as they are in speech, a few words most of the time: so that it deflates as prose does."""
    dice = random.Random(length)
    vocabulary = _VOCABULARY.split()
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    words = dice.choices(vocabulary, weights, k=length)
    return " ".join(f"{word}{dice.choice('.,?!')}" if dice.random() < 0.12 else word for word in words)[:length]


_TEXTS = {name: _prose(length) for name, length in LENGTHS.items()}


class Text(msgspec.Struct):
    """A text, both ways."""

    text: str


class Size(msgspec.Struct):
    """Which text."""

    size: str


@service.ws.use
async def passed(ctx: Any, call_next: Next) -> Any:
    """The one middleware that any real service has."""
    return await call_next(ctx)


@service.ws.on("formats.short")
async def short(ctx: WsContext, message: Text) -> Text:
    """Answer with the short text."""
    return Text(_TEXTS["short"])


@service.ws.on("formats.long")
async def long(ctx: WsContext, message: Text) -> Text:
    """Answer with the long text."""
    return Text(_TEXTS["long"])


@service.ws.on("formats.join")
async def join(ctx: WsContext) -> None:
    """Become a member of the one room."""
    await ctx.join("crowd")


@service.ws.on("formats.publish")
async def publish(ctx: WsContext, wanted: Size) -> int:
    """Send a text to the room."""
    return (await ctx.to("crowd").emit("formats.event", Text(_TEXTS[wanted.size]))).reached
