"""The opening handshake as a text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from pylinkd.gateway.edge.handshake import (
    OpeningRequest,
    VersionRequiredError,
    canonical_head,
    parse_target,
    refusal,
)
from pylinkd.protocol.errors import BadRequestError, LinkdError, RateLimitedError, UnauthorizedError

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

HEADERS = {
    "Host": "example.org",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def head(target: str = "/ws/chat", *more: str, method: str = "GET", **changed: str | None) -> bytes:
    """A client's head; ``changed`` replaces headers (underscores for dashes), ``None`` leaves one out."""
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")


# reading


def test_request_is_read() -> None:
    """Path, parameters, headers, key and subprotocols."""
    request = OpeningRequest.parse(
        head("/ws/chat?room=a%20b&flag=", "Sec-WebSocket-Protocol: linkd.v1+msgpack, other", "User-Agent: test/1")
    )

    assert request.path == "/ws/chat"
    assert (request.metadata, request.tokens) == ({"room": "a b", "flag": ""}, [])
    assert request.headers["user-agent"] == "test/1"
    assert request.key == KEY
    assert request.subprotocols == ["linkd.v1+msgpack", "other"]


def test_header_names_know_no_case() -> None:
    """RFC 9110 §5.1; whitespace around values is none of theirs."""
    raw = head().replace(b"Sec-WebSocket-Key: ", b"sEC-wEBsOCKET-kEY:\t ").replace(b"Host: ", b"HOST:")

    assert OpeningRequest.parse(raw).key == KEY


def test_tokens_are_kept_apart_from_the_other_parameters() -> None:
    """All of them, whatever way the name is written, so that two that disagree can be told; none is metadata."""
    request = OpeningRequest.parse(head("/ws?token=a&x=1&%74oken=b&x=2"))

    assert request.tokens == ["a", "b"]
    assert request.metadata == {"x": "1"}


def test_repeated_headers_are_joined() -> None:
    """RFC 9110 §5.3; subprotocols may be spread over several."""
    request = OpeningRequest.parse(
        head("/ws", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,  c", "X-A: 1", "x-a: 2")
    )

    assert request.headers["x-a"] == "1, 2"
    assert request.subprotocols == ["a", "b", "c"]


@pytest.mark.parametrize("method", ["POST", "HEAD", "get", "OPTIONS", ""])
def test_other_methods_are_refused(method: str) -> None:
    """An opening handshake is a GET."""
    with pytest.raises(BadRequestError, match="GET"):
        OpeningRequest.parse(head(method=method))


@pytest.mark.parametrize("version", [None, "12", "8", "14", "", "13, 13", "13.0", "0x0d"])
def test_other_versions_are_told_which_is_spoken(version: str | None) -> None:
    """426 (RFC 6455 §4.4)."""
    with pytest.raises(VersionRequiredError) as caught:
        OpeningRequest.parse(head(Sec_WebSocket_Version=version))

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
        OpeningRequest.parse(head(Sec_WebSocket_Key=key))


def test_host_has_to_be_there() -> None:
    """HTTP/1.1 asks for it (RFC 9112 §3.2)."""
    with pytest.raises(BadRequestError, match="Host"):
        OpeningRequest.parse(head(Host=None))


def test_second_host_is_refused() -> None:
    """RFC 9112 §3.2: more than one Host is a bad request; proxies and gateway might read different ones."""
    with pytest.raises(BadRequestError, match="Host"):
        OpeningRequest.parse(head("/ws", "Host: other.example"))


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
    assert parse_target(target)[0] == path


def test_double_slash_is_part_of_the_path() -> None:
    """``//ws/chat`` is a path in origin form (RFC 9112 §3.2.1), not a host and another path."""
    assert parse_target("//evil/ws/chat")[0] == "//evil/ws/chat"


@pytest.mark.parametrize("target", ["http://[::1/ws", "/ws?" + "&".join(f"p{n}=" for n in range(33))])
def test_targets_that_are_none_are_refused(target: str) -> None:
    """Malformed, or with more parameters than anybody needs."""
    with pytest.raises(BadRequestError, match="target"):
        parse_target(target)


def test_most_parameters_are_taken() -> None:
    """32 of them."""
    assert len(parse_target("/ws?" + "&".join(f"p{n}=" for n in range(32)))[1]) == 32


@given(raw=st.binary(max_size=300))
def test_any_head_is_read_or_refused(raw: bytes) -> None:
    """Garbage raises nothing but errors with an HTTP answer."""
    try:
        OpeningRequest.parse(raw)
    except LinkdError as refused:
        refusal(refused)


@given(target=st.text(max_size=60), value=st.text(max_size=40))
def test_any_target_and_header_is_read_or_refused(target: str, value: str) -> None:
    """With everything else in order."""
    raw = head("@", "X-Odd: #").replace(b"@", target.encode()).replace(b"#", value.encode())
    try:
        assert isinstance(OpeningRequest.parse(raw), OpeningRequest)
    except (BadRequestError, VersionRequiredError):
        pass


# writing


def test_canonical_head_is_an_opening_handshake() -> None:
    """It has the client's key: an independent server computes the same answer from it as from the client's head."""
    raw = canonical_head(KEY)

    lines = raw.decode().split("\r\n")
    headers = Headers([tuple(line.split(": ", 1)) for line in lines[1:-2]])  # type: ignore[misc]
    headers["Host"] = "example.org"
    response = ServerProtocol().accept(Request("/", headers))

    assert raw.endswith(b"\r\n\r\n")
    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


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
