"""Curves as text: a row for each step, and beside what shall stay flat how it grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import tables

_WIDTH = 20


class Column(NamedTuple):
    """A figure of every step.

    Attributes:
        title: Its head.
        key: Where it stands in the figures.
        grows: Whether the multiple of the step compared with follows it.
        drawn: Whether a bar follows.
    """

    title: str
    key: str
    grows: bool = False
    drawn: bool = False


def table(
    title: str,
    names: Sequence[str],
    figures: Sequence[Mapping[str, float]],
    columns: Sequence[Column],
    compared: int = 0,
) -> str:
    """The table.

    Args:
        title: Of the column of names.
        names: Of the steps.
        figures: Of each step.
        columns: What is shown.
        compared: The step that growth is a multiple of.
    """
    head, shown = [title], [list[object]([name]) for name in names]
    for column in columns:
        values = [step[column.key] for step in figures]
        parts: list[tuple[str, Sequence[object]]] = [(column.title, values)]
        if column.grows:
            parts.append(("growth", [f"× {value / values[compared]:.2f}" for value in values]))
        if column.drawn:
            parts.append(("", _bars(values)))
        for name, cells in parts:
            head.append(name)
            for row, cell in zip(shown, cells, strict=True):
                row.append(cell)
    return tables.lines(head, shown)


def _bars(values: Sequence[float]) -> list[str]:
    """From zero to the largest, all equally wide, as a table wants them."""
    most = max(values) or 1.0
    return [("█" * round(_WIDTH * value / most)).ljust(_WIDTH, "·") for value in values]
