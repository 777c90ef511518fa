"""Whether services are alive: they are asked for signs of life, and one that hangs loses its link."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Frame
from ..core.pause import own_pause
from .link import ServiceLink

_INTERVAL = 5.0  # seconds between two signs of life
STORED = ("dead_letters", "outbox", "work")
"""What services have in their databases."""

_SILENCE_LIMIT = 20.0  # seconds after which a service that says nothing counts as hung


async def watch(links: Collection[ServiceLink]) -> None:
    """Ask the services behind these links, for ever: one that hangs would leave its clients without answers."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _INTERVAL
        await asyncio.sleep(_INTERVAL)
        pause = own_pause(clock() - due)
        for link in list(links):
            link.heard_at += pause
            if not link.registered:
                continue  # it has a time limit of its own, and may send nothing but its registration
            if clock() - link.heard_at > _SILENCE_LIMIT:
                what = "did not read" if link.paused else "was silent"
                link.close(f"it {what} for {_SILENCE_LIMIT:g} seconds")
            else:
                frame = Frame()
                frame.ping.SetInParent()
                link.ask(frame, _Stored(link))  # any answer will do: the link notes when it last heard something


class _Stored:
    """Takes what a service says of its database with its sign of life."""

    __slots__ = ("_link",)

    def __init__(self, link: ServiceLink) -> None:
        self._link = link

    def answered(self, frame: Frame) -> None:
        self._link.stored = {kind: frame.done.stored.get(kind, 0) for kind in STORED}

    def failed(self, error: LinkdError) -> None:
        pass
