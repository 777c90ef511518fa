"""Groups 1 to 7 of the Autobahn fuzzing client suite against the real gateway."""

from __future__ import annotations

import pytest

from tests.processes import Platform

from . import closing, fragmentation, framing, opcodes, pings, reserved, utf8
from .cases import Case
from .runner import play, runs

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES = [
    case
    for group in (framing, pings, reserved, opcodes, fragmentation, utf8, closing)
    for case in group.CASES
]  # fmt: skip


@pytest.mark.parametrize(("case", "chopped"), runs(CASES))
async def test_case(gateway: Platform, case: Case, chopped: bool) -> None:
    """What is right is answered, what is wrong is closed with its code, however the bytes arrive."""
    await play(case, gateway.port, chopped)
