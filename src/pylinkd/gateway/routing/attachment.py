"""A session as one service sees it."""

from __future__ import annotations

from .instance import Instance


class Attachment:
    """A session as one service sees it.

    Attributes:
        instance: Who looks after it; ``None``: nobody yet, or no longer.
        began: It was announced to some instance, which has not refused it: its ``on_connect`` may have run.
        opened: ``on_connect`` has succeeded.
        in_order: Messages that its instance has and that keep order, so that the next may not overtake them.
    """

    __slots__ = ("began", "in_order", "instance", "opened")

    def __init__(self) -> None:
        self.instance: Instance | None = None
        self.began = False
        self.opened = False
        self.in_order = 0
