"""A conversation of 40 messages each way is cut everywhere, once: nothing is lost, doubled, or out of order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from .client_core import ClientCore
from .world import Client, World

LENGTH = 40


class Talk:
    """The conversation, over a line that takes only so many bytes each way before it breaks.

    Args:
        world: Where it takes place.
        up: Bytes that the gateway gets of the first line.
        down: Bytes that the client gets of it.
        noticed: The gateway notices that it broke; else the client comes back before.
        core: The client's; the tests' own unless given.
    """

    def __init__(
        self, world: World, *, up: int | None = None, down: int | None = None, noticed: bool = True, core: Any = None
    ) -> None:
        self._world = world
        self._up, self._down = up, down
        self._noticed = noticed
        self.client = Client(world, "una", core)
        self.ups: list[int] = [0]  # bytes after which whole messages had gone up, and down
        self.downs: list[int] = [0]
        self.handled_before = len(world.handled)

    def run(self) -> None:
        """All of it."""
        client = self.client
        client.dial()
        self._carry()
        sent = 0
        while sent < LENGTH:
            client.core.send("chat.send", sent, id=sent)
            if client.core.session:
                self._world.emit(sent, client)
            else:
                client.core.delivered.append({"type": "n", "data": sent})  # it could not be sent to anybody yet
            sent += 1
            self._carry()
        for _ in range(20):
            self._carry()

    def _carry(self) -> None:
        """What was written travels, until the line breaks."""
        client, line = self.client, self.client.line
        assert line is not None
        client.write()
        up = len(line.up)
        if self._up is not None and up > self._up:
            line.carry_up(self._up)
            self._world.turn()
            client.hear(self._down)
            self._break()
            return
        line.carry_up()
        self._up = None if self._up is None else self._up - up
        self._world.turn()
        down = line.down
        if self._down is not None and down > self._down:
            client.hear(self._down)
            self._break()
            return
        client.hear()
        self._down = None if self._down is None else self._down - down
        if up:
            self.ups.append(self.ups[-1] + up)
        if down:
            self.downs.append(self.downs[-1] + down)

    def _break(self) -> None:
        self._up = self._down = None
        if self._noticed:
            self.client.cut()
        self.client.dial()

    def check(self) -> None:
        """Everything arrived, once and in order."""
        client = self.client
        session = client.core.session
        expected = list(range(LENGTH))
        handled = [data for _, data in self._world.handled[self.handled_before :]]
        assert client.texts == expected
        assert client.answers == expected
        assert handled == expected
        assert client.core.unknown == []
        assert session
        assert self._world.traffic.drift == 0
        client.cut()
        for old in client.old:
            old.cut()


def positions(world: World, core: Any = None) -> tuple[list[int], list[int]]:
    """Bytes up and down after which whole writes have arrived, in a conversation that is not cut."""
    talk = Talk(world, core=core)
    talk.run()
    talk.check()
    return talk.ups, talk.downs


def around(ends: list[int]) -> list[int]:
    """Each end, the bytes beside it, and one within each piece."""
    found = {0, 1}
    for before, end in pairwise(ends):
        found |= {end - 1, end, end + 1, (before + end) // 2}
    return sorted(found)


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "half-open"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_conversation_survives_a_cut_anywhere(world: World, direction: str, noticed: bool) -> None:
    """Before, within and after each message, and at each byte of the handshake."""
    ups, downs = positions(world)
    ends = ups if direction == "up" else downs
    places = sorted({*range(0, ends[1], 7), *around(ends[1:])})
    for place in places:
        cut = {direction: place}
        talk = Talk(world, **cut, noticed=noticed)
        talk.run()
        try:
            talk.check()
        except AssertionError as error:
            raise AssertionError(f"cut {direction} after {place} bytes: {error}") from error


def test_conversation_survives_a_cut_after_every_step(world: World) -> None:
    """Again and again: every connection lasts for one message."""
    client = Client(world, "una")
    client.connect()
    for number in range(LENGTH):
        client.core.send("chat.send", number, id=number)
        world.emit(number, client)
        client.write()
        assert client.line is not None
        client.line.carry_up()
        world.turn()
        client.cut()
        client.connect()
    assert client.texts == client.answers == list(range(LENGTH))
    assert world.handled == [(client.core.session, number) for number in range(LENGTH)]
    assert client.core.notices == ["resumed"] * LENGTH


def test_client_that_never_acknowledges_survives_too(world: World) -> None:
    """What it has got is in its handshake."""
    client = Client(world, "una", ClientCore(acks=False))
    client.connect()
    for number in range(100):
        world.emit(number, client)
    client.pump()
    client.cut()
    world.emit(100, client)
    client.connect()
    assert client.texts == list(range(101))
