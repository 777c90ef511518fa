"""``linkd types``: what a client of a service may be checked with, and what would break one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..protocol.errors import SetupError
from ..sdk.describe.differences import Document, differences
from ..sdk.describe.python import python as python_of
from ..sdk.describe.typescript import typescript as typescript_of
from .loading import load_service


def write_types(target: str | None, *, typescript: bool, python: bool, out: Path | None) -> None:
    """Write the types of a service to a file, or to standard output.

    Raises:
        SetupError: If not exactly one language is named, there is no such service, or the file cannot be written.
    """
    if target is None:
        raise SetupError("linkd types needs a service such as module:service, or --diff OLD NEW")
    if typescript == python:
        raise SetupError("linkd types writes one language: give --typescript or --python")
    service = load_service(target)
    text = typescript_of(service) if typescript else python_of(service)
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text)
    except OSError as error:
        raise SetupError(f"{out} cannot be written: {error.strerror}") from error


def print_differences(old: Path, new: Path) -> int:
    """Print what breaks clients, a line each; the exit status: 1 where something does.

    Raises:
        SetupError: If a file holds no document, or the two cannot be compared.
    """
    try:
        found = differences(_document(old), _document(new))
    except ValueError as error:
        raise SetupError(f"{old} and {new} cannot be compared: {error}") from error
    for line in found:
        print(line)
    return 1 if found else 0


def _document(file: Path) -> Document:
    try:
        document: Document = msgspec.json.decode(file.read_bytes(), type=Document)
    except OSError as error:
        raise SetupError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{file} is no document in JSON: {error}") from error
    return document
