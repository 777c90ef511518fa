"""What a person types, or a script writes: one line, one message or command."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from ...protocol.envelope import MAX_TYPE_LENGTH

_OPENING = {"{": "}", "[": "]"}
_BLANK = re.compile(r"\s")


class LineError(Exception):
    """The line means nothing; the text says why, for whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A message that is answered. ``data`` is JSON as it was written, or nothing."""

    type: str
    data: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A message that is not."""

    type: str
    data: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """Something for the program itself, such as ``.history lobby``."""

    name: str
    arguments: tuple[str, ...] = ()


def read_line(text: str) -> Call | Send | Command | None:
    """``TYPE [JSON]``, ``call TYPE [JSON]``, ``send TYPE [JSON]`` or ``.COMMAND …``; ``None`` for an empty line.

    Raises:
        LineError: If it is none of these.
    """
    text = text.strip()
    if not text:
        return None
    if text.startswith("."):
        name, *arguments = text.split()
        if name == ".":
            raise LineError("a command has a name, such as .help")
        return Command(name[1:], tuple(arguments))
    kind, rest = _split(text)
    if kind in ("call", "send"):
        if not rest:
            raise LineError(f"{kind} what? Write {kind} TYPE JSON")
        type, rest = _split(rest)
    else:
        type = kind
    data = _read_data(type, rest)
    return Send(type, data) if kind == "send" else Call(type, data)


def is_incomplete(text: str) -> bool:
    """Whether a bracket or a string of the line's JSON is still open, so that the next line belongs to it.

    An empty line ends what is wrong.
    """
    open_brackets = 0
    in_string = escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in _OPENING:
            open_brackets += 1
        elif character in _OPENING.values():
            open_brackets -= 1
    return (
        not text.endswith("\n")
        and not text.lstrip().startswith(".")
        and (open_brackets > 0 or (in_string and "\n" in text))
    )


def _split(text: str) -> tuple[str, str]:
    """The first word, and the rest."""
    match = _BLANK.search(text)
    return (text, "") if match is None else (text[: match.start()], text[match.end() :].strip())


def _read_data(type: str, text: str) -> msgspec.Raw | None:
    if len(type) > MAX_TYPE_LENGTH or type[0] in '{["':
        raise LineError("a line begins with the type of a message, such as hello.greet; .help says more")
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise LineError(f'what follows {type} is no JSON: {reason}; texts stand in quotes, as in "Ada"') from None
    except RecursionError:
        raise LineError(f"what follows {type} is nested too deeply") from None
    return msgspec.Raw(text.encode())
