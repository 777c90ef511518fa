"""A page with the client that gateways serve: it counts what it sends and gets. A test has everybody sent numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pylinkd import History, HttpContext, Presence, Response, Service, WsContext

_PAGE = """<!doctype html>
<title>Counting</title>
<script type="module">
  import { createClient } from "/linkd/client.js";
  const client = createClient("/ws/page");
  const state = { heard: [], gaps: [], states: [], sent: 0, failed: 0, lifecycle: [] };
  client.on("page.number", (number) => state.heard.push(number));
  client.onGap(({ reason }) => state.gaps.push(reason));
  client.onState(({ state: name }) => state.states.push(name));
  for (const type of ["freeze", "resume", "visibilitychange"]) {
    document.addEventListener(type, () => state.lifecycle.push(type));
  }
  client.connect();
  window.linkd = {
    client,
    state,
    say: (count) => Promise.all(Array.from({ length: count }, () =>
      client.call("page.say", { window: location.hash, number: ++state.sent }).catch(() => state.failed++))),
  };
</script>
"""

service = Service("page")
service.rooms("*", presence=Presence(grace=15.0), history=History(messages=100, seconds=60))

said: dict[str, list[int]] = {}


@dataclass
class Saying:
    window: str
    number: int


@dataclass
class Numbers:
    first: int
    last: int


@service.ws.on_connect
async def connected(ctx: WsContext) -> None:
    """Everybody is in one room."""
    await ctx.join("everybody")


@service.ws.on("page.say")
async def say(ctx: WsContext, saying: Saying) -> int:
    """Write a window's number down."""
    said.setdefault(saying.window, []).append(saying.number)
    return saying.number


@service.action("show", route="/page")
async def page(ctx: HttpContext) -> Response:
    """The page."""
    return Response(_PAGE, content_type="text/html; charset=utf-8")


@service.action("send", route="/page/numbers", method="POST")
async def numbers(ctx: HttpContext, wanted: Numbers) -> None:
    """Send everybody these numbers."""
    for number in range(wanted.first, wanted.last + 1):
        await ctx.to("everybody").emit("page.number", number)


@service.action("said", route="/page/said")
async def what_was_said(ctx: HttpContext) -> dict[str, list[int]]:
    """What the windows have sent."""
    return said
