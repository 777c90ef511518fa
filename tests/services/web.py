"""Actions: asked over HTTP, and called by other services; events of other services."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from pylinkd import EventContext, ForbiddenError, HttpContext, NotFoundError, Response, Service, WsContext

service = Service("web")
heard: list[dict[str, Any]] = []


class Item(msgspec.Struct):
    name: str
    price: int


class Page(msgspec.Struct):
    limit: int = 10
    after: str = ""


def seen(ctx: HttpContext) -> dict[str, Any]:
    """All that a handler is told of its request."""
    return {
        "method": ctx.method,
        "path": ctx.path,
        "params": dict(ctx.params),
        "query": dict(ctx.query),
        "headers": dict(ctx.headers),
        "user": None if ctx.identity is None else ctx.identity.user,
        "caller": ctx.caller,
    }


@service.action("items.get", route="/items/{id}")
async def get_item(ctx: HttpContext) -> dict[str, Any]:
    return seen(ctx)


@service.action("items.newest", route="/items/newest")
async def newest_item(ctx: HttpContext) -> str:
    return "newest"


@service.action("items.parts", route="/items/{id}/parts/{part}")
async def get_part(ctx: HttpContext) -> dict[str, Any]:
    return seen(ctx)


@service.action("items.list", route="/items")
async def list_items(ctx: HttpContext, page: Page) -> Page:
    return page


@service.action("items.add", route="/items", method="POST")
async def add_item(ctx: HttpContext, item: Item) -> Response:
    return Response(item, status=201, headers={"Location": f"/items/{item.name}"})


@service.action("items.remove", route="/items/{id}", method="DELETE", auth=True)
async def remove_item(ctx: HttpContext) -> None:
    return None


@service.action("admin", route="/admin", roles=["admin"])
async def admin(ctx: HttpContext) -> str:
    return ctx.auth.user


@service.action("fails", route="/fails")
async def fails(ctx: HttpContext) -> None:
    raise RuntimeError("hunter2")


@service.action("refuses", route="/refuses")
async def refuses(ctx: HttpContext) -> None:
    raise NotFoundError("No such thing.", details={"id": 7})


@service.action("hangs", route="/hangs", timeout=0.3)
async def hangs(ctx: HttpContext) -> None:
    await asyncio.Event().wait()


@service.action("slow", route="/slow")
async def slow(ctx: HttpContext) -> str:
    await asyncio.sleep(1.0)
    return "done"


@service.action("upload", route="/upload", method="POST")
async def upload(ctx: HttpContext) -> dict[str, Any]:
    return {"size": len(ctx.body), **seen(ctx)}


@service.action("cookies", route="/cookies")
async def cookies(ctx: HttpContext) -> Response:
    return Response(headers={"X-One": "1"}, cookies=["a=1; Path=/", "b=2, Path=/"])


@service.action("waits", route="/waits", timeout=None)
async def waits(ctx: HttpContext) -> None:
    await asyncio.Event().wait()


@service.action("large", route="/large")
async def large(ctx: HttpContext) -> Response:
    return Response(b"x" * 4_000_000)


@service.action("huge", route="/huge")
async def huge(ctx: HttpContext) -> Response:
    return Response(b"x" * 12_000_000)


@service.action("hidden")
async def hidden(ctx: HttpContext, data: Any) -> Any:
    return {"data": data, **seen(ctx)}


@service.action("hidden.admin", roles=["admin"])
async def hidden_admin(ctx: HttpContext) -> str:
    return "secret"


@service.action("hidden.refuses")
async def hidden_refuses(ctx: HttpContext) -> None:
    raise ForbiddenError("Not you.", details={"why": "test"})


@service.events.on("order.*")
async def on_order(ctx: EventContext, data: Any) -> None:
    heard.append({"type": ctx.name, "source": ctx.source, "data": data, "user": ctx.identity and ctx.identity.user})
    await ctx.everyone.emit("web.heard", heard[-1])


@service.ws.on("web.heard")
async def what_was_heard(ctx: WsContext) -> list[dict[str, Any]]:
    return heard
