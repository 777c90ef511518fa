"""A world for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .room_helpers import RULES
from .world import Loop, World


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes worlds with these settings."""
    loop = Loop()
    loop.enter()
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(loop, tmp_path, **settings))
        return made[-1]

    yield make
    for world in made:
        world.close()
    loop.leave()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One with the settings that it has by default."""
    return make_world()


@pytest.fixture
def rooms(world: World) -> World:
    """A world whose service has such rooms."""
    world.restart_service(rooms=RULES, presence=True)
    return world
