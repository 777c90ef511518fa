"""What all tests share: real servers, the option that puts gateways behind TLS, and the summary of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop
from blockbuster import BlockBuster

from .certificates import Certificate, make_certificate
from .conformance.summary import pytest_terminal_summary
from .processes import Platform
from .servers.postgres import postgres_server

__all__ = ["postgres_server", "pytest_terminal_summary"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest."""
    parser.addoption("--tls", action="store_true", help="start every gateway with a certificate: wss:// and https://")
    parser.addoption("--uvloop", action="store_true", help="run asynchronous tests on the loop of production")


class LoopOfProduction:
    """A plugin that has asynchronous tests run on uvloop."""

    def pytest_asyncio_loop_factories(self) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
        """See pytest-asyncio."""
        return {"uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    """Under ``--uvloop`` change the loop."""
    if config.getoption("--uvloop"):
        config.pluginmanager.register(LoopOfProduction())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under ``--tls`` leave out what is marked as ``plain``: deselected, since nobody has to look at it again."""
    if config.getoption("--tls"):
        left_out = [item for item in items if item.get_closest_marker("plain")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def detector() -> Iterator[BlockBuster]:
    """Finds code of ours that blocks the event loop it runs in: a sleep, a lock, a database.

    Files are left out, since what is read of them is local and small; and sockets, since a loop's own calls of them are
    most of what a test does, and each would be looked at.
    """
    found = BlockBuster(scanned_modules=["pylinkd"])
    for name in [name for name in found.functions if name.startswith(("os.", "io.", "socket.", "ssl."))]:
        del found.functions[name]
    found.activate()
    yield found
    found.deactivate()


@pytest.fixture(autouse=True)
def no_blocking_call(request: pytest.FixtureRequest, detector: BlockBuster) -> Iterator[None]:
    """Have code of ours fail that blocks, but where a test is about that."""
    if not request.node.get_closest_marker("blocks"):
        yield
        return
    detector.deactivate()
    yield
    detector.activate()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of this run."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session", autouse=True)
def tls(request: pytest.FixtureRequest) -> None:
    """Under ``--tls`` give every gateway of this run the certificate."""
    if request.config.getoption("--tls"):
        # Asked for here and not as an argument: a run without the option may need none.
        Platform.default_certificate = request.getfixturevalue("certificate")
