"""Whether services are alive: they are asked for signs of life, and one that hangs loses its link."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Frame
from .link import ServiceLink

_INTERVAL = 5.0  # seconds between two signs of life
_SILENCE_LIMIT = 20.0  # seconds after which a service that says nothing counts as hung
_OWN_PAUSE = 1.0  # seconds of the loop's delay from which on the gateway itself was paused (SIGSTOP, a frozen VM)


async def watch(links: Collection[ServiceLink]) -> None:
    """Ask the services behind these links, for ever: one that hangs would leave its clients without answers."""
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + _INTERVAL
        await asyncio.sleep(_INTERVAL)
        late = clock() - due
        for link in list(links):
            if late > _OWN_PAUSE:
                link.heard_at += late  # what it said meanwhile is still to be read
            if not link.registered:
                continue  # it has a time limit of its own, and may send nothing but its registration
            if clock() - link.heard_at > _SILENCE_LIMIT:
                what = "did not read" if link.paused else "was silent"
                link.close(f"it {what} for {_SILENCE_LIMIT:g} seconds")
            else:
                frame = Frame()
                frame.ping.SetInParent()
                link.ask(frame, _SignOfLife())


class _SignOfLife:
    """Any answer will do: the link notes when it last heard something."""

    __slots__ = ()

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        pass
