"""The TypeScript client as it is published and served: types, tests, sizes, and what is in the package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ..servers.npm import typescript_client

_CONSUMER = """
import { createClient, LinkdError, type Client } from "linkd-client";
import { createClient as createCore, ConnectionLost } from "linkd-client/core";
import { msgpack } from "linkd-client/msgpack";
import { upload } from "linkd-client/streams";

interface Chat {
  calls: { "chat.send": { data: { text: string }; result: { id: number } } };
  events: { "chat.message": { text: string } };
}

export function use(client: Client<Chat>): Promise<{ id: number }> {
  client.on("chat.message", (message) => message.text.trim());
  client.room("lobby").presence.onChange(({ joined }) => joined.length);
  // @ts-expect-error there is no such call
  void client.call("chat.sned", { text: "hi" });
  // @ts-expect-error its data is another
  void client.call("chat.send", { txt: "hi" });
  void upload(client, "file.upload", { name: "a" }, new Blob(["a"]));
  return client.call("chat.send", { text: "hi" }, { timeout: 1_000, idempotent: true });
}

const client = createClient<Chat>("ws://127.0.0.1:1/ws", { codec: msgpack });
const core = createCore("ws://127.0.0.1:1/ws");
core.close();
console.log(client.state, new ConnectionLost("x", false) instanceof LinkdError, typeof use);
"""


def _run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from the source as it is."""
    folder = tmp_path_factory.mktemp("package") / "client"
    client = typescript_client()
    ignored = {"node_modules", "dist"}
    folder.mkdir()
    for path in client.iterdir():
        if path.name not in ignored:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / path.name)
    (folder / "node_modules").symlink_to(client / "node_modules")
    _run("node", "build.mjs", "--package", folder=folder)
    packed = json.loads(_run("npm", "pack", "--json", folder=folder))
    return folder / str(packed[0]["filename"])


def test_types_are_right() -> None:
    """TypeScript at its strictest, over source and tests."""
    _run("npx", "tsc", "--noEmit", folder=typescript_client())


def test_sizes_and_the_served_file_are_as_they_should_be() -> None:
    """What a page loads is as small as is promised, and what gateways serve is built from this source."""
    _run("node", "build.mjs", "--check", folder=typescript_client())


@pytest.mark.timeout(240)
def test_units_hold() -> None:
    """The tests that are written in TypeScript."""
    _run("npx", "vitest", "run", folder=typescript_client())


def test_package_is_well_formed(tarball: Path) -> None:
    """For every resolver that there is."""
    client = typescript_client()
    _run("npx", "publint", "run", "--strict", str(tarball), folder=client)
    _run("npx", "attw", str(tarball), "--profile", "esm-only", folder=client)


def test_package_works_where_it_is_installed(tarball: Path, tmp_path: Path) -> None:
    """In a fresh folder: its types check, and Node runs it. Nothing happens at import."""
    client = typescript_client()
    (tmp_path / "package.json").write_text('{"type": "module", "private": true}')
    _run("npm", "install", "--no-audit", "--no-fund", str(tarball), folder=tmp_path)
    (tmp_path / "use.ts").write_text(_CONSUMER)
    options = ["--module", "nodenext", "--target", "es2022", "--strict", "--lib", "es2022,dom"]
    _run(str(client / "node_modules" / ".bin" / "tsc"), *options, "use.ts", folder=tmp_path)
    assert _run("node", "use.js", folder=tmp_path).split() == ["idle", "true", "function"]
    assert not (tmp_path / "node_modules" / "@msgpack").exists(), "the package depends on nothing"
