"""Conditional requests: which of them are answered with 304."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pylinkd import HttpContext, Response, Service
from pylinkd.testing import run

CHANGED = datetime(2026, 3, 1, 12, 0, 0, 700_000, tzinfo=UTC)
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
EARLIER = "Sun, 01 Mar 2026 11:59:59 GMT"


def make_service(**options: Any) -> Service[Any]:
    """A service with one page, which can be read and written."""
    service: Service[Any] = Service("page")

    async def page(ctx: HttpContext) -> Response:
        return Response("content", **options)

    service.action("read", route="/page")(page)
    service.action("write", route="/page", method="POST")(page)
    return service


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"If-None-Match": '"v1"'}, 304),
        ({"If-None-Match": 'W/"v1"'}, 304),
        ({"If-None-Match": '"v0", "a,b", "v1"'}, 304),
        ({"If-None-Match": ['"v0"', '"v1"']}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"v2"'}, 200),
        ({"If-None-Match": "v1"}, 200),
        ({"If-None-Match": '"v2"', "If-Modified-Since": DATE}, 200),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
        ({"If-Modified-Since": "Sun, 99 Mar 2026 12:00:00 GMT"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_current_copy_is_answered_with_304(method: str, headers: dict[str, Any], status: int) -> None:
    """Entity tags go before dates, and what is malformed counts as absent; POST has no copies."""
    service = make_service(etag="v1", last_modified=CHANGED, headers={"Cache-Control": "no-cache"})

    async with run(service) as gateway:
        answer = await gateway.request(method, "/page", headers=headers)

    assert answer.status == (200 if method == "POST" else status)
    assert answer.headers["ETag"] == '"v1"'
    assert answer.headers["Last-Modified"] == DATE
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.body == (b"" if answer.status == 304 or method == "HEAD" else b"content")
    assert ("Content-Type" in answer.headers) == (answer.status == 200)


async def test_other_statuses_are_unconditional() -> None:
    """Only a response with 200 can be the copy that a client has."""
    async with run(make_service(etag="v1", status=203)) as gateway:
        answer = await gateway.request("GET", "/page", headers={"If-None-Match": '"v1"'})

    assert (answer.status, answer.body) == (203, b"content")


@pytest.mark.parametrize("etag", ["a b", 'a"b', 'W/"a', "a\n"])
def test_what_is_no_entity_tag_is_refused(etag: str) -> None:
    """The error says what one looks like."""
    with pytest.raises(ValueError, match="is no entity tag"):
        Response(etag=etag)


@pytest.mark.parametrize(("etag", "sent"), [("v1", '"v1"'), ('"v1"', '"v1"'), ('W/"v1"', 'W/"v1"')])
def test_an_entity_tag_is_sent_in_quotes(etag: str, sent: str) -> None:
    """They may be left out."""
    assert Response(etag=etag).headers["ETag"] == sent


def test_a_date_has_a_time_zone() -> None:
    """Any zone is sent as GMT; a date without one is refused."""
    moment = CHANGED.astimezone(timezone(timedelta(hours=5)))
    assert Response(last_modified=moment).headers["Last-Modified"] == DATE

    with pytest.raises(ValueError, match="has no time zone"):
        Response(last_modified=CHANGED.replace(tzinfo=None))
