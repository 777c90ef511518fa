"""Packages of Node's, installed once and kept in pytest's cache."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

_TIMEOUT = 300.0  # seconds; the registry may be slow, and there is no other way
_CLIENT = Path(__file__).parents[2] / "clients" / "typescript"


def node_modules(config: pytest.Config, package: str, version: str, *others: str) -> Path:
    """The folder with the package and what it needs, and with others, such as ``react-dom@19.2.0``."""
    assert shutil.which("node"), "these tests need node"
    assert config.cache is not None
    folder = config.cache.mkdir(f"node-{package}-{version}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come here at once
        if not (folder / "node_modules" / package / "package.json").exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder)]
            subprocess.run(
                [*command, f"{package}@{version}", *others], check=True, capture_output=True, timeout=_TIMEOUT
            )
    return folder / "node_modules"


def typescript_client() -> Path:
    """The folder of the TypeScript client, with the packages that building and testing it takes."""
    assert shutil.which("npm"), "these tests need npm"
    modules = _CLIENT / "node_modules"
    modules.mkdir(exist_ok=True)
    with (modules / ".linkd-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test processes may come here at once
        wanted = (_CLIENT / "package-lock.json").read_text()
        installed = modules / ".linkd-installed"
        if not installed.exists() or installed.read_text() != wanted:
            command = ["npm", "install", "--no-save", "--ignore-scripts=false"]
            done = subprocess.run(command, cwd=_CLIENT, capture_output=True, text=True, timeout=_TIMEOUT)
            assert done.returncode == 0, done.stderr
            installed.write_text(wanted)
    return _CLIENT
