"""What all tests share: the fixtures of real servers."""

from __future__ import annotations

from .servers.postgres import postgres_server

__all__ = ["postgres_server"]
