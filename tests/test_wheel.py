"""The wheel, installed where nothing else is: everything that belongs to it is in it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_LOOK = """
import asyncio, sys
from pathlib import Path
import pylinkd, pylinkd.client, pylinkd.tokens, pylinkd.testing
from pylinkd.gateway.edge.client_script import SCRIPT, ClientScript
from pylinkd.gateway.edge.documentation import PAGE

assert "site-packages" in pylinkd.__file__, pylinkd.__file__
assert ClientScript(SCRIPT.read_bytes()).immutable_path.startswith("/linkd/client.")
assert "<script>" in PAGE.read_text("utf-8")
service = pylinkd.Service("hello")

@service.ws.on("hello.greet")
async def greet(ctx: pylinkd.WsContext) -> str:
    return "Hello!"

async def main() -> None:
    async with pylinkd.testing.run(service) as gateway:
        print(await (await gateway.connect()).send("hello.greet"))

asyncio.run(main())
"""


@pytest.mark.timeout(300)
def test_wheel_works_in_a_fresh_environment(tmp_path: Path) -> None:
    """SDK, client, gateway, its assets and the command, with the dependencies that it names."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    constraints = str(ROOT / "constraints.txt")
    pip = [sys.executable, "-m", "pip"]
    run(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "fresh", with_pip=False)
    python = str(tmp_path / "fresh" / "bin" / "python")
    run(*pip, "--python", python, "install", "-q", "-c", constraints, str(wheel))
    assert run(python, "-c", _LOOK) == "Hello!\n"
    assert "connect" in run(str(tmp_path / "fresh" / "bin" / "linkd"), "--help")
