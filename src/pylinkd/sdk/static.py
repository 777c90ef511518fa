"""``service.static``: the files of a folder as an action."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from mimetypes import MimeTypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..protocol.errors import InternalError, NotFoundError
from .conditional import entity_tag, http_date
from .context import HttpContext
from .ranges import RangeNotSatisfiableError, requested_range
from .response import Response
from .streaming import StreamingResponse

_AT_ONCE = 256 * 1024  # bytes of a file that is one answer; larger ones are read while they are sent
_PIECE = 64 * 1024  # bytes that are read at a time

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
        with _opened(path) as (handle, found):
            headers = self._headers(path, found)
            unread = Response(headers=headers).for_request(ctx.method, ctx.headers)
            if unread.status == 304:
                return unread
            size, status = found.st_size, 200
            wanted = range(size)
            try:
                part = requested_range(ctx.method, ctx.headers, headers, size)
            except RangeNotSatisfiableError:
                return Response(status=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
            if part is not None:
                wanted, status = part, 206
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
            if len(wanted) <= _AT_ONCE:
                return Response(os.pread(handle, len(wanted), wanted.start), status=status, headers=headers)
        kind = headers.pop("Content-Type")
        pieces = _pieces(path, found, wanted)
        return StreamingResponse(pieces, status=status, content_type=kind, headers=headers, size=len(wanted))

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

    def _headers(self, path: Path, found: os.stat_result) -> dict[str, str]:
        return {
            "Content-Type": _content_type(path.name),
            "Cache-Control": self._cache_control,
            "X-Content-Type-Options": "nosniff",
            "Accept-Ranges": "bytes",
            "ETag": entity_tag(f"{found.st_mtime_ns:x}-{found.st_size:x}"),
            "Last-Modified": http_date(datetime.fromtimestamp(int(found.st_mtime), UTC)),
        }


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """A file's handle, and what it is.

    Raises:
        NotFoundError: If it is none.
    """
    try:
        # A pipe would block, and what became a symbolic link since it was resolved is not followed.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as cause:
        raise NotFoundError() from cause
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise NotFoundError()
        yield handle, found
    finally:
        os.close(handle)


async def _pieces(path: Path, known: os.stat_result, wanted: range) -> AsyncIterator[bytes]:
    """The bytes of a file, as long as it stays the one that was looked at: else the answer stays incomplete."""
    with _opened(path) as (handle, _):
        for start in range(wanted.start, wanted.stop, _PIECE):
            piece = await asyncio.to_thread(os.pread, handle, min(_PIECE, wanted.stop - start), start)
            if not _is_same(known, os.fstat(handle)):
                raise InternalError(f"{path.name} changed while it was sent", type="FILE_CHANGED")
            yield piece


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    changes = one.st_size, one.st_mtime_ns
    return os.path.samestat(one, other) and changes == (other.st_size, other.st_mtime_ns)


def _content_type(name: str) -> str:
    kind, encoding = _TYPES.guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind == "application/json" else kind
