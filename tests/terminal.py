"""A program in a terminal, and what its user sees of it: the screen, as the terminal emulator pyte has it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pyte

PATIENCE = 40.0  # seconds; a busy machine may take long to import everything
COLUMNS = 100
LINES = 60

ENTER, TAB, UP = "\r", "\t", "\x1b[A"
CTRL_C, CTRL_D, CTRL_L = "\x03", "\x04", "\x0c"
ALT_ENTER = "\x1b\r"


class _Screen(pyte.Screen):
    """A screen whose answers, such as where the cursor is, go back to the program."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(COLUMNS, LINES)
        self._descriptor = descriptor

    def write_process_input(self, data: str) -> None:
        """See pyte."""
        os.write(self._descriptor, data.encode())


class Terminal:
    """A terminal with a program in it.

    Attributes:
        process: The program.
        raw: Every byte that it wrote.
    """

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self.process = process
        self.raw = b""
        self._descriptor = descriptor
        self._screen = _Screen(descriptor)
        self._stream = pyte.ByteStream(self._screen)
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the program has ended
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self.raw += data
        self._stream.feed(data)
        self._news.set()

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._descriptor, keys.encode())

    def enter(self, line: str) -> None:
        """Type a line, and press Enter."""
        self.type(line + ENTER)

    @property
    def text(self) -> str:
        """What is on the screen, without blanks at the ends of lines."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def line(self) -> str:
        """The line that the cursor is in."""
        return self._screen.display[self._screen.cursor.y].rstrip()

    @property
    def title(self) -> str:
        """Of the window."""
        return self._screen.title

    async def shows(self, pattern: str) -> str:
        """Wait until a regular expression is found on the screen; the match."""
        return await self._wait(pattern, lambda: self.text)

    async def has_line(self, pattern: str) -> str:
        """Wait until the cursor's line matches a regular expression; the match."""
        return await self._wait(pattern, lambda: self.line)

    async def _wait(self, pattern: str, where: object) -> str:
        assert callable(where)
        try:
            async with asyncio.timeout(PATIENCE):
                while not (match := re.search(pattern, where())):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{pattern!r} is not on the screen:\n{self.text}") from None
        return match[0]

    async def ended(self) -> int:
        """Wait for the end of the program; its exit status."""
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def terminal(*command: str, env: Mapping[str, str], cwd: Path) -> AsyncIterator[Terminal]:
    """Run a program in a terminal of its own."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=its, stdout=its, stderr=its, cwd=cwd, env={**env, "TERM": "xterm-256color"}
        )
    finally:
        os.close(its)
    shown = Terminal(process, ours)
    try:
        yield shown
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
