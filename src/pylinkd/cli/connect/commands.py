"""What begins with a dot at the prompt: rooms, presence, history, and the state of the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ...client import Client, Member, PresenceChange, Room
from .completion import Seen
from .lines import Command, LineError
from .printer import Printer
from .rendering import Item, printable, shown_value
from .target import Target

_PATIENCE = 5.0  # seconds for a list of members, which comes beside the answer
_MOST_ROOMS = 100
_MOST_MEMBERS = 200  # that are shown

HELP = """\
hello.greet {"name": "Ada"}  send a message and show its answer; JSON may
                             go on over several lines, up to an empty one
send hello.wave {"to": 1}    send one without an answer
call send {"a": 1}           call a type that is called like a command
.room NAME                   show who comes to a room and leaves it
.room                        which rooms that is done for
.leave NAME                  stop showing it; the session stays in the room
.presence ROOM               who is there
.history ROOM [OFFSET]       the last 50 events of a room, before an offset
.state                       how the connection is
.help  .quit
Tab completes, Up finds what was typed, Ctrl+R searches it.
Ctrl+C gives an unanswered call up, or clears the line; Ctrl+D leaves."""

COMMANDS: dict[str, tuple[str, bool]] = {
    "help": ("what can be typed", False),
    "room": ("show who comes and goes", True),
    "leave": ("stop showing it", True),
    "presence": ("who is in a room", True),
    "history": ("the last events of a room", True),
    "state": ("how the connection is", False),
    "quit": ("leave", False),
}
"""Every command, what it does, and whether a room's name follows."""


@dataclass(slots=True)
class _Watched:
    room: Room
    stop: Callable[[], None]


@dataclass(slots=True)
class Commands:
    """Carries commands out.

    Args:
        client: Whose rooms and connection they are about.
        target: Where it is connected to.
        printer: Where results go.
        seen: Names that came up.
        history_place: Where what is typed is kept.
    """

    client: Client
    target: Target
    printer: Printer
    seen: Seen
    history_place: str
    _watched: dict[str, _Watched] = field(default_factory=dict)

    async def run(self, command: Command) -> None:
        """Carry one out.

        Raises:
            LineError: If there is none of this name, or its arguments are wrong.
            LinkdError: If the server does not want it.
        """
        runners: dict[str, tuple[Callable[..., Awaitable[None]], int, int]] = {
            "help": (self._help, 0, 0),
            "room": (self._room, 0, 1),
            "leave": (self._leave, 1, 1),
            "presence": (self._presence, 1, 1),
            "history": (self._history, 1, 2),
            "state": (self._state, 0, 0),
        }
        if command.name not in runners:
            raise LineError(f"there is no .{printable(command.name)}; .help shows what there is")
        runner, least, most = runners[command.name]
        if not least <= len(command.arguments) <= most:
            wants = "no name" if most == 0 else "the name of a room"
            raise LineError(f".{command.name} takes {wants}; .help shows how it is written")
        await runner(*command.arguments)

    async def _help(self) -> None:
        for line in HELP.splitlines():
            self.printer.show(Item("note", line))
        self.printer.show(Item("note", self.history_place))

    async def _state(self) -> None:
        parts = [
            f"{self.client.state}: {self.target.shown}",
            f"messages that the gateway has not confirmed: {self.client.pending}",
        ]
        if self._watched:
            parts.append(f"watching {', '.join(printable(name) for name in self._watched)}")
        for part in parts:
            self.printer.show(Item("note", part))

    async def _room(self, name: str | None = None) -> None:
        if name is None:
            names = ", ".join(printable(name) for name in self._watched) or "none; .room NAME watches one"
            self.printer.show(Item("note", f"rooms that are watched: {names}"))
            return
        if name not in self._watched:
            if len(self._watched) >= _MOST_ROOMS:
                raise LineError(f"{_MOST_ROOMS} rooms are watched already; .leave ends one")
            room = self.client.room(name)
            self._watched[name] = _Watched(room, room.presence.on_change(lambda change: self._changed(room, change)))
            self.seen.room(name)
        room = self._watched[name].room
        place = "" if room.position is None else f", at offset {room.position.offset}"
        who = "nothing is said of it until the service joins this session to it"
        if not room.presence.stale:
            who = _count(room)
        _ = room.presence.members  # asks for them, where they are not known
        self.printer.show(Item("note", f"watching {printable(name)}{place}: {who}"))

    async def _leave(self, name: str) -> None:
        watched = self._watched.pop(name, None)
        if watched is None:
            raise LineError(f"{printable(name)} is not watched")
        watched.stop()
        watched.room.forget()
        self.printer.show(Item("note", f"{printable(name)} is not watched any more"))

    def _changed(self, room: Room, change: PresenceChange) -> None:
        members = room.presence.members
        parts = []
        for words, keys in (("came", change.joined), ("changed", change.updated)):
            parts += [f"{_name(key, members[key])} {words}" for key in keys[:_MOST_MEMBERS] if key in members]
        parts += [f"{printable(key)} left" for key in change.left[:_MOST_MEMBERS]]
        self.printer.show(
            Item("presence", printable(room.name), None, f"{', '.join(parts)}; {_count(room)}".lstrip("; "))
        )

    async def _presence(self, name: str) -> None:
        room = self.client.room(name)
        try:
            await self.client.request("linkd.presence.sync", {"room": name})  # an error says why there is nobody
            if room.presence.stale:
                await _next_change(room)
            self.seen.room(name)
            self.printer.show(Item("presence", printable(name), None, _count(room)))
            for key, member in list(room.presence.members.items())[:_MOST_MEMBERS]:
                devices = "" if member.sessions == 1 else f", {member.sessions} sessions"
                value = None if member.data is None else shown_value(member.data)
                self.printer.show(Item("presence", f"  {_name(key, member)}", value, f"{member.state}{devices}"))
        finally:
            if name not in self._watched:
                room.forget()

    async def _history(self, name: str, before: str | None = None) -> None:
        if before is not None and not (before.isascii() and before.isdigit()):
            raise LineError(f".history {printable(name)} OFFSET: the offset is a number")
        room = self.client.room(name)
        try:
            page = await room.history(before=None if before is None else int(before))
        finally:
            if name not in self._watched:
                room.forget()
        self.seen.room(name)
        for event in page.events:
            self.printer.show(Item("event", printable(event.type), shown_value(event.data), f"offset {event.offset}"))
        more = f"; .history {printable(name)} {page.events[0].offset} has older ones" if page.more else ""
        self.printer.show(Item("note", f"{len(page.events)} of {printable(name)}{more}"))


async def _next_change(room: Room) -> None:
    changed = asyncio.Event()
    stop = room.presence.on_change(lambda _: changed.set())
    try:
        async with asyncio.timeout(_PATIENCE):
            await changed.wait()
    except TimeoutError:
        raise LineError(f"nothing was said of who is in {printable(room.name)}") from None
    finally:
        stop()


def _name(key: str, member: Member) -> str:
    name = member.name or member.user
    return printable(key if name is None or name == key else f"{name} ({key})")


def _count(room: Room) -> str:
    count, listed = room.presence.count, len(room.presence.members)
    too_many = ", too many to be listed" if listed < count else ""
    return f"{count} {'is' if count == 1 else 'are'} there{too_many}"
