"""Where gateway and services meet, and by what they know each other. Opening sockets is done elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import SetupError

MIN_SECRET_SIZE = 32
"""Bytes that the link's secret has at least."""

_TCP = "tcp"
_MAX_PATH = 107  # bytes of a Unix socket's path: sun_path has 108, the last of them zero (unix(7))


class RendezvousError(SetupError, ValueError):
    """Gateway and services cannot meet like this; the text is one sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the link is: the path of a Unix socket, or host and port of a gateway that is reached by TCP.

    Attributes:
        path: Of the socket; ``None``: TCP.
        host: Name or IP address, without brackets.
        port: 0 lets a gateway take a free one.

    Raises:
        RendezvousError: If the path is longer than a socket's can be: nothing could be opened there, however often it
            is tried.
    """

    path: Path | None = None
    host: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        size = 0 if self.path is None else len(os.fsencode(self.path))
        if size > _MAX_PATH:
            raise RendezvousError(
                f"the path of the link's socket has {size} bytes, and at most {_MAX_PATH} are possible: set LINKD_LINK "
                "to a shorter one"
            )

    @classmethod
    def parse(cls, given: str | Path | Address) -> Address:
        """``tcp://host:port``, or a path. What is a Path or an Address already is not looked into.

        Raises:
            RendezvousError: If it is neither, or the path is too long.
        """
        if isinstance(given, Address):
            return given
        if isinstance(given, Path) or "://" not in given:
            return cls(path=Path(given))
        fault = RendezvousError(f"{given!r} is no address of a link: write tcp://host:port, or the path of a socket")
        try:
            parts = urlsplit(given)
            host, port = parts.hostname, parts.port
        except ValueError:  # brackets that do not match, a port that is none
            raise fault from None
        if parts.scheme != _TCP or not host or port is None or "@" in parts.netloc:
            raise fault
        if parts.path or "?" in given or "#" in given:
            raise fault
        return cls(host=host, port=port)

    def __str__(self) -> str:
        """As ``parse`` takes it."""
        if self.path is not None:
            return str(self.path)
        return f"{_TCP}://[{self.host}]:{self.port}" if ":" in self.host else f"{_TCP}://{self.host}:{self.port}"


def default_address() -> Address:
    """``LINKD_LINK``, or a socket in a folder that only this user can enter.

    Raises:
        RendezvousError: If ``LINKD_LINK`` is no address.
    """
    given = os.environ.get("LINKD_LINK")
    if given:
        return Address.parse(given)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "linkd" if runtime else Path(f"/tmp/linkd-{os.getuid()}")  # noqa: S108  made with mode 0700
    return Address(folder / "link.sock")


def parse_uids(given: str) -> frozenset[int]:
    """User ids parted by commas; by default this process's own and root's.

    Raises:
        RendezvousError: If one is no number.
    """
    entries = [entry.strip() for entry in given.split(",") if entry.strip()]
    for entry in entries:
        if not (entry.isascii() and entry.isdigit()):
            raise RendezvousError(f"{entry!r} is no user id: write numbers parted by commas, such as 0,1000")
    return frozenset(int(entry) for entry in entries) or frozenset((os.getuid(), 0))


def check_secret(secret: str, address: Address) -> None:
    """Refuse a secret that can be guessed, and a link over the network without one.

    Raises:
        RendezvousError: The text does not show the secret.
    """
    if secret and len(os.fsencode(secret)) < MIN_SECRET_SIZE:
        raise RendezvousError(f"LINKD_LINK_SECRET must have {MIN_SECRET_SIZE} bytes or more")
    if not secret and address.path is None:
        raise RendezvousError(
            f"everybody on the network may knock at {address}: set LINKD_LINK_SECRET to a secret of {MIN_SECRET_SIZE} "
            "bytes or more, the same for gateway and services"
        )


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """What a service has to know to meet its gateway, and no other process.

    Attributes:
        address: Where.
        secret: Shown to the gateway; empty: none.
        cafile: PEM file of whom to believe about the gateway's certificate; ``None``: whom the system believes.
        uids: Users whose process may be the gateway, where the link is a Unix socket.
    """

    address: Address
    secret: str = field(default="", repr=False)
    cafile: Path | None = None
    uids: frozenset[int] = field(default_factory=lambda: parse_uids(""))

    @classmethod
    def of(cls, link: str | Path | Address | None = None) -> Rendezvous:
        """At ``link``, by default ``default_address()``; all else as the environment says.

        Raises:
            RendezvousError: If something in it is wrong.
        """
        address = default_address() if link is None else Address.parse(link)
        if address.path is None and not address.port:
            raise RendezvousError(f"{address} names no port: only a gateway can take a free one")
        secret = os.environ.get("LINKD_LINK_SECRET", "")
        check_secret(secret, address)
        trusted = os.environ.get("LINKD_LINK_CAFILE")
        cafile = Path(trusted) if trusted else None
        if cafile is not None and not cafile.is_file():
            raise RendezvousError(f"there is no file {cafile}: set LINKD_LINK_CAFILE to a PEM file of certificates")
        return cls(address, secret, cafile, parse_uids(os.environ.get("LINKD_LINK_UIDS", "")))
