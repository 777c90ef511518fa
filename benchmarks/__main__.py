"""``scripts/bench <scenario>``: runs one, or all of them, prints its table and writes its figures as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Protocol

from . import (
    burst,
    chaos,
    churn,
    comparison,
    compiled,
    connections,
    day,
    deploy,
    flood,
    formats,
    growth,
    guard,
    hostile,
    latency,
    ledger,
    live,
    memory,
    reloads,
    resumption,
    soak,
    start,
    targets,
)
from .programs import raise_descriptors
from .report import page


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
    "peers": comparison,
    "growth": growth,
    "latency": latency,
    "churn": churn,
    "connections": connections,
    "burst": burst,
    "guard": guard,
    "flood": flood,
    "hostile": hostile,
    "memory": memory,
    "resumption": resumption,
    "formats": formats,
    "day": day,
    "start": start,
    "compiled": compiled,
}
"""What is measured. ``all`` runs every one of them."""

CHECKS: dict[str, Scenario] = {"ledger": ledger, "chaos": chaos, "deploy": deploy, "reloads": reloads, "soak": soak}
"""What either holds or does not. Their results have ``passed``."""


def _title(scenario: Scenario) -> str:
    assert scenario.__doc__ is not None
    return " ".join(scenario.__doc__.partition("\n\n")[0].split())


def _run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Every scenario with its own defaults, or what an earlier run wrote of it."""
    if options.figures is not None:
        options.figures.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    sections: dict[str, tuple[str, str]] = {}
    for name, scenario in SCENARIOS.items():
        known = None if options.figures is None else options.figures / f"{name}.json"
        if known is not None and known.exists():
            figures[name] = json.loads(known.read_text())
        else:
            defaults = argparse.ArgumentParser()
            scenario.arguments(defaults)
            figures[name] = scenario.run(defaults.parse_args([]))
            if known is not None:
                known.write_text(json.dumps(figures[name], indent=2))
        sections[name] = _title(scenario), scenario.table(figures[name])
        print(f"{name}\n{sections[name][1]}\n", flush=True)
    if options.report is not None:
        options.report.write_text(page("scripts/bench all", targets.table(figures), sections))
    return figures


def main() -> None:
    """Read the command line and run the scenario."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    choices = parser.add_subparsers(dest="scenario", required=True)
    everything = choices.add_parser("all", help="everything that is measured, one after the other; seventy minutes")
    everything.add_argument("--report", type=Path, help="where to write a page of all tables")
    everything.add_argument(
        "--figures", type=Path, help="folder where the figures of each are kept: what is there is not measured again"
    )
    everything.add_argument("--json", type=Path, help="where to write the figures")
    for name, scenario in (SCENARIOS | CHECKS).items():
        choice = choices.add_parser(name, help=_title(scenario), description=scenario.__doc__)
        choice.add_argument("--json", type=Path, help="where to write the figures")
        scenario.arguments(choice)
    options = parser.parse_args()
    raise_descriptors()
    if options.scenario == "all":
        results = _run_all(options)
    else:
        scenario = (SCENARIOS | CHECKS)[options.scenario]
        results = scenario.run(options)
        print(scenario.table(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))
    if not results.get("passed", True):
        sys.exit(1)


main()
