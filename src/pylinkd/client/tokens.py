"""Who the user is, as the server is shown: a token, got when one is needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from .callbacks import run

TokenReason = Literal["connect", "refused", "expiring"]
"""Why a token is wanted: for the first connection, since the last one was refused, or since it ends soon."""

Token = str | None
TokenSource = Token | Callable[[TokenReason], Token | Awaitable[Token]]

_PATIENCE = 30.0
_FORM = re.compile(r"[!-~]{1,8192}")  # what a header can carry; beside others, in a head of 16 KiB


class Tokens:
    """The token of a client.

    Args:
        source: It, or what returns it.

    Attributes:
        token: The one that is shown.
        wanted: Why another one is needed before the next connection; ``None``: none is.
        renewable: Whether there can be another.

    Raises:
        ValueError: If ``source`` is neither.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source if callable(source) else _check(source)
        self.token: Token = None
        self.wanted: TokenReason | None = "connect"
        self.renewable = callable(source)

    async def ask(self, reason: TokenReason) -> Token:
        """Another one. ``None`` in place of one that was refused: there will be no other.

        Raises:
            TimeoutError: If it takes more than 30 s.
            ValueError: If the source returns something else.
            Exception: What the source raises.
        """
        if not callable(self._source):
            return self._source
        async with asyncio.timeout(_PATIENCE):
            token = _check(await run(self._source, reason))
        if token is None and reason == "refused":
            self.renewable = False
        return token


def _check(token: Any) -> Token:
    # The token is a secret, and no part of the text.
    if token is not None and not (isinstance(token, str) and _FORM.fullmatch(token)):
        raise ValueError("a token is a str of 1 to 8,192 visible ASCII characters, or None")
    return token
