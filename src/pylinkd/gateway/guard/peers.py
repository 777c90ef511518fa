"""Which processes may be services: whose they are, and whether they know the link's secret."""

from __future__ import annotations

import hmac
import os
from collections.abc import Collection

from ...protocol.errors import ForbiddenError


class Peers:
    """Decides about processes at the link.

    Args:
        uids: Users whose processes may connect to the Unix socket.
        secret: What a registration has to show; empty: nothing.
    """

    def __init__(self, uids: Collection[int], secret: str = "") -> None:
        self._uids = frozenset(uids)
        # The environment's bytes, as the service sends them, whatever they are in Unicode.
        self._secret = os.fsencode(secret)

    def admits(self, uid: int | None) -> bool:
        """Whether a process of this user may connect; ``None``: it came over the network, where no user counts."""
        return uid is None or uid in self._uids

    def check(self, secret: bytes) -> None:
        """Refuse whoever does not know the secret.

        Raises:
            ForbiddenError: In the same words whether it is missing or wrong.
        """
        # No earlier end for a secret that begins well: its time would tell how far it is right.
        if self._secret and not hmac.compare_digest(self._secret, secret):
            raise ForbiddenError(
                "The gateway takes only services that know its secret: "
                "set LINKD_LINK_SECRET to the same value for gateway and service.",
                type="LINK_SECRET",
            )
