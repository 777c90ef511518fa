"""A service behind its gateway: connected, and leaving in good order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from ..protocol.errors import ServiceUnavailableError
from ..protocol.link_pb2 import Frame
from ..protocol.rendezvous import Rendezvous
from .connector import Connector
from .runtime import Runtime
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .service import Service

log = structlog.get_logger("linkd.service")

_ANSWERS_TIMEOUT = 10.0  # seconds that the gateway may take to read the last answers
_LAST_ENDS_TIMEOUT = 1.0  # seconds that on_disconnect has in any case where the gateway died while the service stopped
_DRAINING_TIMEOUT = 2.0  # seconds that the gateway may take to send nothing new


class Serving:
    """A running service and its link to the gateway.

    Args:
        service: What its author wrote.
        runtime: It, while it runs.
        rendezvous: Where the gateway is.
    """

    def __init__(self, service: Service[Any], runtime: Runtime, rendezvous: Rendezvous) -> None:
        self._service = service
        self._runtime = runtime
        self._rendezvous = rendezvous

    async def run(self, stop: asyncio.Event, stop_timeout: float) -> int:
        """Serve until ``stop`` is set; how much ignored its cancellation in the end.

        Args:
            stop: Set it to stop; what is being handled is finished first.
            stop_timeout: Seconds that this may take.

        Raises:
            RefusedError: If the gateway does not take the service.
        """
        service, connector = self._service, Connector(self._rendezvous, self._runtime)
        changes = asyncio.Event()
        for part in (service.ws, service.action, service.events):
            part.changed = changes.set
        first = asyncio.Event()
        tasks = {
            asyncio.create_task(self._connect(connector, first), name="linkd-link"),
            asyncio.create_task(self._report_changes(connector, changes), name="linkd-changes"),
            asyncio.create_task(self._report_health(connector, first), name="linkd-health"),
            asyncio.create_task(self._started(first), name="linkd-started"),
        }
        stopped = asyncio.create_task(stop.wait(), name="linkd-stop")
        watchdog = Watchdog(service)
        watchdog.start()
        try:
            await _first_failure_or(stopped, tasks)
            return await self._leave(connector, monotonic() + stop_timeout)
        finally:
            watchdog.stop()
            connector.stop()
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)

    async def _connect(self, connector: Connector, first: asyncio.Event) -> None:
        await self._service.health.until_passing(self._service)
        await connector.run(first)

    async def _report_health(self, connector: Connector, first: asyncio.Event) -> None:
        await first.wait()
        changed = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._service.health.watch(self._service, changed.set), name="linkd-health-checks")
            while True:
                await changed.wait()
                changed.clear()
                await connector.report_health(self._service.health.failing)

    async def _started(self, first: asyncio.Event) -> None:
        await first.wait()
        service = self._service
        await service.run_hooks("after_start")
        log.info("service_started", service=service.name, version=service.version, path=service.path)

    async def _report_changes(self, connector: Connector, changes: asyncio.Event) -> None:
        while True:
            await changes.wait()
            changes.clear()
            await connector.update()

    async def _leave(self, connector: Connector, deadline: float) -> int:
        service, runtime = self._service, self._runtime
        log.info("service_stopping", service=service.name, unfinished=runtime.dispatcher.unfinished)
        runtime.leaving = True
        if runtime.persistence is not None:
            runtime.persistence.pause()
        stuck = await runtime.stop_background()
        await self._end_orphaned(connector)
        if connector.link is not None:
            frame = Frame()
            frame.draining.SetInParent()
            with contextlib.suppress(ServiceUnavailableError, TimeoutError):
                async with asyncio.timeout(_DRAINING_TIMEOUT):
                    await connector.link.ask(frame)
        finished = await runtime.drain(deadline - monotonic())
        left = deadline - monotonic()
        if finished:
            log.info("service_drained", service=service.name)
            runtime.dispatcher.pause()  # what comes now is not answered, and so another instance's
            finished = await connector.finish(_ANSWERS_TIMEOUT)
            runtime.dispatcher.resume()
        if finished:
            return stuck + await runtime.close()
        if await self._end_orphaned(connector):  # the gateway died meanwhile
            left = max(left, _LAST_ENDS_TIMEOUT)
        stuck += await runtime.stop(left)
        await connector.finish(_ANSWERS_TIMEOUT)
        return stuck

    async def _end_orphaned(self, connector: Connector) -> bool:
        """End the sessions whose gateway is gone. Where only the link broke they live on, as another instance's."""
        gone = bool(self._runtime.sockets) and not await connector.rejoin()
        if gone:
            self._runtime.end_sessions()
        return gone


async def _first_failure_or(stopped: asyncio.Task[Any], tasks: Iterable[asyncio.Task[None]]) -> None:
    """Return when ``stopped`` is done; raise what one of the tasks raised before."""
    pending = {stopped, *tasks}
    while not stopped.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
