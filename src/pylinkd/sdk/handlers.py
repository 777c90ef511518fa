"""A registered handler, of messages, actions or events alike: its options, and the call with everything around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, TypedDict, TypeVar

from ..protocol.identity import Requirement
from .breaker import Breaker, Circuit, guarded
from .burying import buried
from .dispatch import DEFAULT_TIMEOUT
from .failures import ErrorClasses, error_classes
from .middleware import Next
from .once import Once, handled_once
from .options import check_options, listed_roles, role_names
from .retry import Retry, retried
from .signatures import check_name_given, schema_of
from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, Schema, where

Part = TypeVar("Part", Retry, Breaker, Once)


class SharedOptions(TypedDict, total=False):
    """What the handlers of a group may share.

    Attributes:
        auth: Only for callers that signed in.
        roles: Only for callers that have one of these roles; implies ``auth``.
        timeout: Seconds after which the handler is cancelled and its caller answered with 408; ``None``: never. 30
            by default.
    """

    auth: bool
    roles: Iterable[str]
    timeout: float | None


class Options(SharedOptions, total=False):
    """How a handler is run, and for whom.

    Attributes:
        description: For people and generated documentation.
        validate: The schema of the data, where the annotation does not say it.
        retry: How often it is tried again after a transient failure, within its ``timeout``. By default it is not.
        retry_on: Errors that are transient beside those that are known to be.
        breaker: When its callers are refused because it fails again and again. By default they are not.
        dead_letters: Whether what fails for good is kept in the service's database, beside answering its caller. Of
            messages and actions nothing is by default; durable events and jobs always are, unless a job says no.
    """

    description: str
    validate: Any
    retry: Retry | None
    retry_on: ErrorClasses
    breaker: Breaker | None
    dead_letters: bool


class Handler:
    """One registered function. What it handles, and where its data comes from, is its subclass's.

    Attributes:
        name: The type of message, the action, or the pattern of events that it is for.
        function: As the author wrote it.
        requirement: Who may have it run.
        timeout: Seconds after which it is cancelled; ``None``: never.
        description: For people.
        schema: How its data is read; ``None``: it takes none.
        retry_on: Errors that are transient beside those that are known to be.
        dead_letters: Whether what fails for good is kept.
        invoke: Runs the function, with what its author asked for around it: once for a key, tries, a circuit breaker.
        call: Runs middleware, validation and the function.
    """

    __slots__ = (
        "call", "dead_letters", "description", "function", "invoke", "name", "requirement", "retry_on", "schema",
        "timeout",
    )  # fmt: skip

    context: ClassVar[type]
    """The class of what it is given."""

    kind: ClassVar[str] = ""
    """What it is a handler of, in its keys and dead letters: ``message`` or ``action``; empty: it has none of these."""

    def __init__(
        self,
        name: str,
        function: Function,
        *,
        auth: bool = False,
        roles: Iterable[str] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        description: str = "",
        validate: Any = None,
        retry: Retry | None = None,
        retry_on: ErrorClasses = (),
        breaker: Breaker | None = None,
        dead_letters: bool = False,
        once: Once | None = None,
        text: TextPolicy = DEFAULT_POLICY,
    ) -> None:
        roles = listed_roles(roles)
        place = where(function)
        check_options(
            place, auth=auth, roles=roles, timeout=timeout, description=description, dead_letters=dead_letters
        )
        self.name = name
        self.function = function
        self.requirement = Requirement.of(auth, role_names(roles))
        self.timeout = timeout
        self.description = description
        self.schema = self._schema_of(function, validate, text)
        self.retry_on = error_classes(place, retry_on)
        self.dead_letters = dead_letters
        self.invoke = self._invoked(once, retry, breaker)
        self.call: Next = self.endpoint

    def _schema_of(self, function: Function, validate: Any, text: TextPolicy) -> Schema | None:
        """How the data is read that the function takes."""
        return schema_of(function, self.context, validate=validate, text=text)

    def _invoked(self, once: Once | None, retry: Retry | None, breaker: Breaker | None) -> Function:
        """The function with keys, tries and breaker around it, from the inside out."""
        place, call = where(self.function), self.function
        if once is not None:
            call = handled_once(call, once, f"{self.kind} {self.name}")
        if retry is not None:
            call = retried(call, checked_part(place, "retry", retry, Retry), self.retry_on)
        if breaker is not None:
            call = guarded(call, Circuit(checked_part(place, "breaker", breaker, Breaker), self.name), self.retry_on)
        return call

    def compile(self, around: Callable[[str, Next], Next], *, by: str | None = None) -> None:
        """Put everything around the function that belongs there: the one place where ``call`` is made.

        Args:
            around: Puts middleware around what it is given, by a name.
            by: The attribute of the context that is this name, where it is not known before a call; ``None``: the
                handler's own.
        """
        if by is None:
            self.call = around(self.name, self.endpoint)
            if self.dead_letters and self.kind:
                # Outside of middleware: what it does in a transaction would take the letter along when it fails.
                self.call = buried(self.call, self.kind, self.name, self.retry_on)
        else:
            # Such names are others' to choose: nothing may be kept for each.
            self.call = lambda ctx: around(getattr(ctx, by), self.endpoint)(ctx)

    def endpoint(self, ctx: Any) -> Awaitable[Any]:
        """Validate and run the function. Validation is innermost, so that middleware sees its errors."""
        raise NotImplementedError


def once_option(place: str, given: Any) -> Once | None:
    """The option ``once``: ``True``, ``False``, or how.

    Raises:
        RegistrationError: If it is something else.
    """
    if isinstance(given, bool):
        return Once() if given else None
    return checked_part(place, "once", given, Once)


def checked_part(place: str, option: str, given: Any, kind: type[Part]) -> Part:
    """An option that is a struct of its own, looked at.

    Raises:
        RegistrationError: If it is another kind of value, or one of its values makes no sense.
    """
    if not isinstance(given, kind):
        raise RegistrationError(f"{place}: {option} is {kind.__name__}(…), not {given!r}")
    given.check(place)
    return given


def checked_group(prefix: str, options: Any, allowed: type, decorator: str, example: str) -> Any:
    """The options of a group, looked at.

    Args:
        prefix: Of its names.
        options: What was given.
        allowed: The TypedDict of the options that a group may have.
        decorator: How groups are made, for the message.
        example: A prefix that fits.

    Raises:
        RegistrationError: If the prefix is no text, or an option is none of a group's or of the wrong kind.
    """
    check_name_given(prefix, decorator, example)
    unknown = options.keys() - allowed.__annotations__.keys()
    if unknown:
        raise RegistrationError(f"group({prefix!r}): a group has no option {', '.join(sorted(unknown))}")
    if "roles" in options:
        options["roles"] = listed_roles(options["roles"])  # it is read once for each handler
    check_options(f"group({prefix!r})", **options)
    return options
