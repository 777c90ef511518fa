"""Both clients' sessions and the gateway's core, joined by lines that break: what holds for any order of things.

The model, its invariants and the gateway are those of tests/resumption/test_model.py; its clients are the real ones.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from ..resumption.test_model import Resumption
from ..resumption.world import Client
from .adapter import CoreClient
from .conftest import MakeCore
from .cores import Core


def machine(make_core: MakeCore) -> type[Resumption]:
    """The model with sessions of a client."""

    class WithClient(Resumption):
        def __init__(self) -> None:
            self._cores: list[Core] = []
            super().__init__()

        def make_client(self, user: str) -> Client:
            core = make_core(0.5)
            self._cores.append(core)
            return Client(self.world, user, CoreClient(core))

        @rule(who=Resumption.who)
        def look(self, who: int) -> None:
            """A client asks the gateway for something: for a room that it is not in."""
            self.clients[who].core.request("linkd.history", {"room": "elsewhere"})

        def _quiet(self) -> None:
            super()._quiet()
            for client in self.clients:
                assert client.core.unsettled == [], "each call has an outcome (I6)"

        def teardown(self) -> None:
            super().teardown()
            for core in self._cores:
                core.forget()

    return WithClient


@pytest.mark.timeout(300)
def test_any_order_of_sending_breaking_and_coming_back(make_core: MakeCore) -> None:
    """See the model."""
    options: dict[str, Any] = {"suppress_health_check": list(HealthCheck), "deadline": None}
    run_state_machine_as_test(
        machine(make_core), settings=settings(max_examples=200, stateful_step_count=60, **options)
    )
