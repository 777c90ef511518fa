"""The keys that an issuer publishes, kept and renewed. Where they come from, and what time it is, comes from outside.

One fetch serves everybody who waits; a name that nobody knows causes one in ten seconds at most, however many ask; an
issuer that is down keeps its last good keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ...protocol.errors import ServiceUnavailableError
from .keys import KeySet, PublicKey

log = structlog.get_logger("linkd.guard")

REFRESH = 300.0
"""Seconds after which the keys are fetched again, though nobody missed one."""

COOLDOWN = 10.0
"""Seconds between two fetches at least."""

_RETRY = 30.0  # seconds until the next try in the background when one failed
_MAX_WAITING = 1000


class RemoteKeys:
    """One issuer's keys.

    Args:
        issuer: For logs and metrics.
        fetch: Gets them; raises OSError or ValueError if it cannot.
        clock: Seconds, monotonic.
        sleep: Waits so many seconds.
        changed: Called when a key that was there is gone: what it vouched for must not be believed any longer.

    Attributes:
        fetches: How often they were fetched, by ``ok`` and ``failed``.
    """

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[], Awaitable[KeySet]],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._sleep = sleep
        self._changed = changed
        self._keys = KeySet()
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0
        self.fetches = {"ok": 0, "failed": 0}
        self._fetched_at: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since they were fetched; ``None``: they never were."""
        return None if self._fetched_at is None else self._clock() - self._fetched_at

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """The key, if it is known now."""
        return self._keys.find(kid, algorithm)

    async def seek(self) -> None:
        """Wait for a fetch, since a key is missing. Whether it brought the key, ``find`` says.

        Raises:
            ServiceUnavailableError: If too many wait already, or no key of the issuer is known even afterwards.
        """
        if self._waiting >= _MAX_WAITING:
            raise ServiceUnavailableError("Tokens cannot be verified now.", retry_after=COOLDOWN)
        self._waiting += 1
        try:
            # Not cancelled with one of those who wait: it is everybody's.
            await asyncio.shield(self._fetch_once())
        finally:
            self._waiting -= 1
        if not self._keys:
            raise ServiceUnavailableError("Tokens cannot be verified now.", retry_after=COOLDOWN)

    async def keep(self) -> None:
        """Fetch them now, and again and again, until cancelled."""
        while True:
            failed = self.fetches["failed"]
            await self._fetch_once()
            await self._sleep(REFRESH if self.fetches["failed"] == failed else _RETRY)

    def _fetch_once(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_when_due(), name="linkd-keys")
        return self._fetching

    async def _fetch_when_due(self) -> None:
        if self._tried_at is not None:
            # Whoever waits for a new key gets it, if late: refusing at once would refuse the first users of a new key.
            await self._sleep(max(0.0, self._tried_at + COOLDOWN - self._clock()))
        self._tried_at = self._clock()
        try:
            keys = await self._fetch()
        except (OSError, ValueError) as error:
            self.fetches["failed"] += 1
            log.warning("keys_not_fetched", issuer=self.issuer, reason=str(error), kept=len(self._keys.names))
            return
        except Exception:
            # Of ours: it must not end the fetching for good.
            self.fetches["failed"] += 1
            log.exception("keys_not_fetched", issuer=self.issuer, kept=len(self._keys.names))
            return
        self.fetches["ok"] += 1
        self._fetched_at = self._clock()
        gone = self._keys.names - keys.names
        self._keys = keys
        if gone:
            self._changed()
