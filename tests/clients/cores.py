"""The sessions of both clients behind one interface, for tests that hold them to the same.

The Python one is called; the TypeScript one runs in Node, and is asked line by line. Times are milliseconds.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pylinkd.client.errors import ConnectionLost
from pylinkd.client.protocol import Outgoing, Session, Welcome, decode, encode
from pylinkd.protocol.envelope import JSON, Received
from pylinkd.protocol.errors import LinkdError

from ..servers.npm import typescript_client

Heard = list[list[Any]]
"""What a session said: ``["event", message]``, ``["gap", reason, events]`` and so on, named as its owner's methods; and
``["settled", key, error, data]``.
"""


class Core(Protocol):
    """One session of a client's."""

    def do(self, name: str, *arguments: Any) -> tuple[Any, Heard]:
        """Have something done; its result, and what the session said of it."""

    def forget(self) -> None:
        """It is not needed any more."""


class PythonCore:
    """A session of ``pylinkd.client``.

    Args:
        random: What it draws.
    """

    def __init__(self, random: float) -> None:
        self._heard: Heard = []
        self._session = Session(JSON, "linkd.v1+json", messages=256, bytes=262_144, owner=self, random=lambda: random)

    def do(self, name: str, *arguments: Any) -> tuple[Any, Heard]:
        """See Core."""
        self._heard = []
        return getattr(self, f"_{name}")(*arguments), self._heard

    def forget(self) -> None:
        """See Core."""

    def _offers(self) -> list[str]:
        return self._session.offers()

    def _dial(self, now: float) -> None:
        self._session.dial(now / 1000)

    def _detach(self) -> None:
        self._session.detach()

    def _end(self, reason: str) -> None:
        self._session.end(reason)

    def _probe(self, now: float) -> None:
        self._session.probe(now / 1000)

    def _take(self, now: float) -> list[str]:
        return [payload.decode() for payload in self._session.take(now / 1000)]

    def _due(self) -> float | None:
        return None if self._session.due == float("inf") else self._session.due * 1000

    def _pending(self) -> int:
        return self._session.pending

    def _receive(self, text: str, now: float) -> None:
        self._session.receive(text.encode(), now / 1000)

    def _send(self, key: int, message: dict[str, Any], answered: bool, idempotent: bool) -> Any:
        id = self._session.next_id() if answered else None
        payload = JSON.request(message["type"], encode(JSON, message["data"]), id)
        entry = Outgoing(payload, id, idempotent=idempotent, settle=self._settling(key))
        try:
            self._session.enqueue(entry)
        except LinkdError as error:
            return _describe(error)
        return None

    def _reply(self, message: dict[str, Any]) -> None:
        self._session.enqueue(Outgoing(JSON.response(message["id"], encode(JSON, message["data"])), reply=True))

    def _request(self, key: int, type: str, data: Any) -> None:
        id = self._session.next_id()
        payload = JSON.request(type, encode(JSON, data), id)
        self._session.request(Outgoing(payload, id, control=True, settle=self._settling(key)))

    def _settling(self, key: int) -> Any:
        def settle(error: LinkdError | None, data: msgspec.Raw) -> None:
            answer = decode(JSON, data) if error is None else None
            self._heard.append(["settled", key, None if error is None else _describe(error), answer])

        return settle

    # what the session tells its owner

    def welcome(self, welcome: Welcome) -> None:
        """See SessionOwner."""
        self._heard.append(["welcome", {"session": welcome.session, "resumed": welcome.resumed}])

    def event(self, message: Received) -> None:
        """See SessionOwner."""
        self._heard.append(["event", _plain(message)])

    def control(self, message: Received) -> None:
        """See SessionOwner."""
        self._heard.append(["control", _plain(message)])

    def gap(self, reason: str, events: int | None) -> None:
        """See SessionOwner."""
        self._heard.append(["gap", reason, events])

    def failed(self, error: LinkdError) -> None:
        """See SessionOwner."""
        self._heard.append(["failed", _describe(error)])

    def closing(self, retry_after: float) -> None:
        """See SessionOwner."""
        self._heard.append(["closing", round(retry_after * 1000)])

    def broken(self, reason: str, fault: bool) -> None:
        """See SessionOwner."""
        self._heard.append(["broken", reason, fault])


class Node:
    """A process of Node's with sessions of the TypeScript client.

    Args:
        script: What it runs.
    """

    def __init__(self, script: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._numbers = itertools.count(1)

    def make(self, random: float) -> NodeCore:
        """A session."""
        number = next(self._numbers)
        self.ask(number, "make", random)
        return NodeCore(self, number)

    def ask(self, *command: Any) -> tuple[Any, Heard]:
        """Have something done there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        line = self._process.stdout.readline()
        assert line, f"Node ended with {self._process.poll()}"
        result, heard = json.loads(line)
        return result, heard

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=10)


class NodeCore:
    """A session of the TypeScript client.

    Args:
        node: Where it is.
        number: Which one.
    """

    def __init__(self, node: Node, number: int) -> None:
        self._node = node
        self._number = number

    def do(self, name: str, *arguments: Any) -> tuple[Any, Heard]:
        """See Core."""
        result, heard = self._node.ask(self._number, name, *arguments)
        for one in heard:
            if one[0] == "welcome":
                one[1] = {"session": one[1]["session"], "resumed": one[1].get("resumed", False)}
            elif one[0] in ("event", "control"):
                one[1].setdefault("data", None)
        return result, heard

    def forget(self) -> None:
        """See Core."""
        self._node.ask(self._number, "forget")


def start_node(folder: Path) -> Node:
    """Node with the TypeScript client as it is now."""
    client = typescript_client()
    esbuild = client / "node_modules" / ".bin" / "esbuild"
    script = folder / "bridge.mjs"
    source = client / "tests" / "bridge.ts"
    options = ["--bundle", "--platform=node", "--format=esm", "--target=node20", "--log-level=warning"]
    subprocess.run([str(esbuild), str(source), *options, f"--outfile={script}"], check=True, timeout=60)
    return Node(script)


def _plain(message: Received) -> dict[str, Any]:
    """A message as it was on the wire."""
    plain: dict[str, Any] = {"type": message.type, "data": decode(JSON, message.data)}
    for name in ("id", "room", "offset"):
        if getattr(message, name) is not None:
            plain[name] = getattr(message, name)
    return plain


def _describe(error: LinkdError) -> dict[str, Any]:
    sent = error.sent if isinstance(error, ConnectionLost) else None
    return {"code": error.code, "type": error.type, "sent": sent}
