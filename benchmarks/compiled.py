"""What a compiled hot path would bring: the gateway as it is, and with its modules of the hot path through mypyc.

A prototype, to know what Python costs here. Nothing that is installed is compiled.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from . import tables
from .programs import HERE, Server, linkd, load

# Not the codecs and the connection: mypyc knows neither msgspec's structs nor a base class of Cython's. Nor the SDK,
# whose jobs it compiles to something that ends the process.
_MODULES = tuple(
    f"pylinkd/{name}.py"
    for name in (
        "gateway/core/broadcast", "gateway/core/connection_state", "gateway/core/delivery", "gateway/core/format",
        "gateway/core/frames", "gateway/core/outbox", "gateway/core/rooms", "gateway/core/session",
        "gateway/guard/limits", "gateway/guard/rates", "gateway/routing/inbound", "gateway/routing/link",
        "protocol/identity", "protocol/link",
    )
)  # fmt: skip
_BUILDING = 300.0  # seconds
_SETUP = """\
from mypyc.build import mypycify
from setuptools import setup

setup(name="compiled", packages=[], ext_modules=mypycify(["--ignore-missing-imports", *{modules!r}], opt_level="3"))
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured, in turn")
    parser.add_argument("--seconds", type=float, default=3, help="how long requests are sent in each round")
    parser.add_argument("--members", type=int, default=10_000, help="of the room of the fan-out")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Build, then measure both in turn."""
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return {"left_out": "Python's headers are not installed"}
    rounds: dict[str, list[dict[str, float]]] = {"as it is": [], "compiled": []}
    with TemporaryDirectory(prefix="linkd-bench-") as folder:
        compiled = _build(Path(folder) / "src")
        for _ in range(options.rounds):
            for name, path in (("as it is", []), ("compiled", [compiled])):
                rounds[name].append(_measure(path, options))
    return {"members": options.members, "ways": rounds}


def _build(source: Path) -> Path:
    """A copy of the package with compiled modules beside those in Python, which they win over."""
    shutil.copytree(HERE.parent / "src" / "pylinkd", source / "pylinkd")
    (source / "setup.py").write_text(_SETUP.format(modules=_MODULES))
    subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=source, check=True, timeout=_BUILDING, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return source


def _measure(path: Sequence[Path], options: argparse.Namespace) -> dict[str, float]:
    env = {"PYTHONPATH": ":".join(map(str, (*path, HERE.parent)))}
    with linkd(HERE / "echo_service.py", "/ws/bench", env) as ours:
        asked = load("requests", ours, connections=64, outstanding=1, seconds=options.seconds, warmup=1, payload=128)
    with linkd(HERE / "echo_service.py", "/ws/bench", env) as ours:
        told = _fanout(ours, options.members)
    gateway, service = asked["watched_cpu_us_per_request"]
    return {
        "rate": asked["rate"],
        "gateway_us": gateway,
        "service_us": service,
        "last_ms": told["last_ms"]["median"],
        "delivery_us": told["watched_cpu_us_per_delivery"][0],
        "errors": asked["errors"] + asked["unanswered"] + told["missing"],
    }


def _fanout(server: Server, members: int) -> dict[str, Any]:
    return load(
        "fanout", server, members=members, broadcasts=20, interval_ms=50, event="bench.event",
        join='{"type":"bench.join"}', publish='{"type":"bench.publish"}',
    )  # fmt: skip


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    if "left_out" in results:
        return f"left out: {results['left_out']}"
    keys = ("rate", "gateway_us", "service_us", "last_ms", "delivery_us")
    rows = [
        [name, *(median(one[key] for one in rounds) for key in keys), sum(one["errors"] for one in rounds)]
        for name, rounds in results["ways"].items()
    ]
    head = ("gateway", "requests/s", "gateway µs", "service µs", f"last of {results['members']:,} ms", "µs a delivery")
    return tables.lines([*head, "errors"], rows)
