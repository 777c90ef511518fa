"""What Tab completes at the prompt: commands, types of messages, and names of rooms that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

_MOST = 1_000  # names of one kind: a server may have no end of them


class Seen:
    """Names that came up so far, those of servers included.

    Attributes:
        types: Of messages and events, with what they are.
        rooms: Of rooms.
    """

    def __init__(self) -> None:
        self.types: dict[str, str] = {}
        self.rooms: dict[str, str] = {}

    def type(self, name: str, what: str) -> None:
        """A type came up; what was called once stays so."""
        if self.types.get(name) != "message":
            _note(self.types, name, what)

    def room(self, name: str) -> None:
        """A room came up."""
        _note(self.rooms, name, "room")


def _note(names: dict[str, str], name: str, what: str) -> None:
    if name.isprintable() and " " not in name and (name in names or len(names) < _MOST):
        names[name] = what


class LineCompleter(Completer):
    """Completes the first word of a line, and what follows a command.

    Args:
        seen: Names that came up.
        commands: Those that begin with a dot, with what each does, and whether a room's name follows.
    """

    def __init__(self, seen: Seen, commands: Mapping[str, tuple[str, bool]]) -> None:
        self._seen = seen
        self._commands = {f".{name}": entry for name, entry in commands.items()}

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """See prompt_toolkit."""
        before = document.text_before_cursor.lstrip()
        words = before.split()
        word = "" if not words or before[-1].isspace() else words[-1]
        first = len(words) <= (1 if word else 0)
        if first:
            names = dict(self._seen.types)
            if not word or not word.startswith("."):
                names |= {"send": "without an answer", "call": "with an answer"}
            if not word or word.startswith("."):
                names |= {name: what for name, (what, _) in self._commands.items()}
        elif len(words) > (2 if word else 1):
            return
        elif words[0] in ("send", "call"):
            names = self._seen.types
        elif self._commands.get(words[0], ("", False))[1]:
            names = self._seen.rooms
        else:
            return
        for name in sorted(names):
            if name.startswith(word):
                yield Completion(f"{name} ", -len(word), display=name, display_meta=names[name])
