"""Reading the settings of a process, once, at its start."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from ..settings import ProcessSettings, SettingsError, is_service_link

IGNORED = (
    "they are no settings of Linkd; Kubernetes makes such variables for a Service called linkd, unless "
    "enableServiceLinks is false"
)
"""What to say of foreign variables."""

_READ_BY_COMMANDS = {"LINKD_TOKEN"}  # of `linkd connect`

_CLOSE = 0.8  # of difflib's ratio: LINKD_HEARTBEAT_INTERVAL for LINKD_HEARTBEAT_INTERVAL_MS, and not LINKD_SERVICE_HOST
_KUBERNETES = re.compile(r"LINKD_(.*_)?(SERVICE_(HOST|PORT(_.*)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")


def foreign_variables(environment: Mapping[str, str], kind: type[ProcessSettings]) -> list[str]:
    """The variables that look like settings and are none, which somebody else made for something else.

    Raises:
        SettingsError: If one is nearly a setting's name: it would be ignored in silence.
    """
    found = [name for name, value in environment.items() if name.startswith("LINKD_") and is_service_link(name, value)]
    strange = {name for name in environment if name.startswith("LINKD_")} - _names(kind) - _READ_BY_COMMANDS
    if strange:
        # Only now: to a service the gateway's settings are half of its start, and nearly always these are none.
        from ..gateway.settings import Settings

        known = _names(Settings) | _READ_BY_COMMANDS
        for name in sorted(strange - known - set(found)):
            near = None if _KUBERNETES.fullmatch(name) else _near(name, known)
            if near is not None:
                raise SettingsError(f"{name} is no setting of Linkd; did you mean {near}?")
            found.append(name)
    return sorted(found)


def _near(name: str, known: Iterable[str]) -> str | None:
    """The setting that somebody probably meant by a name; ``None``: none."""
    wanted = name.removeprefix("LINKD_")
    names = {setting.removeprefix("LINKD_"): setting for setting in sorted(known)}
    for short, setting in names.items():
        if sorted(short.split("_")) == sorted(wanted.split("_")) or _is_one_slip_apart(short, wanted):
            return setting
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=_CLOSE)
    return names[near[0]] if near else None


def _is_one_slip_apart(one: str, other: str) -> bool:
    """Whether one letter was left out, added or changed, or two neighbours were swapped."""
    if len(one) > len(other):
        one, other = other, one
    at = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
    if len(one) < len(other):
        return one[at:] == other[at + 1 :]
    swapped = one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
    return one[at + 1 :] == other[at + 1 :] or swapped


def _names(kind: type[ProcessSettings]) -> set[str]:
    return {f"LINKD_{name.upper()}" for name in kind.model_fields}


S = TypeVar("S", bound=ProcessSettings)


def load_settings(kind: type[S], **overrides: object) -> S:
    """The settings of this process; ``overrides`` (from the command line) win over the environment.

    Raises:
        SettingsError: If one is wrong. The text names it as the environment does and never shows a secret.
    """
    foreign_variables(os.environ, kind)
    try:
        return kind(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as cause:
        fault = cause.errors(include_url=False, include_input=False)[0]
        message = fault["msg"].removeprefix("Value error, ")
        if fault["loc"]:
            message = f"LINKD_{str(fault['loc'][0]).upper()}: {message}"
        raise SettingsError(message) from None
