"""The table of close codes, and who repeats it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pylinkd.protocol.close import ABNORMAL, CloseCode, Reconnect, reconnect_after

ROOT = Path(__file__).parents[2]
CODES = [*CloseCode, ABNORMAL]


def documented() -> dict[int, str]:
    """What docs/protocol.md says of reconnecting, by code."""
    section = (ROOT / "docs/protocol.md").read_text().partition("## Closing")[2].partition("\n## ")[0]
    return {int(code): what for code, what in re.findall(r"^\| (\d{4}) \|.*\| ([^|]*) \|$", section, re.MULTILINE)}


@pytest.mark.parametrize("code", CODES)
def test_documentation_says_the_same(code: int) -> None:
    """Every code is documented, with what a client does after it."""
    if code == CloseCode.UNSUPPORTED_DATA:
        return  # defined and not sent
    said = documented()[code]
    expected = {
        Reconnect.YES: said.startswith("yes"),
        Reconnect.WITH_NEW_TOKEN: said == "with a new token",
        Reconnect.NO: said.startswith(("no", "later, if the user asks")),
    }
    assert expected[reconnect_after(code)], f"{code}: {said!r}"


def test_codes_of_services_are_theirs() -> None:
    """A client stays away unless the service says otherwise."""
    assert reconnect_after(4000) is Reconnect.NO
