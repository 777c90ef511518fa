"""A service: what it handles, what it needs, and its life from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

import structlog
from typing_extensions import Unpack

from ..collector import freeze_collector
from ..protocol.patterns import check_name
from ..protocol.rendezvous import Address, Rendezvous
from .actions import Actions
from .background import Portal
from .breaker import Breaker
from .calls import DEFAULT_BREAKER
from .context import DB
from .events import Events
from .handled_log import runtime_class
from .handlers import SharedOptions, checked_part
from .health import HealthChecks
from .host import Host, unstarted
from .limits import ONE_SESSION, Limits, Reconnect
from .opening import (
    begin_persistence,
    calling_file,
    end_persistence,
    folder_of_migrations,
    reach,
    require_current,
)
from .options import check_options
from .outbound import Outbound
from .presence import Presence
from .process import ServiceProcess, end_at_once
from .rooms import History, Rooms
from .runtime import Runtime
from .scheduled import JobOptions, Jobs, ScheduleOptions
from .serving import Serving
from .signatures import check_context, is_async, positional_of
from .static import StaticFiles
from .text import DEFAULT_POLICY, TextPolicy
from .validation import RegistrationError, where
from .websocket import WebSocket

if TYPE_CHECKING:
    from ..db import UntypedDatabase
    from ..db.catalog import TableSource

log = structlog.get_logger("linkd.service")

_CANCEL_TIMEOUT = 2.0  # seconds that a cancelled hook may take to clean up

Hook = Callable[..., Awaitable[None]]
H = TypeVar("H", bound=Hook)
P = TypeVar("P", bound=Callable[..., Awaitable[Any]])
T = TypeVar("T")


class Service(Outbound, Generic[DB]):
    """A service behind a gateway.

    Args:
        name: Unique among the gateway's services, such as ``chat``.
        path: Where clients connect to reach this service alone; by default ``/ws/<name>``; ``None``: nowhere.
            ``/ws`` reaches every service.
        auth: Sessions on its path have to sign in before anything else: with a token in the opening handshake, or by
            ``linkd.auth`` at once afterwards.
        version: For logs and operators. Two instances that handle different things need different ones.
        namespace: Of its rooms; its name by default. Services that share one share rooms, where the operator of the
            gateway lists them in ``LINKD_NAMESPACES``.
        database: A database URL such as ``sqlite:///chat.db`` or ``postgresql://…``; ``None``: no database.
        tables: What is in the database; see docs/database.md.
        migrations: Folder of the revisions of its tables, relative to the module that makes the service: a start
            against a database that lacks some stops. ``None``: nothing is checked.
        max_concurrent: Most handlers that may be suspended at once; further messages wait.
        stop_timeout: Seconds that handlers may take to finish once the service stops.
        text: What the strings of all inbound data have to be; by default without control characters.
        limits: Of the sessions on its path, where they are to be lower than the gateway's.
        reconnect: How its clients come back; ``None``: as the gateway says.
        one_session_per_user: What becomes of a user's second session on its path: it takes the place of the first
            (``replace``), which is closed with 4409; it is closed with 4429 (``refuse``), unless the first one's client
            is away or does not answer a ping; ``None``: nothing, within the limits on connections.
        call_breaker: When actions that ``ctx.call`` asks are left alone since they fail; each has a circuit of its own.
            ``None``: never.

    Raises:
        RegistrationError: If a name, a path or a limit is malformed.
    """

    _host: Host

    @overload
    def __init__(
        self: Service[UntypedDatabase],
        name: str,
        *,
        path: str | None = "",
        auth: bool = False,
        version: str = "0.0.0",
        namespace: str | None = None,
        database: str | None = None,
        tables: TableSource | None = None,
        migrations: str | Path | None = None,
        max_concurrent: int = 1000,
        stop_timeout: float = 10.0,
        text: TextPolicy = DEFAULT_POLICY,
        limits: Limits | None = None,
        reconnect: Reconnect | None = None,
        one_session_per_user: Literal["replace", "refuse"] | None = None,
        call_breaker: Breaker | None = DEFAULT_BREAKER,
    ) -> None: ...

    @overload
    def __init__(
        self,
        name: str,
        *,
        path: str | None = "",
        auth: bool = False,
        version: str = "0.0.0",
        namespace: str | None = None,
        database: str | None = None,
        tables: type[DB],
        migrations: str | Path | None = None,
        max_concurrent: int = 1000,
        stop_timeout: float = 10.0,
        text: TextPolicy = DEFAULT_POLICY,
        limits: Limits | None = None,
        reconnect: Reconnect | None = None,
        one_session_per_user: Literal["replace", "refuse"] | None = None,
        call_breaker: Breaker | None = DEFAULT_BREAKER,
    ) -> None: ...

    def __init__(
        self,
        name: str,
        *,
        path: str | None = "",
        auth: bool = False,
        version: str = "0.0.0",
        namespace: str | None = None,
        database: str | None = None,
        tables: Any = None,
        migrations: str | Path | None = None,
        max_concurrent: int = 1000,
        stop_timeout: float = 10.0,
        text: TextPolicy = DEFAULT_POLICY,
        limits: Limits | None = None,
        reconnect: Reconnect | None = None,
        one_session_per_user: Literal["replace", "refuse"] | None = None,
        call_breaker: Breaker | None = DEFAULT_BREAKER,
    ) -> None:
        if not isinstance(name, str):
            raise RegistrationError(f"Service({name!r}): the name is a text such as 'chat'")
        try:
            check_name(name)
        except ValueError as cause:
            raise RegistrationError(f"Service({name!r}): {cause}") from cause
        place = f"Service({name!r})"
        check_options(
            place, auth=auth, version=version, max_concurrent=max_concurrent, stop_timeout=stop_timeout, path=path,
            namespace=namespace, text=text,
        )  # fmt: skip
        if path and not path.startswith("/"):
            raise RegistrationError(f"{place}: a path begins with a slash, {path!r} does not")
        given: list[tuple[Any, type[Limits] | type[Reconnect]]] = [(limits, Limits), (reconnect, Reconnect)]
        for option, kind in given:
            if option is not None:
                if not isinstance(option, kind):
                    raise RegistrationError(f"{place}: {kind.__name__.lower()} is {kind.__name__}(…), not {option!r}")
                option.check(place)
        if one_session_per_user not in (None, *ONE_SESSION):
            raise RegistrationError(
                f"{place}: one_session_per_user is 'replace', 'refuse' or None, not {one_session_per_user!r}"
            )
        if path is None and (limits or reconnect or one_session_per_user):
            raise RegistrationError(f"{place}: limits are of the sessions on the service's path: give it one")
        super().__init__(unstarted(name))
        if call_breaker is not None:
            checked_part(place, "call_breaker", call_breaker, Breaker)
        self.call_breaker = call_breaker
        self.limits = limits
        self.reconnect = reconnect
        self.one_session_per_user = one_session_per_user
        self.name = name
        self.path = f"/ws/{name}" if path == "" else path
        self.auth = auth
        self.version = version
        self.namespace = namespace or name
        self.text = text
        self.ws = WebSocket(text)
        self.action = Actions(text)
        self.events = Events(text)
        self.jobs = Jobs(text)
        self.dead_letter_hooks: list[Hook] = []
        self.room_rules = Rooms()
        self.health = HealthChecks(place)
        self.presence_handlers: list[Callable[..., Awaitable[Any]]] = []
        if (database is None) != (tables is None):
            raise RegistrationError(f"{place}: database= and tables= go together")
        self._database: DB | None = None
        if database is not None:
            from ..db import open_database

            self._database = open_database(database, tables)
        self.module_file = calling_file()
        self.migrations = folder_of_migrations(place, migrations, self.module_file, has_database=database is not None)
        self._max_concurrent = max_concurrent
        self._stop_timeout = stop_timeout
        self._stuck = 0
        self._hooks: dict[str, list[Hook]] = {"before_start": [], "after_start": [], "before_stop": []}

    @property
    def db(self) -> DB:
        """The database.

        Raises:
            RuntimeError: If the service has none.
        """
        if self._database is None:
            raise RuntimeError(f"the service {self.name!r} has no database: give Service(…) database= and tables=")
        return self._database

    def static(
        self,
        route: str,
        folder: str | Path,
        *,
        index: str = "index.html",
        cache_control: str = "no-cache",
        **options: Unpack[SharedOptions],
    ) -> None:
        """Answer GET and HEAD under a route with the files of a folder, and of the folders in it.

        Args:
            route: Such as ``/assets``: the files are under ``/assets/``.
            folder: Whose files everybody who reaches the route may read, but for hidden ones.
            index: The file that answers for a folder; empty: none does.
            cache_control: The header of the answers. By default caches ask each time whether a file has changed.
            options: ``auth``, ``roles`` and ``timeout``, as those of an action.

        Raises:
            RegistrationError: If there is no such folder, or the route is taken or malformed.
        """
        root = Path(folder)
        if not root.is_dir():
            raise RegistrationError(f"service.static({route!r}): {str(folder)!r} is no folder; give the path of one")
        files = StaticFiles(root, index=index, cache_control=cache_control)
        name = re.sub(r"[^A-Za-z0-9_-]", "_", route.strip("/")) or "root"
        self.action(f"static.{name}", route=f"{route.rstrip('/')}/{{path*}}", **options)(files.answer)

    def rooms(self, pattern: str, *, history: History | None = None, presence: Presence | None = None) -> None:
        """Say what the gateway keeps for rooms whose names match, such as ``board:*``, where ``*`` is any text.

        The first pattern that matches a room holds. What is kept is the gateway's: it is the same for every instance,
        and a restart of the service loses nothing. Rooms of which nothing is said cost nothing.

        Args:
            pattern: Of names of rooms.
            history: What is kept of their events; ``None``: nothing.
            presence: How their members are told who is there; ``None``: they are not.

        Raises:
            RegistrationError: If the pattern is malformed or stands there already, or an option makes no sense.
        """
        self.room_rules.add(pattern, history, presence)

    def on_presence(self, handler: P) -> P:
        """Run ``async def handler(ctx, change)`` when members came to rooms with presence, or left them for good.

        Changes are handled one after the other; one instance of the service gets each, or the next one where there is
        none, or this one dies first. ``ctx.presence`` says how it is now.
        """
        if len(positional_of(handler)) != 2 or not is_async(handler):
            raise RegistrationError(f"{where(handler)}: it is 'async def name(ctx, change)'")
        self.presence_handlers.append(handler)
        return handler

    def health_check(self, name: str, *, timeout: float = 5.0, interval: float = 10.0) -> Callable[[P], P]:
        """Run ``async def check(service)`` again and again: raising says that the service cannot do its work now.

        A service whose check fails is not ready, and gets nothing new where another instance is healthy. At the start
        the gateway is told of it once every check has passed.

        Args:
            name: For logs and operators, such as ``database``.
            timeout: Seconds after which a check is cancelled, and fails.
            interval: Seconds between two runs, a tenth more or less.

        Raises:
            RegistrationError: If a name, a time or the function is not what it has to be.
        """
        self.health.check_new(name, timeout, interval)

        def decorate(check: P) -> P:
            self.health.add(name, check, timeout, interval)
            return check

        return decorate

    # hooks

    def before_start(self, hook: H) -> H:
        """Run ``async def hook(service)`` when the database is open and no client is served yet."""
        return self._add_hook("before_start", hook)

    def after_start(self, hook: H) -> H:
        """Run ``async def hook(service)`` once the gateway has taken the service."""
        return self._add_hook("after_start", hook)

    def before_stop(self, hook: H) -> H:
        """Run ``async def hook(service)`` when nothing is handled any more and the database is still open."""
        return self._add_hook("before_stop", hook)

    def _add_hook(self, moment: str, hook: H) -> H:
        parameters = positional_of(hook) if is_async(hook) else []
        if len(parameters) != 1:
            raise RegistrationError(f"{where(hook)}: a hook is 'async def name(service)'")
        check_context(hook, parameters[0], Service)
        self._hooks[moment].append(hook)
        return hook

    def handler_names(self) -> Iterator[tuple[Any, str]]:
        """Every function of the author's that runs beside others, and what to call it in logs."""
        yield from self.ws.handler_names()
        yield from self.health.handler_names()
        yield from ((action.function, action.name) for action in self.action.handlers)
        yield from ((handler.function, handler.pattern.text) for handler in self.events.handlers)
        yield from ((job.function, job.name) for job in self.jobs)
        yield from ((handler, f"presence {where(handler)}") for handler in self.presence_handlers)
        for stack in (self.ws.stack, self.action.stack, self.events.stack):
            yield from ((middleware, where(middleware)) for middleware in stack.middleware)

    async def run_hooks(self, moment: str) -> None:
        """Run the hooks of one moment, in the order of their registration."""
        for hook in self._hooks[moment]:
            await hook(self)

    async def _run_before_stop(self) -> None:
        """Run these hooks within stop_timeout, all together; a hook that ignores its cancellation is left alone."""
        hooks = asyncio.create_task(self.run_hooks("before_stop"), name="linkd-before-stop")
        try:
            _, late = await asyncio.wait({hooks}, timeout=self._stop_timeout)
            if late:
                log.error("before_stop_cancelled", service=self.name, timeout=self._stop_timeout)
        finally:
            hooks.cancel()
        if late:
            _, stuck = await asyncio.wait({hooks}, timeout=_CANCEL_TIMEOUT)
            self._stuck += len(stuck)
            if stuck:
                return
        if not hooks.cancelled():
            hooks.result()

    # jobs

    def job(self, name: str, **options: Unpack[JobOptions]) -> Callable[[H], H]:
        """Have a job for ``ctx.after``, as a decorator on ``async def job(ctx)`` or ``(ctx, data)``.

        It is run at least once: where its process dies meanwhile, another instance runs it again.

        Args:
            name: By which the database knows it, such as ``rooms.clean``.
            options: See scheduled.JobOptions.

        Raises:
            RegistrationError: If the name is taken or none, or the function is not of this form.
        """
        return self.jobs.job(name, **options)

    def every(self, seconds: float, **options: Unpack[ScheduleOptions]) -> Callable[[H], H]:
        """Run ``async def job(ctx)`` at intervals, in one instance of the service at a time.

        Args:
            seconds: Between two times at which it is due; the first is so many seconds after the first start.
            options: See scheduled.ScheduleOptions.

        Raises:
            RegistrationError: As ``job``.
        """
        return self.jobs.every(seconds, **options)

    def cron(self, expression: str, *, timezone: str = "UTC", **options: Unpack[ScheduleOptions]) -> Callable[[H], H]:
        """Run ``async def job(ctx)`` at times that a cron expression names, in one instance of the service at a time.

        Args:
            expression: Minute, hour, day, month and weekday: ``0 3 * * *`` is three o'clock each night.
            timezone: In which these are meant, such as ``Europe/Berlin``.
            options: See scheduled.ScheduleOptions.

        Raises:
            RegistrationError: As ``job``, or if the expression or the time zone is none.
        """
        return self.jobs.cron(expression, timezone=timezone, **options)

    def on_dead_letter(self, hook: H) -> H:
        """Run ``async def hook(service, letter)`` for each DeadLetter that is kept, after that."""
        if len(positional_of(hook)) != 2 or not is_async(hook):
            raise RegistrationError(f"{where(hook)}: it is 'async def name(service, letter)'")
        self.dead_letter_hooks.append(hook)
        return hook

    # beside handlers

    def background(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Run a coroutine beside the handlers, such as one that sends prices as they change.

        The error that ends it is logged. It is cancelled when the service begins to stop, and may clean up for 2 s. It
        sees neither the context variables of who starts it, nor its transaction.

        Args:
            work: The coroutine.
            name: For logs.

        Raises:
            RuntimeError: If the service does not run.
            ServiceUnavailableError: If 10,000 such tasks run already, or the service stops.
        """
        try:
            background = self._host.background
        except RuntimeError:
            work.close()
            raise
        return background.start(work, name)

    @property
    def portal(self) -> Portal:
        """The way for other threads into the service's loop: ``service.portal.run(service.everyone.emit("tick"))``.

        Raises:
            RuntimeError: If the service does not run.
        """
        return self._host.portal

    # life

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Runtime]:
        """Everything that is there while the service runs, apart from the link: database, hooks, dispatcher.

        Yields the Runtime. Used by ``serve`` and by pylinkd.testing.
        """
        if self._database is not None:
            await reach(self._database, self.name)
        try:
            if self._database is not None and self.migrations is not None:
                await require_current(self._database, self.migrations, self.module_file, self.name)
            await self.run_hooks("before_start")
            self._host = runtime = runtime_class()(self, self._max_concurrent)
            try:
                await begin_persistence(self, self._database, runtime)
                yield runtime
            finally:
                self._stuck += await runtime.stop_background()
                await runtime.stop(self._stop_timeout)
                await end_persistence(runtime)
                await self._run_before_stop()
                self._host = unstarted(self.name)
        finally:
            if self._database is not None:
                await self._database.stop()

    async def serve(self, link: str | Path | Address, stop: asyncio.Event, *, check_events: bool = False) -> None:
        """Serve until ``stop`` is set: connect to the gateway, stay connected, and leave in good order.

        Args:
            link: Path of the gateway's socket, or ``tcp://host:port``. The link's secret and the like are read from
                the environment (docs/operations.md).
            stop: Set it to stop; what is being handled is finished first.
            check_events: Whether an event that ``ws.event`` does not declare so raises an EventDeclarationError where
                it is emitted, for development: it costs time.

        Raises:
            RendezvousError: If a setting of the link is wrong.
            RefusedError: If the gateway does not take the service.
        """
        rendezvous = Rendezvous.of(link)
        async with contextlib.AsyncExitStack() as stack:
            runtime = await self._start(stack, stop)
            if runtime is not None:
                runtime.checks_events = check_events
                self._stuck += await Serving(self, runtime, rendezvous).run(stop, self._stop_timeout)

    async def _start(self, stack: contextlib.AsyncExitStack, stop: asyncio.Event) -> Runtime | None:
        """Open everything; ``None``: ``stop`` was set meanwhile, and the hook under way was cancelled.

        In this task, not in one of its own: what a hook sets in context variables holds for handlers.
        """
        limit = asyncio.timeout(None)
        try:
            async with limit:
                stopping = asyncio.create_task(_end_when(stop, limit), name="linkd-start")
                try:
                    return await stack.enter_async_context(self.opened())
                finally:
                    stopping.cancel()
        except TimeoutError:
            if not limit.expired():
                raise  # a hook's own
            log.info("start_interrupted", service=self.name)
            return None

    def run(self, link: str | Path | Address | None = None, *, check_events: bool = False) -> None:
        """Serve until SIGTERM or SIGINT. Blocks; a second signal ends the process at once.

        Args:
            link: As for ``serve``; ``LINKD_LINK`` or the gateway's own default where none is given.
            check_events: As for ``serve``.

        Raises:
            RendezvousError: If a setting of the link is wrong.
            RefusedError: If the gateway does not take the service.
        """
        address = Rendezvous.of(link).address
        process = ServiceProcess(self._stop_timeout)
        try:
            _run(self._run(address, process, check_events))
        finally:
            process.ended()

    async def _run(self, link: Address, process: ServiceProcess, check_events: bool) -> None:
        process.take_signals()
        freeze_collector()
        await self.serve(link, process.stop, check_events=check_events)
        # A handler that ignores its cancellation, or a thread that one has started, would keep the process alive.
        if self._stuck or not await process.leave_threads():
            end_at_once()


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # the standard loop is slower and otherwise the same
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _end_when(stop: asyncio.Event, limit: asyncio.Timeout) -> None:
    await stop.wait()
    limit.reschedule(0.0)
