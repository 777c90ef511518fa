"""The header in which a proxy says who is behind it: ``X-Forwarded-For``, ``Forwarded`` (RFC 7239), or one address.

A header is read from its right end, since that is where each proxy appends: what a client sent itself stands on the
left, and must not change how the proxies' part is read. A quotation mark that a client opens and never closes would do
that if the header were read from the left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

X_FORWARDED_FOR = "x-forwarded-for"
FORWARDED = "forwarded"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  RFC 9110 §5.6.2
# Colons and brackets belong into quotes (RFC 7239 §6); some proxies leave these out, and mean nothing else.
_VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+")
_PARAMETER = re.compile(rf"({_TOKEN})=(.*)", re.DOTALL)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](:([0-9]{1,5}|_[0-9A-Za-z._-]+))?")  # RFC 7239 §6
_WITH_PORT = re.compile(r"([^:]*):([0-9]{1,5}|_[0-9A-Za-z._-]+)")
# Headers that mean something else: who puts a client's address there breaks that, or believes what it says.
_OTHERS = frozenset(
    {"accept", "authorization", "connection", "content-length", "content-type", "cookie", "expect", "host", "origin"}
    | {"keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "user-agent"}
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def check_name(name: str) -> str:
    """The header's name in lower case.

    Raises:
        ValueError: If it cannot be a header's name, or is the name of one that says something else.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header's name: write x-forwarded-for, forwarded, or one such as x-real-ip")
    if name.lower() in _OTHERS or name.lower().startswith("sec-"):
        raise ValueError(f"{name!r} says something else than where a client is: write x-forwarded-for, or forwarded")
    return name.lower()


def hops(header: str, value: str) -> Iterator[str | None]:
    """Who is named in a header, from the right: addresses as they are written, ``None`` where that cannot be read.

    Args:
        header: Its name, in lower case.
        value: All its lines, joined by commas.
    """
    if header == FORWARDED:
        yield from (_forwarded_for(element) for element in _elements(value))
    elif header == X_FORWARDED_FOR:
        yield from (entry.strip(" \t") for entry in reversed(value.split(",")) if entry.strip(" \t"))
    else:
        # One address. Of two nobody knows which one the proxy wrote.
        yield None if "," in value else value.strip(" \t")


def bare(node: str) -> str:
    """An address without its port and its brackets (RFC 7239 §6); a node of another form as it is."""
    match = _BRACKETED.fullmatch(node) or _WITH_PORT.fullmatch(node)
    return node if match is None else match[1]


def _elements(value: str) -> Iterator[list[str]]:
    """The elements of a ``Forwarded`` header from the right, each as its parameters; empty ones are left out."""
    parameters: list[str] = []
    end = at = len(value)
    while at > 0:
        at -= 1
        character = value[at]
        if character == '"':
            at = _opening_quote(value, at)
        elif character in ";,":
            parameters.append(value[at + 1 : end].strip(" \t"))
            end = at
            if character == ",":
                if any(parameters):
                    yield parameters
                parameters = []
    parameters.append(value[:end].strip(" \t"))
    if any(parameters):
        yield parameters


def _opening_quote(value: str, closing: int) -> int:
    """Where the quoted string begins that ends at ``closing``; 0 where it does not begin."""
    at = closing
    while (at := value.rfind('"', 0, at)) > 0:
        escapes = at
        while escapes and value[escapes - 1] == "\\":
            escapes -= 1
        if (at - escapes) % 2 == 0:
            return at
    return 0


def _forwarded_for(parameters: list[str]) -> str | None:
    """Who an element names under ``for``; ``None``: nobody, or it is malformed (RFC 7239 §4)."""
    named: dict[str, str] = {}
    for parameter in filter(None, parameters):
        match = _PARAMETER.fullmatch(parameter)
        value = None if match is None else _unquoted(match[2])
        if match is None or value is None or match[1].lower() in named:
            return None  # a name may occur once in an element
        named[match[1].lower()] = value
    return named.get("for")


def _unquoted(value: str) -> str | None:
    """A parameter's value; ``None``: it is neither a token nor a quoted string."""
    if _VALUE.fullmatch(value):
        return value
    if len(value) >= 2 and value[0] == value[-1] == '"' and _opening_quote(value, len(value) - 1) == 0:
        return _ESCAPED.sub(r"\1", value[1:-1])
    return None
