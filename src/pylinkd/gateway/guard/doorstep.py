"""Who stands before the door: connections that have not said yet what they want."""

from __future__ import annotations

from .addresses import Addresses, Proxies
from .audit import Audit
from .unfinished import Unfinished


class Doorstep:
    """Lets connections come as far as the door, or has them cut before they cost anything.

    Args:
        addresses: Who may connect.
        proxies: Who may stand in for others.
        unfinished: Counts those who stand here.
        audit: Told of who is barred.
        proxy_protocol: Whether trusted proxies say first whose bytes they pass on.
    """

    def __init__(
        self, addresses: Addresses, proxies: Proxies, unfinished: Unfinished, audit: Audit, *, proxy_protocol: bool
    ) -> None:
        self._addresses = addresses
        self._proxies = proxies
        self._unfinished = unfinished
        self._audit = audit
        self._proxy_protocol = proxy_protocol

    def bars(self, address: str) -> bool:
        """Whether whoever comes from there gets no answer at all. Whom a proxy stands in for is seen later."""
        if self._addresses.admits(address) or self._proxies.trusts(address):
            return False
        self._audit.record("address_refused", address=address)
        return True

    def enter(self, address: str) -> bool:
        """Count one more; ``False``: there are too many."""
        return self._unfinished.enter(address, shared=self._proxies.trusts(address))

    def leave(self, address: str) -> None:
        """One that had entered wants something, or is gone."""
        self._unfinished.leave(address, shared=self._proxies.trusts(address))

    def hears_preface(self, address: str) -> bool:
        """Whether a connection from there begins with whose it is (proxy_protocol.py)."""
        return self._proxy_protocol and self._proxies.trusts(address)

    def shares(self, address: str) -> bool:
        """Whether many clients come from there, since it is a proxy's."""
        return self._proxies.trusts(address)
