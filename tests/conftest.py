"""What all tests share: the fixtures of real servers, and the summary of a run."""

from __future__ import annotations

from .conformance.summary import pytest_terminal_summary
from .servers.postgres import postgres_server

__all__ = ["postgres_server", "pytest_terminal_summary"]
