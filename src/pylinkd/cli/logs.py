"""How logs look: readable on a terminal, one JSON object a line elsewhere. Only programs configure logging.

Nothing here raises into whoever logs, and nobody waits for the log's reader (line_writer.py).
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Literal

import structlog

from ..line_writer import LineWriter, use_for_log
from .tracebacks import write_traceback

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_MOST_ENTRIES = 100  # structlog's keys of a line that could not be written as they are


def configure_logs(level: str = "info", format: Literal["auto", "console", "json"] = "auto") -> None:
    """Write logs to standard error from ``level`` on, and what waits at the end of the process."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    console = terminal if format == "auto" else format == "console"
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
    ]
    if console:
        rendering = _Rendering([structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=write_traceback)])
    else:
        json_lines = structlog.processors.JSONRenderer(default=_text)
        rendering = _Rendering([structlog.processors.format_exc_info, json_lines])
    rendering.before = processors
    writer = LineWriter(_standard_error(), rendering.loss)
    use_for_log(writer)
    atexit.register(writer.finish)
    structlog.configure(
        processors=[rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Output(writer),
        cache_logger_on_first_use=True,
    )
    _configure_library_logs(level, processors[:2], rendering, writer)


def _configure_library_logs(
    level: str, before: Sequence[structlog.types.Processor], rendering: _Rendering, writer: LineWriter
) -> None:
    """What libraries say through the standard logging, such as asyncio's warnings, in the same shape."""
    handler = _Handler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendering.end],
        )
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), handlers=[handler], force=True)


def _standard_error() -> int | None:
    """A descriptor of standard error; ``None`` where the process was started without one."""
    if sys.stderr is None:
        # Its number would go to the next file or socket that is opened, and what is written there, too.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
        return None
    try:
        return os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # it was replaced by something without a file, or closed
        return None


class _Rendering:
    """The last step of structlog: what is logged becomes a line, whatever is in it.

    Args:
        processors: Of structlog; the last one makes the line.
    """

    def __init__(self, processors: Sequence[Any]) -> None:
        self._processors = processors
        self.before: Sequence[Any] = ()

    def __call__(self, logger: Any, name: str, event: structlog.types.EventDict) -> str:
        """See structlog."""
        return self._render([*self.before, *self._processors], logger, name, event)

    def end(self, logger: Any, name: str, event: structlog.types.EventDict) -> str:
        """See structlog; for what has its level and its time already."""
        return self._render(self._processors, logger, name, event)

    def loss(self, count: int) -> str:
        """The line that says how many lines are missing."""
        return self(None, "warning", {"event": "log_lines_lost", "count": count})

    def _render(self, processors: Sequence[Any], logger: Any, name: str, event: structlog.types.EventDict) -> str:
        line: Any = dict(event)
        try:
            for processor in processors:
                line = processor(logger, name, line)
            return str(line)
        except BaseException:
            # A value's or an exception's own __str__ or __repr__ may raise anything at all, and whoever logs has
            # something to finish, such as an answer.
            return _plain(name, event)


def _plain(level: str, event: structlog.types.EventDict) -> str:
    """A line of what can be written of it."""
    line: dict[str, object] = {"event": _text(event.get("event")), "level": level}
    for key, value in list(event.items())[:_MOST_ENTRIES]:
        if key == "exc_info":
            line["exception"] = _traceback(value)
        elif key != "event":
            line[_text(key)] = value if isinstance(value, int | float) else _text(value)
    return json.dumps(line)


def _traceback(exc_info: object) -> str:
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(error, BaseException):
        error = sys.exception()
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # as above
        return type(error).__name__


def _text(value: object) -> str:
    """What a value is written as where it is neither a string nor a number."""
    if type(value) is str:
        return value
    try:
        return repr(value)
    except BaseException:  # as above
        return f"<{type(value).__name__} without a text>"


class _Output:
    """What structlog gives lines to."""

    def __init__(self, writer: LineWriter) -> None:
        self.msg = self.debug = self.info = self.warning = self.warn = writer.write
        self.error = self.critical = self.exception = self.fatal = self.failure = self.log = writer.write


class _Handler(logging.Handler):
    """The standard logging's way to the same lines."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        try:
            line = self.format(record)
        except BaseException:  # arguments that do not fit the text, or have none
            line = _plain(record.levelname.lower(), {"event": record.msg, "exc_info": record.exc_info})
        self._writer.write(line)
