"""Jobs: handlers that run later, at intervals, or at times of the day, in whichever instance gets to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from typing_extensions import Unpack

from ..protocol.patterns import check_name
from .context import DB, Context
from .handlers import Handler, Options, checked_part
from .host import Host
from .options import is_seconds
from .retry import Retry
from .signatures import check_name_given
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, where

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

Missed = Literal["once", "skip", "all"]

_MISSED = ("once", "skip", "all")
_ONCE = Retry(attempts=1)


class JobContext(Context[DB]):
    """What a job can do.

    Attributes:
        raw: Its data, as JSON.
        key: That it was given; ``None``: none.
        attempt: Which attempt this is, from 1 on.
        due_at: When it was due, in Unix seconds.
    """

    __slots__ = ("attempt", "due_at", "key", "raw")

    def __init__(
        self, host: Host, name: str, *, raw: bytes = b"", key: str | None = None, attempt: int = 1, due_at: float = 0.0
    ) -> None:
        super().__init__(host, name, None)
        self.raw = raw
        self.key = key
        self.attempt = attempt
        self.due_at = due_at


class Interval(msgspec.Struct, frozen=True):
    """Every so many seconds."""

    seconds: float

    def after(self, moment: float) -> float:
        """The next time after a moment, in Unix seconds."""
        return moment + self.seconds


class Cron(msgspec.Struct, frozen=True):
    """At times that a cron expression names, in a time zone."""

    expression: str
    timezone: str

    def after(self, moment: float) -> float:
        """The next time after a moment, in Unix seconds."""
        from cronsim import CronSim

        zone = ZoneInfo(self.timezone)
        return next(CronSim(self.expression, datetime.fromtimestamp(moment, zone))).timestamp()


class JobHandler(Handler):
    """A handler of jobs.

    Attributes:
        policy: How often it is tried, over however long a time, and in other instances too.
        schedule: When it runs by itself; ``None``: when it is asked for.
        missed: What becomes of times at which no instance was there.
    """

    __slots__ = ("missed", "policy", "schedule")

    context = JobContext

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        retry: Retry | None = None,
        schedule: Interval | Cron | None = None,
        missed: Missed = "once",
        dead_letters: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(name, function, dead_letters=dead_letters, **options)
        if self.requirement.auth:
            raise RegistrationError(f"{where(function)}: nobody asks for a job to be run: it has no auth= and roles=")
        if missed not in _MISSED:
            raise RegistrationError(f"{where(function)}: missed is one of {', '.join(_MISSED)}, not {missed!r}")
        if schedule is not None and self.schema is not None:
            raise RegistrationError(f"{where(function)}: what runs by itself has no data: it is 'async def name(ctx)'")
        self.policy = _ONCE if retry is None else checked_part(where(function), "retry", retry, Retry)
        self.schedule = schedule
        self.missed = missed

    def endpoint(self, ctx: JobContext[Any]) -> Awaitable[Any]:
        """See Handler."""
        return self.invoke(ctx) if self.schema is None else self.invoke(ctx, self.schema.read(ctx.raw))


class JobOptions(Options, total=False):
    """How a job is run. ``retry`` tries it again later, in whichever instance gets to it."""


class ScheduleOptions(JobOptions, total=False):
    """How a job is run that runs by itself.

    Attributes:
        name: By which it is known in the database; by default the function's. Another name is another job.
        missed: What becomes of times at which no instance was there, or the job took too long: it runs ``once`` for
            all of them, the default; they are left out (``skip``); or it runs once for each (``all``).
    """

    name: str
    missed: Missed


class Jobs:
    """The jobs of one service.

    Args:
        text: What the strings of their data have to be.
    """

    def __init__(self, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._text = text
        self._handlers: dict[str, JobHandler] = {}

    def job(self, name: str, **options: Unpack[JobOptions]) -> Callable[[F], F]:
        """See ``Service.job``."""
        check_name_given(name, "service.job", "rooms.clean")
        return self._register(name, None, options)

    def every(self, seconds: float, **options: Unpack[ScheduleOptions]) -> Callable[[F], F]:
        """See ``Service.every``."""
        if not is_seconds(seconds) or not seconds:
            raise RegistrationError(f"service.every({seconds!r}): that is a positive number of seconds, such as 60.0")
        return self._register(None, Interval(float(seconds)), options)

    def cron(self, expression: str, *, timezone: str, **options: Unpack[ScheduleOptions]) -> Callable[[F], F]:
        """See ``Service.cron``."""
        schedule = Cron(expression, timezone)
        try:
            schedule.after(0.0)
        except Exception as cause:  # of the parser, or of the time zone
            example = "such as '0 3 * * *' with timezone='Europe/Berlin'"
            raise RegistrationError(
                f"service.cron({expression!r}, timezone={timezone!r}): {cause}; {example}"
            ) from cause
        return self._register(None, schedule, options)

    def _register(self, name: str | None, schedule: Interval | Cron | None, options: Any) -> Callable[[F], F]:
        given = dict(options)
        chosen = given.pop("name", None) if name is None else name

        def register(function: F) -> F:
            place = where(function)
            known = chosen or function.__name__
            try:
                check_name(known)
            except ValueError as cause:
                raise RegistrationError(f"{place}: {cause}") from cause
            if known in self._handlers:
                taken = where(self._handlers[known].function)
                raise RegistrationError(f"{place}: the job {known!r} is {taken} already; name= gives it another")
            self._handlers[known] = JobHandler(known, function, schedule=schedule, text=self._text, **given)
            return function

        return register

    def __iter__(self) -> Iterator[JobHandler]:
        return iter(self._handlers.values())

    def name_of(self, job: str | Function) -> str:
        """The name of a job that is given as its function, or by name.

        Raises:
            RuntimeError: If there is none.
        """
        for handler in self._handlers.values():
            if job in (handler.function, handler.name):
                return handler.name
        shown = job if isinstance(job, str) else where(job)
        raise RuntimeError(f"{shown} is no job: put @service.job('name') before it")
