"""What the samples of docs/clients.md talk to."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from pylinkd import History, HttpContext, LinkdError, Position, Presence, Response, Service, Stream, WsContext
from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from tests.processes import make_token

service = Service("chat")
service.rooms("lobby", history=History(readable=True), presence=Presence(client_data=True))

SHELL = """<!doctype html>
<script type="module">
  import { createClient } from "/linkd/client.js";
  window.client = createClient("/ws/chat");
  window.heard = [];
  window.show = (event) => heard.push(event.type);
</script>
"""

asked: list[Any] = []
_tasks: set[asyncio.Task[None]] = set()


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    """Something is always going on."""
    task = asyncio.create_task(_stir(ctx))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _stir(ctx: WsContext) -> None:
    with suppress(LinkdError):
        for count in range(100):
            await asyncio.sleep(0.05)
            await ctx.send("chat.notice", {"count": count})
            await ctx.to("lobby").emit("chat.message", {"text": f"message {count}"})
            if count % 10 == 0:
                task = asyncio.create_task(_ask(ctx, count))
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)


async def _ask(ctx: WsContext, round: int) -> None:
    try:
        asked.append(await ctx.request("chat.ready", {"round": round}))
    except LinkdError as error:
        asked.append(error.type)


@service.ws.on("chat.asked")
async def answers(ctx: WsContext) -> list[Any]:
    return asked


@service.ws.on("chat.hello")
async def hello(ctx: WsContext) -> str:
    return "Hello!"


@service.ws.on("chat.echo")
async def echo(ctx: WsContext, data: Any) -> Any:
    return data


@service.ws.on("chat.me", auth=True)
async def me(ctx: WsContext) -> str:
    return ctx.auth.user


class Join(msgspec.Struct):
    room: str
    since: Position | None = None


@service.ws.on("chat.join")
async def join(ctx: WsContext, wanted: Join) -> None:
    await ctx.join(wanted.room, since=wanted.since)


class Message(msgspec.Struct):
    room: str
    text: str


@service.ws.on("chat.send")
async def send(ctx: WsContext, message: Message) -> dict[str, int]:
    return {"id": 1}


class Named(msgspec.Struct):
    id: int
    name: str = ""


@service.ws.on("chat.rename")
@service.ws.on("chat.read")
async def named(ctx: WsContext, data: Named) -> None:
    pass


@service.ws.on("chat.typing")
async def typing(ctx: WsContext, data: dict[str, str]) -> None:
    pass


@service.ws.on("chat.messages")
async def messages(ctx: WsContext, data: dict[str, str]) -> list[str]:
    return ["message"]


@service.ws.on_stream("file.upload")
async def upload(ctx: WsContext, chunks: Stream) -> int:
    return sum([len(chunk) async for chunk in chunks])


@service.action("token", route="/token")
async def token(ctx: HttpContext) -> Response:
    return Response(make_token("una", secret=DEVELOPMENT_SECRET))


@service.action("shell", route="/shell")
async def shell(ctx: HttpContext) -> Response:
    """A page for samples that stand in one."""
    return Response(SHELL, content_type="text/html; charset=utf-8")
