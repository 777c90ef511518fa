"""A gateway of a cluster, as the others know it."""

from __future__ import annotations

import re
from typing import NamedTuple

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Member(NamedTuple):
    """A gateway process.

    Attributes:
        gateway: Its id, which stays the same when it is started anew.
        incarnation: One for each process.
    """

    gateway: str
    incarnation: str

    @property
    def is_valid(self) -> bool:
        """Whether both are what gateways are called: 1 to 64 letters, digits, ``_`` and ``-``."""
        return _ID.fullmatch(self.gateway) is not None and _ID.fullmatch(self.incarnation) is not None
