"""Hostile clients: a room of 1,000 with 310 of them (hostile_room.py), and one at its worst in each way (siege.py).

``--only room`` is the first alone, ``--only WAY`` one way of the second; both may be repeated.
"""

from __future__ import annotations

import argparse
from typing import Any

from . import hostile_room, siege

_ROOM = "room"


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    hostile_room.arguments(parser)
    siege.arguments(parser)
    parser.add_argument(
        "--only", action="append", choices=[_ROOM, *siege.TITLES], default=[], help="nothing but this; repeatable"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The room, then every way, or what is asked for."""
    wanted = options.only or [_ROOM, *siege.TITLES]
    results: dict[str, Any] = {}
    if _ROOM in wanted:
        results[_ROOM] = hostile_room.run(options)
    ways = [name for name in siege.TITLES if name in wanted]
    if ways:
        results["siege"] = siege.run(ways, options.seconds)
        results["passed"] = results["siege"]["passed"]
    return results


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    parts = {_ROOM: hostile_room.table, "siege": siege.table}
    return "\n\n".join(part(results[name]) for name, part in parts.items() if name in results)
