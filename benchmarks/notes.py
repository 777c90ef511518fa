"""Small JSON files by which the processes of a benchmark tell each other how far they are.

Not over the gateway: it is what is loaded to its limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_note(file: Path, figures: dict[str, Any]) -> None:
    """Write figures so that a reader sees all of them or those before."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(figures))
    new.replace(file)


def read_note(file: Path) -> dict[str, Any]:
    """What was written last; empty before the first time."""
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}
