"""Passwords: hashed with argon2id (RFC 9106), in threads, since that takes long on purpose."""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from pylinkd import ServiceUnavailableError

T = TypeVar("T")

_AT_ONCE = 2  # each takes 64 MiB while it lasts
_MOST_WAITING = 50  # handlers; some seconds' worth


class Passwords:
    """Hashes and verifies.

    Args:
        hasher: The parameters; by default those that RFC 9106 §4 has for little memory: 64 MiB, three passes.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        # Of no password that anybody has: for users who do not exist, so that they take as long as others.
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """What to store of a password.

        Raises:
            ServiceUnavailableError: If too many wait for theirs.
        """
        return await self._run(lambda: self._hasher.hash(_composed(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether this is the password; with ``None``, where there is none, it takes as long to say no.

        Raises:
            ServiceUnavailableError: If too many wait for theirs.
        """
        return await self._run(lambda: self._matches(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether it was hashed with other parameters than these: hash the password anew while it is there."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str | None, password: str) -> bool:
        try:
            self._hasher.verify(stored or self._nobodys, _composed(password))
        except VerifyMismatchError:
            return False
        return stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise ServiceUnavailableError("Too many are signing in.", retry_after=1.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _composed(password: str) -> str:
    """The same password on every keyboard (RFC 8265 §4.2.2)."""
    return unicodedata.normalize("NFC", password)


passwords = Passwords()
