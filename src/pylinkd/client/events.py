"""Events as they come to an application: to handlers, and one after the other to whoever iterates."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

import msgspec

from .callbacks import is_coroutine_function, run_plain

E = TypeVar("E")

Report = Callable[[Exception, str], None]


class Event(msgspec.Struct, frozen=True):
    """An event.

    Attributes:
        type: Such as ``chat.message``.
        data: What it says.
        room: The room it was for, where that has a history.
        offset: Its number in the room's history.
        dropped: In a stream: how many events before this one were thrown away, since they were read too slowly.
    """

    type: str
    data: Any = None
    room: str | None = None
    offset: int | None = None
    dropped: int = 0


class Handlers(Generic[E]):
    """Functions by a type; ``chat.*`` stands for all types that begin with ``chat.``, and ``*`` for all.

    Args:
        report: Hears what a function raises, and of which type.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._functions: dict[str, list[Callable[[E], object]]] = {}

    def add(self, type: str, function: Callable[[E], object]) -> Callable[[], None]:
        """Have a plain function called with each event of a type. Returns what ends that.

        Raises:
            TypeError: If it is a coroutine function.
        """
        if is_coroutine_function(function):
            raise TypeError("a plain function is wanted here: one that starts a task, where something is to be awaited")
        functions = self._functions.setdefault(type, [])
        entry = lambda event: function(event)  # noqa: E731  the same function may be given twice
        functions.append(entry)

        def remove() -> None:
            if entry in functions:
                functions.remove(entry)
                if not functions and self._functions.get(type) is functions:
                    del self._functions[type]

        return remove

    def call(self, type: str, event: E) -> bool:
        """Call the functions of a type, whatever each of them raises. Returns whether there was one."""
        called = [function for pattern in _patterns(type) for function in self._functions.get(pattern, ())]
        for function in called:
            try:
                run_plain(function, event)
            except Exception as error:  # an application's: the next function is called all the same
                self._report(error, type)
        return bool(called)


class EventStream:
    """Events of a type, one after the other, to be iterated once. It ends with the client.

    Args:
        handlers: Where the events come from.
        type: Of the events; a pattern may stand for several.
        limit: How many may wait. Beyond it the oldest is thrown away, and the next one says so.
        ended: Called when it has ended.
    """

    def __init__(self, handlers: Handlers[Event], type: str, limit: int, ended: Callable[[EventStream], None]) -> None:
        self._waiting: deque[Event] = deque()
        self._limit = limit
        self._dropped = 0
        self._more = asyncio.Event()
        self._closed = False
        self._ended = ended
        self._remove = handlers.add(type, self._push)

    def _push(self, event: Event) -> None:
        self._waiting.append(event)
        if len(self._waiting) > self._limit:
            self._waiting.popleft()
            self._dropped += 1
        self._more.set()

    def close(self) -> None:
        """No further events. Those that wait still come."""
        if not self._closed:
            self._closed = True
            self._remove()
            self._more.set()
            self._ended(self)

    def end(self) -> None:
        """No further events, and none of those that wait."""
        self._waiting.clear()
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        event = self._waiting.popleft()
        if self._dropped:
            event, self._dropped = msgspec.structs.replace(event, dropped=self._dropped), 0
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _patterns(type: str) -> list[str]:
    parts = type.split(".")
    return [type, "*", *(".".join(parts[:count]) + ".*" for count in range(1, len(parts)))]
