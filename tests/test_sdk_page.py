"""The code of docs/sdk.md: what a reader copies has to be right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

PAGE = (ROOT / "docs/sdk.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page. A comment in the first line of a block names a file; others continue the one before."""
    folder = tmp_path_factory.mktemp("sdk-page")
    files: dict[str, list[str]] = {}
    name = ""
    for block in BLOCKS:
        named = re.match(r"# (\w+\.py)\n", block)
        if named is not None:
            name = named[1]
        files.setdefault(name, []).append(block)
    for name, blocks in files.items():
        (folder / name).write_text("\n\n".join(blocks))
    return folder


def test_page_has_files(folder: Path) -> None:
    """And no block before the first."""
    assert len(BLOCKS) > 20
    assert "board.py" in {path.name for path in folder.glob("*.py")}


def test_every_file_is_imported(folder: Path) -> None:
    """What registers wrongly raises then."""
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith("test_"):
            continue
        done = subprocess.run(
            [sys.executable, "-c", f"import {path.stem}"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{path.name}: {done.stderr}"


def test_tests_of_the_page_pass(folder: Path) -> None:
    """Those that it shows how to write."""
    tests = sorted(path.name for path in folder.glob("test_*.py"))
    assert tests
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    done = subprocess.run([*command, *tests], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_has_the_types_that_it_says(folder: Path) -> None:
    """As a reader's own type checker sees it."""
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(folder / ".mypy"), "--no-warn-unused-ignores", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
