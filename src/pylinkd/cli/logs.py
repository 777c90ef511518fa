"""How logs look: readable on a terminal, one JSON object a line elsewhere. Only programs configure logging."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog

from .tracebacks import write_traceback

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs(level: str = "info", format: Literal["auto", "console", "json"] = "auto") -> None:
    """Write logs to standard error from ``level`` on."""
    console = sys.stderr.isatty() if format == "auto" else format == "console"
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        structlog.processors.StackInfoRenderer(),
    ]
    if console:
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=write_traceback)
        )
    else:
        processors.extend([structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say through the standard logging, in the same shape.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors[:2],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors[3:]],
        )
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), handlers=[handler], force=True)
