"""Routes of actions."""

from __future__ import annotations

import pytest

from pylinkd.protocol.routes import check_route, choose, match, shape


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


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/x", {"path": "x"}),
        ("/a/x/y", {"path": "x/y"}),
        ("/a/", {"path": ""}),
        ("/a", None),
        ("/b/x", None),
        ("/", None),
    ],
)
def test_a_variable_with_an_asterisk_takes_the_rest(path: str, found: dict[str, str] | None) -> None:
    """Slashes included, and nothing of another path."""
    assert match("/a/{path*}", path.split("/")) == found


@pytest.mark.parametrize("other", ["/a/{id}", "/a/x"])
@pytest.mark.parametrize("first", [True, False])
def test_a_route_for_the_rest_is_the_least_specific(other: str, first: bool) -> None:
    """In whatever order they are registered; both may be there."""
    routes = [("GET", "/a/{path*}", "rest"), ("GET", other, "other")]

    chosen = choose(routes if first else reversed(routes), "GET", ["", "a", "x"])

    assert chosen is not None
    assert chosen[0] == "other"
    assert shape("/a/{path*}") != shape("/a/{id}")
    assert shape("/a/{path*}") == shape("/a/{rest*}")


@pytest.mark.parametrize("route", ["/a/{path*}/b", "/{path*}/{id}", "/{x}/{x*}", "/a/{*}", "/a/x{path*}"])
def test_a_variable_for_the_rest_is_the_last_segment(route: str) -> None:
    """Elsewhere it is refused, as is its name where it is taken."""
    with pytest.raises(ValueError, match=r"is no route|twice"):
        check_route(route)
