"""Where frames go on the bus. A name, such as that of a room, becomes a hash with a key of the cluster's own.

Names may be any text: as subjects they would be limited in length, have characters that mean something there, and stand
in the monitoring of the server. Without the key nobody can tell where a room is, nor send to it.
"""

from __future__ import annotations

import re
from base64 import b32encode
from functools import lru_cache
from hashlib import blake2b

MAX_NAME = 512
"""Bytes of the longest name, as UTF-8."""

MIN_KEY = 16
"""Bytes of the shortest key."""

_CLUSTER = re.compile(r"[a-z0-9-]{1,32}")
_KEPT = 65_536  # subjects that are not worked out again


class Subjects:
    """The subjects of one cluster. They are made of letters, digits, ``-``, ``_`` and dots.

    Args:
        cluster: What it is called: 1 to 32 lower-case letters, digits and ``-``.
        key: Known to its gateways alone, MIN_KEY bytes or more.

    Attributes:
        everybody: Of what is for all gateways.
        prefix: What all of them begin with, for the access rules of the server.

    Raises:
        ValueError: If the name or the key is not of this form; the text says what to change.
    """

    def __init__(self, cluster: str, key: bytes) -> None:
        if not _CLUSTER.fullmatch(cluster):
            raise ValueError(f"a cluster is called by 1 to 32 of a-z, 0-9 and '-', not {cluster!r}")
        if len(key) < MIN_KEY:
            raise ValueError(f"the key of a cluster has {MIN_KEY} bytes or more, not {len(key)}")
        self.prefix = f"lk.{cluster}."
        self.everybody = f"{self.prefix}all"
        self._key = key[:64]  # as many as BLAKE2b takes
        self.of = lru_cache(_KEPT)(self._of)

    def _of(self, name: str) -> str:
        """Of a name.

        Raises:
            ValueError: If it is empty, longer than MAX_NAME, or no text that UTF-8 can carry.
        """
        encoded = name.encode()
        if not 1 <= len(encoded) <= MAX_NAME:
            raise ValueError(f"a name has 1 to {MAX_NAME} bytes, not {len(encoded)}")
        digest = blake2b(encoded, key=self._key, digest_size=16).digest()
        return f"{self.prefix}n.{b32encode(digest)[:26].decode().lower()}"

    def gateway(self, id: str) -> str:
        """Of what is for one gateway."""
        return f"{self.prefix}g.{id}"

    def echo(self, server: str) -> str:
        """Answered by one of the gateways that are connected to this server of the bus."""
        return f"{self.prefix}echo.{server}"
