"""Groups 12 and 13 of the Autobahn fuzzing client suite against the real gateway."""

from __future__ import annotations

import pytest

from tests.processes import Platform

from .cases import Case
from .compression import CASES
from .runner import play, runs

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("case", "chopped"), runs(CASES))
async def test_case(gateway: Platform, case: Case, chopped: bool) -> None:
    """What was agreed on is kept to: every message comes back, compressed, within the window.

    A case sends five messages and not the suite's thousand, since no context is taken over from one to the next;
    ``scripts/conformance`` sends them all.
    """
    await play(case, gateway.port, chopped)
