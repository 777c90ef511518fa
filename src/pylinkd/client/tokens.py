"""Who the user is, as the server is shown: a token, got when one is needed."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Literal

TokenReason = Literal["connect", "refused", "expiring"]
"""Why a token is wanted: for the first connection, since the last one was refused, or since it ends soon."""

Token = str | None
TokenSource = Token | Callable[[TokenReason], Token | Awaitable[Token]]

_PATIENCE = 30.0


class Tokens:
    """The token of a client.

    Args:
        source: It, or what returns it.

    Attributes:
        token: The one that is shown.
        wanted: Why another one is needed before the next connection; ``None``: none is.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self.token: Token = None
        self.wanted: TokenReason | None = "connect"

    @property
    def renewable(self) -> bool:
        """Whether there can be another."""
        return callable(self._source)

    async def ask(self, reason: TokenReason) -> Token:
        """Another one.

        Raises:
            TimeoutError: If it takes more than 30 s.
            Exception: What the source raises.
        """
        if not callable(self._source):
            return self._source
        token = self._source(reason)
        if inspect.isawaitable(token):
            async with asyncio.timeout(_PATIENCE):
                token = await token
        return token
