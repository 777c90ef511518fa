"""Where ``linkd connect`` connects to, and as whom: what the command line and the environment say, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ...client import Client, TokenReason, TokenSource, connect
from ...protocol.errors import SetupError
from ...protocol.headers import check_header

TOKEN_VARIABLE = "LINKD_TOKEN"  # noqa: S105  its name

_SCHEMES = ("ws", "wss", "http", "https")
_OF_THE_HANDSHAKE = ("host", "connection", "upgrade", "content-length")
_LARGEST_TOKEN_FILE = 64 * 1024
_EXAMPLE = "ws://127.0.0.1:3000/ws/hello"


class ConnectError(SetupError):
    """There is no such connection; the text is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and as whom.

    Attributes:
        url: As it was given.
        token: What the client shows; ``None``: nothing.
        headers: Further headers of opening handshakes.
    """

    url: str
    token: TokenSource
    headers: Mapping[str, str]

    @property
    def shown(self) -> str:
        """The URL without what may be a secret in it."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=host, query="…" if parts.query else "").geturl()

    @property
    def path(self) -> str:
        """The path of the URL."""
        return urlsplit(self.url).path or "/"

    def client(self) -> Client:
        """A client that is not connected yet."""
        return connect(self.url, token=self.token, headers=self.headers)


def read_target(
    url: str,
    *,
    token: str | None,
    token_file: Path | None,
    headers: Sequence[str],
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """What the options say, and ``LINKD_TOKEN`` where none of them has a token.

    Raises:
        ConnectError: If one of them is wrong.
    """
    _check_url(url)
    if token is not None and token_file is not None:
        raise ConnectError("--token and --token-file both give a token: give one of them")
    source: TokenSource = token
    if token_file is not None:
        source = TokenFile(token_file)
    elif token is None:
        source = environment.get(TOKEN_VARIABLE) or None
    if isinstance(source, str):
        source = _checked_token(source, "--token" if token is not None else TOKEN_VARIABLE)
    return Target(url, source, _read_headers(headers, has_token=source is not None))


class TokenFile:
    """A token in a file, which is read again when the gateway wants another one.

    Args:
        path: Of the file.

    Raises:
        ConnectError: If there is no token in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown = self._read()

    def __call__(self, reason: TokenReason) -> str | None:
        """The token; ``None``: another one is wanted, and the file has none."""
        token = self._read()
        if reason != "connect" and token == self._shown:
            return None
        self._shown = token
        return token

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(_LARGEST_TOKEN_FILE)
        except OSError as error:
            raise ConnectError(f"--token-file {self._path} cannot be read: {error.strerror}") from None
        return _checked_token(content.decode("latin-1").strip(), f"--token-file {self._path}")


def _checked_token(token: str, source: str) -> str:
    """Return the token if a header can carry it. It is never repeated in an error."""
    if not token:
        raise ConnectError(f"there is no token in {source}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConnectError(f"what {source} gives is no token: it has blanks or characters that no header carries")
    return token


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectError(f"{url!r} is no URL ({error}): give one such as {_EXAMPLE}") from None
    if parts.scheme not in _SCHEMES or not url.startswith(f"{parts.scheme}://"):
        raise ConnectError(f"{url!r} does not begin with ws:// or wss://: give a URL such as {_EXAMPLE}")
    if not host or port == 0:
        raise ConnectError(f"there is no {'host' if not host else 'port 0'} in {url!r}: give a URL such as {_EXAMPLE}")
    if parts.fragment:
        raise ConnectError(f"a URL of a WebSocket has no fragment: leave #{parts.fragment} out")
    if not url.isprintable() or " " in url:
        raise ConnectError(f"{url!r} is no URL: it has blanks or control characters")


def _read_headers(lines: Sequence[str], *, has_token: bool) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            raise ConnectError("--header is written 'Name: value'")  # it may be a secret, so it is not repeated
        try:
            check_header(name, value)
        except ValueError:
            raise ConnectError(f"--header {name!r} is no header that HTTP can carry") from None
        if name.lower() in _OF_THE_HANDSHAKE or name.lower().startswith("sec-websocket-"):
            raise ConnectError(f"--header {name} belongs to the opening handshake: leave it out")
        if name.lower() == "authorization" and has_token:
            raise ConnectError("--header Authorization and a token both say who you are: give one of them")
        headers[name] = value
    return headers
