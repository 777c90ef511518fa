"""Packages of Node's, installed once and kept in pytest's cache."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

_TIMEOUT = 300.0  # seconds; the registry may be slow, and there is no other way


def node_modules(config: pytest.Config, package: str, version: str) -> Path:
    """The folder with the package and what it needs."""
    assert shutil.which("node"), "these tests need node"
    assert config.cache is not None
    folder = config.cache.mkdir(f"node-{package}-{version}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come here at once
        if not (folder / "node_modules" / package / "package.json").exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder)]
            subprocess.run([*command, f"{package}@{version}"], check=True, capture_output=True, timeout=_TIMEOUT)
    return folder / "node_modules"
