"""``linkd describe``, as a process."""

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
