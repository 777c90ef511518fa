"""What holds for the sessions of one path: the gateway's limits, or lower ones where the path's service wants that."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import msgspec

from ...protocol.control import Retry
from ...protocol.errors import ConflictError
from ...protocol.link_pb2 import Limits as WireLimits
from ...protocol.rate import Rate

N = TypeVar("N", int, float)


_LEAST_SIZE = 128  # bytes, as in the gateway's settings
_LEAST_TIME = 0.001  # seconds; the link carries milliseconds


class OneSession(StrEnum):
    """What becomes of a user's second session on a path that allows one."""

    REPLACE = "replace"
    """It takes the place of the first, which is closed."""

    REFUSE = "refuse"
    """It is closed, unless the first has no client any more."""


class PathLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a path.

    Attributes:
        max_message_size: Bytes of a client's message.
        max_connections_per_user: On this path; 0: as many as the gateway allows over all paths.
        heartbeat_interval: Seconds of silence after which a client is pinged.
        idle_timeout: Seconds without a message after which a client is closed; ``None``: never.
        compression: Whether it is offered.
        resume_window: Seconds for which a session is kept for a client that is away; 0: none is.
        message_rate: Messages of one connection; ``None``: any number.
        retry: How clients come back.
        one_session: What becomes of a user's second session; ``None``: nothing.
    """

    max_message_size: int = 64 * 1024
    max_connections_per_user: int = 0
    heartbeat_interval: float = 30.0
    idle_timeout: float | None = None
    compression: bool = True
    resume_window: float = 60.0
    message_rate: Rate | None = None
    retry: Retry = Retry()
    one_session: OneSession | None = None

    def lowered(self, wire: WireLimits) -> PathLimits:
        """These, where a service does not want lower ones.

        Raises:
            ConflictError: If it wants a higher one, or what makes no sense; the text says what to change.
        """
        rate = Rate(wire.rate_count, wire.rate_period_ms / 1000) if wire.rate_count and wire.rate_period_ms else None
        retry = self.retry
        if wire.HasField("retry"):
            retry = Retry(wire.retry.base_ms, wire.retry.cap_ms, wire.retry.jitter, wire.retry.attempts)
        idle = wire.idle_timeout_ms / 1000 if wire.HasField("idle_timeout_ms") else self.idle_timeout
        try:
            one_session = OneSession(wire.one_session) if wire.one_session else None
        except ValueError:
            raise ConflictError(f"one_session_per_user is 'replace' or 'refuse', not {wire.one_session!r}.") from None
        limits = PathLimits(
            max_message_size=_lower("max_message_size", self.max_message_size, wire, wire.max_message_size),
            max_connections_per_user=wire.max_connections_per_user,
            heartbeat_interval=_lower(
                "heartbeat_interval", self.heartbeat_interval, wire, wire.heartbeat_interval_ms / 1000, suffix="_ms"
            ),
            idle_timeout=idle,
            compression=self.compression and not wire.no_compression,
            resume_window=_lower("resume_window", self.resume_window, wire, wire.resume_window_ms / 1000, suffix="_ms"),
            message_rate=rate or self.message_rate,
            retry=retry,
            one_session=one_session,
        )
        for name, value, least in (
            ("max_message_size", limits.max_message_size, _LEAST_SIZE),
            ("heartbeat_interval", limits.heartbeat_interval, _LEAST_TIME),
            ("idle_timeout", idle, _LEAST_TIME),
        ):
            if value is not None and value < least:
                raise ConflictError(f"The service wants {name}={value}: at least {least} is needed.")
        if self.idle_timeout is not None and idle is not None and idle > self.idle_timeout:
            raise _too_high("idle_timeout", idle, self.idle_timeout)
        own = self.message_rate
        if own is not None and rate is not None and (rate.interval < own.interval or rate.count > own.count):
            raise _too_high("message_rate", rate.text, own.text)
        return limits


def _lower(name: str, own: N, wire: WireLimits, wanted: N, suffix: str = "") -> N:
    if not wire.HasField(name + suffix):
        return own
    if wanted > own:
        raise _too_high(name, wanted, own)
    return wanted


def _too_high(name: str, wanted: object, own: object) -> ConflictError:
    setting = f"LINKD_{name.upper()}" + ("_MS" if isinstance(own, float) else "")
    return ConflictError(
        f"The service wants {name}={wanted}, and this gateway allows {own} ({setting}): a service may lower a limit, "
        "not raise it.",
        type="LIMIT_TOO_HIGH",
    )
