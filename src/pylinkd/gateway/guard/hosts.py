"""By which names the gateway may be asked, against DNS rebinding: the Host header (RFC 9110 §7.2).

A page may have its own name point at an address of the gateway, and is then of the same origin as its answers. Its
requests have the page's name in ``Host``. A page cannot do that with an address, since the browser would have to have
loaded it from there; so addresses are listed for probes alone, and as networks where they are not known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ...protocol.errors import BadRequestError, LinkdError
from .addresses import Network, parse_address, parse_network

_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_ENTRY = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}\.?")
_HOST = re.compile(  # RFC 3986 §3.2.2: a registered name or an address, and a port
    r"(?P<host>[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?"
)
_LONGEST = 300  # characters of a Host header: a name has at most 253


class MisdirectedError(LinkdError):
    """The request is for a host that this gateway does not serve (RFC 9110 §15.5.20)."""

    default_code = 421
    default_type = "MISDIRECTED_REQUEST"
    default_message = "This gateway does not serve this host: the operator lists its names in LINKD_HOSTS."


class Hosts:
    """The hosts that may be asked for.

    Args:
        allowed: Names such as ``api.example.com``, ``*.example.com`` (its subdomains, not itself), addresses and
            networks such as ``10.0.0.0/8``; empty: any host.

    Raises:
        ValueError: If one is of no such form; the text names it.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        self._networks: list[Network] = []
        for entry in allowed:
            self._add(entry.lower())
        self._any = not (self._names or self._suffixes or self._networks)
        self._judge = lru_cache(maxsize=256)(self._judge_anew)  # clients ask for few hosts, each of them often

    def _add(self, entry: str) -> None:
        if parse_address(entry.strip("[]").partition("/")[0]) is not None:
            self._networks.append(parse_network(entry.strip("[]")))
        elif not _ENTRY.fullmatch(entry):
            raise ValueError(
                f"{entry!r} is not a host such as api.example.com or *.example.com, and not an address or network"
            )
        elif entry.startswith("*."):
            self._suffixes.append(entry[1:].rstrip("."))
        else:
            self._names.add(entry.rstrip("."))

    def check(self, host: str) -> None:
        """Check a request's host.

        Args:
            host: The ``Host`` header; the port in it does not count.

        Raises:
            BadRequestError: If it is malformed.
            MisdirectedError: If it is not served here.
        """
        error = self._judge(host) if len(host) <= _LONGEST else BadRequestError
        if error is BadRequestError:
            raise BadRequestError("The Host header is malformed.")
        if error is not None:
            raise error()

    def _judge_anew(self, host: str) -> type[LinkdError] | None:
        match = _HOST.fullmatch(host)
        if match is None:
            return BadRequestError
        name = match["host"].lower().rstrip(".")
        return None if self._any or self._serves(name) else MisdirectedError

    def _serves(self, name: str) -> bool:
        address = parse_address(name.strip("[]"))
        if address is not None:
            return any(address in network for network in self._networks)
        return name in self._names or any(
            name.endswith(suffix) and len(name) > len(suffix) for suffix in self._suffixes
        )
