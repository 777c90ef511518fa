"""``service.static``: the files of a folder, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pylinkd import HttpContext, InternalError, NotFoundError, RegistrationError, Service
from pylinkd.sdk.static import LARGEST_FILE
from pylinkd.testing import decode, run


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
    with open(folder / "large", "wb") as file:
        file.truncate(LARGEST_FILE + 1)
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


async def test_too_large_a_file_is_an_error(service: Service[Any]) -> None:
    """And no part of it is sent."""
    async with run(service) as gateway:
        with pytest.raises(InternalError):
            await gateway.request("GET", "/assets/large")


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
