"""What a service wants of the sessions on its path: lower limits than the gateway's, and how clients come back."""

from __future__ import annotations

import msgspec

from ..protocol.link_pb2 import Register
from ..protocol.rate import parse_rate
from .options import is_seconds
from .validation import RegistrationError

ONE_SESSION = ("replace", "refuse")
"""What may become of a user's second session."""


class Reconnect(msgspec.Struct, frozen=True):
    """How clients of the service come back after their connection broke.

    Attributes:
        delay: Seconds before the first attempt; it doubles with each failure.
        max_delay: The longest delay, in seconds.
        jitter: The part of a delay that is random, 0 to 1.
        attempts: Failures in a row after which a client gives up; 0: never.
    """

    delay: float = 0.5
    max_delay: float = 30.0
    jitter: float = 0.5
    attempts: int = 0

    def check(self, place: str) -> None:
        """Refuse what makes no sense.

        Raises:
            RegistrationError: If a number is out of range.
        """
        if not (is_seconds(self.delay) and is_seconds(self.max_delay) and 0 < self.delay <= self.max_delay <= 86_400):
            raise RegistrationError(f"{place}: delay and max_delay are seconds, the first not above the second")
        if not is_seconds(self.jitter) or self.jitter > 1:
            raise RegistrationError(f"{place}: jitter lies between 0 and 1, {self.jitter!r} does not")
        attempts: object = self.attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or not 0 <= attempts < 2**31:
            raise RegistrationError(f"{place}: attempts is a whole number from 0 to 2147483647, not {self.attempts!r}")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the sessions on a service's path. A service may lower those of the gateway, not raise them: one that
    does is refused when it registers. What is ``None`` is as the gateway has it.

    Attributes:
        max_message_size: Bytes of a client's message.
        max_connections_per_user: Sessions of one user on the path.
        heartbeat_interval: Seconds of silence after which a client is pinged.
        idle_timeout: Seconds without a message after which a client is closed.
        compression: ``False``: none is offered.
        resume_window: Seconds for which a session is kept for a client that is away; 0: none is.
        message_rate: Messages of one connection, such as ``10/s``.
    """

    max_message_size: int | None = None
    max_connections_per_user: int | None = None
    heartbeat_interval: float | None = None
    idle_timeout: float | None = None
    compression: bool | None = None
    resume_window: float | None = None
    message_rate: str | None = None

    def check(self, place: str) -> None:
        """Refuse what makes no sense.

        Raises:
            RegistrationError: If a value is of the wrong kind.
        """
        for name in ("max_message_size", "max_connections_per_user"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31):
                raise RegistrationError(f"{place}: {name} is a whole number from 1 to 2147483647, not {value!r}")
        for name, least in (("heartbeat_interval", 0.1), ("idle_timeout", 0.1), ("resume_window", 0.0)):
            value = getattr(self, name)
            if value is not None and (not is_seconds(value) or not least <= value <= 4_000_000):
                raise RegistrationError(f"{place}: {name} is a number of seconds, {least:g} or more, not {value!r}")
        if self.compression not in (None, True, False):
            raise RegistrationError(f"{place}: compression is True or False, not {self.compression!r}")
        if self.message_rate is not None:
            rate: object = self.message_rate
            try:
                parse_rate(rate if isinstance(rate, str) else repr(rate))
            except ValueError as cause:
                raise RegistrationError(f"{place}: message_rate: {cause}") from None


def fill_limits(
    register: Register, limits: Limits | None, reconnect: Reconnect | None, one_session: str | None
) -> None:
    """Write them into a registration."""
    wire = register.limits
    limits = limits or Limits()
    if limits.max_message_size is not None:
        wire.max_message_size = limits.max_message_size
    if limits.max_connections_per_user is not None:
        wire.max_connections_per_user = limits.max_connections_per_user
    if limits.heartbeat_interval is not None:
        wire.heartbeat_interval_ms = round(limits.heartbeat_interval * 1000)
    if limits.idle_timeout is not None:
        wire.idle_timeout_ms = round(limits.idle_timeout * 1000)
    if limits.compression is False:
        wire.no_compression = True
    if limits.resume_window is not None:
        wire.resume_window_ms = round(limits.resume_window * 1000)
    if limits.message_rate is not None:
        count, period = parse_rate(limits.message_rate)
        wire.rate_count, wire.rate_period_ms = count, max(1, round(period * 1000))
    if reconnect is not None:
        wire.retry.base_ms, wire.retry.cap_ms = round(reconnect.delay * 1000), round(reconnect.max_delay * 1000)
        wire.retry.jitter, wire.retry.attempts = reconnect.jitter, reconnect.attempts
    if one_session is not None:
        wire.one_session = one_session
