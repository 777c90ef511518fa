"""What the guard costs: a request with everything in it on and off, and handshakes with ES256 tokens.

Requests: 64 connections of as many users, one outstanding each. On: rates of messages, bytes and users, and the user's
connections, all so high that they are never reached. Handshakes: tokens that are seen for the first time, then the same
tokens again, which are remembered.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import tables
from .programs import HERE, linkd, load, load_command, write_tokens

_OFF = {"LINKD_LIMITS": "off", "LINKD_MAX_CONNECTIONS_PER_USER": "0"}
_CONNECTIONS = 64
_SETTLE = 3.0  # seconds; the closing of the connections comes to an end


def arguments(parser: argparse.ArgumentParser) -> None:
    """See __main__.Scenario."""
    parser.add_argument("--rounds", type=int, default=5, help="how often on and off are measured, in turn")
    parser.add_argument("--seconds", type=int, default=3, help="how long requests are sent in each round")
    parser.add_argument("--handshakes", type=int, default=4000)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Requests, on and off in turn; then handshakes."""
    with TemporaryDirectory(prefix="linkd-bench-") as name:
        folder = Path(name)
        tokens = folder / "tokens"
        write_tokens(tokens, _CONNECTIONS)
        rounds: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
        for _ in range(options.rounds):
            for name, env in (("off", _OFF), ("on", {})):
                rounds[name].append(_requests(env, tokens, options.seconds))
        return {"requests": rounds, "handshakes": [_handshakes(folder, options.handshakes) for _ in range(3)]}


def _requests(env: dict[str, str], tokens: Path, seconds: int) -> dict[str, float]:
    with linkd(HERE / "echo_service.py", "/ws/bench", env) as ours:
        measured = load(
            "requests", ours, connections=_CONNECTIONS, outstanding=1, seconds=seconds, warmup=1, tokens=tokens
        )
    gateway, service = measured["watched_cpu_us_per_request"]
    return {"rate": measured["rate"], "gateway_us": gateway, "service_us": service, "errors": measured["errors"]}


def _handshakes(folder: Path, count: int) -> dict[str, float]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = folder / "public.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    issuers = folder / "issuers.toml"
    issuers.write_text(
        f'[[issuer]]\nissuer = "https://id.example"\naudience = "linkd"\npublic_key = "{public}"\n'
        'algorithms = ["ES256"]\n'
    )
    tokens = folder / "es256"
    claims = {"iss": "https://id.example", "aud": "linkd", "exp": int(time.time()) + 3600}
    tokens.write_text("\n".join(jwt.encode({**claims, "sub": f"u-{n}"}, key, algorithm="ES256") for n in range(count)))
    figures: dict[str, float] = {}
    with linkd(HERE / "crowd_service.py", "/ws/crowd", {"LINKD_ISSUERS": str(issuers)}) as ours:
        for number, use in enumerate(("first", "again")):
            options = {"connections": count, "hold": True, "tokens": tokens, "source": f"127.0.0.{2 + number}"}
            command = load_command("idle", ours, options)
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdout is not None
            report = json.loads(process.stdout.readline())
            process.kill()
            process.communicate()
            if report["opened"] < count:
                raise RuntimeError(f"only {report['opened']} of {count} connections were opened: {report}")
            time.sleep(_SETTLE)
            figures[use] = report["opened"] / report["seconds"]
            figures[f"{use}_us"] = report["watched_cpu_us_per_handshake"][0]
    return figures


def table(results: dict[str, Any]) -> str:
    """See __main__.Scenario."""
    rounds = results["requests"]
    rows = [
        [name, *(median(one[key] for one in measured) for key in ("rate", "gateway_us", "service_us"))]
        for name, measured in rounds.items()
    ]
    differences = [on["gateway_us"] - off["gateway_us"] for on, off in zip(rounds["on"], rounds["off"], strict=True)]
    uses = [
        [use, *(median(one[key] for one in results["handshakes"]) for key in (use, f"{use}_us"))]
        for use in ("first", "again")
    ]
    return "\n\n".join(
        (
            tables.lines(["guard", "requests/s", "gateway µs", "service µs"], rows),
            f"the guard's part: {median(differences):.2f} µs a request "
            f"({min(differences):.2f} to {max(differences):.2f})",
            tables.lines(["ES256 token", "handshakes/s", "gateway µs each"], uses),
        )
    )
