"""The types that users of this layer see in their editor."""

from __future__ import annotations

from pathlib import Path

from mypy import api

HERE = Path(__file__).parent


def test_user_code_has_the_promised_types() -> None:
    """mypy, strictly, agrees with every assertion of typed_usage.py, the errors among them."""
    project = HERE.parents[1]
    report, errors, status = api.run(
        [
            "--config-file",
            str(project / "pyproject.toml"),
            "--cache-dir",
            str(project / ".mypy_cache"),
            str(HERE / "typed_usage.py"),
        ]
    )

    assert status == 0, report + errors
