"""The Unix socket on which services find the gateway."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from pylinkd.gateway.routing.socket import LinkSocket, LinkSocketError


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path short enough for a socket, in a folder that does not exist."""
    return tmp_path_factory.mktemp("s") / "run" / "link.sock"


async def connect(path: Path) -> None:
    """Connect as a service does, and go."""
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.close()
    await writer.wait_closed()


def link_socket(path: Path) -> LinkSocket:
    """One whose services say nothing."""
    return LinkSocket(path, asyncio.Protocol)


async def test_services_can_connect(path: Path) -> None:
    """As long as it is open; then the socket is gone."""
    listening = link_socket(path)
    await listening.open()
    await connect(path)

    listening.close()

    assert not path.exists()


async def test_only_this_user_can_reach_it(path: Path) -> None:
    """Socket and folder, whatever the mask was; which stays what it was."""
    mask = os.umask(0)
    try:
        listening = link_socket(path)
        await listening.open()
        assert os.umask(0) == 0
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    listening.close()


async def test_stale_socket_is_replaced(path: Path) -> None:
    """A gateway that was killed leaves one behind."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    listening = link_socket(path)
    await listening.open()

    await connect(path)
    listening.close()


async def test_live_socket_is_refused(path: Path) -> None:
    """Another gateway listens there, and goes on to."""
    first = link_socket(path)
    await first.open()

    with pytest.raises(LinkSocketError, match="another gateway listens"):
        await link_socket(path).open()

    await connect(path)
    first.close()


async def test_other_files_are_left_alone(path: Path) -> None:
    """A path that is no socket is a mistake."""
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(LinkSocketError, match=r"is no socket.*LINKD_LINK"):
        await link_socket(path).open()

    assert path.read_text() == "precious"


async def test_path_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """With the system's reason and what to change."""
    (tmp_path / "file").write_text("")

    with pytest.raises(LinkSocketError, match=r"\(.*(directory|exists).*\): set LINKD_LINK"):
        await link_socket(tmp_path / "file" / "link.sock").open()


async def test_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    """A socket's path has about a hundred bytes; the message says so rather than (None)."""
    with pytest.raises(LinkSocketError, match="too long"):
        await link_socket(tmp_path / ("x" * 120) / "link.sock").open()


async def test_close_leaves_the_socket_of_another_alone(path: Path) -> None:
    """Somebody replaced it meanwhile."""
    first = link_socket(path)
    await first.open()
    path.unlink()
    second = link_socket(path)
    await second.open()

    first.close()

    assert path.exists()
    second.close()


async def test_close_may_come_early_and_twice(path: Path) -> None:
    """Before open() there is nothing to do, nor after close()."""
    listening = link_socket(path)
    listening.close()
    await listening.open()
    path.unlink()

    listening.close()
    listening.close()
