"""Starts ``linkd`` processes for tests without their imports, which are most of a start and the same each time.

A server of its own process has imported everything, and forks for each process that is asked for; what is forked is
``linkd`` with its own environment, arguments, log and exit status. It ends with whoever asked for it. Tests about the
start itself start programs the way that users do (``processes.start_program(..., forked=False)``).
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_LARGEST = 1 << 20  # bytes of a request: mostly the environment
_MODULES = (
    "pylinkd.cli.child", "pylinkd.cli.main", "pylinkd.cli.loading", "pylinkd.cli.serve", "pylinkd.gateway.settings",
    "pylinkd.db", "pylinkd.sdk.persistence", "pylinkd.sdk.describe.description", "aiosqlite", "asyncpg", "argon2",
    "sqlalchemy.dialects.sqlite.aiosqlite", "sqlalchemy.dialects.postgresql.asyncpg",
)  # fmt: skip
_LOG, _STATUS = 0, 1  # the descriptors that come with a request


class ForkedProcess:
    """A process that was forked, with what tests need of ``asyncio.subprocess.Process``.

    Args:
        pid: Of the process.
        status: Where its exit status will come: the read end of a pipe.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self._returncode: int | None = None

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; ``None``: it runs."""
        if self._returncode is None and select.select([self._status], [], [], 0)[0]:
            answer = os.read(self._status, 16)
            os.close(self._status)
            self._returncode = int(answer or b"-9")  # else the server itself was killed, and all with it
        return self._returncode

    async def wait(self) -> int:
        """Wait for its end; the exit status."""
        while self._returncode is None:
            await _readable(self._status)
            _ = self.returncode
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    # A copy: several may wait for one process, and a loop has one reader for each descriptor.
    own = os.dup(descriptor)
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(own, _mark, ready)
    try:
        await ready
    finally:
        loop.remove_reader(own)
        os.close(own)


def _mark(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class ForkServer:
    """The server, as tests see it. It ends with this process."""

    def __init__(self) -> None:
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = own
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=ROOT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def start(self, arguments: tuple[str, ...], env: dict[str, str], log: int) -> ForkedProcess:
        """Start ``linkd`` with these arguments.

        Args:
            arguments: Of the command.
            env: Its whole environment.
            log: Where it writes, as a descriptor.
        """
        mine, theirs = os.pipe()
        try:
            request = json.dumps({"arguments": arguments, "env": env}).encode()
            rights = array.array("i", [log, theirs])
            self._socket.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(theirs)
        answer = self._socket.recv(64)
        if not answer:
            raise RuntimeError("the fork server has ended; what it printed says why")
        return ForkedProcess(int(answer), mine)

    def close(self) -> None:
        """End it, and with it whatever it has started."""
        self._socket.close()
        self._process.wait()


class _Server:
    """The server itself."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._statuses: dict[int, int] = {}  # where the exit statuses go, by process
        self._news, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> list[str] | None:
        """Serve until nobody asks any more: ``None``. In a process that was forked: the arguments that it is given."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup)
        while True:
            readable, _, _ = select.select([self._control.fileno(), self._news], [], [])
            if self._news in readable:
                os.read(self._news, 1024)
                self._reap()
            if self._control.fileno() in readable:
                request, descriptors, _, _ = socket.recv_fds(self._control, _LARGEST, 2)
                if not request:
                    return None
                asked = json.loads(request)
                pid = os.fork()
                if not pid:
                    self._become(asked, descriptors[_LOG])
                    os.close(descriptors[_STATUS])
                    return [str(argument) for argument in asked["arguments"]]
                os.close(descriptors[_LOG])
                self._statuses[pid] = descriptors[_STATUS]
                self._control.send(str(pid).encode())

    def _reap(self) -> None:
        while self._statuses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            descriptor = self._statuses.pop(pid)
            os.write(descriptor, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(descriptor)

    def _become(self, asked: dict[str, Any], log: int) -> None:
        """Leave behind what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        for descriptor in (self._news, self._wakeup, *self._statuses.values()):
            os.close(descriptor)
        for standard in (1, 2):
            os.dup2(log, standard)
        os.close(log)
        os.environ.clear()
        os.environ.update(asked["env"])


def _serve() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in _MODULES:
        importlib.import_module(name)
    from pylinkd.cli.child import end_with_parent
    from pylinkd.cli.main import main

    gc.collect()
    gc.freeze()
    server = os.getpid()
    arguments = _Server(control).run()
    if arguments is None:
        return
    end_with_parent(server)
    sys.argv = ["linkd", *arguments]
    main()


if __name__ == "__main__":
    _serve()
