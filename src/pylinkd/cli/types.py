"""``linkd types``: what a client of a service may be checked with."""

from __future__ import annotations

from pathlib import Path

from ..protocol.errors import SetupError
from ..sdk.describe.typescript import typescript as typescript_of
from .loading import load_service


def write_types(target: str, *, typescript: bool, out: Path | None) -> None:
    """Write the types of a service to a file, or to standard output.

    Raises:
        SetupError: If no language is named, there is no such service, or the file cannot be written.
    """
    if not typescript:
        raise SetupError("linkd types writes one language: give --typescript")
    text = typescript_of(load_service(target))
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise SetupError(f"{out} cannot be written: {error.strerror}") from error
