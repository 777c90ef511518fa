"""Tokens by which clients come back to their sessions: not to be guessed, and nothing of them is kept.

A token is the session's id and a code over it and the session's generation, which is renewed with each connection.
"""

from __future__ import annotations

import hmac

from .ids import ID_LENGTH, text_of

_CODE_SIZE = 16  # bytes: 128 bits
_CODE_LENGTH = 22  # characters


class ResumeTokens:
    """Makes and checks tokens.

    Args:
        key: A secret of this gateway process, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, session: str, generation: int) -> str:
        """The token of a session in this generation."""
        return session + self._code(session, generation)

    def session(self, token: str) -> str | None:
        """The id of the session that a token speaks of, be it valid or not; ``None``: it is no token."""
        well_formed = len(token) == ID_LENGTH + _CODE_LENGTH and token.isascii()
        return token[:ID_LENGTH] if well_formed else None

    def fits(self, token: str, session: str, generation: int) -> bool:
        """Whether it is the token of this generation; takes the same time whatever it is."""
        return hmac.compare_digest(token[ID_LENGTH:], self._code(session, generation))

    def _code(self, session: str, generation: int) -> str:
        return text_of(hmac.digest(self._key, f"{session}.{generation}".encode(), "sha256")[:_CODE_SIZE])
