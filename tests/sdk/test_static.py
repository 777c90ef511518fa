"""``service.static``: the files of a folder, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pylinkd import HttpContext, NotFoundError, RegistrationError, Service
from pylinkd.testing import decode, run

LARGE = bytes(range(256)) * 2000


@pytest.fixture
def service(tmp_path: Path) -> Service[Any]:
    """With the files of a folder, beside which there is a secret."""
    folder = tmp_path / "site"
    (folder / "docs").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "app.js").write_text("run()")
    (folder / "docs" / "index.html").write_text("<h1>")
    (folder / "a b.unknown").write_bytes(b"\x00")
    (folder / ".env").write_text("hidden")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "alias.js").symlink_to(folder / "app.js")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    (folder / "large").write_bytes(LARGE)
    (folder / "digits").write_bytes(b"0123456789")
    made: Service[Any] = Service("site")
    made.static("/assets", folder)
    return made


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("app.js", "text/javascript; charset=utf-8", b"run()"),
        ("alias.js", "text/javascript; charset=utf-8", b"run()"),
        ("docs/index.html", "text/html; charset=utf-8", b"<h1>"),
        ("docs/", "text/html; charset=utf-8", b"<h1>"),
        ("a%20b.unknown", "application/octet-stream", b"\x00"),
    ],
)
async def test_a_file_is_answered(service: Service[Any], path: str, kind: str, body: bytes) -> None:
    """With its content type and validators; a client that has it gets 304."""
    async with run(service) as gateway:
        answer = await gateway.request("GET", f"/assets/{path}")
        again = await gateway.request("GET", f"/assets/{path}", headers={"If-None-Match": answer.headers["ETag"]})
        head = await gateway.request("HEAD", f"/assets/{path}")

    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, kind, body)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert (again.status, again.body) == (304, b"")
    assert (head.status, head.headers["ETag"], head.body) == (200, answer.headers["ETag"], b"")


@pytest.mark.parametrize(
    "path",
    ["", "none", "empty/", "app.js/", "app.js/x", "../secret.txt", "docs/../app.js", "..%2Fsecret.txt",
     "%2Fetc%2Fpasswd", "/etc/passwd", "out.txt", "up/secret.txt", ".env", "x%00", "pipe", "loop", "a" * 300],
)  # fmt: skip
async def test_nothing_outside_and_nothing_hidden_is_answered(service: Service[Any], path: str) -> None:
    """However a path is written, and wherever a symbolic link leads."""
    async with run(service) as gateway:
        with pytest.raises(NotFoundError):
            await gateway.request("GET", f"/assets/{path}")


async def test_a_folder_is_redirected_to_its_slash(service: Service[Any]) -> None:
    """Relative links of its index would lead elsewhere."""
    async with run(service) as gateway:
        answer = await gateway.request("GET", "/assets/docs")

    assert (answer.status, answer.headers["Location"]) == (308, "/assets/docs/")


async def test_large_file_is_streamed(service: Service[Any]) -> None:
    """With its size; HEAD reads nothing of it."""
    async with run(service) as gateway:
        async with gateway.stream("GET", "/assets/large") as streamed:
            assert streamed.headers["content-length"] == str(len(LARGE))
            assert b"".join([chunk async for chunk in streamed]) == LARGE
        head = await gateway.request("HEAD", "/assets/large")
        part = await gateway.request("GET", "/assets/large", headers={"Range": "bytes=300000-"})

    assert (head.headers["Content-Length"], head.body) == (str(len(LARGE)), b"")
    assert (part.status, part.body) == (206, LARGE[300_000:])


async def test_file_that_is_replaced_while_it_is_sent_is_not_mixed(service: Service[Any], tmp_path: Path) -> None:
    """What was opened is what is sent, or the answer stays incomplete."""
    async with run(service) as gateway, gateway.stream("GET", "/assets/large") as streamed:
        first = await anext(streamed)
        (tmp_path / "new").write_bytes(bytes(len(LARGE)))
        (tmp_path / "new").rename(tmp_path / "site" / "large")
        whole = first + b"".join([chunk async for chunk in streamed])

    assert whole == LARGE


@pytest.mark.parametrize(
    ("wanted", "content_range", "body"),
    [
        ("bytes=0-3", "bytes 0-3/10", b"0123"),
        ("bytes=7-", "bytes 7-9/10", b"789"),
        ("bytes=7-100", "bytes 7-9/10", b"789"),
        ("bytes=-2", "bytes 8-9/10", b"89"),
        ("bytes=-100", "bytes 0-9/10", b"0123456789"),
        ("Bytes = 9-9", "bytes 9-9/10", b"9"),
    ],
)
async def test_part_of_a_file(service: Service[Any], wanted: str, content_range: str, body: bytes) -> None:
    """RFC 9110 §14.1.2."""
    async with run(service) as gateway:
        answer = await gateway.request("GET", "/assets/digits", headers={"Range": wanted})

    assert (answer.status, answer.headers["Content-Range"], answer.body) == (206, content_range, body)


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"])
async def test_part_that_does_not_exist(service: Service[Any], wanted: str) -> None:
    """The answer says how large the file is."""
    async with run(service) as gateway:
        answer = await gateway.request("GET", "/assets/digits", headers={"Range": wanted})

    assert (answer.status, answer.headers["Content-Range"], answer.body) == (416, "bytes */10", b"")


@pytest.mark.parametrize(
    "wanted", ["bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=" + "9" * 5000 + "-"]
)
async def test_what_is_no_single_range_gets_all(service: Service[Any], wanted: str) -> None:
    """RFC 9110 §14.2: a server may ignore the header."""
    async with run(service) as gateway:
        answer = await gateway.request("GET", "/assets/digits", headers={"Range": wanted})

    assert (answer.status, answer.body) == (200, b"0123456789")


async def test_part_of_another_version_is_not_sent(service: Service[Any]) -> None:
    """``If-Range`` (RFC 9110 §13.1.5): the parts of two versions would not fit together."""
    async with run(service) as gateway:
        whole = await gateway.request("GET", "/assets/digits")
        parts = {
            condition: (
                await gateway.request("GET", "/assets/digits", headers={"Range": "bytes=0-1", "If-Range": condition})
            ).status
            for condition in (whole.headers["ETag"], whole.headers["Last-Modified"], '"other"', 'W/"weak"')
        }

    assert list(parts.values()) == [206, 206, 200, 200]


async def test_another_route_wins(service: Service[Any]) -> None:
    """An action under the same route is more specific, with a variable, too."""

    @service.action("item", route="/assets/{id}")
    async def item(ctx: HttpContext) -> str:
        return ctx.params["id"]

    async with run(service) as gateway:
        assert decode(await gateway.request("GET", "/assets/app.js")) == "app.js"
        assert (await gateway.request("GET", "/assets/docs/index.html")).body == b"<h1>"


def test_what_is_no_folder_is_refused(service: Service[Any], tmp_path: Path) -> None:
    """As is a route that is taken."""
    with pytest.raises(RegistrationError, match="is no folder"):
        service.static("/other", tmp_path / "none")
    with pytest.raises(RegistrationError, match="is taken"):
        service.static("/assets", tmp_path)
