"""What a client says of itself, written down."""

from __future__ import annotations

from pylinkd.client import Client, Failure, Gap, State, StateChange


class Watch:
    """Everything that a client says.

    Attributes:
        changes: Of its state.
        gaps: Where events were lost.
        failures: What nobody waits for.
    """

    def __init__(self, client: Client) -> None:
        self.changes: list[StateChange] = []
        self.gaps: list[Gap] = []
        self.failures: list[Failure] = []
        client.on_state(self.changes.append)
        client.on_gap(self.gaps.append)
        client.on_error(self.failures.append)

    @property
    def states(self) -> list[State]:
        """The states that it was in, one after the other."""
        return [change.state for change in self.changes]

    @property
    def sources(self) -> list[str]:
        """What has failed."""
        return [failure.source for failure in self.failures]
