"""Health checks: when they run, what counts as failing, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from pylinkd import RegistrationError, Service


class Warehouse:
    """What a check asks; broken on request."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.hangs = False
        self.asked = 0

    async def check(self, service: Service[Any]) -> None:
        """The check."""
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.005)


async def test_change_is_told_and_logged_once() -> None:
    """With the name and the class of the error, and again when the check passes."""
    service, warehouse, changes = Service("shop"), Warehouse(), list[list[str]]()
    service.health_check("warehouse", interval=0.01)(warehouse.check)

    with structlog.testing.capture_logs() as logs:
        watching = asyncio.create_task(service.health.watch(service, lambda: changes.append(service.health.failing)))
        await until(lambda: warehouse.asked > 2)
        warehouse.error = ConnectionResetError("with a secret")
        await until(lambda: len(changes) == 1)
        asked = warehouse.asked
        await until(lambda: warehouse.asked > asked + 2)
        warehouse.error = None
        await until(lambda: len(changes) == 2)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    assert changes == [["warehouse"], []]
    assert [(line["event"], line["check"], line.get("error")) for line in logs] == [
        ("health_check_fails", "warehouse", "ConnectionResetError"),
        ("health_check_passes", "warehouse", None),
    ]


async def test_check_that_takes_too_long_fails() -> None:
    """And is cancelled, so that it can pass again."""
    service, warehouse = Service("shop"), Warehouse()
    service.health_check("warehouse", timeout=0.05, interval=0.01)(warehouse.check)
    warehouse.hangs = True

    with structlog.testing.capture_logs() as logs:
        starting = asyncio.create_task(service.health.until_passing(service))
        await until(lambda: service.health.failing == ["warehouse"])
        warehouse.hangs = False
        await starting

    assert service.health.failing == []
    assert [line["event"] for line in logs] == ["service_waits_for_health", "service_healthy"]
    assert logs[0]["failing"] == {"warehouse": "TimeoutError"}


async def test_check_that_ignores_its_cancellation_is_not_begun_again() -> None:
    """It fails for as long as it hangs."""
    service, go_on, begun = Service("shop"), asyncio.Event(), 0

    @service.health_check("stubborn", timeout=0.02, interval=0.01)
    async def stubborn(service: Service[Any]) -> None:
        nonlocal begun
        begun += 1
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await go_on.wait()

    starting = asyncio.create_task(service.health.until_passing(service))
    await until(lambda: service.health.failing == ["stubborn"])
    assert begun == 1
    go_on.set()
    await starting


def test_mistakes_are_refused_where_they_are_written() -> None:
    """With what to write instead."""
    service = Service("shop")

    async def check(service: Service[Any]) -> None: ...

    async def bare() -> None: ...

    with pytest.raises(RegistrationError, match=r"write health_check\('database'\)"):
        service.health_check(check)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="a health check is 'async def name"):
        service.health_check("a")(bare)
    with pytest.raises(RegistrationError, match="interval is a positive number of seconds"):
        service.health_check("a", interval=0)
    with pytest.raises(RegistrationError, match="needs a timeout"):
        service.health_check("a", timeout=None)  # type: ignore[arg-type]
    service.health_check("a")(check)
    with pytest.raises(RegistrationError, match="a check of this name already"):
        service.health_check("a")
