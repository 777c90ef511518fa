"""The page of the layout names every file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_module_has_its_line() -> None:
    """In docs/architecture.md, and each that is named there exists."""
    page = (ROOT / "docs/architecture.md").read_text().partition("## Layout")[2].partition("\n## ")[0]
    source = ROOT / "src/pylinkd"
    files = {path.name for path in source.rglob("*.py") if path.name != "__init__.py"}
    database = {path.name for path in (source / "db").glob("*.py")}  # docs/database.md

    missing = sorted(name for name in files - database if name not in page)
    gone = sorted(
        word
        for word in page.replace("(", " ").split()
        if word.endswith(".py") and "/" not in word and word not in files
    )

    assert (missing, [word for word in gone if word != "__init__.py"]) == ([], [])
