"""Pages: nothing skipped, nothing twice, and cursors that cannot be misused."""

from __future__ import annotations

import base64
import datetime
import json

import pytest

from pylinkd.db import InvalidCursorError, QueryError
from pylinkd.db.query import Query

from .models import ChatDatabase, User


@pytest.fixture
async def crowd(db: ChatDatabase) -> ChatDatabase:
    """Ten users, three of each age, and one of no age in each three."""
    await db.users.insert_many([{"name": f"u{n}", "age": None if n % 3 == 0 else n % 3} for n in range(10)])
    return db


async def walk(query: Query[User], size: int) -> list[int]:
    """The ids of all pages, one after the other."""
    ids: list[int] = []
    after = None
    while True:
        page = await query.page(size, after)
        ids += [user.id for user in page.rows]
        if page.next is None:
            return ids
        after = page.next


@pytest.mark.parametrize("order", [(), ("name",), ("-name",), ("age",), ("-age",), ("age", "-name"), ("-role", "age")])
@pytest.mark.parametrize("size", [1, 3, 10])
async def test_pages_are_the_whole_in_order(crowd: ChatDatabase, order: tuple[str, ...], size: int) -> None:
    """Pages of any size give every row once in the order of the query, with equals and NULL."""
    query = crowd.users.order_by(*order)
    expected = [user.id for user in await (query if order else query.order_by("id")).get()]

    assert await walk(query, size) == expected


async def test_page_keeps_the_conditions(crowd: ChatDatabase) -> None:
    """A cursor moves the start and not the borders of a query."""
    assert await walk(crowd.users.where_equals("age", 1), 2) == [2, 5, 8]


async def test_row_added_before_the_cursor_moves_no_page(crowd: ChatDatabase) -> None:
    """Unlike an offset, a cursor does not repeat a row when others are added."""
    page = await crowd.users.order_by("-id").page(2)
    await crowd.users.insert(name="late")

    following = await crowd.users.order_by("-id").page(2, page.next)
    assert [user.id for user in following.rows] == [8, 7]


async def test_cursor_of_a_row_is_the_place_behind_it(crowd: ChatDatabase) -> None:
    """Any row of a query marks a place, not only the last of a page."""
    query = crowd.users.order_by("id")
    rows = await query.get()

    assert [user.id for user in await query.after(query.cursor(rows[6])).get()] == [8, 9, 10]


async def test_last_page_has_no_next(crowd: ChatDatabase) -> None:
    """A page that ends with the last row says so."""
    assert (await crowd.users.page(10)).next is None


async def test_cursor_holds_times_and_uuids(db: ChatDatabase) -> None:
    """The usual key types survive the way through a client."""
    author = (await db.users.insert(name="ann")).id
    start = datetime.datetime(2026, 1, 1, microsecond=5)
    for minutes in range(3):
        await db.messages.insert(author=author, sent=start + datetime.timedelta(minutes=minutes), text=str(minutes))
    newest = db.messages.order_by("-sent")

    page = await newest.page(1)
    assert [message.text for message in (await newest.page(5, page.next)).rows] == ["1", "0"]


async def test_cursor_of_selected_rows_needs_the_order(crowd: ChatDatabase) -> None:
    """A row without the order's columns cannot mark a place."""
    query = crowd.users.select("name").order_by("age")
    row = (await query.get())[0]

    with pytest.raises(QueryError, match="lacks 'age'"):
        query.cursor(row)


async def test_cursor_of_another_order_is_refused(crowd: ChatDatabase) -> None:
    """A cursor does not silently mean another place."""
    cursor = (await crowd.users.order_by("name").page(1)).next

    with pytest.raises(InvalidCursorError, match="another table or order"):
        await crowd.users.order_by("-name").page(1, cursor)


def forged(*content: object) -> str:
    """A cursor with any content."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "?",
        "é",
        "bm8",
        forged(),
        forged("users:id"),
        forged("users:id", "text"),
        forged("users:id", None),
        forged("users:id", 1, 2),
        forged("users:id", {"a": 1}),
        forged("users:id", ["u", "no uuid"]),
        forged("users:id", ["?", "1"]),
        forged("users:id", 2**70),
    ],
)
async def test_damaged_cursor_is_refused(crowd: ChatDatabase, cursor: str) -> None:
    """Whatever a client sends as a cursor is a clear error and never reaches the database."""
    with pytest.raises(InvalidCursorError):
        await crowd.users.after(cursor).get()


async def test_table_without_primary_key_has_no_cursor(db: ChatDatabase) -> None:
    """Rows that cannot be told apart cannot be paged."""
    with pytest.raises(QueryError, match="no primary key"):
        await db.table("log").after("x").get()


async def test_page_size_must_be_positive(db: ChatDatabase) -> None:
    """A page of nothing would never end."""
    with pytest.raises(QueryError, match="at least 1"):
        await db.users.page(0)
