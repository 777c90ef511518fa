"""A service's own options, its hooks, and its life behind a gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from pylinkd import ConflictError, RefusedError, RegistrationError, Service, WsContext
from pylinkd.protocol.link_pb2 import Frame
from pylinkd.sdk.runtime import Runtime
from pylinkd.testing import run

from .gateways import SmallGateway, small_gateway


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path short enough for a socket."""
    return tmp_path_factory.mktemp("s") / "link.sock"


# options


def test_service_says_where_it_is_reached() -> None:
    """Path and namespace follow the name unless told; None is nowhere."""
    assert (Service("chat").path, Service("chat").namespace) == ("/ws/chat", "chat")
    assert (Service("chat", path="/x", namespace="shared").path, Service("chat", path=None).path) == ("/x", None)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("", {}, "characters"),
        ("a b", {}, "is no name"),
        ("linkd.x", {}, "belong to the gateway"),
        ("chat", {"path": "ws"}, "begins with a slash"),
        ("chat", {"max_concurrent": 0}, "1 or more"),
        ("chat", {"database": "sqlite://"}, "go together"),
        ("chat", {"tables": object}, "go together"),
    ],
)
def test_odd_options_are_refused(name: str, options: dict[str, Any], says: str) -> None:
    """Where the service is made, with its name."""
    with pytest.raises(RegistrationError, match=rf"Service\('{name}'\): .*{says}"):
        Service(name, **options)


# hooks


async def test_hooks_run_in_order() -> None:
    """Before the first client, once taken, and when nothing is handled any more."""
    log: list[str] = []
    service = Service("chat")

    def hook(name: str) -> Any:
        async def noted(service: Service[Any]) -> None:
            log.append(f"{name} of {service.name}")

        return noted

    for name in ("1", "2"):
        service.before_start(hook(f"before_start {name}"))
        service.after_start(hook(f"after_start {name}"))
        service.before_stop(hook(f"before_stop {name}"))

    async with run(service):
        log.append("running")

    assert log == [
        "before_start 1 of chat", "before_start 2 of chat", "after_start 1 of chat", "after_start 2 of chat",
        "running", "before_stop 1 of chat", "before_stop 2 of chat",
    ]  # fmt: skip


def test_functions_that_are_no_hooks_are_refused() -> None:
    """With what a hook is, and where."""
    service = Service("chat")

    def plain(service: Service[Any]) -> None: ...

    async def bare() -> None: ...

    for function in (plain, bare):
        hook: Any = function
        with pytest.raises(RegistrationError, match=rf"{function.__name__} .*'async def name\(service\)'"):
            service.before_start(hook)


async def test_start_that_fails_starts_nothing() -> None:
    """The error is the author's to see; before_stop does not run for what never began."""
    log: list[str] = []
    service = Service("chat")

    @service.before_start
    async def broken(service: Service[Any]) -> None:
        raise RuntimeError("no")

    @service.before_stop
    async def stopped(service: Service[Any]) -> None:
        log.append("stopped")

    with pytest.raises(RuntimeError, match="no"):
        async with run(service):
            log.append("running")

    assert log == []


async def test_workers_end_though_before_stop_fails() -> None:
    """The error is seen, and nothing is left running."""
    service = Service("chat")

    @service.before_stop
    async def broken(service: Service[Any]) -> None:
        raise RuntimeError("no")

    @service.ws.on("a")
    async def handler(ctx: WsContext) -> None: ...

    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="no"):
        async with run(service) as gateway:
            await (await gateway.connect()).send("a")

    assert asyncio.all_tasks() == before


# life


class Life:
    """A service that is served."""

    def __init__(self, service: Service[Any], path: Path) -> None:
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(service.serve(path, self.stop))

    async def end(self) -> None:
        """Stop it and wait until it has."""
        self.stop.set()
        async with asyncio.timeout(5):
            await self.task


def opened(gateway: SmallGateway, *types: str) -> None:
    """A session begins, and sends messages."""
    frame = Frame(request_id=1)
    frame.session_opened.session.id = "s-1"
    gateway.say(frame)
    for number, type in enumerate(types, start=2):
        message = Frame(request_id=number)
        message.inbound.session, message.inbound.type = "s-1", type
        gateway.say(message)


async def test_service_serves_until_it_is_told_to_stop(path: Path) -> None:
    """It says that it wants nothing new, finishes what it has, answers it, and goes."""
    service = Service("chat")
    entered, gate = asyncio.Event(), asyncio.Event()

    @service.ws.on("slow")
    async def slow(ctx: WsContext) -> str:
        entered.set()
        await gate.wait()
        return "finished"

    async with small_gateway(path) as gateway:
        life = Life(service, path)
        await gateway.wait_until(lambda: bool(gateway.registrations))
        opened(gateway, "slow")
        await entered.wait()
        life.stop.set()
        await gateway.wait_until(lambda: any(frame.HasField("draining") for frame in gateway.received))
        assert not life.task.done()
        gate.set()
        await life.end()

    kinds = [(frame.WhichOneof("body"), frame.draining.finished) for frame in gateway.received]
    assert kinds == [("done", False), ("draining", False), ("response", False), ("draining", True)]


async def test_after_start_runs_once_the_gateway_has_taken_the_service(path: Path) -> None:
    """Once in a life, however often the link breaks."""
    service = Service("chat")
    started: list[int] = []

    @service.after_start
    async def after(service: Service[Any]) -> None:
        started.append(1)

    with structlog.testing.capture_logs():
        async with small_gateway(path) as gateway:
            life = Life(service, path)
            await gateway.wait_until(lambda: bool(gateway.registrations))
            gateway.cut()
            await gateway.wait_until(lambda: len(gateway.registrations) == 2)
            await life.end()

    assert started == [1]


async def test_refused_service_ends_with_the_reason(path: Path) -> None:
    """And has run its hooks and closed everything."""
    log: list[str] = []
    service = Service("chat")

    @service.before_stop
    async def stopped(service: Service[Any]) -> None:
        log.append("stopped")

    async with small_gateway(path) as gateway:
        gateway.refuses = ConflictError("Taken.")
        life = Life(service, path)
        with pytest.raises(RefusedError, match="Taken"):
            await life.task

    assert log == ["stopped"]


async def test_fault_of_after_start_ends_the_service(path: Path) -> None:
    """Rather than leaving it half started."""
    service = Service("chat")

    @service.after_start
    async def broken(service: Service[Any]) -> None:
        raise RuntimeError("no")

    async with small_gateway(path):
        with pytest.raises(RuntimeError, match="no"):
            await Life(service, path).task


async def test_handlers_that_change_are_registered(path: Path) -> None:
    """While it runs, the gateway is told."""
    service = Service("chat")

    async def handler(ctx: WsContext) -> None: ...

    async with small_gateway(path) as gateway:
        life = Life(service, path)
        await gateway.wait_until(lambda: bool(gateway.registrations))
        service.ws.on("new", handler)
        await gateway.wait_until(lambda: [item.type for item in gateway.registrations[-1].register.handlers] == ["new"])
        await life.end()


async def test_stop_takes_no_longer_than_it_may(path: Path) -> None:
    """A handler that does not end is cancelled after stop_timeout; the gateway answers for it."""
    service = Service("chat", stop_timeout=0.1)
    entered, ends = asyncio.Event(), list[str]()

    @service.ws.on("slow", timeout=None)
    async def slow(ctx: WsContext) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    with structlog.testing.capture_logs() as logs:
        async with small_gateway(path) as gateway:
            life = Life(service, path)
            await gateway.wait_until(lambda: bool(gateway.registrations))
            opened(gateway, "slow")
            await entered.wait()
            began = asyncio.get_running_loop().time()
            await life.end()
            took = asyncio.get_running_loop().time() - began

    assert ends == ["cancelled"]
    assert took < 0.9
    assert "handlers_cancelled" in [line["event"] for line in logs]


def ends_of(service: Service[Any]) -> list[Any]:
    """Why its sessions end."""
    ends: list[Any] = []

    @service.ws.on_disconnect
    async def disconnected(ctx: WsContext) -> None:
        ends.append(ctx.end_reason)

    return ends


async def test_service_that_stops_wants_nothing_new_though_its_link_breaks(path: Path) -> None:
    """It registers again, for what it had, and says so; its sessions live on."""
    service = Service("chat")
    ends = ends_of(service)
    entered, gate = asyncio.Event(), asyncio.Event()

    @service.ws.on("slow")
    async def slow(ctx: WsContext) -> None:
        entered.set()
        await gate.wait()

    with structlog.testing.capture_logs():
        async with small_gateway(path) as gateway:
            life = Life(service, path)
            await gateway.wait_until(lambda: bool(gateway.registrations))
            opened(gateway, "slow")
            await entered.wait()
            life.stop.set()
            await gateway.wait_until(lambda: any(frame.HasField("draining") for frame in gateway.received))
            gateway.cut()
            await gateway.wait_until(lambda: len(gateway.registrations) == 2)
            gate.set()
            await life.end()

    assert [frame.register.draining for frame in gateway.registrations] == [False, True]
    assert ends == []


async def test_service_that_stops_without_a_link_asks_whether_its_gateway_lives(path: Path) -> None:
    """A link that broke, as after SIGSTOP, ends no session: another instance has them."""
    service = Service("chat")
    ends = ends_of(service)
    with structlog.testing.capture_logs() as logs:
        async with small_gateway(path) as gateway:
            life = Life(service, path)
            await gateway.wait_until(lambda: bool(gateway.registrations))
            opened(gateway)
            await gateway.wait_until(lambda: bool(gateway.received))
            gateway.cut()
            async with asyncio.timeout(5):
                while "gateway_lost" not in [line["event"] for line in logs]:
                    await asyncio.sleep(0)
            await life.end()

    assert [frame.register.draining for frame in gateway.registrations] == [False, True]
    assert ends == []


async def test_sessions_end_though_the_gateway_dies_while_the_service_stops(path: Path) -> None:
    """Nobody else would run their on_disconnect."""
    service = Service("chat")
    ends = ends_of(service)
    entered, gate = asyncio.Event(), asyncio.Event()

    @service.ws.on("slow")
    async def slow(ctx: WsContext) -> None:
        entered.set()
        await gate.wait()

    with structlog.testing.capture_logs():
        async with small_gateway(path) as gateway:
            life = Life(service, path)
            await gateway.wait_until(lambda: bool(gateway.registrations))
            opened(gateway, "slow")
            await entered.wait()
            life.stop.set()
            await gateway.wait_until(lambda: any(frame.HasField("draining") for frame in gateway.received))
            await gateway.close()
            gate.set()
            await life.end()

    assert ends == ["gateway_lost"]


async def test_service_without_a_gateway_can_be_stopped(path: Path) -> None:
    """While it waits for one."""
    with structlog.testing.capture_logs():
        life = Life(Service("chat"), path)
        await asyncio.sleep(0.05)
        await life.end()


async def test_opened_gives_the_runtime_without_a_link() -> None:
    """For pylinkd.testing; questions fail at once."""
    async with Service("chat").opened() as runtime:
        assert isinstance(runtime, Runtime)
        assert runtime.sockets == {}
