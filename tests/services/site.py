"""Actions with forms, limits, validators and files: what HTTP needs of them."""

# ruff: noqa: D103  a handler's type says what it is for

from __future__ import annotations

from pathlib import Path
from typing import Any

from pylinkd import HttpContext, Response, Service

service = Service("site")
service.static("/files", Path(__file__).parent)


@service.action("upload", route="/upload", method="POST", max_body=1000)
async def upload(ctx: HttpContext) -> dict[str, Any]:
    form = await ctx.form()
    return {"fields": form.fields, "files": [[file.name, file.content_type, len(file.data)] for _, file in form.files]}


@service.action("page", route="/page")
async def page(ctx: HttpContext) -> Response:
    tags = [value for name, value in ctx.header_list if name == "x-tag"]
    return Response(",".join(tags), etag="v1", headers={"Link": ["<a>", "<b>"]}, cookies=["a=1", "b=2"])
