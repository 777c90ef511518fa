"""Which close codes a client comes back after: one table, in both languages."""

from __future__ import annotations

import pytest

from pylinkd.client.connection import comes_back
from pylinkd.protocol.close import ABNORMAL, CloseCode, Reconnect, reconnect_after

from .cores import Node

_CODES = sorted(
    {*map(int, CloseCode), ABNORMAL, 1004, 1005, 1010, 1014, 1015, 2000, 2999, 3000, 3999, 4000, 4400, 4999}
)


@pytest.mark.parametrize("code", _CODES)
def test_both_clients_come_back_after_the_same_codes(code: int, node: Node) -> None:
    """As the gateway's table says; codes below 3000 that are not in it are a proxy's, and like 1006."""
    known = code in set(CloseCode) or code == ABNORMAL
    expected = reconnect_after(code) is Reconnect.YES if known else code < 3000
    assert comes_back(code) is expected
    assert node.ask(0, "comesBack", code)[0] is expected
