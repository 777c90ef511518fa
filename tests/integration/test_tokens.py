"""Who may come in and do what: tokens at the opening handshake, requirements of handlers."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio

from pylinkd.gateway.settings import DEVELOPMENT_SECRET
from tests.integration.client import client, error_of, refused
from tests.integration.raw_websocket import TEXT, frame, http_exchange, opening, raw_websocket
from tests.processes import Platform, make_token, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def echo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``echo``; it waits for no further service, so an unknown path is 404 at once."""
    env = {"LINKD_STARTUP_GRACE_MS": "0"}
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/echo.py", env=env) as running:
        yield running


def with_header(header: dict[str, object], token: str) -> str:
    """The token with another header, and its signature as it was."""
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return ".".join([encoded, *token.split(".")[1:]])


def with_sha512(token: str) -> str:
    """The token signed with the right secret and HS512."""
    unsigned = with_header({"alg": "HS512", "typ": "JWT"}, token).rpartition(".")[0]
    signature = hmac.digest(DEVELOPMENT_SECRET.encode(), unsigned.encode(), "sha512")
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def signed(**claims: object) -> str:
    """A token with these claims in place of the usual ones, properly signed."""
    body = {"sub": "u-1", "exp": int(time.time()) + 3600, **claims}
    return jwt.encode(body, DEVELOPMENT_SECRET, algorithm="HS256")


GOOD = make_token()
BAD_TOKENS = [
    pytest.param(make_token(secret="another-secret-of-more-than-32-bytes"), id="bad-signature"),
    pytest.param(make_token(ttl=-60), id="expired"),
    pytest.param(make_token(nbf=int(time.time()) + 3600), id="not-valid-yet"),
    pytest.param(make_token(algorithm="none"), id="alg-none"),
    pytest.param(with_header({"alg": "none", "typ": "JWT"}, GOOD), id="alg-none-with-a-signature"),
    pytest.param(with_header({"alg": "HS512", "typ": "JWT"}, GOOD), id="another-algorithm-in-the-header"),
    pytest.param(with_sha512(GOOD), id="signed-with-another-algorithm"),
    pytest.param(make_token(user=""), id="no-user"),
    pytest.param(make_token(sub=7), id="user-is-a-number"),
    pytest.param(make_token(exp=None), id="no-expiry"),
    pytest.param(make_token(exp="never"), id="expiry-is-a-word"),
    pytest.param(signed(roles="admin"), id="roles-are-a-string"),
    pytest.param(signed(roles=None), id="roles-are-null"),
    pytest.param(signed(roles=[1]), id="roles-are-numbers"),
    pytest.param(GOOD[:-2], id="cut"),
    pytest.param(GOOD.rpartition(".")[0] + ".", id="no-signature"),
    pytest.param("a.b.c", id="no-base64"),
    pytest.param("x", id="no-token"),
    pytest.param(
        base64.urlsafe_b64encode(b'{"alg":"HS256","x":' + b"[" * 5000 + b"]" * 5000 + b"}").decode() + ".e30.AAAA",
        id="header-nested-too-deeply",
    ),
]


@pytest.mark.parametrize("token", BAD_TOKENS)
async def test_bad_token_is_refused_at_the_opening_handshake(echo: Platform, token: str) -> None:
    """Whatever is wrong with a token, the answer is HTTP 401 and does not say what it was."""
    status, body = await refused(echo.url("/ws/echo"), {"Authorization": f"Bearer {token}"})

    assert status == 401
    assert body["error"]["type"] == "UNAUTHORIZED"
    assert body["error"]["message"] == "The token is not valid."


@pytest.mark.parametrize("token", ["", "x", make_token(ttl=-60)])
async def test_bad_token_in_the_query_is_refused(echo: Platform, token: str) -> None:
    """A token in the URL is believed no more than one in a header; an empty one is no way in either."""
    status, _ = await refused(echo.url("/ws/echo", token))

    assert status == 401


@pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer x"])
async def test_other_authorization_is_refused(echo: Platform, value: str) -> None:
    """Only bearer tokens are accepted, and none is not the same as a malformed one."""
    answer = await http_exchange(echo, opening("/ws/echo", echo.port, f"Authorization: {value}"))

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: bearer" in answer.lower()


async def test_credentials_of_a_proxy_stand_beside_a_token(echo: Platform) -> None:
    """In the same header's other lines, or where the token is in the query."""
    for path, lines in (
        (f"/ws/echo?token={GOOD}", ["Authorization: Basic dTpw"]),
        ("/ws/echo", ["Authorization: Basic dTpw", f"Authorization: Bearer {GOOD}"]),
    ):
        async with raw_websocket(echo, path, *lines) as raw:
            await raw.send(frame(TEXT, b'{"type":"echo.me","id":1}'))
            assert b'"user":"u-1"' in (await raw.receive())[1]


TWO = make_token("u-2")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param(f"/ws/echo?token={GOOD}", [f"Authorization: Bearer {TWO}"], id="query-and-header"),
        pytest.param(f"/ws/echo?token={GOOD}&token={TWO}", [], id="twice-in-the-query"),
        pytest.param("/ws/echo", [f"Authorization: Bearer {GOOD}", f"Authorization: Bearer {TWO}"], id="two-headers"),
    ],
)
async def test_two_different_tokens_are_refused(echo: Platform, path: str, headers: list[str]) -> None:
    """Nobody may be two users, wherever the two tokens stand."""
    answer = await http_exchange(echo, opening(path, echo.port, *headers))

    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_the_same_token_twice_is_one_token(echo: Platform) -> None:
    """The same token in query and header says the same thing."""
    async with client(echo.url("/ws/echo", GOOD), token=GOOD) as one:
        assert await one.ask("echo.member") == "u-1"


@pytest.mark.parametrize("where", ["header", "query", "encoded"])
async def test_good_token_signs_in(echo: Platform, where: str) -> None:
    """Header, query, and a query whose name is percent-encoded are equal ways to sign in."""
    url = {
        "header": echo.url("/ws/echo"),
        "query": echo.url("/ws/echo", GOOD),
        "encoded": f"{echo.url('/ws/echo')}?%74oken={GOOD}",
    }[where]
    async with client(url, token=GOOD if where == "header" else None) as one:
        assert await one.ask("echo.member") == "u-1"


async def test_token_is_not_told_to_the_service(echo: Platform) -> None:
    """Of the query the service sees everything but the token."""
    async with client(f"{echo.url('/ws/echo')}?%74oken={GOOD}&room=lobby&room=other&empty=") as one:
        assert (await one.ask("echo.me"))["metadata"] == {"room": "lobby", "empty": ""}


@pytest.mark.parametrize("path", ["/ws/echo", "/ws"])
async def test_message_that_needs_a_user_is_refused_without_one(echo: Platform, path: str) -> None:
    """Without a token the connection is open, and what needs a user answers 401."""
    async with client(echo.url(path)) as one, client(echo.url(path)) as other:
        assert error_of(await one.request("echo.member")) == (401, "UNAUTHORIZED")
        assert error_of(await one.request("echo.admin")) == (401, "UNAUTHORIZED")

        assert await one.ask("echo.any", 1) == 1
        assert await other.ask("echo.any", 2) == 2


@pytest.mark.parametrize("roles", [(), ("member",), ("Admin",), ("administrator", "adm")])
async def test_message_that_needs_a_role_is_refused_to_others(echo: Platform, roles: tuple[str, ...]) -> None:
    """A user without the role gets 403, and the connection goes on."""
    async with client(echo.url("/ws/echo"), token=make_token(roles=roles)) as one:
        assert error_of(await one.request("echo.admin")) == (403, "FORBIDDEN")
        assert await one.ask("echo.any", 1) == 1


async def test_one_of_the_roles_is_enough(echo: Platform) -> None:
    """Who has the role among others may pass."""
    async with client(echo.url("/ws/echo"), token=make_token(roles=("member", "admin"))) as one:
        assert await one.ask("echo.admin") == "u-1"


async def test_refused_message_is_not_validated(echo: Platform) -> None:
    """Who may not do it learns nothing of what it takes: 401 comes before 422."""
    async with client(echo.url("/ws/echo")) as one:
        assert error_of(await one.request("echo.member", {"anything": 1})) == (401, "UNAUTHORIZED")


BAD_OPENINGS = [
    pytest.param(("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"), 426, id="another-version"),
    pytest.param(("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: !"), 400, id="bad-key"),
    pytest.param(("Sec-WebSocket-Key: ", "X-Key: "), 400, id="no-key"),
    pytest.param(("/ws/echo", "/ws/nothing"), 404, id="unknown-path"),
    pytest.param(("/ws/echo", "/ws/echo/"), 404, id="path-with-a-slash-too-many"),
    pytest.param(("/ws/echo", "/ws/echo?" + "a&" * 40), 400, id="too-many-parameters"),
]


@pytest.mark.parametrize(("change", "status"), BAD_OPENINGS)
async def test_bad_opening_handshake_is_refused(echo: Platform, change: tuple[str, str], status: int) -> None:
    """What is no opening handshake of ours gets its HTTP status, and others are served."""
    head = opening("/ws/echo", echo.port).decode().replace(*change).encode()
    answer = await http_exchange(echo, head)

    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    async with client(echo.url("/ws/echo")) as other:
        assert await other.ask("echo.any", 1) == 1
