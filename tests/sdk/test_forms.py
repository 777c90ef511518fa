"""``ctx.form()``: forms with fields and files."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pylinkd import HttpContext, LinkdError, Service
from pylinkd.testing import decode, run

MULTIPART = "multipart/form-data; boundary=b"
URL_ENCODED = "application/x-www-form-urlencoded"


def make_service(**limits: int) -> Service[Any]:
    """A service that answers with the form it gets."""
    service: Service[Any] = Service("forms")

    @service.action("send", route="/send", method="POST", max_body=2**20)
    async def send(ctx: HttpContext) -> dict[str, Any]:
        form = await ctx.form(**limits)
        files = [[name, file.name, file.content_type, file.data.decode("latin-1")] for name, file in form.files]
        return {"fields": form.fields, "files": files, "name": form.text("name"), "tags": form.texts("tag")}

    return service


async def sent(body: bytes, kind: str, **limits: int) -> Any:
    """What the service has read."""
    async with run(make_service(**limits)) as gateway:
        return decode(await gateway.request("POST", "/send", body=body, headers={"Content-Type": kind}))


def part(disposition: str, content: bytes, *lines: str) -> bytes:
    """A part of a multipart body."""
    head = "\r\n".join([f"Content-Disposition: form-data; {disposition}", *lines])
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


async def test_a_form_of_an_http_client_is_read() -> None:
    """Fields, repeated ones among them, and files of any bytes, small and large."""
    files = [("file", ("ä.bin", b"\x00\r\n--\xff", "image/png")), ("file", ("big.txt", b"x" * 100_000, "text/plain"))]
    request = httpx.Request("POST", "http://x/", data={"name": "Grüße", "tag": ["a", "b"], "none": ""}, files=files)

    form = await sent(request.read(), request.headers["Content-Type"])

    assert form["fields"] == [["name", "Grüße"], ["tag", "a"], ["tag", "b"], ["none", ""]]
    assert (form["name"], form["tags"]) == ("Grüße", ["a", "b"])
    assert form["files"] == [
        ["file", "ä.bin", "image/png", "\x00\r\n--\xff"],
        ["file", "big.txt", "text/plain", "x" * 100_000],
    ]


async def test_a_url_encoded_form_is_read() -> None:
    """Percent signs and plus signs are decoded, empty fields kept."""
    form = await sent(b"name=a+b%26c&tag=%C3%A4&tag=&x", f"{URL_ENCODED}; charset=utf-8")

    assert form["fields"] == [["name", "a b&c"], ["tag", "ä"], ["tag", ""], ["x", ""]]


@pytest.mark.parametrize(
    ("body", "kind", "code", "error"),
    [
        (b"{}", "application/json", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"", "", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"", MULTIPART, 400, "BAD_REQUEST"),
        (part('name="a"', b"1"), MULTIPART, 400, "BAD_REQUEST"),
        (part('name="a"', b"1") + b"--b--", "multipart/form-data", 400, "BAD_REQUEST"),
        (b"--c\r\n\r\n", MULTIPART, 400, "BAD_REQUEST"),
        (part("x=y", b"1") + b"--b--", MULTIPART, 400, "BAD_REQUEST"),
        (part('name="a"', b"\xff") + b"--b--", MULTIPART, 400, "BAD_REQUEST"),
        (part('name="a"', b"1", "Content-Transfer-Encoding: x") + b"--b--", MULTIPART, 400, "BAD_REQUEST"),
        (part('name="a"', b"\x00") + b"--b--", MULTIPART, 422, "VALIDATION_ERROR"),
        (b"a=%ff", URL_ENCODED, 400, "BAD_REQUEST"),
        (b"a=%00", URL_ENCODED, 422, "VALIDATION_ERROR"),
        (part('name="a"', b"1") * 4 + b"--b--", MULTIPART, 413, "PAYLOAD_TOO_LARGE"),
        (part('name="a"', b"123456") + b"--b--", MULTIPART, 413, "PAYLOAD_TOO_LARGE"),
        (part('name="a"; filename="f"', b"123456") + b"--b--", MULTIPART, 413, "PAYLOAD_TOO_LARGE"),
        (b"a=1&a=2&a=3&a=4", URL_ENCODED, 413, "PAYLOAD_TOO_LARGE"),
        (b"a=123456", URL_ENCODED, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
async def test_what_is_no_form_or_too_large_is_refused(body: bytes, kind: str, code: int, error: str) -> None:
    """Each with an error of its own; three parts of five bytes are taken."""
    with pytest.raises(LinkdError) as caught:
        await sent(body, kind, max_parts=3, max_part_size=5)

    assert (caught.value.code, caught.value.type) == (code, error)


async def test_a_form_at_its_limits_is_read() -> None:
    """The limits are the most that is taken."""
    form = await sent(part('name="a"', b"12345") * 3 + b"--b--", MULTIPART, max_parts=3, max_part_size=5)

    assert form["fields"] == [["a", "12345"]] * 3
