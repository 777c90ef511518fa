"""``service.static``: the files of a folder as an action."""

from __future__ import annotations

import asyncio
import os
import stat
from datetime import UTC, datetime
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..protocol.errors import InternalError, NotFoundError
from .context import HttpContext
from .response import Response

LARGEST_FILE = 8 * 2**20
"""Bytes; an answer is one frame of the link, and in memory."""

_TYPES = MimeTypes()  # without the tables of the machine, which differ
for _ending, _type in {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}.items():
    _TYPES.add_type(_type, _ending)
for _ending, _type in {".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2"}.items():
    _TYPES.add_type(_type, _ending)


class StaticFiles:
    """Answers requests with the files of a folder, and with nothing outside it.

    Args:
        folder: It is looked at for each request: files may come and go.
        index: The file that answers for a folder; empty: none does.
        cache_control: The header of the answers.
    """

    def __init__(self, folder: Path, *, index: str, cache_control: str) -> None:
        self._root = folder.resolve()
        self._index = index
        self._cache_control = cache_control

    async def answer(self, ctx: HttpContext[Any]) -> Response:
        """The file that the variable ``path`` of the route names.

        Raises:
            NotFoundError: If there is none, it is hidden (its name or a folder's begins with a dot), or a symbolic
                link leads out of the folder.
            InternalError: If it is larger than LARGEST_FILE.
        """
        return await asyncio.to_thread(self._answer, ctx)

    def _answer(self, ctx: HttpContext[Any]) -> Response:
        path = self._resolved(ctx.params.get("path", ""))
        if path.is_dir():
            if not self._index:
                raise NotFoundError()
            if not ctx.path.endswith("/"):  # relative links of the index start at the folder
                return Response(status=308, headers={"Location": quote(ctx.path) + "/"})
            path = self._inside(path / self._index)
        elif ctx.path.endswith("/"):
            raise NotFoundError()
        try:
            # A pipe would block, and what became a symbolic link since it was resolved is not followed.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as cause:
            raise NotFoundError() from cause
        with open(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise NotFoundError()
            unread = self._response(path, found, b"").for_request(ctx.method, ctx.headers)
            if unread.status == 304:
                return unread
            body = file.read(LARGEST_FILE + 1)
        if len(body) > LARGEST_FILE:
            raise InternalError(f"Files of more than {LARGEST_FILE} bytes cannot be sent.", type="FILE_TOO_LARGE")
        return self._response(path, found, body)

    def _resolved(self, path: str) -> Path:
        *folders, name = path.split("/")
        named = [*folders, name] if name else folders  # a slash at the end names a folder
        if "\0" in path or any(not each or each.startswith(".") for each in named):
            raise NotFoundError()
        return self._inside(self._root.joinpath(*named))

    def _inside(self, path: Path) -> Path:
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError) as cause:  # a loop of symbolic links is a RuntimeError
            raise NotFoundError() from cause
        if not resolved.is_relative_to(self._root):
            raise NotFoundError()
        return resolved

    def _response(self, path: Path, found: os.stat_result, body: bytes) -> Response:
        return Response(
            body,
            content_type=_content_type(path.name),
            headers={"Cache-Control": self._cache_control, "X-Content-Type-Options": "nosniff"},
            etag=f"{found.st_mtime_ns:x}-{found.st_size:x}",
            last_modified=datetime.fromtimestamp(int(found.st_mtime), UTC),
        )


def _content_type(name: str) -> str:
    kind, encoding = _TYPES.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind == "application/json" else kind
