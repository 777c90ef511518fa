"""Ports: who may have one, and on which addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from pylinkd.gateway.core.traffic import Traffic
from pylinkd.gateway.edge.listener import AddressInUseError, Listener, bind
from pylinkd.gateway.edge.serving import Serving
from pylinkd.gateway.edge.stages import Deadlines
from pylinkd.gateway.edge.unread import Unread
from pylinkd.gateway.guard.hosts import Hosts
from pylinkd.gateway.guard.unfinished import Unfinished


async def nobody(scope: object, receive: object, send: object) -> None:
    """An application that is not asked."""


def listener(port: int, host: str = "127.0.0.1") -> Listener:
    """A port without a gateway behind it."""
    serving = Serving(
        nobody,
        traffic=Traffic(),
        hosts=Hosts(),
        max_head_size=1024,
        deadlines=Deadlines(),
        bound=Unfinished(10, 10),
        unread=Unread(2**20, Traffic(), lambda: 0.0),
    )
    return Listener(asyncio.Protocol, serving, host, port, "LINKD_PORT")


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_port_that_another_took_meanwhile(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Two may have bound it before either listens: the second is told, and does not wait for ever."""

    async def both() -> None:
        first = listener(0)
        port = int(first.address.rpartition(":")[2])
        second = listener(port)
        await first.open()
        with pytest.raises(AddressInUseError, match=rf"port {port} .*: set LINKD_PORT to a free address"):
            await asyncio.wait_for(second.open(), 5)
        await second.close(0)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await first.close(0)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(both())


def test_port_that_is_taken_is_told_at_once() -> None:
    """Before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(AddressInUseError):
        bind("127.0.0.1", taken.getsockname()[1], "LINKD_PORT")


def test_name_is_bound_on_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one port, IPv4 first; a family that the machine does not have is left out."""
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    bound = bind("localhost", 0, "LINKD_PORT")

    assert bound[0].family == socket.AF_INET
    assert len(bound) == len({one.family for one in bound})
    assert len({one.getsockname()[1] for one in bound}) == 1
    for one in bound:
        one.close()


def test_host_that_is_nowhere_is_told() -> None:
    """With the name in the sentence."""
    with pytest.raises(AddressInUseError, match=r"nowhere\.invalid"):
        bind("nowhere.invalid", 0, "LINKD_PORT")
