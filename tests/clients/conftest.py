"""Sessions of both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .cores import Core, Node, PythonCore, start_node

MakeCore = Callable[[float], Core]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Node with the TypeScript client."""
    node = start_node(tmp_path_factory.mktemp("bridge"))
    yield node
    node.close()


@pytest.fixture(params=["python", "typescript"])
def make_core(request: pytest.FixtureRequest) -> MakeCore:
    """Makes sessions of one of the clients, from what they draw."""
    if request.param == "python":
        return PythonCore
    made: Node = request.getfixturevalue("node")
    return made.make
