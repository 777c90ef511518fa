"""``linkd serve``: the gateway as a process."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from ..collector import freeze_collector
from ..gateway.server import Gateway
from ..gateway.settings import Settings
from ..protocol.errors import SetupError


class GatewayFailedError(SetupError):
    """The gateway could not go on; its log says why. Whoever started the process starts it anew."""


def serve(settings: Settings) -> None:
    """Run a gateway until SIGTERM, SIGINT, or SIGHUP (a restart); a second signal ends the process at once. SIGUSR1 has
    it take files that were replaced.

    Raises:
        LinkSocketError: If the link's socket cannot be opened.
        AddressInUseError: If host and port cannot be listened on.
        GatewayFailedError: If a part that it cannot do without failed again and again.
    """
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    restart = False
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        nonlocal restart
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        restart = number == signal.SIGHUP
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal, number)
    gateway = Gateway(settings)
    loop.add_signal_handler(signal.SIGUSR1, gateway.renew)
    freeze_collector()  # before anybody comes, for whom it would be a pause
    await gateway.start()
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(gateway.failed.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await gateway.stop(restart=restart)
    if gateway.failed.is_set():
        raise GatewayFailedError("the gateway could not go on, and stopped: the log says why")
