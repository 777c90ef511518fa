"""What ``linkd dev`` starts: ``linkd`` itself, which ends when whoever started it is gone, even by SIGKILL.

The kernel is asked for that here, in the child's own program: between fork and exec Python code would run that may
not (a lock that another thread of the parent holds, for example).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def arguments_for(*arguments: str) -> tuple[str, ...]:
    """How a process that is to end with this one is started, as arguments of the Python interpreter."""
    return ("-m", "pylinkd.cli.child", str(os.getpid()), *arguments)


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM when the parent ends; end now if it has.

    Args:
        parent: Its process id.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Run ``linkd`` with the arguments that follow the parent's process id."""
    end_with_parent(int(sys.argv.pop(1)))
    from .main import main as linkd

    linkd()


if __name__ == "__main__":
    main()
