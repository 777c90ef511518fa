"""The client at a prompt: what is typed is sent, and what comes is shown above the line that is being typed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import Style

from ...client import Client, Event, Failure, Gap, State, StateChange
from ...protocol.errors import LinkdError, UnknownMessageTypeError
from .commands import COMMANDS, Commands
from .completion import LineCompleter, Seen
from .input_history import history_path, open_history
from .leaving import wait_until_confirmed
from .lines import Call, Command, LineError, Send, is_incomplete, read_line
from .printer import Printer
from .rendering import Item, printable, shown_value
from .target import ConnectError, Target
from .wording import (
    describe_end,
    describe_error,
    describe_gap,
    describe_no_connection,
    describe_open,
    describe_waiting,
)

_FIRST_LOOK = 2.0  # seconds that the prompt waits for the first connection
_GOODBYE = 2.0  # seconds for what was sent without an answer; what has not come then is said
_MOST_AT_WORK = 64  # calls and commands that are not done
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse ansibrightblack", "word": "bold", "command": "ansicyan"})


async def talk(target: Target, *, timeout: float | None, keep_history: bool) -> None:
    """Talk until the person at the terminal leaves.

    Args:
        target: Whom to.
        timeout: Seconds for the first connection, and for each answer; ``None``: no limit.
        keep_history: Whether what is typed is there the next time.

    Raises:
        ConnectError: If there is no connection, and none can be made any more.
    """
    await _Prompt(target, timeout, keep_history).run()


class _Prompt:
    def __init__(self, target: Target, timeout: float | None, keep_history: bool) -> None:
        self._target = target
        self._timeout = timeout
        self._seen = Seen()
        self._printer = Printer(lambda: self._session.output.get_size().columns)
        self._work: dict[asyncio.Task[None], str] = {}
        self._was_open = self._session_lost = self._leaving = False
        self._told: str | None = None  # why there is no connection, as it was shown
        self._change: StateChange | None = None
        self._retry_at: float | None = None  # of the monotonic clock
        self._first_news = asyncio.Event()
        self._over: str | None = None  # why nothing more can be done
        self._history_place = "what you type is not kept (--no-history)"
        self._session: PromptSession[str] = PromptSession(
            self._prompt_text,
            history=self._open_history() if keep_history else InMemoryHistory(),
            completer=LineCompleter(self._seen, COMMANDS),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=Condition(lambda: is_incomplete(self._session.default_buffer.text)),
            prompt_continuation="  ",
            lexer=_LineLexer(),
            key_bindings=self._key_bindings(),
            bottom_toolbar=self._toolbar,
            refresh_interval=0.5,
            style=_STYLE,
        )

    async def run(self) -> None:
        async with self._target.client() as client, asyncio.TaskGroup() as tasks:
            printing = tasks.create_task(self._printer.run())
            self._listen(client)
            commands = Commands(client, self._target, self._printer, self._seen, self._history_place)
            expiry = self._expire_first_connection(client)
            try:
                await self._look(client)
                await self._read(client, commands, tasks)
            finally:
                self._leaving = True
                if expiry is not None:
                    expiry.cancel()
                for task in self._work:
                    task.cancel()
                if client.state is State.OPEN:
                    await wait_until_confirmed(client, _GOODBYE)
                printing.cancel()
        await self._printer.flush()
        if self._over is not None:
            raise ConnectError(self._over)

    def _expire_first_connection(self, client: Client) -> asyncio.TimerHandle | None:
        timeout = self._timeout
        if timeout is None:
            return None

        def expire() -> None:
            if not self._was_open:
                self._end(describe_no_connection(self._change, self._target, timeout))

        return asyncio.get_running_loop().call_later(timeout, expire)

    async def _look(self, client: Client) -> None:
        """Wait a little for the first connection: most mistakes show here, before anything is typed."""
        try:
            async with asyncio.timeout(_FIRST_LOOK):
                await self._first_news.wait()
        except TimeoutError:
            self._say("note", f"there is no answer of {self._target.shown} yet")
        if not self._was_open and self._over is None:
            self._say("note", "what you type waits for a connection")
        await self._printer.flush()

    # what is typed

    async def _read(self, client: Client, commands: Commands, tasks: asyncio.TaskGroup) -> None:
        while self._over is None:
            try:
                text = await self._session.prompt_async()
            except EOFError:
                return
            try:
                line = read_line(text)
            except LineError as error:
                self._say("error", str(error))
                continue
            if line is None:
                continue
            if line == Command("quit"):
                return
            if len(self._work) >= _MOST_AT_WORK:
                self._say("error", f"{_MOST_AT_WORK} messages have no answer yet; Ctrl+C gives one up")
                continue
            if isinstance(line, Command):
                self._start(tasks, f".{line.name}", commands.run(line))
            else:
                message = self._call(client, line) if isinstance(line, Call) else self._send(client, line)
                self._start(tasks, line.type, message)

    def _start(self, tasks: asyncio.TaskGroup, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = tasks.create_task(self._guard(name, work))
        self._work[task] = name
        task.add_done_callback(self._work.pop)

    async def _guard(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LineError as error:
            self._say("error", str(error))
        except LinkdError as error:
            self._show_error(printable(name), error)
        except asyncio.CancelledError:
            self._say("note", f"{printable(name)} is given up; if it was sent, the service may handle it all the same")
            raise

    async def _call(self, client: Client, call: Call) -> None:
        started = time.perf_counter()
        name = printable(call.type)
        try:
            answer = await client.call(call.type, call.data, returns=msgspec.Raw, timeout=self._timeout)
        except UnknownMessageTypeError as error:
            self._show_error(name, error, started)
        except LinkdError as error:
            self._seen.type(call.type, "message")
            self._show_error(name, error, started)
        else:
            self._seen.type(call.type, "message")
            self._printer.show(Item("answer", name, shown_value(answer), _milliseconds(started)))

    async def _send(self, client: Client, message: Send) -> None:
        await client.send(message.type, message.data)
        self._seen.type(message.type, "message")

    # what comes

    def _listen(self, client: Client) -> None:
        client.on("*", self._event)
        client.on_state(self._state_changed)
        client.on_gap(self._gap)
        client.on_error(self._failed)

    def _event(self, event: Event) -> None:
        self._seen.type(event.type, "event")
        place = ""
        if event.room is not None:
            self._seen.room(event.room)
            place = f"{printable(event.room)} {event.offset}"
        self._printer.show(Item("event", printable(event.type), shown_value(event.data), place))

    def _state_changed(self, change: StateChange) -> None:
        self._change = change
        self._retry_at = None if change.retry_in is None else time.monotonic() + change.retry_in
        if change.state is State.OPEN:
            resumed = self._was_open and not self._session_lost
            self._say("note", describe_open(again=self._was_open, resumed=resumed, target=self._target))
            self._was_open, self._session_lost, self._told = True, False, None
        elif change.state is State.WAITING:
            # The same again and again would fill the screen. How long it still takes stands in the toolbar.
            if self._told != change.reason:
                was_open = self._was_open and self._told is None
                self._say("error", describe_waiting(change, self._target, was_open=was_open))
                self._told = change.reason
        elif change.state is State.CLOSED and not self._leaving:
            self._end(describe_end(change, self._target))
        if change.state is not State.CONNECTING:
            self._first_news.set()
        self._session.app.invalidate()

    def _gap(self, gap: Gap) -> None:
        self._session_lost |= gap.room is None and gap.reason != "dropped"
        self._say("error", describe_gap(gap))

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.error, LinkdError):
            self._show_error(f"({printable(failure.source)})", failure.error)
        else:
            self._say("error", f"{printable(failure.source)}: {describe_error(failure.error)}")

    def _end(self, why: str) -> None:
        if self._over is None:
            self._over = why
        self._first_news.set()
        app = self._session.app
        if app.is_running and app.future is not None and not app.future.done():
            app.exit(exception=EOFError())

    # how it looks

    def _say(self, kind: Any, text: str) -> None:
        self._printer.show(Item(kind, text))

    def _show_error(self, name: str, error: LinkdError, started: float | None = None) -> None:
        details = shown_value(error.details) if error.details else None
        took = "" if started is None else _milliseconds(started)
        self._printer.show(Item("error", f"{name}: {describe_error(error)}", details, took))

    def _prompt_text(self) -> StyleAndTextTuples:
        is_open = self._change is not None and self._change.state is State.OPEN
        return [("ansigreen" if is_open else "ansiyellow", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        state = "connecting" if self._change is None else str(self._change.state)
        if self._retry_at is not None:
            state += f", next attempt in {max(0, math.ceil(self._retry_at - time.monotonic()))} s"
        parts = [state, self._target.shown]
        if self._work:
            names = list(self._work.values())
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            parts.append(f"waiting for {printable(names[-1])[:40]}{others}, Ctrl+C gives it up")
        else:
            parts.append(".help")
        return [("", f"  {'  ·  '.join(parts)}")]

    def _key_bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("c-c")
        @bindings.add("<sigint>")
        def _(event: KeyPressEvent) -> None:
            if self._work:
                next(reversed(self._work)).cancel()
            elif event.current_buffer.text:
                event.current_buffer.reset()
            else:
                self._say("note", "Ctrl+D or .quit leaves")

        @bindings.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        return bindings

    def _open_history(self) -> History:
        path = history_path()
        is_new = not path.exists()
        self._history_place = (
            f"what you type is kept in {path}, which only you may read; "
            "a line that begins with a blank is not kept, and with --no-history none is"
        )
        if is_new:
            self._say("note", self._history_place)
        return open_history(path, lambda why: self._say("error", why))


class _LineLexer(Lexer):
    """Sets the first word off."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """See prompt_toolkit."""

        def line(number: int) -> StyleAndTextTuples:
            text = document.lines[number]
            if number:
                return [("", text)]
            word, blank, rest = text.partition(" ")
            return [("class:command" if word.startswith(".") else "class:word", word), ("", blank + rest)]

        return line


def _milliseconds(started: float) -> str:
    took = (time.perf_counter() - started) * 1000
    return f"{took:,.0f} ms" if took >= 10 else f"{took:.1f} ms"
