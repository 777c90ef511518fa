"""Where gateway and services meet unless told otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def default_link_path() -> Path:
    """The socket's path: ``LINKD_LINK``, or one in a folder that only this user can enter."""
    told = os.environ.get("LINKD_LINK")
    if told:
        return Path(told)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "linkd" if runtime else Path(f"/tmp/linkd-{os.getuid()}")  # noqa: S108  made with mode 0700
    return folder / "link.sock"
