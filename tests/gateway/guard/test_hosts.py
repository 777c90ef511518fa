"""Which hosts are served."""

from __future__ import annotations

import pytest

from pylinkd.gateway.guard.hosts import Hosts, MisdirectedError
from pylinkd.protocol.errors import BadRequestError, LinkdError


@pytest.mark.parametrize(
    ("allowed", "host", "error"),
    [
        ([], "anything.example", None),
        ([], "", None),
        ([], "a b", BadRequestError),
        ([], "a/b", BadRequestError),
        ([], "a@b", BadRequestError),
        ([], "a:x", BadRequestError),
        ([], "[::1", BadRequestError),
        ([], "a" * 301, BadRequestError),
        (["a.example"], "A.EXAMPLE:80", None),
        (["a.example"], "a.example.", None),
        (["a.example"], "b.a.example", MisdirectedError),
        (["a.example"], "", MisdirectedError),
        (["a.example"], "10.0.0.1", MisdirectedError),
        (["*.a.example"], "x.y.a.example", None),
        (["*.a.example"], "a.example", MisdirectedError),
        (["*.a.example"], ".a.example", MisdirectedError),
        (["*.a.example"], "xa.example", MisdirectedError),
        (["10.0.0.0/8"], "10.1.2.3:3000", None),
        (["10.0.0.0/8"], "11.1.2.3", MisdirectedError),
        (["::1"], "[::1]:3000", None),
        (["my_host"], "my_host", None),
    ],
)
def test_host_is_served_or_refused(allowed: list[str], host: str, error: type[LinkdError] | None) -> None:
    """Malformed ones whatever is listed; the port and the case do not count."""
    hosts = Hosts(allowed)
    for _ in range(2):
        if error is None:
            hosts.check(host)
        else:
            with pytest.raises(error):
                hosts.check(host)


@pytest.mark.parametrize("entry", ["https://a", "a:80", "*", "a.*.b", "*a", "a b", "10.0.0.0/40", "a/b"])
def test_entry_of_no_known_form_is_refused(entry: str) -> None:
    """With its text."""
    with pytest.raises(ValueError, match=r"is not a host|is no address"):
        Hosts([entry])
