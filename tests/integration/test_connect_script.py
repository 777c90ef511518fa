"""``linkd connect`` in scripts: lines in, JSON lines out, and a status, with a real gateway and service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.processes import ROOT, Platform, make_token, platform

from .client import client
from .connect_helpers import environment

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.plain("the same code over TLS; what is in it is not about the transport"),
]

WAIT = 30.0


@dataclass
class Done:
    """A program that has ended."""

    status: int
    lines: list[dict[str, Any]]
    complaints: str

    @property
    def answers(self) -> dict[int, Any]:
        """Data, or the type of an error, by line."""
        return {
            line["id"]: line["data"] if line["type"] == "response" else line["error"]["type"]
            for line in self.lines
            if "id" in line
        }


Connect = Callable[..., Coroutine[Any, Any, Done]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and two services, one of which wants to know who is there."""
    folder = tmp_path_factory.mktemp("p")
    async with platform(folder, "tests/services/console.py", "tests/services/members.py") as running:
        yield running


@pytest.fixture
def connect(console: Platform, tmp_path: Path) -> Connect:
    """Runs ``linkd connect`` with these lines of input."""

    async def run(text: str, *options: str, url: str | None = None, env: dict[str, str] | None = None) -> Done:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pylinkd", "connect", url or console.url("/ws/console"), *options,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**environment(console, tmp_path), **(env or {})}, cwd=ROOT,
        )  # fmt: skip
        async with asyncio.timeout(WAIT):
            out, complaints = await process.communicate(text.encode())
        assert process.returncode is not None
        return Done(process.returncode, [json.loads(line) for line in out.splitlines()], complaints.decode())

    return run


async def test_each_line_is_a_message_with_its_number(connect: Connect) -> None:
    """Blank lines and the last one without an end included; nothing else is printed."""
    done = await connect('console.greet {"name": "Ada"}\n\n  console.me')

    assert done.answers == {1: "Hello, Ada!", 3: None}
    assert all(line["ms"] > 0 for line in done.lines)
    assert (done.status, done.complaints) == (0, "")


async def test_events_come_as_on_the_wire(connect: Connect) -> None:
    """Of a room with its name and the offset."""
    done = await connect('console.join "lobby-7"\nconsole.say {"room": "lobby-7", "text": "hi"}\n')

    assert {"type": "console.said", "data": {"text": "hi"}, "room": "lobby-7", "offset": 1} in done.lines


async def test_error_of_a_call_is_a_line_and_status_1(connect: Connect) -> None:
    """The other calls are answered all the same."""
    done = await connect('console.gret\nconsole.greet {"name": "Ada"}\n')

    assert done.answers == {1: "UNKNOWN_MESSAGE_TYPE", 2: "Hello, Ada!"}
    assert done.status == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("console.greet {", "line 1: what follows console.greet is no JSON"),
        ('{"type": "console.greet"}', "line 1: a line begins with the type"),
        (".presence lobby", "line 1: .presence is for the prompt"),
        ("send", "line 1: send what?"),
        ("console.greet \ud800".encode("utf-8", "surrogatepass").decode(errors="replace"), "is no JSON"),
    ],
)
async def test_line_that_means_nothing_is_named(connect: Connect, line: str, says: str) -> None:
    """On standard error, with its number and status 1; the other lines are sent."""
    done = await connect(f"{line}\nconsole.me\n")

    assert says in done.complaints
    assert done.answers == {2: None}
    assert done.status == 1


async def test_more_lines_than_may_wait_are_all_sent(connect: Connect) -> None:
    """They are read as fast as they are answered."""
    done = await connect("".join(f"console.burst {number % 2}\n" for number in range(700)))

    assert done.status == 0
    assert done.answers == {number + 1: number % 2 for number in range(700)}


async def test_messages_without_an_answer_have_come_before_the_end(connect: Connect, console: Platform) -> None:
    """All of them, though nobody waits for each."""
    async with client(console.url("/ws/console")) as other:
        lines = "".join(f'send console.greet {{"name": "{number}"}}\n' for number in range(300))
        done = await connect(lines)

        assert (done.status, done.lines) == (0, [])
        heard = [(await other.event("console.greeted"))["name"] for _ in range(300)]
    assert heard == [str(number) for number in range(300)]


async def test_data_is_sent_and_shown_as_it_was_written(connect: Connect) -> None:
    """Large numbers keep their digits, and what a terminal would obey is escaped."""
    done = await connect("console.evil\nconsole.burst 1\n")

    (event,) = [line for line in done.lines if line["type"] == "console.event"]
    assert event["data"]["text"] == "\x1b]0;owned\x07\x9b31m\u202e\x7f"


async def test_answer_that_does_not_come_in_time_is_an_error(connect: Connect) -> None:
    """With status 1."""
    done = await connect("console.slow 600\n", "--timeout", "3")

    assert done.answers == {1: "TIMEOUT"}
    assert done.status == 1


# who it is


async def test_token_is_taken_from_file_variable_or_option(connect: Connect, tmp_path: Path) -> None:
    """A file or an option wins over the variable."""
    (tmp_path / "token").write_text(make_token("filed") + "\n")
    variable = {"LINKD_TOKEN": make_token("named")}

    assert (await connect("console.me", "--token-file", str(tmp_path / "token"), env=variable)).answers == {1: "filed"}
    assert (await connect("console.me", "--token", make_token("given"), env=variable)).answers == {1: "given"}
    assert (await connect("console.me", env=variable)).answers == {1: "named"}


async def test_header_is_sent(connect: Connect) -> None:
    """In the opening handshake, like the bearer token in this one."""
    done = await connect("console.me", "--header", f"Authorization: Bearer {make_token('headed')}")

    assert done.answers == {1: "headed"}


# one clear sentence


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["127.0.0.1:3000/ws"], "does not begin with ws:// or wss://"),
        (
            ["ws://127.0.0.1:1/ws", "--timeout", "1"],
            "no connection within 1 s: ws://127.0.0.1:1/ws does not answer: nobody",
        ),
        (["ws://nowhere.invalid/ws", "--timeout", "1"], "no connection within 1 s"),
    ],
)
async def test_mistake_is_one_sentence(connect: Connect, options: list[str], says: str) -> None:
    """On standard error, with status 1, and never with what may be a secret."""
    url, *rest = options
    done = await connect("console.me", *rest, url=url)

    assert done.complaints.startswith("linkd: ")
    assert says in done.complaints
    assert done.complaints.count("\n") == 1
    assert (done.status, done.lines) == (1, [])


async def test_refused_token_is_one_sentence(connect: Connect, tmp_path: Path) -> None:
    """At once, and from a file as well, which is looked at once more."""
    token = make_token(ttl=-60)
    (tmp_path / "token").write_text(token)

    for options in (["--token", token], ["--token-file", str(tmp_path / "token")]):
        done = await connect("console.me", *options)
        assert done.complaints.startswith("linkd: the token is refused, or has ended: get another one")
        assert done.complaints.count("\n") == 1
        assert token not in done.complaints
        assert done.status == 1


async def test_service_that_wants_a_token_says_so(connect: Connect, console: Platform) -> None:
    """Calls without one are answered with 401, which says what to do."""
    done = await connect("members.me", url=console.url("/ws/members"))

    assert done.answers == {1: "UNAUTHORIZED"}
    assert done.status == 1


async def test_path_without_a_service_is_one_sentence(connect: Connect, console: Platform) -> None:
    """Whatever was to be sent."""
    done = await connect("console.me", "--timeout", "2", url=console.url("/ws/nope"))

    assert "no service has the path /ws/nope (404)" in done.complaints
    assert done.complaints.count("\n") == 1
    assert done.status == 1


async def test_service_that_is_away_is_one_sentence(connect: Connect, tmp_path: Path) -> None:
    """The gateway is there, and says so."""
    async with platform(tmp_path / "own", env={"LINKD_STARTUP_GRACE_MS": "60000"}) as own:
        done = await connect("console.me", "--timeout", "2", url=own.url("/ws/console"))

    says = "no connection within 2 s: no instance of the service behind /ws/console is running"
    assert done.complaints == f"linkd: {says}\n"
    assert done.status == 1


async def test_server_that_closes_for_good_ends_the_program(console: Platform, tmp_path: Path) -> None:
    """At once, though input goes on; its reason is printable."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pylinkd", "connect", console.url("/ws/console"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(console, tmp_path), cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"console.bye\n")
    async with asyncio.timeout(WAIT):
        status, complaints = await process.wait(), (await process.stderr.read()).decode()
    process.stdin.close()

    assert status == 1
    assert complaints == "linkd: the connection was closed for good (3999 enough\\u001b[31m)\n"


async def test_reader_that_leaves_ends_the_program(console: Platform, tmp_path: Path) -> None:
    """Quietly, as `| head -1` does."""
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pylinkd", "connect", console.url("/ws/console"),
        stdin=asyncio.subprocess.PIPE, stdout=writer, stderr=asyncio.subprocess.PIPE,
        env=environment(console, tmp_path), cwd=ROOT,
    )  # fmt: skip
    os.close(writer)
    os.close(reader)
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"console.me\n")
    async with asyncio.timeout(WAIT):
        status, complaints = await process.wait(), (await process.stderr.read()).decode()
    process.stdin.close()

    assert (status, complaints) == (1, "")
