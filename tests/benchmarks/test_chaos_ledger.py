"""What the scenario ``chaos`` finds wrong, and what it takes for told."""

from __future__ import annotations

from typing import Any

from benchmarks.chaos_ledger import Book, Execution, Ledger, compare


def event(number: int) -> dict[str, Any]:
    """The event of a request."""
    return {"type": "chaos.event", "data": {"number": number}}


def response(number: int) -> dict[str, Any]:
    """The answer to a request."""
    return {"type": "response", "id": number, "data": {"instance": "i"}}


def broadcast(number: int, instance: str = "i") -> dict[str, Any]:
    """An event to everybody."""
    return {"type": "chaos.broadcast", "data": {"instance": instance, "number": number}}


def book(asked: int = 0) -> Book:
    """That of a client with a session, which has asked so often."""
    made = Book(1, Ledger())
    made.began("one", None)
    for _ in range(asked):
        made.ask()
    return made


def heard(made: Book, *messages: dict[str, Any]) -> dict[str, int]:
    """What is wrong once these came and everything is quiet."""
    for message in messages:
        made.heard(message)
    made.close(None)
    return dict(made.ledger.violations)


def test_events_before_their_answers_are_in_order() -> None:
    """Nothing is wrong."""
    assert heard(book(2), event(1), response(1), broadcast(5), event(2), response(2), broadcast(6)) == {}


def test_request_without_an_end_is_lost() -> None:
    """When everything is quiet."""
    assert heard(book(2), event(1), response(1)) == {"requests lost": 1}


def test_request_with_503_was_told() -> None:
    """Any other error is unexpected."""
    errors = [{"type": "error", "id": number, "error": {"code": code}} for number, code in ((1, 503), (2, 500))]
    made = book(2)

    assert heard(made, *errors) == {"unexpected errors": 1}
    assert made.ledger.told == {"503": 1, "500": 1}


def test_request_of_a_lost_session_was_told_unless_it_is_sent_again() -> None:
    """What had not come goes out in the next session, and has to have an end there."""
    made = book(2)
    made.began("two", "expired", {2})

    assert heard(made) == {"requests lost": 1}
    assert made.ledger.told == {"expired": 1}


def test_second_answer_is_double() -> None:
    """As is one to nothing."""
    assert heard(book(1), event(1), response(1), response(1)) == {"requests doubled": 1}


def test_answer_without_its_event_lost_it() -> None:
    """What a handler sends arrives before its answer."""
    assert heard(book(1), response(1)) == {"events lost": 1}


def test_events_come_once_and_in_order() -> None:
    """Within a session."""
    found = heard(book(2), event(2), event(1), event(2), response(1), response(2))

    assert found == {"events out of order": 1, "events doubled": 1}


def test_gap_in_the_broadcasts_of_an_instance_is_lost() -> None:
    """Each instance counts for itself, and a session may begin in the middle."""
    assert heard(book(), broadcast(7), broadcast(1, "j"), broadcast(8), broadcast(10)) == {"broadcasts lost": 1}
    assert heard(book(), broadcast(7), broadcast(7)) == {"broadcasts doubled": 1}
    assert heard(book(), broadcast(7), broadcast(8), broadcast(7)) == {"broadcasts out of order": 1}


def test_last_broadcasts_that_only_others_heard_are_lost() -> None:
    """Nothing follows by which a gap would show."""
    ledger = Ledger()
    first, second = Book(1, ledger), Book(2, ledger)
    for made in (first, second):
        made.heard(broadcast(1))
    first.heard(broadcast(2))

    assert not first.behind("i")
    assert second.behind("i") == {"i": (1, 2)}


def test_request_that_is_handled_again_is_double() -> None:
    """In whichever session and process."""
    made = book(1)
    heard(made, event(1), response(1))
    compare(made.ledger, {1: made}, [Execution(1.0, "one", 1, 1), Execution(2.0, "two", 1, 1)])

    assert made.ledger.violations == {"requests doubled": 1}


def test_answer_to_what_was_never_handled_is_found() -> None:
    """The service writes down everything that it handles, before anything else."""
    made = book(1)
    heard(made, event(1), response(1))
    compare(made.ledger, {1: made}, [])

    assert made.ledger.violations == {"requests lost": 1}
