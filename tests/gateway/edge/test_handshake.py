"""The opening handshake as a text."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from pylinkd.gateway.edge.handshake import (
    Head,
    OpeningRequest,
    VersionRequiredError,
    acceptance,
    parse_query,
    refusal,
)
from pylinkd.gateway.edge.head import HttpVersionError
from pylinkd.protocol.errors import BadRequestError, LinkdError, RateLimitedError, UnauthorizedError

PEER = "192.0.2.7"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="

HEADERS = {
    "Host": "example.org",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def head(target: str = "/ws/chat", *more: str, method: str = "GET", **changed: str | None) -> Head:
    """A client's head; ``changed`` replaces headers (underscores for dashes), ``None`` leaves one out."""
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    fields = [line.encode("latin-1").split(b":", 1) for line in [*lines, *more]]
    return Head(method.encode(), target.encode(), [(name.lower(), value) for name, value in fields], PEER)


# reading


def test_request_is_read() -> None:
    """Path, parameters, headers, key and subprotocols."""
    request = OpeningRequest.of(
        head("/ws/chat?room=a%20b&flag=", "Sec-WebSocket-Protocol: linkd.v1+msgpack, other", "User-Agent: test/1")
    )

    assert request.path == "/ws/chat"
    assert (request.metadata, request.tokens) == ({"room": "a b", "flag": ""}, [])
    assert request.headers["user-agent"] == "test/1"
    assert request.key == KEY
    assert request.subprotocols == ["linkd.v1+msgpack", "other"]


def test_whitespace_around_values_is_none_of_theirs() -> None:
    """RFC 9110 §5.5."""
    assert OpeningRequest.of(head(Sec_WebSocket_Key=f"\t {KEY} ")).key == KEY


def test_tokens_are_kept_apart_from_the_other_parameters() -> None:
    """All of them, whatever way the name is written, so that two that disagree can be told; none is metadata."""
    request = OpeningRequest.of(head("/ws?token=a&x=1&%74oken=b&x=2"))

    assert request.tokens == ["a", "b"]
    assert request.metadata == {"x": "1"}


def test_repeated_headers_are_joined() -> None:
    """RFC 9110 §5.3; subprotocols may be spread over several."""
    request = OpeningRequest.of(
        head("/ws", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,  c", "X-A: 1", "x-a: 2")
    )

    assert request.headers["x-a"] == "1, 2"
    assert request.subprotocols == ["a", "b", "c"]


@pytest.mark.parametrize("method", ["POST", "HEAD", "get", "OPTIONS", ""])
def test_other_methods_are_refused(method: str) -> None:
    """An opening handshake is a GET."""
    with pytest.raises(BadRequestError, match="GET"):
        OpeningRequest.of(head(method=method))


@pytest.mark.parametrize("version", [None, "12", "8", "14", "", "13, 13", "13.0", "0x0d"])
def test_other_versions_are_told_which_is_spoken(version: str | None) -> None:
    """426 (RFC 6455 §4.4)."""
    with pytest.raises(VersionRequiredError) as caught:
        OpeningRequest.of(head(Sec_WebSocket_Version=version))

    assert caught.value.code == 426


@pytest.mark.parametrize(
    "key",
    [
        None, "", "short", "dGhlIHNhbXBsZSBub25jZ===", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ", "é" * 24,
        f"{KEY} x", f"{KEY}, {KEY}",
    ],
)  # fmt: skip
def test_keys_that_are_none_are_refused(key: str | None) -> None:
    """A key is the base64 of 16 bytes, and there is one."""
    with pytest.raises(BadRequestError, match="Sec-WebSocket-Key"):
        OpeningRequest.of(head(Sec_WebSocket_Key=key))


@pytest.mark.parametrize("line", ["Content-Length: 5", "Content-Length: 05", "Transfer-Encoding: chunked"])
def test_body_is_refused(line: str) -> None:
    """Whatever came of it would be read as frames."""
    with pytest.raises(BadRequestError, match="body"):
        OpeningRequest.of(head("/ws", line))


def test_empty_body_is_no_body() -> None:
    """Some clients and proxies say so."""
    assert OpeningRequest.of(head("/ws", "Content-Length: 0")).path == "/ws"


def test_host_has_to_be_there() -> None:
    """HTTP/1.1 asks for it (RFC 9112 §3.2)."""
    with pytest.raises(BadRequestError, match="Host"):
        OpeningRequest.of(head(Host=None))


def test_second_host_is_refused() -> None:
    """RFC 9112 §3.2: more than one Host is a bad request; proxies and gateway might read different ones."""
    with pytest.raises(BadRequestError, match="Host"):
        OpeningRequest.of(head("/ws", "Host: other.example"))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/ws/a%2Fb", "/ws/a/b"),
        ("/ws/%E2%82%AC", "/ws/€"),
        ("http://example.org/ws/chat?x=1", "/ws/chat"),
        ("/ws/%FF", "/ws/\ufffd"),
    ],
)
def test_path_is_decoded(target: str, path: str) -> None:
    """As a service claims it."""
    assert OpeningRequest.of(head(target)).path == path


def test_double_slash_is_part_of_the_path() -> None:
    """``//ws/chat`` is a path in origin form (RFC 9112 §3.2.1), not a host and another path."""
    assert OpeningRequest.of(head("//evil/ws/chat")).path == "//evil/ws/chat"


@pytest.mark.parametrize(
    "target", ["ftp://example.org/ws", "http:///ws", "ws", "/ws#top", "/ws?" + "&".join(f"p{n}=" for n in range(33))]
)
def test_targets_that_are_none_are_refused(target: str) -> None:
    """Malformed, or with more parameters than anybody needs."""
    with pytest.raises(BadRequestError, match="target"):
        OpeningRequest.of(head(target))


@pytest.mark.parametrize("version", ["0.9", "2.0", "3.0"])
def test_other_major_versions_of_http_are_refused(version: str) -> None:
    """RFC 9110 §15.6.6."""
    with pytest.raises(HttpVersionError):
        OpeningRequest.of(head()._replace(version=version))


@given(st.lists(st.tuples(st.text("ab&=;%+é", max_size=5), st.text("ab&=;%+é", max_size=5)), max_size=5))
def test_query_is_read_as_the_standard_library_reads_it(parameters: list[tuple[str, str]]) -> None:
    """Escaped or not, with and without values."""
    for query in (urlencode(parameters), "&".join(f"{name}={value}" for name, value in parameters)):
        assert parse_query(query) == parse_qsl(query, keep_blank_values=True)


def test_most_parameters_are_taken() -> None:
    """32 of them."""
    assert len(parse_query("&".join(f"p{n}=" for n in range(32)))) == 32


@given(
    method=st.binary(max_size=10),
    target=st.binary(max_size=60),
    fields=st.lists(st.tuples(st.sampled_from([name.lower().encode() for name in HEADERS]) | st.binary(), st.binary())),
)
def test_any_head_is_read_or_refused(method: bytes, target: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """Garbage raises nothing but errors with an HTTP answer."""
    try:
        OpeningRequest.of(Head(method, target, fields))
    except LinkdError as refused:
        refusal(refused)


@given(target=st.binary(max_size=60), value=st.binary(max_size=40))
def test_any_target_and_header_is_read_or_refused(target: bytes, value: bytes) -> None:
    """With everything else in order."""
    good = head()
    try:
        OpeningRequest.of(Head(good.method, target, [*good.fields, (b"x-odd", value)]))
    except (BadRequestError, VersionRequiredError):
        pass


# writing


def test_acceptance_is_what_an_independent_server_answers() -> None:
    """Status, the answer to the key, and what was chosen (RFC 6455 §4.2.2)."""
    expected = ServerProtocol().accept(Request("/", Headers(HEADERS)))

    status, headers, body = parse_answer(acceptance(KEY, "linkd.v1+json", "permessage-deflate"))

    assert (status, body) == ("HTTP/1.1 101 Switching Protocols", b"")
    assert headers["Sec-WebSocket-Accept"] == expected.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (headers["Upgrade"], headers["Connection"]) == ("websocket", "Upgrade")
    assert headers["Sec-WebSocket-Protocol"] == "linkd.v1+json"
    assert headers["Sec-WebSocket-Extensions"] == "permessage-deflate"


def test_acceptance_names_nothing_that_was_not_chosen() -> None:
    """A client that is told of a subprotocol or an extension which it did not offer has to fail (RFC 6455 §4.1)."""
    assert set(parse_answer(acceptance(KEY, None, None))[1]) == {"Upgrade", "Connection", "Sec-WebSocket-Accept"}


def parse_answer(raw: bytes) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers and body."""
    top, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


def test_refusal_is_an_http_answer() -> None:
    """Status, length and the error of the wire; nothing is cached, and the connection ends."""
    status, headers, body = parse_answer(refusal(UnauthorizedError("The token is not valid.")))

    assert status == "HTTP/1.1 401 Unauthorized"
    assert int(headers["Content-Length"]) == len(body)
    assert (headers["Connection"], headers["Cache-Control"], headers["WWW-Authenticate"]) == (
        "close",
        "no-store",
        "Bearer",
    )
    assert json.loads(body) == {
        "error": {"code": 401, "type": "UNAUTHORIZED", "message": "The token is not valid."}
    }  # fmt: skip


def test_refusal_says_when_to_come_back() -> None:
    """Whole seconds, one at least."""
    assert parse_answer(refusal(RateLimitedError(retry_after=0.2)))[1]["Retry-After"] == "1"
    assert parse_answer(refusal(RateLimitedError(retry_after=2.6)))[1]["Retry-After"] == "3"


def test_refused_version_names_the_right_one() -> None:
    """RFC 6455 §4.4."""
    status, headers, _ = parse_answer(refusal(VersionRequiredError()))

    assert status == "HTTP/1.1 426 Upgrade Required"
    assert (headers["Sec-WebSocket-Version"], headers["Upgrade"]) == ("13", "websocket")
