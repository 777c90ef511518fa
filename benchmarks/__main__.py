"""``scripts/bench <scenario>``: runs one, prints its table and writes its figures as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import live


def main() -> None:
    """Read the command line and run the scenario."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("scenario", choices=["live"])
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=int, default=4, help="how long requests are sent in each round")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    results = live.run(options.rounds, options.seconds)
    print(live.table(results))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))


main()
