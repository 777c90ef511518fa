"""Queries: what matches, in which order, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from pylinkd.db import (
    MultipleRowsError,
    QueryError,
    RowNotFoundError,
    UnknownColumnError,
    all_of,
    any_of,
    equals,
    escape_like,
    gt,
    not_in,
    null,
)
from pylinkd.db.query import Query

from .models import ChatDatabase, User


@pytest.fixture
async def people(db: ChatDatabase) -> ChatDatabase:
    """Four users; dan's age is not known."""
    await db.users.insert_many(
        [
            {"name": "ann", "age": 30, "role": "admin"},
            {"name": "bob", "age": 20, "role": "member"},
            {"name": "cid", "age": 20, "role": "member"},
            {"name": "dan", "age": None, "role": "member", "notes": "50%_off"},
        ]
    )
    return db


async def names(query: Query[User]) -> list[str]:
    """The names that a query finds, sorted by name."""
    return [user.name for user in await query.order_by("name").get()]


async def test_where_equals_keeps_equal_rows(people: ChatDatabase) -> None:
    """where_equals matches the value only."""
    assert await names(people.users.where_equals("age", 20)) == ["bob", "cid"]


async def test_conditions_hold_together(people: ChatDatabase) -> None:
    """Chained conditions are joined by AND."""
    assert await names(people.users.where_equals("age", 20).where_not("name", "bob")) == ["cid"]


async def test_where_not_leaves_null_out(people: ChatDatabase) -> None:
    """where_not follows SQL: NULL is not known to differ."""
    assert await names(people.users.where_not("age", 30)) == ["bob", "cid"]


@pytest.mark.parametrize(
    ("method", "found"),
    [
        ("where_lt", ["bob", "cid"]),
        ("where_lte", ["ann", "bob", "cid"]),
        ("where_gt", []),
        ("where_gte", ["ann"]),
    ],
)
async def test_comparisons_mind_the_border(people: ChatDatabase, method: str, found: list[str]) -> None:
    """The comparisons with an e include the value itself."""
    assert await names(getattr(people.users, method)("age", 30)) == found


async def test_where_in_keeps_listed_values(people: ChatDatabase) -> None:
    """where_in matches any value of the list."""
    assert await names(people.users.where_in("name", ["ann", "dan", "eve"])) == ["ann", "dan"]


async def test_where_in_of_nothing_matches_nothing(people: ChatDatabase) -> None:
    """An empty list finds no row, rather than all or an error."""
    assert await people.users.where_in("name", []).get() == []


async def test_not_in_leaves_listed_values_out(people: ChatDatabase) -> None:
    """not_in matches rows with none of the values."""
    assert await names(people.users.where(not_in("name", ["ann", "bob"]))) == ["cid", "dan"]


async def test_where_null_and_not_null_split_the_table(people: ChatDatabase) -> None:
    """where_null and where_not_null tell rows without a value from the others."""
    assert await names(people.users.where_null("age")) == ["dan"]
    assert await names(people.users.where_not_null("age")) == ["ann", "bob", "cid"]


async def test_where_like_takes_wildcards(people: ChatDatabase) -> None:
    """A percent sign stands for any characters."""
    assert await names(people.users.where_like("name", "%n")) == ["ann", "dan"]


async def test_where_like_minds_case(people: ChatDatabase) -> None:
    """LIKE is case-sensitive on SQLite too."""
    assert await names(people.users.where_like("name", "ANN")) == []


async def test_escape_like_takes_text_literally(people: ChatDatabase) -> None:
    """Escaped text finds itself, not what its wildcards would."""
    assert await names(people.users.where_like("notes", f"{escape_like('50%_')}%")) == ["dan"]
    assert await names(people.users.where_like("notes", f"{escape_like('5__')}%")) == []


async def test_where_equals_if_skips_none(people: ChatDatabase) -> None:
    """An optional filter that is not given filters nothing."""
    assert await people.users.where_equals_if("name", None).count() == 4
    assert await names(people.users.where_equals_if("name", "ann")) == ["ann"]


async def test_any_of_needs_one_condition_to_hold(people: ChatDatabase) -> None:
    """any_of joins by OR, within the other conditions."""
    found = people.users.where_equals("role", "member").any_of(equals("name", "bob"), null("age"))
    assert await names(found) == ["bob", "dan"]


async def test_all_of_groups_within_any_of(people: ChatDatabase) -> None:
    """Conditions nest to any depth."""
    found = people.users.where(any_of(all_of(equals("age", 20), equals("name", "cid")), gt("age", 25)))
    assert await names(found) == ["ann", "cid"]


async def test_where_takes_expressions_of_sqlalchemy(people: ChatDatabase) -> None:
    """What the named conditions cannot say is said by an expression."""
    assert await names(people.users.where(User.age + 10 == 40)) == ["ann"]


async def test_values_are_never_part_of_the_statement(people: ChatDatabase) -> None:
    """A value with quotes is a value, and no SQL."""
    assert await people.users.where_equals("name", "x' OR '1'='1").get() == []


async def test_query_is_immutable(people: ChatDatabase) -> None:
    """Extending a query leaves the original as it was."""
    everyone = people.users.order_by("name")
    everyone.where_equals("name", "ann").limit(1)

    assert len(await everyone.get()) == 4


async def test_order_by_sorts_by_several_columns(people: ChatDatabase) -> None:
    """A minus sign turns a column's order around; later columns decide between equals."""
    found = await people.users.where_not_null("age").order_by("-age").order_by("-name").get()
    assert [user.name for user in found] == ["ann", "cid", "bob"]


async def test_null_counts_as_largest(people: ChatDatabase) -> None:
    """NULL sorts the same on both databases: last, and first when descending."""
    assert (await people.users.order_by("age").get())[-1].name == "dan"
    assert (await people.users.order_by("-age").get())[0].name == "dan"


async def test_limit_and_offset_cut_out_rows(people: ChatDatabase) -> None:
    """offset skips and limit bounds, also without each other."""
    assert await names(people.users.limit(2).offset(1)) == ["bob", "cid"]
    assert await names(people.users.offset(3)) == ["dan"]


async def test_select_reads_named_columns_only(people: ChatDatabase) -> None:
    """Rows of select have the columns under the model's names."""
    row = await people.users.select("name", "notes").where_null("age").one()
    assert row._asdict() == {"name": "dan", "notes": "50%_off"}


async def test_rows_of_a_model_are_detached_instances(people: ChatDatabase) -> None:
    """A row stays readable when the connection is long gone."""
    user = await people.users.where_equals("name", "ann").one()
    await people.stop()

    assert (type(user), user.age, user.role) == (User, 30, "admin")
    await people.start()  # the fixture's end expects it


async def test_first_without_match_is_none(people: ChatDatabase) -> None:
    """first tells absence by None."""
    assert await people.users.where_equals("name", "eve").first() is None


async def test_one_without_match_raises(people: ChatDatabase) -> None:
    """one tells absence by an error that names the table."""
    with pytest.raises(RowNotFoundError) as caught:
        await people.users.where_equals("name", "eve").one()

    assert caught.value.table == "users"


async def test_one_with_two_matches_raises(people: ChatDatabase) -> None:
    """one does not choose between rows."""
    with pytest.raises(MultipleRowsError):
        await people.users.where_equals("age", 20).one()


async def test_count_counts_matches(people: ChatDatabase) -> None:
    """count minds conditions, and limit and offset."""
    assert await people.users.where_equals("age", 20).count() == 2
    assert await people.users.limit(3).offset(2).count() == 2


async def test_exists_tells_whether_a_row_matches(people: ChatDatabase) -> None:
    """exists is true from the first row on."""
    assert await people.users.where_equals("age", 20).exists() is True
    assert await people.users.where_equals("age", 99).exists() is False


async def test_update_changes_matching_rows(people: ChatDatabase) -> None:
    """update returns how many rows matched and leaves the others alone."""
    assert await people.users.where_equals("age", 20).update(role="guest", notes="n") == 2
    assert await names(people.users.where_equals("role", "guest").where_equals("notes", "n")) == ["bob", "cid"]


async def test_update_takes_expressions(people: ChatDatabase) -> None:
    """A new value may be computed from the old one by the database."""
    await people.users.where_equals("name", "ann").update({"age": User.age + 1})
    assert (await people.users.where_equals("name", "ann").one()).age == 31


async def test_delete_removes_matching_rows(people: ChatDatabase) -> None:
    """delete returns how many rows it removed."""
    assert await people.users.where_equals("age", 20).delete() == 2
    assert await names(people.users) == ["ann", "dan"]


async def test_whole_table_needs_all_rows(people: ChatDatabase) -> None:
    """A forgotten condition does not empty the table."""
    with pytest.raises(QueryError, match="all_rows=True"):
        await people.users.delete()
    with pytest.raises(QueryError, match="all_rows=True"):
        await people.users.update(age=1)

    assert await people.users.update(all_rows=True, age=1) == 4
    assert await people.users.delete(all_rows=True) == 4


async def test_update_after_limit_is_refused(people: ChatDatabase) -> None:
    """A limit that SQL would ignore is not silently ignored."""
    with pytest.raises(QueryError, match="cannot follow limit"):
        await people.users.where_equals("age", 20).limit(1).update(age=1)


async def test_update_without_columns_is_refused(people: ChatDatabase) -> None:
    """An update of nothing is a mistake."""
    with pytest.raises(QueryError, match="at least one column"):
        await people.users.where_equals("age", 20).update()


async def test_comparison_with_none_is_refused(db: ChatDatabase) -> None:
    """None is neither NULL nor no condition by accident."""
    with pytest.raises(QueryError, match="where_null"):
        db.users.where_equals("age", None)
    with pytest.raises(QueryError, match="None"):
        db.users.where_in("age", [1, None])


async def test_where_in_of_a_string_is_refused(db: ChatDatabase) -> None:
    """A string is not taken for a list of letters."""
    with pytest.raises(QueryError, match="list of values"):
        db.users.where_in("name", "ann")


async def test_unknown_column_names_near_ones(db: ChatDatabase) -> None:
    """A misspelt column is found at once, with the likely spelling."""
    with pytest.raises(UnknownColumnError, match="did you mean 'name'") as caught:
        db.users.where_equals("nmae", 1)

    assert (caught.value.table, caught.value.column) == ("users", "nmae")


@pytest.mark.parametrize("method", ["select", "order_by", "where_null"])
async def test_every_method_checks_its_columns(db: ChatDatabase, method: str) -> None:
    """Methods of all kinds refuse unknown columns."""
    with pytest.raises(UnknownColumnError):
        getattr(db.users, method)("nothing")


async def test_skipped_condition_checks_its_column(db: ChatDatabase) -> None:
    """An optional filter shows a misspelt column even when unused."""
    with pytest.raises(UnknownColumnError):
        db.users.where_equals_if("nothing", None)


@pytest.mark.parametrize("count", [-1, True, 1.5, "3"])
async def test_limit_and_offset_refuse_other_than_whole_numbers(db: ChatDatabase, count: int) -> None:
    """A wrong count is refused here and not by one of the databases."""
    with pytest.raises(QueryError, match="whole number"):
        db.users.limit(count)
    with pytest.raises(QueryError, match="whole number"):
        db.users.offset(count)
