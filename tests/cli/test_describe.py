"""``linkd describe`` and ``linkd types``, as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAT = str(Path(__file__).parents[2] / "examples/chat/service.py")


def linkd(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command's end."""
    return subprocess.run([sys.executable, "-m", "pylinkd", *arguments], capture_output=True, text=True, timeout=60)


def test_openapi_is_printed() -> None:
    """With the service's routes."""
    document = json.loads(linkd("describe", CHAT, "--openapi").stdout)

    assert document["paths"]["/chat/session"].keys() == {"post", "delete"}


def test_asyncapi_is_printed() -> None:
    """With the events that it declares."""
    document = json.loads(linkd("describe", CHAT, "--asyncapi").stdout)

    assert document["operations"]["send.chat.message"]["action"] == "send"


def test_one_document_has_to_be_chosen() -> None:
    """The error says how."""
    ended = linkd("describe", CHAT)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "--openapi or --asyncapi" in ended.stderr


def test_types_are_written_to_a_file(tmp_path: Path) -> None:
    """And nothing is printed."""
    ended = linkd("types", CHAT, "--typescript", "--out", str(tmp_path / "api.ts"))

    assert (ended.returncode, ended.stdout) == (0, "")
    assert "export type Api" in (tmp_path / "api.ts").read_text()


def test_types_need_a_language_and_a_place(tmp_path: Path) -> None:
    """One sentence, and no traceback."""
    without, nowhere = linkd("types", CHAT), linkd("types", CHAT, "--typescript", "--out", str(tmp_path / "no/api.ts"))

    assert (without.returncode, nowhere.returncode) == (1, 1)
    assert "--typescript" in without.stderr
    assert "cannot be written" in nowhere.stderr
    assert "Traceback" not in without.stderr + nowhere.stderr


def test_types_for_python_are_printed() -> None:
    """As a module."""
    ended = linkd("types", CHAT, "--python")

    assert ended.returncode == 0
    compile(ended.stdout, "api.py", "exec")
    assert "class Api:" in ended.stdout


def test_what_breaks_clients_is_printed(tmp_path: Path) -> None:
    """Status 1 where something does, 0 where nothing does, and a sentence where a file is no document."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(linkd("describe", CHAT, "--openapi").stdout)
    document = json.loads(old.read_text())
    del document["paths"]["/chat/session"]["delete"]
    new.write_text(json.dumps(document))

    broken, fine = linkd("types", "--diff", str(old), str(new)), linkd("types", "--diff", str(new), str(old))
    new.write_text("[")
    unread = linkd("types", "--diff", str(old), str(new))

    assert (broken.returncode, broken.stdout) == (1, "DELETE /chat/session is removed\n")
    assert (fine.returncode, fine.stdout) == (0, "")
    assert unread.returncode == 1
    assert "is no document in JSON" in unread.stderr
    assert "Traceback" not in unread.stderr
