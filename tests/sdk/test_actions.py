"""``service.action``: what a service answers over HTTP, and to other services."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import structlog

from pylinkd import (
    BadRequestError,
    ForbiddenError,
    HttpContext,
    InternalError,
    LinkdError,
    NotFoundError,
    PayloadTooLargeError,
    RegistrationError,
    Response,
    Service,
    UnauthorizedError,
    ValidationError,
)
from pylinkd.protocol.link_pb2 import Frame
from pylinkd.testing import decode, run

from .links import MemoryLink


class Room(msgspec.Struct):
    name: str
    size: int = 1


@pytest.fixture
def service() -> Service[Any]:
    """Without actions."""
    return Service("chat")


async def handler(ctx: HttpContext) -> Any:
    """Answers with what it was asked."""
    return {"name": ctx.name, "method": ctx.method, "path": ctx.path, "params": dict(ctx.params), "caller": ctx.caller}


async def another(ctx: HttpContext) -> None:
    """Answers nothing."""


# registration


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "a b"}, "is no name"),
        ({"name": "linkd.x"}, "belong to the gateway"),
        ({"route": ""}, "is no route"),
        ({"route": "rooms"}, "is no route"),
        ({"route": "/rooms/"}, "is no route"),
        ({"route": "//"}, "is no route"),
        ({"route": "/rooms/{id"}, "is no route"),
        ({"route": "/rooms/x{id}"}, "is no route"),
        ({"route": "/rooms/{1}"}, "is no route"),
        ({"route": "/rooms?x"}, "is no route"),
        ({"route": "/{a}/{a}"}, "variable twice"),
        ({"route": "/x", "method": "get"}, "method is one of"),
        ({"route": "/x", "method": "HEAD"}, "method is one of"),
        ({"timeout": 0}, "positive number"),
        ({"roles": "admin"}, r"\['admin'\]"),
        ({"validate": int}, "second parameter"),
    ],
)
def test_bad_actions_are_refused_with_the_place(service: Service[Any], options: dict[str, Any], says: str) -> None:
    """Where the handler is, and what is wrong."""
    with pytest.raises(RegistrationError, match=rf"handler \(.*test_actions\.py:\d+\): .*{says}"):
        service.action(**{"name": "a", **options})(handler)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"name": "a"}, {"name": "a", "route": "/x"}),
        ({"name": "a", "route": "/x"}, {"name": "b", "route": "/x"}),
        ({"name": "a", "route": "/x/{id}"}, {"name": "b", "route": "/x/{room}"}),
    ],
)
def test_names_and_routes_are_taken_once(service: Service[Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    """Routes of one shape match the same paths; the message has both places."""
    service.action(**first)(handler)

    with pytest.raises(RegistrationError, match=r"another .* is taken by handler \("):
        service.action(**second)(another)


def test_one_route_may_have_several_methods(service: Service[Any]) -> None:
    """And actions without a route do not stand in each other's way."""
    service.action("a", route="/x")(handler)
    service.action("b", route="/x", method="POST")(handler)
    service.action("c")(handler)
    service.action("d")(handler)

    assert [action.name for action in service.action.handlers] == ["a", "b", "c", "d"]


def test_group_hands_its_options_on(service: Service[Any]) -> None:
    """Names and routes join, an action's own option replaces the group's."""
    group = service.action.group("rooms", route="/rooms/", auth=True, timeout=1.0)
    group("list", route="")(handler)
    group("one", route="/{id}", auth=False)(handler)
    group("internal")(handler)
    group.group("posts", route="/{id}/posts", roles=["admin"])("list", route="", timeout=None)(handler)
    service.action.group("root")("home", route="")(handler)

    found = {
        action.name: (action.route, action.requirement.auth, sorted(action.requirement.roles), action.timeout)
        for action in service.action.handlers
    }
    assert found == {
        "rooms.list": ("/rooms", True, [], 1.0),
        "rooms.one": ("/rooms/{id}", False, [], 1.0),
        "rooms.internal": ("", True, [], 1.0),
        "rooms.posts.list": ("/rooms/{id}/posts", True, ["admin"], None),
        "root.home": ("/", False, [], 30.0),
    }


def test_roles_of_a_group_serve_all_its_actions(service: Service[Any]) -> None:
    """Also if they can be walked once only: nobody is let in by accident."""
    group = service.action.group("rooms", roles=iter(["admin"]))
    group("a")(handler)
    group("b")(handler)

    assert [action.requirement.roles for action in service.action.handlers] == [{"admin"}, {"admin"}]


async def test_actions_come_and_go_while_the_service_runs(service: Service[Any]) -> None:
    """Each change is reported."""
    changes: list[int] = []
    service.action.changed = lambda: changes.append(1)
    async with run(service) as gateway:
        service.action("a")(handler)
        assert (await gateway.call("a"))["name"] == "a"

        service.action.off("a")

        with pytest.raises(NotFoundError):
            await gateway.call("a")
        with pytest.raises(RegistrationError, match="a is not registered"):
            service.action.off("a")
    assert len(changes) == 2


# answers


async def test_request_tells_what_was_asked(service: Service[Any]) -> None:
    """Method, path and variables."""
    service.action("room", route="/rooms/{id}", method="DELETE")(handler)
    async with run(service) as gateway:
        response = await gateway.request("DELETE", "/rooms/7")

    assert (response.status, response.headers) == (200, {"Content-Type": "application/json"})
    assert decode(response) == {
        "name": "room", "method": "DELETE", "path": "/rooms/7", "params": {"id": "7"}, "caller": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("result", "status", "body", "content_type"),
    [
        (None, 204, b"", None),
        ({"x": 1}, 200, b'{"x":1}', "application/json"),
        ([], 200, b"[]", "application/json"),
        (False, 200, b"false", "application/json"),
        ("text", 200, b'"text"', "application/json"),
        (Room("a"), 200, b'{"name":"a","size":1}', "application/json"),
        (Response("text"), 200, b"text", "text/plain; charset=utf-8"),
        (Response(b"\x00"), 200, b"\x00", "application/octet-stream"),
        (Response({"x": 1}, status=201), 201, b'{"x":1}', "application/json"),
        (Response(status=304), 304, b"", None),
        (Response("<p>", content_type="text/html"), 200, b"<p>", "text/html"),
    ],
)
async def test_results_become_answers(
    service: Service[Any], result: Any, status: int, body: bytes, content_type: str | None
) -> None:
    """JSON unless told; nothing is 204."""

    @service.action("a", route="/a")
    async def action(ctx: HttpContext) -> Any:
        return result

    async with run(service) as gateway:
        response = await gateway.request("GET", "/a")

    assert (response.status, response.body, response.headers.get("Content-Type")) == (status, body, content_type)


def test_response_keeps_its_own_headers() -> None:
    """And does not change those it was given."""
    headers = {"X-A": "1"}
    response = Response({"x": 1}, headers=headers)

    assert response.headers == {"X-A": "1", "Content-Type": "application/json"}
    assert headers == {"X-A": "1"}


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_content_type_may_be_a_header(name: str) -> None:
    """In any case of letters; it is not told twice."""
    assert Response("a,b", headers={name: "text/csv"}).headers == {name: "text/csv"}


@pytest.mark.parametrize("status", [0, 100, 199, 600])
def test_other_statuses_are_refused(status: int) -> None:
    """101 least of all."""
    with pytest.raises(ValueError, match="between 200 and 599"):
        Response(status=status)


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nSet-Cookie: b"}, {"X": "a\nb"}, {"X Y": "a"}, {"": "a"}, {"X": "€"}, {"X\r\n": "a"}]
)
def test_headers_that_are_none_are_refused(headers: dict[str, str]) -> None:
    """Line breaks would split the answer (RFC 9110 §5.5): the handler hears of it, with a test of its own."""
    with pytest.raises(ValueError, match="header"):
        Response(headers=headers)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT", "PATCH"])
async def test_data_is_the_body_or_the_query(service: Service[Any], method: str) -> None:
    """By the method; converted and validated."""

    @service.action("a", route="/a", method=method)
    async def action(ctx: HttpContext, room: Room) -> Room:
        return room

    async with run(service) as gateway:
        if method in ("GET", "DELETE"):
            response = await gateway.request(method, "/a", query={"name": "x", "size": "5"})
            with pytest.raises(ValidationError, match="size"):
                await gateway.request(method, "/a", query={"name": "x", "size": "many"})
        else:
            response = await gateway.request(method, "/a", body={"name": "x", "size": 5})
            with pytest.raises(ValidationError, match="size"):
                await gateway.request(method, "/a", body={"name": "x", "size": "5"})

    assert decode(response) == {"name": "x", "size": 5}


async def test_head_is_answered_as_get(service: Service[Any]) -> None:
    """The gateway sends HEAD requests to the action for GET: data is the query there too."""

    @service.action("a", route="/a")
    async def action(ctx: HttpContext, room: Room) -> Room:
        return room

    frame = Frame()
    frame.http_request.action, frame.http_request.method, frame.http_request.query = "a", "HEAD", "name=x"
    async with service.opened() as runtime:
        answer = await MemoryLink(runtime).ask(frame)

    assert answer.http_response.status == 200


async def test_broken_body_is_a_bad_request(service: Service[Any]) -> None:
    """400, not 500."""

    @service.action("a", route="/a", method="POST")
    async def action(ctx: HttpContext, room: Room) -> None: ...

    frame = Frame()
    frame.http_request.action, frame.http_request.method, frame.http_request.body = "a", "POST", b"{"
    async with service.opened() as runtime:
        with pytest.raises(BadRequestError):
            await MemoryLink(runtime).ask(frame)


async def test_context_shows_the_request(service: Service[Any]) -> None:
    """Query (of a repeated parameter the last), headers by lower-case name, body, address."""
    seen: list[HttpContext] = []

    @service.action("a", route="/a")
    async def action(ctx: HttpContext) -> None:
        seen.append(ctx)

    frame = Frame()
    request = frame.http_request
    request.action, request.method, request.query, request.body = "a", "GET", "x=1&x=2&y=", b"raw"
    request.headers.add(name="X-Mine", value="yes")
    request.remote_address = "192.0.2.1"
    async with service.opened() as runtime:
        await MemoryLink(runtime).ask(frame)

    (ctx,) = seen
    assert (ctx.query, ctx.headers, ctx.body) == ({"x": "2", "y": ""}, {"x-mine": "yes"}, b"raw")
    assert (ctx.remote_address, ctx.caller, ctx.identity) == ("192.0.2.1", None, None)


async def test_requirements_are_checked(service: Service[Any]) -> None:
    """For requests and for calls."""
    service.action("a", route="/a", roles=["admin"])(handler)
    async with run(service) as gateway:
        for ask in (lambda **who: gateway.request("GET", "/a", **who), lambda **who: gateway.call("a", **who)):
            with pytest.raises(UnauthorizedError):
                await ask()
            with pytest.raises(ForbiddenError):
                await ask(user="una")
            await ask(user="una", roles=["admin"])


async def test_unknown_route_is_not_found(service: Service[Any]) -> None:
    """Whatever the method; a route that exists says which it takes."""
    service.action("a", route="/a")(handler)
    async with run(service) as gateway:
        for method, path in (("GET", "/b"), ("POST", "/b"), ("GET", "/a/b")):
            with pytest.raises(NotFoundError):
                await gateway.request(method, path)
        with pytest.raises(LinkdError) as refused:
            await gateway.request("POST", "/a")

    assert (refused.value.code, refused.value.details) == (405, {"allowed": ["GET"]})


async def test_fault_of_an_action_is_an_internal_error(service: Service[Any]) -> None:
    """With the log's id; the log says which action for whom."""

    @service.action("a", route="/a")
    async def action(ctx: HttpContext) -> None:
        raise KeyError("password")

    async with run(service) as gateway:
        with structlog.testing.capture_logs() as logs, pytest.raises(InternalError) as caught:
            await gateway.request("GET", "/a", user="una")

    assert caught.value.details is not None
    assert (logs[0]["error_id"], logs[0]["action"], logs[0]["user"]) == (caught.value.details["errorId"], "a", "una")


# calls


async def test_call_gets_the_params_as_data(service: Service[Any]) -> None:
    """Whatever the method of its route; the caller is named."""

    @service.action("a", route="/a")
    async def action(ctx: HttpContext, room: Room) -> list[Any]:
        return [room.name, ctx.caller, ctx.method]

    async with run(service) as gateway:
        assert await gateway.call("a", {"name": "x"}) == ["x", "test", ""]


@pytest.mark.parametrize(
    ("result", "told"), [(None, None), (0, 0), (Response({"x": 1}, status=201), {"x": 1}), (Response(), None)]
)
async def test_results_become_values(service: Service[Any], result: Any, told: Any) -> None:
    """A Response counts with its JSON."""

    @service.action("a")
    async def action(ctx: HttpContext) -> Any:
        return result

    async with run(service) as gateway:
        assert await gateway.call("a") == told


async def test_text_response_reaches_the_caller(service: Service[Any]) -> None:
    """An action that answers HTTP with text can be called as well: the caller gets the text, or a LinkdError."""

    @service.action("a", route="/a")
    async def action(ctx: HttpContext) -> Response:
        return Response("hello")

    async with run(service) as gateway:
        with structlog.testing.capture_logs():
            try:
                assert await gateway.call("a") == "hello"
            except LinkdError:
                pass


async def test_answer_carries_several_cookies(service: Service[Any]) -> None:
    """Each a header of its own: they cannot be joined (RFC 9110 §5.3)."""

    @service.action("a", route="/a")
    async def handler(ctx: HttpContext) -> Response:
        return Response("x", headers={"X-One": "1"}, cookies=["a=1", "b=2, c"])

    async with run(service) as gateway:
        response = await gateway.request("GET", "/a")

    assert (response.cookies, response.headers["X-One"]) == (["a=1", "b=2, c"], "1")


@pytest.mark.parametrize("cookie", ["a=1\r\nX: y", "a=€"])
def test_cookie_that_http_cannot_carry_is_refused(cookie: str) -> None:
    """As any header."""
    with pytest.raises(ValueError, match="Set-Cookie"):
        Response(cookies=[cookie])


# bodies and headers


@pytest.mark.parametrize("limit", [-1, 1.5, "1MB", True, 2**32])
async def test_a_limit_that_is_no_number_of_bytes_is_refused(service: Service[Any], limit: Any) -> None:
    """The error says what to write instead."""
    with pytest.raises(RegistrationError, match="max_body is a number of bytes, such as"):
        service.action("upload", route="/upload", method="POST", max_body=limit)(handler)


async def test_a_limit_without_a_route_is_refused(service: Service[Any]) -> None:
    """It would hold nowhere."""
    with pytest.raises(RegistrationError, match="without a route"):
        service.action("upload", max_body=1)(handler)


async def test_a_body_above_the_limit_is_refused(service: Service[Any]) -> None:
    """In memory as behind the gateway; an action of a group has its limit, too."""
    service.action.group("file", route="/file")("put", route="/put", method="PUT", max_body=3)(another)

    async with run(service) as gateway:
        assert (await gateway.request("PUT", "/file/put", body=b"abc")).status == 204
        with pytest.raises(PayloadTooLargeError):
            await gateway.request("PUT", "/file/put", body=b"abcd")


async def test_repeated_headers_are_kept(service: Service[Any]) -> None:
    """A request's are in ``header_list``, an answer's are a list."""

    @service.action("links", route="/links")
    async def links(ctx: HttpContext) -> Response:
        assert ctx.headers["x-tag"] == "a, b"
        return Response([value for name, value in ctx.header_list if name == "x-tag"], headers={"Link": ["<a>", "<b>"]})

    async with run(service) as gateway:
        answer = await gateway.request("GET", "/links", headers={"X-Tag": ["a", "b"]})

    assert decode(answer) == ["a", "b"]
    assert [value for name, value in answer.header_list if name == "Link"] == ["<a>", "<b>"]


def test_a_replaced_header_is_sent_as_replaced() -> None:
    """What middleware puts in the place of repeated ones counts."""
    response = Response(headers={"Link": ["<a>", "<b>"]}, cookies=["a=1", "b=2"])

    response.headers["Link"] = "<c>"

    assert response.header_list == [("Link", "<c>"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
