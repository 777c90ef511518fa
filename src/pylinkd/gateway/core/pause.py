"""When the gateway itself did nothing for a while: stopped by a signal, or frozen with its machine."""

from __future__ import annotations

_NOTICEABLE = 1.0  # seconds; a shorter delay is that of a busy loop


def own_pause(late: float) -> float:
    """The seconds that peers are to be given, since what they said meanwhile is still unread.

    Args:
        late: Seconds by which the loop came later than it was due.

    Returns:
        All of them, or 0.0 where so short a delay needs no care.
    """
    return late if late > _NOTICEABLE else 0.0
