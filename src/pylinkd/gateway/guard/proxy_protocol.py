"""The PROXY protocol, version 2: what a proxy that passes bytes on says first about whose they are. No I/O.

The specification is HAProxy's "The PROXY protocol", section 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_HEAD = len(_SIGNATURE) + 4
_MAX_SIZE = 512  # bytes after the head: the addresses, and what else proxies add
_LOCAL, _PROXY = 0x20, 0x21
_SIZES = {0x11: 4, 0x21: 16}  # TCP over IPv4 and IPv6: bytes of an address


class Preface(NamedTuple):
    """What was said.

    Attributes:
        client: Address and port of the client; ``None``: the proxy speaks for itself, such as to see whether we live.
        size: Bytes of it; what follows is the client's.
    """

    client: tuple[str, int] | None
    size: int


def read_preface(data: bytes) -> Preface | None:
    """Read what a connection begins with; ``None``: more has to come.

    Raises:
        ValueError: If it is something else.
    """
    if data[: len(_SIGNATURE)] != _SIGNATURE[: len(data)]:
        raise ValueError("not the signature")
    if len(data) < _HEAD:
        return None
    command, family, size = struct.unpack_from(">BBH", data, len(_SIGNATURE))
    if command not in (_LOCAL, _PROXY) or size > _MAX_SIZE:
        raise ValueError("another version, command or size")
    if len(data) < _HEAD + size:
        return None
    if command == _LOCAL:
        return Preface(None, _HEAD + size)
    width = _SIZES.get(family)
    if width is None or size < 2 * width + 4:
        raise ValueError("no TCP address")
    address = ipaddress.ip_address(data[_HEAD : _HEAD + width])
    (port,) = struct.unpack_from(">H", data, _HEAD + 2 * width)
    return Preface((str(address), port), _HEAD + size)
