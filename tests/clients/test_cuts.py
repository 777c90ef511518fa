"""A conversation of both clients is cut everywhere, once: nothing is lost, doubled, or out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ..resumption.conftest import make_world, world
from ..resumption.test_cuts import Talk, around, positions
from ..resumption.world import World
from .adapter import CoreClient
from .conftest import MakeCore
from .cores import Core

__all__ = ["make_world", "world"]


@pytest.fixture
def make_client(make_core: MakeCore) -> Iterator[Callable[[], CoreClient]]:
    """Makes clients."""
    made: list[Core] = []

    def make() -> CoreClient:
        made.append(make_core(0.5))
        return CoreClient(made[-1])

    yield make
    for core in made:
        core.forget()


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "half-open"])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_conversation_survives_a_cut_anywhere(
    world: World, direction: str, noticed: bool, make_client: Callable[[], CoreClient]
) -> None:
    """Before, within and after messages; at every one of these places the tests' own core is cut."""
    ups, downs = positions(world, make_client())
    ends = ups if direction == "up" else downs
    for place in sorted({0, ends[1] // 2, *around(ends[1:])})[::3]:
        cut = {direction: place}
        talk = Talk(world, **cut, noticed=noticed, core=make_client())
        talk.run()
        try:
            talk.check()
        except AssertionError as error:
            raise AssertionError(f"cut {direction} after {place} bytes: {error}") from error
