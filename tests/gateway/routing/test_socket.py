"""Where services find the gateway: the Unix socket, and the TCP port."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from pylinkd.gateway.routing.socket import LinkPort, LinkSocket, LinkSocketError
from pylinkd.protocol.rendezvous import Address
from tests.certificates import Certificate, trust


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


async def test_group_can_reach_it_where_it_is_shared(path: Path) -> None:
    """Nobody else; the group is the one that the operator gave the folder or the process."""
    listening = LinkSocket(path, asyncio.Protocol, shared=True)

    await listening.open()

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    listening.close()


@pytest.mark.parametrize("mode", [0o777, 0o702])
async def test_folder_that_others_can_write_to_is_refused(path: Path, mode: int) -> None:
    """They could put a socket of theirs in its place; in one with the sticky bit they cannot."""
    path.parent.mkdir()
    path.parent.chmod(mode)
    with pytest.raises(LinkSocketError, match=r"others can write to .*: set LINKD_LINK"):
        await link_socket(path).open()

    path.parent.chmod(mode | stat.S_ISVTX)
    listening = link_socket(path)
    await listening.open()
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


def link_port(certificate: Certificate, **other: Path) -> LinkPort:
    """One that takes a free port, and whose services say nothing."""
    files = {"certfile": certificate.certfile, "keyfile": certificate.keyfile, **other}
    return LinkPort(Address(host="127.0.0.1"), asyncio.Protocol, **files)


async def test_port_speaks_tls_and_says_where(certificate: Certificate) -> None:
    """With the port that was taken; closed, it is free again, and a second time is nothing."""
    listening = link_port(certificate)
    await listening.open()
    address = listening.address

    _, writer = await asyncio.open_connection(address.host, address.port, ssl=trust("https:"))
    version = writer.get_extra_info("ssl_object").version()
    writer.transport.abort()
    listening.close()
    listening.close()

    assert version == "TLSv1.3"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(address.host, address.port)


async def test_key_with_a_passphrase_is_told(certificate: Certificate, tmp_path: Path) -> None:
    """Rather than asked for at the terminal, where a server has nobody."""
    key = serialization.load_pem_private_key(certificate.keyfile.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )

    with pytest.raises(LinkSocketError, match="LINKD_LINK_CERTFILE and LINKD_LINK_KEYFILE"):
        await link_port(certificate, keyfile=locked).open()
