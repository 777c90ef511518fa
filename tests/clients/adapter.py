"""A client's session in the place of the tests' own core (tests/resumption/client_core.py)."""

from __future__ import annotations

import itertools
import json
from typing import Any

from .cores import Core, Heard


class CoreClient:
    """See ClientCore, whose attributes it has.

    Args:
        core: The session.

    Attributes:
        now: Milliseconds; whoever has a clock sets it.
        broken: The session wants no more of its connection.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._keys = itertools.count(1)
        self._sent: dict[int, dict[str, Any]] = {}
        self._requested: set[int] = set()
        self.now = 0.0
        self.broken = False
        self.delivered: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.unknown: list[dict[str, Any]] = []
        self.came: list[dict[str, Any]] = []
        self.controls: list[dict[str, Any]] = []
        self.dropped = 0
        self.session = ""
        self.welcome: dict[str, Any] | None = None

    # the application

    def send(self, type: str, data: Any = None, id: int | str | None = None) -> None:
        """See ClientCore."""
        key = next(self._keys)
        message = {"type": type, "data": data}
        self._sent[key] = message if id is None else {**message, "id": id}
        refused, heard = self._core.do("send", key, message, id is not None, False)
        assert refused is None
        self._hear(heard)

    def request(self, type: str, data: Any) -> None:
        """Send a control message that is answered."""
        key = next(self._keys)
        self._requested.add(key)
        _, heard = self._core.do("request", key, type, data)
        self._hear(heard)

    @property
    def unsettled(self) -> list[dict[str, Any]]:
        """Messages, and control messages, of which nobody was told what became of them."""
        calls = [message for message in self._sent.values() if "id" in message]
        return calls + [{"control": key} for key in self._requested]

    def acknowledge(self, *, echo: bool = False) -> None:
        """See ClientCore. A client's own session decides by itself when to acknowledge without an echo."""
        if echo:
            self._core.do("probe", self.now)

    # the connection

    def offers(self) -> list[str]:
        """See ClientCore."""
        self.welcome = None
        self.broken = False
        self._core.do("dial", self.now)
        offers, _ = self._core.do("offers")
        return offers  # type: ignore[no-any-return]

    def take(self) -> list[str]:
        """See ClientCore."""
        texts, heard = self._core.do("take", self.now)
        self._hear(heard)
        return texts  # type: ignore[no-any-return]

    def receive(self, text: str) -> None:
        """See ClientCore."""
        if not self.broken:
            _, heard = self._core.do("receive", text, self.now)
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        for kind, *rest in heard:
            if kind == "welcome":
                self.welcome = rest[0]
                self.session = rest[0]["session"]
                if rest[0]["resumed"]:
                    self.notices.append("resumed")
            elif kind == "gap" and rest[1] is None:
                self.notices.append(rest[0])
            elif kind == "gap":
                self.dropped += rest[1]
            elif kind == "event":
                self.delivered.append(rest[0])
            elif kind == "control":
                self.controls.append(rest[0])
            elif kind == "settled":
                self._settled(*rest)
            elif kind == "broken":
                assert not rest[1], f"the two sides do not agree: {rest[0]}"
                self.broken = True
            else:
                raise AssertionError(f"nothing like this was to be expected: {json.dumps([kind, *rest])}")

    def _settled(self, key: int, error: dict[str, Any] | None, data: Any) -> None:
        if key in self._requested:
            self._requested.remove(key)
            return
        message = self._sent.pop(key)
        if error is not None and error["type"] == "CONNECTION_LOST":
            (self.unknown if error["sent"] == "unknown" else self.came).append(message)
            assert error["sent"] in (True, "unknown"), "what had not come is sent in the next session"
        else:
            self.delivered.append({"type": "response" if error is None else "error", "id": message["id"], "data": data})
