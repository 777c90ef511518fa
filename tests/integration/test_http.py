"""HTTP actions, calls between services, and their events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.client import client, error_of
from tests.integration.raw_websocket import http_exchange, raw_connection
from tests.processes import Platform, make_token, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT = 2048


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def web(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The services ``web`` and ``caller``; a body may have 2 KiB."""
    folder = tmp_path_factory.mktemp("p")
    targets = ("tests/services/web.py", "tests/services/caller.py")
    async with platform(folder, *targets, env={"LINKD_MAX_BODY_SIZE": str(LIMIT)}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(web: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the gateway."""
    async with web.http_client() as session:
        yield session


def signed(user: str = "u-1", **options: Any) -> dict[str, str]:
    """Headers that sign in."""
    return {"Authorization": f"Bearer {make_token(user, **options)}"}


def error_in(response: httpx.Response) -> tuple[int, str]:
    """Status and error type, after checking that status and code agree."""
    error = response.json()["error"]
    assert response.status_code == error["code"]
    assert response.headers["content-type"] == "application/json"
    return error["code"], error["type"]


async def test_route_variables_and_query_reach_the_handler(http: httpx.AsyncClient) -> None:
    """Variables of the path and parameters of the query arrive decoded."""
    seen = (await http.get("/items/42/parts/left%20side?a=1&b=%C3%BC&a=2")).json()

    assert seen["params"] == {"id": "42", "part": "left side"}
    assert seen["query"] == {"a": "2", "b": "ü"}


@pytest.mark.parametrize("id", ["a?b", "a#b", "a b", "ü", "a%b", "a&token=x", "..."])
async def test_odd_characters_stay_in_their_segment(web: Platform, http: httpx.AsyncClient, id: str) -> None:
    """What is encoded in the path is a part of the variable, never of the query."""
    seen = (await http.get(f"{web.http}/items/{_quoted(id)}?x=1")).json()

    assert seen["params"] == {"id": id}
    assert seen["query"] == {"x": "1"}


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


async def test_host_header_does_not_change_the_path(web: Platform) -> None:
    """What a client writes into Host reaches no other route: it is a host, or the request is refused."""
    answer = await http_exchange(web, b"GET /items/1 HTTP/1.1\r\nHost: h/admin?\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_most_specific_route_wins(http: httpx.AsyncClient) -> None:
    """A literal segment beats a variable one."""
    assert (await http.get("/items/newest")).json() == "newest"


async def test_query_is_read_by_its_schema(http: httpx.AsyncClient) -> None:
    """Strings of the query become what the handler asks for, with its defaults."""
    assert (await http.get("/items?limit=5")).json() == {"limit": 5, "after": ""}


async def test_body_is_read_by_its_schema(http: httpx.AsyncClient) -> None:
    """JSON in, JSON out, with the handler's status and headers."""
    response = await http.post("/items", json={"name": "tea", "price": 3})

    assert (response.status_code, response.headers["location"]) == (201, "/items/tea")
    assert response.json() == {"name": "tea", "price": 3}


@pytest.mark.parametrize(
    ("content", "error", "field"),
    [
        (b'{"name":"tea","price":"much"}', (422, "VALIDATION_ERROR"), "price"),
        (b'{"name":"tea"}', (422, "VALIDATION_ERROR"), "price"),
        (b"", (422, "VALIDATION_ERROR"), ""),
        (b"{", (400, "BAD_REQUEST"), None),
        (b"\xff", (400, "BAD_REQUEST"), None),
        (b'{"name":"\xff","price":1}', (400, "BAD_REQUEST"), None),
        (b"[" * 1500, (422, "VALIDATION_ERROR"), ""),
    ],
)
async def test_bad_body_is_refused(
    http: httpx.AsyncClient, content: bytes, error: tuple[int, str], field: str | None
) -> None:
    """422 names the field, 400 says that it is no JSON."""
    response = await http.post("/items", content=content)

    assert error_in(response) == error
    if field is not None:
        assert response.json()["error"]["details"]["field"] == field


async def test_bad_query_is_refused(http: httpx.AsyncClient) -> None:
    """422 names the parameter."""
    response = await http.get("/items?limit=many")

    assert error_in(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"]["field"] == "limit"


async def test_none_is_204(http: httpx.AsyncClient) -> None:
    """A handler without a result answers 204 with no body."""
    response = await http.delete("/items/1", headers=signed())

    assert (response.status_code, response.content) == (204, b"")


async def test_action_that_needs_a_user_answers_401(http: httpx.AsyncClient) -> None:
    """Without a token, with how to sign in."""
    response = await http.delete("/items/1")

    assert error_in(response) == (401, "UNAUTHORIZED")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", [make_token(ttl=-60), make_token(secret="x" * 40), make_token(algorithm="none"), "x"])
async def test_bad_token_answers_401_even_where_none_is_needed(http: httpx.AsyncClient, token: str) -> None:
    """A token that is not valid is never taken for no token."""
    assert error_in(await http.get("/items/1", headers={"Authorization": f"Bearer {token}"})) == (401, "UNAUTHORIZED")


async def test_two_different_tokens_answer_401(http: httpx.AsyncClient) -> None:
    """In header and query, twice in the query, or in two headers."""
    one, two = make_token("u-1"), make_token("u-2")

    assert (await http.get(f"/items/1?token={one}", headers=signed("u-2"))).status_code == 401
    assert (await http.get(f"/items/1?token={one}&token={two}")).status_code == 401
    lines = [("Authorization", f"Bearer {one}"), ("Authorization", f"Bearer {two}")]
    assert (await http.get("/items/1", headers=lines)).status_code == 401


async def test_other_schemes_are_ignored(http: httpx.AsyncClient) -> None:
    """A proxy on the way may have credentials of its own, in the same header or beside a token in the query."""
    basic, token = ("Authorization", "Basic dTpw"), make_token("u-1")

    for lines, query in (
        ([basic], ""),
        ([basic], f"?token={token}"),
        ([basic, ("Authorization", f"Bearer {token}")], ""),
        ([("Authorization", f"Bearer {token}"), basic], ""),
    ):
        answer = await http.get(f"/items/1{query}", headers=lines)
        assert answer.status_code == 200
        assert answer.json()["user"] == (None if lines == [basic] and not query else "u-1")


async def test_action_that_needs_a_role_answers_403(http: httpx.AsyncClient) -> None:
    """A user without the role may not; one with it may."""
    assert error_in(await http.get("/admin", headers=signed())) == (403, "FORBIDDEN")
    assert (await http.get("/admin", headers=signed(roles=("admin",)))).json() == "u-1"


@pytest.mark.parametrize("path", ["/nothing", "/items/1/", "/items//parts/2", "//items/1", "/hidden", "/"])
async def test_unknown_path_answers_404(web: Platform, http: httpx.AsyncClient, path: str) -> None:
    """No route, an action without one, and a path that is nearly one."""
    assert error_in(await http.get(web.http + path)) == (404, "NOT_FOUND")


async def test_options_answers_204_with_allow(http: httpx.AsyncClient) -> None:
    """Of a path that is known; of another it is 404."""
    response = await http.options("/items")

    assert (response.status_code, response.content) == (204, b"")
    assert {"GET", "HEAD", "OPTIONS"} <= set(response.headers["allow"].split(", "))
    assert (await http.options("/nothing/here")).status_code == 404


async def test_wrong_method_answers_405_with_allow(http: httpx.AsyncClient) -> None:
    """Allow names what the route takes, HEAD among it where GET is."""
    response = await http.put("/items", json={})

    assert error_in(response) == (405, "METHOD_NOT_ALLOWED")
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_body_answers_413(http: httpx.AsyncClient, chunked: bool) -> None:
    """One byte too many is refused, with and without an announced length."""
    content = b"x" * (LIMIT + 1)

    async def chunks() -> AsyncIterator[bytes]:
        yield content[:1000]
        yield content[1000:]

    response = await http.post("/items", content=chunks() if chunked else content)

    assert error_in(response) == (413, "PAYLOAD_TOO_LARGE")


async def test_head_is_get_without_a_body(http: httpx.AsyncClient) -> None:
    """RFC 9110 §9.3.2: the same status and headers, no content."""
    head, get = await http.head("/items/newest"), await http.get("/items/newest")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.headers.get("content-length", get.headers["content-length"]) == get.headers["content-length"]


@pytest.mark.parametrize("query", ["token={}", "a=1&token={}", "%74oken={}", "to%6Ben={}&b=2"])
async def test_token_is_not_forwarded(http: httpx.AsyncClient, query: str) -> None:
    """The service is told who is asking and never the token, however it is written."""
    token = make_token()
    response = await http.get(f"/items/1?{query.format(token)}", headers={"Cookie": "session=1"})

    assert response.json()["user"] == "u-1"
    assert token not in response.text


async def test_credentials_are_not_forwarded(http: httpx.AsyncClient) -> None:
    """Neither Authorization nor Cookie is among the headers that a service sees."""
    headers = {**signed(), "Cookie": "session=1", "X-Request": "7"}
    seen = (await http.get("/items/1", headers=headers)).json()

    assert seen["headers"]["x-request"] == "7"
    assert not {"authorization", "cookie"} & seen["headers"].keys()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/fails", (500, "INTERNAL_ERROR")),
        ("/refuses", (404, "NOT_FOUND")),
        ("/hangs", (408, "TIMEOUT")),
    ],
)
async def test_fault_of_an_action_is_answered(http: httpx.AsyncClient, path: str, error: tuple[int, str]) -> None:
    """As with messages: an errorId and no cause, the handler's own error, or 408."""
    response = await http.get(path)

    assert error_in(response) == error
    assert "hunter2" not in response.text
    assert (await http.get("/items/newest")).json() == "newest"


async def test_client_that_leaves_before_the_answer_harms_nobody(web: Platform, http: httpx.AsyncClient) -> None:
    """A request whose client is gone ends without a trace."""
    async with raw_connection(web) as (_, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        await writer.drain()

    assert (await http.get("/slow")).json() == "done"


@pytest.mark.parametrize("path", ["/health", "/ready", "/live"])
async def test_health_is_told(http: httpx.AsyncClient, path: str) -> None:
    """With a service behind it the gateway is well, and no cache keeps that."""
    response = await http.get(path)

    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")


# between services


async def test_call_brings_back_what_the_action_returned(web: Platform) -> None:
    """Params go there, the result comes back, on behalf of the user who asked."""
    async with client(web.url("/ws/caller"), token=make_token("ana")) as one:
        result = await one.ask("caller.call", {"service": "web", "action": "hidden", "params": {"a": [1, None]}})

    assert result["data"] == {"a": [1, None]}
    assert (result["user"], result["caller"]) == ("ana", "caller")


async def test_call_of_an_action_without_result_is_none(web: Platform) -> None:
    """204 over HTTP is null for a caller."""
    async with client(web.url("/ws/caller"), token=make_token()) as one:
        assert await one.ask("caller.call", {"service": "web", "action": "items.remove"}) is None


@pytest.mark.parametrize(
    ("service", "action", "params", "error"),
    [
        ("web", "hidden.admin", None, (401, "UNAUTHORIZED")),
        ("web", "hidden.refuses", None, (403, "FORBIDDEN")),
        ("web", "items.add", {"name": 1}, (422, "VALIDATION_ERROR")),
        ("web", "fails", None, (500, "INTERNAL_ERROR")),
        ("web", "hangs", None, (408, "TIMEOUT")),
    ],
)
async def test_error_of_a_call_is_the_callers(
    web: Platform, service: str, action: str, params: Any, error: tuple[int, str]
) -> None:
    """The calling handler gets the error, and answers with it where it does not catch it."""
    question = {"service": service, "action": action, "params": params}
    async with client(web.url("/ws/caller")) as one:
        caught = await one.ask("caller.try", question)
        answer = await one.request("caller.call", question)

    assert (caught["code"], caught["type"]) == error
    assert error_of(answer) == error


@pytest.mark.parametrize(("service", "action"), [("web", "nothing"), ("nobody", "hidden")])
async def test_call_of_an_action_that_does_not_exist(web: Platform, service: str, action: str) -> None:
    """A mistake of the handler that calls: it may catch it, and its client gets 500, without the action's name."""
    question = {"service": service, "action": action, "params": None}
    async with client(web.url("/ws/caller")) as one:
        caught = await one.ask("caller.try", question)
        answer = await one.request("caller.call", question)

    assert (caught["code"], caught["type"]) == (404, "UNKNOWN_ACTION")
    assert error_of(answer) == (500, "INTERNAL_ERROR")
    assert action not in answer["error"]["message"]


async def test_call_is_refused_to_a_user_without_the_role(web: Platform) -> None:
    """A call has the rights of the user behind it, not the service's."""
    question = {"service": "web", "action": "hidden.admin"}
    async with (
        client(web.url("/ws/caller"), token=make_token()) as one,
        client(web.url("/ws/caller"), token=make_token(roles=("admin",))) as admin,
    ):
        assert error_of(await one.request("caller.call", question)) == (403, "FORBIDDEN")
        assert await admin.ask("caller.call", question) == "secret"


async def test_event_reaches_the_service_that_asked_for_it(web: Platform) -> None:
    """With data, source and user; the receipt counts the services."""
    async with client(web.url("/ws"), token=make_token("ana")) as one:
        assert await one.ask("caller.emit", {"type": "order.paid", "data": {"id": 7}}) == 1

        assert await one.event("web.heard") == {
            "type": "order.paid",
            "source": "caller",
            "data": {"id": 7},
            "user": "ana",
        }


async def test_event_nobody_asked_for_reaches_nobody(web: Platform) -> None:
    """A pattern of one segment more or less does not match."""
    async with client(web.url("/ws/caller")) as one:
        assert await one.ask("caller.emit", {"type": "order.paid.late"}) == 0
        assert await one.ask("caller.emit", {"type": "user.created"}) == 0


async def test_json_of_an_answer_is_compact_and_whole(http: httpx.AsyncClient) -> None:
    """The body is one JSON value with its length."""
    response = await http.get("/items/1")

    assert int(response.headers["content-length"]) == len(response.content)
    json.loads(response.content)
