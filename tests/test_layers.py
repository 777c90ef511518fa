"""Who may import whom: the contracts of pyproject.toml."""

from __future__ import annotations

import subprocess
import sys

from .processes import ROOT


def test_layers_hold() -> None:
    """Every contract is kept; import-linter says which is not."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
