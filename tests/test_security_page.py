"""The threat table names tests that are there."""

from __future__ import annotations

import ast
import re

from .processes import ROOT

_NAME = re.compile(r"`((?:[\w/]+\.py)?)::(\w+)`")


def test_every_threat_names_tests_that_are_there() -> None:
    """Each row at least one, by file and function."""
    table = (ROOT / "docs/security.md").read_text().partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 50

    for row in rows:
        named = _NAME.findall(row)
        assert named, f"no test stands in {row}"
        file = ""
        for path, function in named:
            file = path or file
            tree = ast.parse((ROOT / "tests" / file).read_text())
            functions = {
                node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert function in functions, f"{file} has no {function}"
