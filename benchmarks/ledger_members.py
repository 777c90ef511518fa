"""What a member of a room has to receive: everything that is published while it is one, once and in order. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .ledger_records import Connection, Emission, Violation


def received(member: Connection, published: dict[str, dict[int, Emission]]) -> Iterator[Violation]:
    """What came that should not have: unknown, twice, or behind a later one."""
    for session, numbers in member.received.items():
        latest = 0
        seen: set[int] = set()
        for number in numbers:
            name = f"event {number} of session {session} at member {member.session}"
            emission = published.get(session, {}).get(number)
            if emission is None:
                yield Violation("event of nobody", member.joined or 0.0, name)
            elif number in seen:
                yield Violation("event twice", emission.begun, name)
            elif number < latest:
                yield Violation("event out of order", emission.begun, f"{name}: after {latest}")
            seen.add(number)
            latest = max(latest, number)


def missed(member: Connection, emissions: Iterable[Emission]) -> Iterator[Violation]:
    """What was confirmed while it was a member and did not come, beyond what it was told that it lost.

    A member whose connection ended may miss the last ones, but none before one that came.
    """
    if member.joined is None:
        return
    last = {session: max(numbers) for session, numbers in member.received.items() if numbers}
    came = {session: set(numbers) for session, numbers in member.received.items()}
    missing = [
        one
        for one in emissions
        if one.begun > member.joined
        and one.confirmed is not None
        and one.confirmed < member.over
        and one.number not in came.get(one.session, ())
        and (one.number < last.get(one.session, 0) or (member.settled is not None and one.confirmed < member.settled))
    ]
    if len(missing) > member.dropped:
        first = min(missing, key=lambda one: one.begun)
        text = f"member {member.session}: {len(missing)} missing, {member.dropped} reported as dropped; the first is "
        yield Violation("events lost", first.begun, f"{text}event {first.number} of session {first.session}")
