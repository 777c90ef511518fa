"""What a service says of its rooms and its path, and what it may not say."""

from __future__ import annotations

from typing import Any

import pytest

from pylinkd import (
    BadRequestError,
    Context,
    History,
    Limits,
    Position,
    Presence,
    PresenceChange,
    Reconnect,
    RegistrationError,
    Service,
    WsContext,
)
from pylinkd.testing import run


@pytest.mark.parametrize(
    ("pattern", "options", "says"),
    [
        ("", {}, "1 to 256 characters"),
        ("x" * 300, {}, "1 to 256 characters"),
        (5, {}, "is a text"),
        ("a", {"history": 5}, "History(…)"),
        ("a", {"presence": True}, "Presence(…)"),
        ("a", {"history": History(messages=0)}, "messages"),
        ("a", {"history": History(messages=1.5)}, "messages"),  # type: ignore[arg-type]
        ("a", {"history": History(seconds=0)}, "seconds"),
        ("a", {"history": History(seconds=float("nan"))}, "seconds"),
        ("a", {"history": History(bytes=True)}, "bytes"),
        ("a", {"history": History(readable="no")}, "readable"),  # type: ignore[arg-type]
        ("a", {"presence": Presence(grace="x")}, "grace"),  # type: ignore[arg-type]
        ("a", {"presence": Presence(grace=-1.0)}, "grace"),
        ("a", {"presence": Presence(max_members=-1)}, "max_members"),
        ("a", {"presence": Presence(max_members=None)}, "max_members"),  # type: ignore[arg-type]
        ("a", {"presence": Presence(client_data="x")}, "client_data"),  # type: ignore[arg-type]
    ],
)
def test_odd_rules_are_refused(pattern: Any, options: dict[str, Any], says: str) -> None:
    """Where they are written, with what they may be."""
    with pytest.raises(RegistrationError, match=r"service\.rooms") as refusal:
        Service("chat").rooms(pattern, **options)
    assert says in str(refusal.value)


def test_pattern_stands_there_once() -> None:
    """The second would never hold."""
    service = Service("chat")
    service.rooms("a*", history=History())
    with pytest.raises(RegistrationError, match="already"):
        service.rooms("a*", presence=Presence())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limits": 5}, "Limits(…)"),
        ({"reconnect": {}}, "Reconnect(…)"),
        ({"limits": Limits(max_message_size=0)}, "max_message_size"),
        ({"limits": Limits(max_connections_per_user=True)}, "max_connections_per_user"),
        ({"limits": Limits(heartbeat_interval=0)}, "heartbeat_interval"),
        ({"limits": Limits(idle_timeout=-1)}, "idle_timeout"),
        ({"limits": Limits(resume_window=float("inf"))}, "resume_window"),
        ({"limits": Limits(message_rate=5)}, "rate"),  # type: ignore[arg-type]
        ({"limits": Limits(message_rate="often")}, "rate"),
        ({"limits": Limits(compression="no")}, "compression"),  # type: ignore[arg-type]
        ({"reconnect": Reconnect(delay=0)}, "delay"),
        ({"reconnect": Reconnect(delay=5, max_delay=1)}, "delay"),
        ({"reconnect": Reconnect(jitter=2)}, "jitter"),
        ({"reconnect": Reconnect(attempts=-1)}, "attempts"),
        ({"limits": Limits(max_message_size=2**40)}, "max_message_size"),
        ({"one_session_per_user": "maybe"}, "replace"),
        ({"one_session_per_user": "replace", "path": None}, "path"),
    ],
)
def test_odd_limits_are_refused(options: dict[str, Any], says: str) -> None:
    """Where they are written, with what they may be."""
    with pytest.raises(RegistrationError, match="Service") as refusal:
        Service("chat", **options)
    assert says in str(refusal.value)


def test_on_presence_takes_a_context_and_a_change() -> None:
    """Nothing else, and it is asynchronous."""
    service = Service("chat")

    def not_async(ctx: Context, change: PresenceChange) -> None: ...

    async def too_few(ctx: Context) -> None: ...

    for handler in (not_async, too_few):
        with pytest.raises(RegistrationError, match="ctx, change"):
            service.on_presence(handler)  # type: ignore[type-var]


@pytest.mark.parametrize("timeout", [0, -1, 601, float("nan")])
async def test_timeouts_of_answers_are_bounded(timeout: float) -> None:
    """A mistake of the author's is said at once."""
    service = Service("chat")

    @service.ws.on("chat.ask")
    async def ask(ctx: WsContext) -> str:
        with pytest.raises(ValueError, match="timeout"):
            await ctx.request("chat.ready", timeout=timeout)
        with pytest.raises(ValueError, match="volatile"):
            await ctx.send("chat.news", volatile=True, ack=True)
        return "refused"

    async with run(service) as gateway:
        assert await (await gateway.connect()).send("chat.ask") == "refused"


async def test_join_that_is_refused_joins_nothing() -> None:
    """In memory as with the gateway (tests/resumption/test_history.py)."""
    service = Service("chat")

    @service.ws.on("chat.join")
    async def join(ctx: WsContext) -> Any:
        try:
            await ctx.join("plain", since=Position("epoch", 0))
        except BadRequestError:
            return await ctx.rooms()

    async with run(service) as gateway:
        client = await gateway.connect(user="una")
        assert await client.send("chat.join") == []


async def test_last_that_was_said_of_a_member_holds() -> None:
    """Whichever of its sessions said it."""
    service = Service("chat")
    service.rooms("lobby", presence=Presence())

    @service.ws.on("chat.say")
    async def say(ctx: WsContext, mood: str) -> Any:
        await ctx.join("lobby")
        await ctx.set_presence("lobby", mood)
        return [member.data for member in await ctx.presence("lobby")]

    async with run(service) as gateway:
        first, second = await gateway.connect(user="una"), await gateway.connect(user="una")
        assert await first.send("chat.say", "one") == ["one"]
        assert await second.send("chat.say", "two") == ["two"]
        assert await first.send("chat.say", "three") == ["three"]
