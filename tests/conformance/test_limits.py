"""Groups 9 and 10 of the Autobahn fuzzing client suite against the real gateway."""

from __future__ import annotations

import pytest

from tests.processes import Platform

from .cases import Case
from .limits import CASES
from .runner import play, runs

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("case", "chopped"), runs(CASES))
async def test_case(gateway: Platform, case: Case, chopped: bool) -> None:
    """A message of up to 8 MiB comes back whole; a larger one is closed with 1009 as soon as its size is known."""
    await play(case, gateway.port, chopped)
