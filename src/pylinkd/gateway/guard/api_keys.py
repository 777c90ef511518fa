"""Keys of programs that publish over HTTP: their names, their secrets, and the namespaces that they may send to."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence

import msgspec

from ...protocol.rate import Rate

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHORTEST = 32  # bytes of a secret
_MOST = 100


class ApiKey(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        name: Its name in metrics and in the audit. Several keys may share it while a secret is rotated.
        namespaces: Those that it may send to; empty: all.
    """

    name: str
    secret: bytes
    namespaces: frozenset[str] = frozenset()

    def allows(self, namespace: str) -> bool:
        """Whether the key may send to this namespace."""
        return not self.namespaces or namespace in self.namespaces

    def __repr__(self) -> str:
        return f"<ApiKey {self.name}>"


def parse_api_keys(text: str) -> list[ApiKey]:
    """Keys out of ``name:secret name:secret:namespace,namespace``, parted by white space.

    Raises:
        ValueError: If an entry is no key; the text names it by its position and shows no secret.
    """
    keys = [_parse(place, entry) for place, entry in enumerate(text.split(), start=1)]
    if len(keys) > _MOST:
        raise ValueError(f"there are at most {_MOST} keys, not {len(keys)}")
    if len({key.secret for key in keys}) < len(keys):
        raise ValueError("two keys have the same secret: give each one of its own")
    return keys


def _parse(place: int, entry: str) -> ApiKey:
    name, _, rest = entry.partition(":")
    secret, restricts, listed = rest.partition(":")
    if not _NAME.fullmatch(name) or not secret:
        raise ValueError(f"entry {place} is no key: write name:secret or name:secret:namespace,namespace")
    if len(secret.encode()) < _SHORTEST:
        raise ValueError(f"the secret of entry {place} must have {_SHORTEST} bytes or more")
    namespaces = frozenset(listed.split(",")) if restricts else frozenset[str]()
    if "" in namespaces:
        raise ValueError(f"entry {place} lists an empty namespace: leave out the last colon, or name at least one")
    return ApiKey(name, secret.encode(), namespaces)


class ApiKeys:
    """Says whose key a request shows, and how much more each may send.

    Args:
        keys: All keys.
        rate: Events that the keys of one name may send together; ``None``: any number.
    """

    def __init__(self, keys: Sequence[ApiKey], rate: Rate | None) -> None:
        self._keys = keys
        self._rate = rate
        self._paid: dict[str, float] = {key.name: 0.0 for key in keys}

    def find(self, authorization: str) -> ApiKey | None:
        """The key in a request's ``Authorization``; ``None``: it is missing or wrong."""
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        secret = shown.strip().encode()
        found = None
        # All are compared, so that the time does not say which one came close.
        for key in self._keys:
            if hmac.compare_digest(secret, key.secret):
                found = key
        return found

    def take(self, key: ApiKey, events: int, now: float) -> float:
        """Take events from the key's rate; 0.0, or the seconds after which to try again, and then nothing was taken.

        Args:
            events: How many. More than the rate's whole count cost that count, or they could never be sent.
            now: Monotonic time in seconds.
        """
        if self._rate is None:
            return 0.0
        self._paid[key.name], wait = self._rate.take(self._paid[key.name], now, min(events, self._rate.count))
        return wait
