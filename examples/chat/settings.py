"""What the chat reads from the environment, once, when it is imported."""

from __future__ import annotations

import os

from pylinkd import SetupError

DATABASE = os.environ.get("CHAT_DATABASE", "sqlite:///chat.db")
"""A database URL, see docs/database.md."""

DEVELOPMENT = os.environ.get("LINKD_ENV", "development") != "production"
"""Whether there are demonstration users with a published password. The gateway reads the same variable."""


def _is_registration_open() -> bool:
    value = os.environ.get("CHAT_REGISTRATION", "open")
    if value not in ("open", "closed"):
        raise SetupError(f"CHAT_REGISTRATION is open or closed, not {value!r}")
    return value == "open"


REGISTRATION_OPEN = _is_registration_open()
"""Whether anybody may make an account (``CHAT_REGISTRATION``: ``open``, the default, or ``closed``)."""
