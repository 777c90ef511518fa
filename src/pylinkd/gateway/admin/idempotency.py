"""Answers that are kept for a while, so that a repeated request is answered and not carried out again."""

from __future__ import annotations

import hashlib

import msgspec

from ...protocol.errors import ConflictError

WINDOW = 600.0  # seconds
_MOST = 10_000  # answers
_MOST_BYTES = 16 * 2**20


class StoredAnswer(msgspec.Struct, frozen=True):
    """An answer, and of what it is.

    Attributes:
        digest: Of the request's body.
        body: Of the answer.
        until: Monotonic time in seconds at which it is forgotten.
    """

    digest: bytes
    body: bytes
    until: float


class StoredAnswers:
    """Answers by the sender's name and its idempotency key, bounded in time, number and bytes.

    Beyond a bound the oldest are forgotten first.

    Args:
        window: Seconds that each is kept.
        most: Answers that are kept.
        most_bytes: Bytes of all answers together.
    """

    def __init__(self, window: float = WINDOW, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._window = window
        self._most = most
        self._most_bytes = most_bytes
        self._answers: dict[tuple[str, str], StoredAnswer] = {}
        self._bytes = 0

    def find(self, sender: str, key: str, request: bytes, now: float) -> bytes | None:
        """The answer that this request has had; ``None``: none is kept.

        Raises:
            ConflictError: If the key was used for another body; ``KEY_REUSED``.
        """
        self._forget(now)
        stored = self._answers.get((sender, key))
        if stored is None:
            return None
        if stored.digest != _digest(request):
            raise ConflictError("This Idempotency-Key was used for another body.", type="KEY_REUSED")
        return stored.body

    def keep(self, sender: str, key: str, request: bytes, answer: bytes, now: float) -> None:
        """Keep the answer to a request for which none was found."""
        self._answers[sender, key] = StoredAnswer(_digest(request), answer, now + self._window)
        self._bytes += len(answer)
        self._forget(now)

    def _forget(self, now: float) -> None:
        # The oldest come first, since all are kept equally long.
        while self._answers:
            key, oldest = next(iter(self._answers.items()))
            if oldest.until > now and len(self._answers) <= self._most and self._bytes <= self._most_bytes:
                return
            del self._answers[key]
            self._bytes -= len(oldest.body)

    def __len__(self) -> int:
        return len(self._answers)


def _digest(request: bytes) -> bytes:
    return hashlib.sha256(request).digest()
