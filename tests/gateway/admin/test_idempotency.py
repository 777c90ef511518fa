"""Stored answers and their bounds."""

from __future__ import annotations

import pytest

from pylinkd.gateway.admin.idempotency import StoredAnswers
from pylinkd.protocol.errors import ConflictError


def test_answer_is_the_senders_for_a_while() -> None:
    """Neither another sender nor a later request gets it."""
    answers = StoredAnswers(window=10.0)
    answers.keep("shop", "k", b"body", b"answer", 100.0)

    assert answers.find("shop", "k", b"body", 109.9) == b"answer"
    assert answers.find("tea", "k", b"body", 109.9) is None
    with pytest.raises(ConflictError) as caught:
        answers.find("shop", "k", b"other", 109.9)
    assert caught.value.type == "KEY_REUSED"
    assert answers.find("shop", "k", b"other", 110.0) is None
    assert len(answers) == 0


@pytest.mark.parametrize("bounds", [{"most": 3}, {"most_bytes": 18}])
def test_oldest_answers_go_first(bounds: dict[str, int]) -> None:
    """Beyond a number, or beyond so many bytes."""
    answers = StoredAnswers(**bounds)
    for number in range(5):
        answers.keep("shop", str(number), b"body", b"answer", float(number))

    kept = [number for number in range(5) if answers.find("shop", str(number), b"body", 5.0)]
    assert kept == [2, 3, 4]
