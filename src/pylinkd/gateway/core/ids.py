"""Ids of sessions."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable

ID_LENGTH = 22
"""Characters of an id."""

_SIZE = 16  # bytes: 128 bits, which nobody guesses
_AT_ONCE = 256  # ids; asking the system for each costs a system call a handshake

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Ids:
    """Makes ids: 22 characters that are safe in a URL.

    Args:
        random: So many bytes that nobody can guess.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._stock: list[str] = []

    def __call__(self) -> str:
        """One that was never given before, as far as randomness goes."""
        if not self._stock:
            drawn = self._random(_SIZE * _AT_ONCE)
            self._stock = [text_of(drawn[start : start + _SIZE]) for start in range(0, len(drawn), _SIZE)]
        return self._stock.pop()


def text_of(id: bytes) -> str:
    """These bytes as text that is safe in a URL, without padding (RFC 4648 §5)."""
    return b2a_base64(id, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()
