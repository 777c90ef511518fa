"""Which pages may open a WebSocket, or read an answer over HTTP (RFC 6454, RFC 6455 §10.2).

A browser sends a user's cookies along whoever made the page, and says in ``Origin`` who that was. Programs that are no
browsers send none, and may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"  # underscores are no host name's (RFC 952), and there are some with them
_ENTRY = re.compile(rf"https?://(\*\.)?({_HOST}\.)*{_HOST}(:[0-9]{{1,5}})?|https?://\[[0-9a-f:]+\](:[0-9]{{1,5}})?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
# Of an app, or a browser's extension; some apps call their host "-".
_APP = re.compile(rf"{_SCHEME.pattern}://(({_HOST}\.)*{_HOST}|-)(:[0-9]{{1,5}})?")
_NOT_PAGES = frozenset({"http", "https", "ws", "wss", "ftp", "file", "data", "blob", "about", "javascript"})

ANY = "*"
"""Written out, it lets every page in but those that hide where they are from."""


class Origins:
    """The origins that are allowed; that of the request's own host always is.

    Args:
        allowed: Each such as ``https://app.example.com``, ``https://*.example.com`` (its subdomains, not itself),
            ``capacitor://localhost`` or ``chrome-extension://<id>`` (apps and extensions), or ``*``.

    Attributes:
        any: Whether every page is.
        pattern: A regular expression of those that are listed; empty: none is.

    Raises:
        ValueError: If one is of no such form; the text names it.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        entries = [_normalized(entry) for entry in allowed]
        for entry in entries:
            if entry != ANY and not _ENTRY.fullmatch(entry) and not _is_app(entry):
                raise ValueError(
                    f"{entry!r} is no origin such as https://app.example.com, https://*.example.com or "
                    "capacitor://localhost"
                )
        self.any = ANY in entries
        self.pattern = "|".join(_pattern(entry) for entry in entries if entry != ANY)
        self._listed = re.compile(self.pattern or r"(?!)")

    def allow(self, origin: str | None, host: str) -> bool:
        """Whether a page of this origin may come in.

        Args:
            origin: The request's ``Origin``; ``None``: it has none.
            host: Its ``Host``.
        """
        if origin is None:
            return True
        origin = origin.lower()
        if origin == "null":  # a sandboxed frame, a file: nobody knows whose
            return False
        return self.any or self._listed.fullmatch(origin) is not None or _is_same_host(origin, host)

    def lists(self, origin: str) -> bool:
        """Whether the origin is one of those that are allowed, its own host's not among them."""
        return self.any or self._listed.fullmatch(origin.lower()) is not None


def _normalized(entry: str) -> str:
    """As browsers write an origin: in small letters, without a path and without the scheme's own port."""
    entry = entry.lower().rstrip("/")
    default = _DEFAULT_PORTS.get(entry.partition(":")[0])
    return entry if default is None else entry.removesuffix(f":{default}")


def _is_app(entry: str) -> bool:
    """Whether it is the origin of something else than a page of the web."""
    return _APP.fullmatch(entry) is not None and entry.partition(":")[0] not in _NOT_PAGES


def _pattern(entry: str) -> str:
    """What matches an entry: a wildcard stands for one or more labels of a host name."""
    scheme, wildcard, domain = entry.partition("*")
    return re.escape(scheme) + (rf"({_HOST}\.)*{_HOST}{re.escape(domain)}" if wildcard else "")


def _is_same_host(origin: str, host: str) -> bool:
    """Whether the page is from the host that is asked. The scheme is not compared: a proxy may speak TLS for us."""
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{host.lower()}")
        if page.scheme not in ("http", "https"):
            return False  # what an app or an extension calls its host is no host of ours
        default = _DEFAULT_PORTS[page.scheme]
        same_port = (page.port or default) == (asked.port or default)
        return page.hostname is not None and page.hostname == asked.hostname and same_port
    except ValueError:
        return False
