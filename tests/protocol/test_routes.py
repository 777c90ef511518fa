"""Routes of actions."""

from __future__ import annotations

import pytest

from pylinkd.protocol.routes import check_route, match, shape


@pytest.mark.parametrize("route", ["/", "/a", "/a/{id}", "/a/{id}/b.c/{x_1}", "/~a/b-c"])
def test_routes_are_taken(route: str) -> None:
    """As they are."""
    assert check_route(route) == route


@pytest.mark.parametrize("route", ["", "a", "/a/", "//", "/a/{}", "/a/{1}", "/{a}b", "/a b", "/é", "/{a}/{a}", "/a?b"])
def test_what_is_no_route_is_refused(route: str) -> None:
    """With the route in the text."""
    with pytest.raises(ValueError, match=r"route|twice"):
        check_route(route)


def test_shape_leaves_names_out() -> None:
    """Two routes of one shape match the same paths."""
    assert shape("/a/{id}/b/{x}") == shape("/a/{name}/b/{y}") == "/a/{}/b/{}"
    assert shape("/a/{id}") != shape("/a/id")


@pytest.mark.parametrize(
    ("route", "path", "variables"),
    [
        ("/", "/", {}),
        ("/a/{id}", "/a/7", {"id": "7"}),
        ("/a/{id}", "/a/", None),
        ("/a/{id}", "/a", None),
        ("/a/{id}", "/b/7", None),
        ("/{a}/{b}", "/x/y", {"a": "x", "b": "y"}),
    ],
)
def test_paths_are_matched(route: str, path: str, variables: dict[str, str] | None) -> None:
    """Segment by segment; a variable is not empty."""
    assert match(route, path.split("/")) == variables
