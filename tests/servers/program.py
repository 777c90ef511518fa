"""A server that tests start, in whatever way: signals, and its end."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

_START_SECONDS = 20.0


class ServerProgram:
    """Its process, once there is one.

    Attributes:
        process: The latest.
    """

    process: subprocess.Popen[bytes] | None = None

    def begins(self, listens: Callable[[], bool]) -> bool:
        """Wait until it listens; ``False``: it has ended, or takes too long."""
        assert self.process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
