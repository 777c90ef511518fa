"""Whether ``linkd connect`` has a prompt, and how it ends."""

from __future__ import annotations

import asyncio
import os
import sys

from .script import run_script
from .target import Target

_SCRIPT_TIMEOUT = 30.0  # seconds
_INTERRUPTED = 130  # the exit status of whatever SIGINT ends


def connect(target: Target, *, json: bool, timeout: float | None, keep_history: bool) -> int:
    """Talk to a service until standard input ends. Returns the exit status.

    Args:
        target: Whom to.
        json: There is no prompt, though there is a terminal.
        timeout: Seconds for the first connection, and for each answer; ``None``: 30 without a prompt, else no limit.
        keep_history: Whether what is typed at the prompt is there the next time.

    Raises:
        ConnectError: If there is no connection, and none can be made.
    """
    try:
        if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            good = asyncio.run(run_script(target, timeout=_SCRIPT_TIMEOUT if timeout is None else timeout))
            return 0 if good else 1
        from .prompt import talk  # its library takes a while to import

        asyncio.run(talk(target, timeout=timeout, keep_history=keep_history))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads the output has gone, as `head` does; the interpreter must not write to it at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
