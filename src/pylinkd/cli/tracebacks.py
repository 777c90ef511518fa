"""Tracebacks for people: where their own code was, without the frames of frameworks and without variables.

Variables would show payloads and tokens. JSON logs have every frame.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_FOREIGN = tuple(
    {
        str(Path(place).resolve()) + "/"
        for place in (_PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    }
)


def write_traceback(stream: TextIO, exc_info: Any) -> None:
    """Write an exception with its causes; for structlog's ConsoleRenderer.

    Args:
        stream: Where to write it.
        exc_info: Class, exception and traceback, as ``sys.exc_info`` gives them.
    """
    kind, error, trace = exc_info
    report = traceback.TracebackException(kind, error, trace, compact=True)
    _shorten(report)
    stream.write("\n" + "".join(report.format()).rstrip("\n"))


def _shorten(first: traceback.TracebackException) -> None:
    """Take the frames that are not the author's out of an exception and of all that led to it."""
    reports = list(_all_of(first))
    kept = [[frame for frame in report.stack if _is_own(frame.filename)] for report in reports]
    if not any(kept):
        kept[0] = first.stack[-1:]  # without code of the author's, the place where it was raised is better than nothing
    for report, frames in zip(reports, kept, strict=True):
        report.stack = traceback.StackSummary.from_list(frames)


def _all_of(first: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting: list[traceback.TracebackException | None] = [first]
    seen: set[int] = set()
    while waiting:
        report = waiting.pop()
        if report is None or id(report) in seen:
            continue
        seen.add(id(report))
        yield report
        waiting.extend((report.__cause__, report.__context__, *(report.exceptions or ())))


def _is_own(filename: str) -> bool:
    return not filename.startswith("<frozen ") and not str(Path(filename).resolve()).startswith(_FOREIGN)
