"""What the format costs: requests and fan-out in JSON, in MessagePack, and in JSON with permessage-deflate.

Texts of 128 and of 2,048 characters; only the latter reach the gateway's threshold of compression. What the clients
send is short and never compressed.
"""

from __future__ import annotations

import argparse
import time
from statistics import median
from typing import Any, NamedTuple

from . import tables
from .formats_service import LENGTHS
from .programs import HERE, Server, linkd, load

_CONNECTIONS = 64
_MEMBERS = 1000
_BROADCASTS = 60
_SETTLE = 0.5  # seconds; the closing of the connections comes to an end


class Format(NamedTuple):
    """One way to talk.

    Attributes:
        name: For people.
        size: Which text of the service's is sent.
        options: Of the load generator.
    """

    name: str
    size: str
    options: dict[str, Any]


_MSGPACK = {"dialect": "msgpack"}
_FORMATS = (
    Format("JSON", "short", {}),
    Format("MessagePack", "short", _MSGPACK),
    Format("JSON", "long", {}),
    Format("MessagePack", "long", _MSGPACK),
    Format("JSON deflated", "long", {"deflate": True}),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=3, help="how long requests are sent in each round")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All formats in turn, ``rounds`` times, each round with a gateway of its own."""
    results: dict[str, list[dict[str, Any]]] = {"requests": [], "fan-out": []}
    for _ in range(options.rounds):
        with linkd(HERE / "formats_service.py", "/ws/formats") as ours:
            for form in _FORMATS:
                results["requests"].append(_requests(ours, form, options.seconds))
                results["fan-out"].append(_fanout(ours, form))
    return results


def _requests(server: Server, form: Format, seconds: float) -> dict[str, Any]:
    measured = load(
        "requests", server, connections=_CONNECTIONS, outstanding=1, seconds=seconds, warmup=0.5, payload=128,
        type=f"formats.{form.size}", **form.options,
    )  # fmt: skip
    time.sleep(_SETTLE)
    latency = measured["latency_us"]
    return _figures(form, measured, "request", "answer") | {
        "rate": measured["rate"],
        "p50_ms": latency["p50"] / 1000,
        "p99_ms": latency["p99"] / 1000,
        "errors": measured["errors"] + measured["unanswered"] + measured["unmatched"],
    }


def _fanout(server: Server, form: Format) -> dict[str, Any]:
    publish = f'{{"type":"formats.publish","data":{{"size":"{form.size}"}}}}'
    measured = load(
        "fanout", server, members=_MEMBERS, broadcasts=_BROADCASTS, interval_ms=20, event="formats.event",
        join='{"type":"formats.join"}', publish=publish, **form.options,
    )  # fmt: skip
    time.sleep(_SETTLE)
    return _figures(form, measured, "delivery", "delivery") | {
        "last_ms": measured["last_ms"]["median"],
        "last_max_ms": measured["last_ms"]["max"],
        "errors": measured["missing"] + measured["surplus"] + measured["publish_errors"],
    }


def _figures(form: Format, measured: dict[str, Any], used_for: str, received: str) -> dict[str, Any]:
    gateway, service = measured[f"watched_cpu_us_per_{used_for}"]
    return {
        "format": form.name,
        "size": LENGTHS[form.size],
        "gateway_us": gateway,
        "service_us": service,
        "bytes": measured[f"bytes_per_{received}"],
        "compressed": measured["compressed_share"],
        "protocol_errors": measured["protocol_errors"],
    }


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    shown = {
        "requests": {"rate": "per s", "gateway_us": "gateway µs", "service_us": "service µs", "p50_ms": "p50 ms",
                     "p99_ms": "p99 ms", "bytes": "bytes"},
        "fan-out": {"last_ms": "last ms", "last_max_ms": "worst ms", "gateway_us": "gateway µs",
                    "service_us": "service µs", "bytes": "bytes"},
    }  # fmt: skip
    titles = {"requests": f"requests, {_CONNECTIONS} connections", "fan-out": f"fan-out to {_MEMBERS:,}"}
    parts = []
    for name, columns in shown.items():
        rows = []
        for form in _FORMATS:
            size = LENGTHS[form.size]
            rounds = [one for one in results[name] if (one["format"], one["size"]) == (form.name, size)]
            figures = [float(median(one[key] for one in rounds)) for key in columns]
            errors = sum(one["errors"] + one["protocol_errors"] for one in rounds)
            compressed = 100 * median(one["compressed"] for one in rounds)
            rows.append([f"{form.name}, {size:,}", *figures, f"{compressed:.0f}", errors])
        parts.append(tables.lines([titles[name], *columns.values(), "compressed %", "errors"], rows))
    return "\n\n".join(parts)
