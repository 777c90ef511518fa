"""Reading the settings of a process, once, at its start."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import TypeVar

from pydantic import ValidationError

from ..settings import ProcessSettings, SettingsError


def _check_names(environment: Iterable[str], kind: type[ProcessSettings]) -> None:
    """Refuse a variable that looks like a setting and is none: it would be ignored in silence."""
    strange = {name for name in environment if name.startswith("LINKD_")} - _names(kind)
    if strange:
        # Only now: to a service the gateway's settings are half of its start, and nearly always these are none.
        from ..gateway.settings import Settings

        known = _names(Settings)
        for name in sorted(strange - known):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"{name} is no setting of Linkd{hint}")


def _names(kind: type[ProcessSettings]) -> set[str]:
    return {f"LINKD_{name.upper()}" for name in kind.model_fields}


S = TypeVar("S", bound=ProcessSettings)


def load_settings(kind: type[S], **overrides: object) -> S:
    """The settings of this process; ``overrides`` (from the command line) win over the environment.

    Raises:
        SettingsError: If one is wrong. The text names it as the environment does and never shows a secret.
    """
    _check_names(os.environ, kind)
    try:
        return kind(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as cause:
        fault = cause.errors(include_url=False, include_input=False)[0]
        message = fault["msg"].removeprefix("Value error, ")
        if fault["loc"]:
            message = f"LINKD_{str(fault['loc'][0]).upper()}: {message}"
        raise SettingsError(message) from None
