"""``scripts/bench <scenario>``: runs one, prints its table and writes its figures as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Protocol

from . import burst, comparison, connections, flood, guard, hostile, live, memory
from .programs import raise_descriptors


class Scenario(Protocol):
    """What a module of a scenario offers."""

    __doc__: str | None
    """Its first line says what is measured."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the scenario's own options."""

    def run(self, options: argparse.Namespace) -> dict[str, Any]:
        """Measure; figures that JSON can tell."""

    def table(self, results: dict[str, Any]) -> str:
        """The figures for people."""


SCENARIOS: dict[str, Scenario] = {
    "live": live,
    "hostile": hostile,
    "flood": flood,
    "guard": guard,
    "memory": memory,
    "connections": connections,
    "burst": burst,
    "peers": comparison,
}


def main() -> None:
    """Read the command line and run the scenario."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    choices = parser.add_subparsers(dest="scenario", required=True)
    for name, scenario in SCENARIOS.items():
        assert scenario.__doc__ is not None
        choice = choices.add_parser(name, help=scenario.__doc__.splitlines()[0], description=scenario.__doc__)
        choice.add_argument("--json", type=Path, help="where to write the figures")
        scenario.arguments(choice)
    options = parser.parse_args()
    raise_descriptors()
    scenario = SCENARIOS[options.scenario]
    results = scenario.run(options)
    print(scenario.table(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))


main()
