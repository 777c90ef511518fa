"""``linkd connect`` at a prompt: what a person sees and types in a terminal, with a real gateway and service."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.processes import ROOT, Platform, make_token, platform
from tests.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal, terminal

from .client import client
from .connect_helpers import environment

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.plain("the same code over TLS; what is in it is not about the transport"),
]

Open = Callable[..., AbstractAsyncContextManager[Terminal]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``console``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/console.py") as running:
        yield running


@pytest.fixture
def opened(console: Platform, tmp_path: Path) -> Open:
    """Starts ``linkd connect`` in a terminal, and waits until it is connected."""

    @contextlib.asynccontextmanager
    async def run(*options: str, path: str = "/ws/console", of: Platform = console) -> AsyncIterator[Terminal]:
        command = [sys.executable, "-m", "pylinkd", "connect", of.url(path), *options]
        async with terminal(*command, env=environment(of, tmp_path), cwd=ROOT) as shown:
            await shown.shows("connected to ")
            await shown.has_line("^>")
            yield shown

    return run


async def test_call_shows_its_answer(opened: Open) -> None:
    """With its type, and how long it took."""
    async with opened() as shown:
        shown.enter('console.greet {"name": "Ada"}')

        await shown.shows(r'< console\.greet "Hello, Ada!"  [\d,.]+ ms')


async def test_errors_are_sentences(opened: Open) -> None:
    """Of the service, of the gateway, and of what was typed."""
    async with opened() as shown:
        shown.enter("console.gret")
        await shown.shows(r"! console\.gret: 404 UNKNOWN_MESSAGE_TYPE  No service handles messages of this type\.")
        shown.enter("console.greet {name: 1}")
        await shown.shows(r"! what follows console\.greet is no JSON: object keys must be strings")
        shown.enter('send console.greet "Ada"')
        await shown.shows(r"! \(send\): 422 VALIDATION_ERROR")
        shown.enter(".nothing")
        await shown.shows(r"! there is no \.nothing; \.help shows what there is")


async def test_events_leave_what_is_typed_alone(opened: Open, console: Platform) -> None:
    """They come above the prompt, while a message is being written."""
    async with opened() as shown, client(console.url("/ws/console")) as other:
        shown.type('console.greet {"na')
        await shown.has_line(r'^> console\.greet \{"na$')
        await other.ask("console.greet", {"name": "Eve"})
        await shown.shows(r'\* console\.greeted \{"name": "Eve"\}')

        await shown.has_line(r'^> console\.greet \{"na$')
        shown.enter('me": "Ada"}')
        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_message_without_an_answer_is_sent(opened: Open, console: Platform) -> None:
    """It reaches the service, and nothing is shown for it."""
    async with opened() as shown, client(console.url("/ws/console")) as other:
        shown.enter('send console.greet {"name": "Ada"}')

        assert await other.event("console.greeted") == {"name": "Ada"}
        assert "<" not in shown.text


async def test_control_characters_are_shown_as_escapes(opened: Open) -> None:
    """A server can neither colour nor hide anything, nor set the title of the window."""
    async with opened() as shown:
        shown.enter("console.evil")

        await shown.shows(r'\{"text": "\\u001b\]0;owned\\u0007\\u009b31m\\u202e\\u007f"\}')
        assert "owned" not in shown.title
        assert b"\x1b]0;" not in shown.raw
        assert "\u202e".encode() not in shown.raw
        assert "\x9b".encode() not in shown.raw


async def test_json_goes_on_over_several_lines(opened: Open) -> None:
    """Enter begins another line while a bracket is open, and so does Alt+Enter wherever it is."""
    async with opened() as shown:
        shown.enter("console.greet {")
        shown.type('"name":' + ALT_ENTER)
        shown.enter('"Ada"}')

        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_empty_line_ends_json_that_is_wrong(opened: Open) -> None:
    """What is wrong with it is said."""
    async with opened() as shown:
        shown.enter('console.greet {"name": "Ada"')
        await shown.has_line("^  $|^$")
        shown.type(ENTER)

        await shown.shows("! what follows console.greet is no JSON: Input data was truncated")


async def test_ctrl_c_gives_up_a_call_and_then_clears_the_line(opened: Open) -> None:
    """What is typed meanwhile stays; a second one clears it; the program goes on."""
    async with opened() as shown:
        shown.enter("console.slow 600")
        await shown.shows("waiting for console.slow, Ctrl\\+C gives it up")
        shown.type("console.gre")
        await shown.has_line("^> console.gre")
        shown.type(CTRL_C)
        await shown.shows("- console.slow is given up")
        await shown.has_line("^> console.gre")
        shown.type(CTRL_C)
        await shown.has_line("^>$")

        shown.enter('console.greet {"name": "Ada"}')
        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_calls_do_not_wait_for_each_other(opened: Open) -> None:
    """The answer of the second may come first."""
    async with opened() as shown:
        shown.enter("console.slow 600")
        await shown.shows("waiting for console.slow")
        shown.enter('console.greet {"name": "Ada"}')

        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_ctrl_d_leaves(opened: Open) -> None:
    """With status 0, whatever has no answer."""
    async with opened() as shown:
        shown.enter("console.slow 600")
        await shown.shows("waiting for console.slow")
        shown.type(CTRL_D)

        assert await shown.ended() == 0


async def test_message_that_was_just_sent_has_come_when_one_leaves(opened: Open, console: Platform) -> None:
    """Nobody is frightened by an error about it."""
    async with opened() as shown, client(console.url("/ws/console")) as other:
        shown.enter('send console.greet {"name": "Last"}')
        shown.type(CTRL_D)

        assert await shown.ended() == 0
        assert await other.event("console.greeted") == {"name": "Last"}
        assert "!" not in shown.text


async def test_tab_completes_types_that_were_seen_and_commands(opened: Open) -> None:
    """A type of an answered message, an event's, a command, and a room's name behind it."""
    async with opened() as shown:
        shown.enter('console.join "lobby-1"')
        await shown.shows("< console.join")
        shown.type("console.j" + TAB)
        await shown.has_line("^> console.join")
        shown.type(CTRL_C)
        await shown.has_line("^>$")
        shown.enter('console.say {"room": "lobby-1", "text": "hi"}')
        await shown.shows(r'\* console\.said \{"text": "hi"\}  lobby-1 1')
        shown.type(".pres" + TAB)
        await shown.has_line(r"^> \.presence")
        shown.type("lob" + TAB)
        await shown.has_line(r"^> \.presence lobby-1")


async def test_what_was_typed_is_there_the_next_time(opened: Open, tmp_path: Path) -> None:
    """In a file that only its owner may read, without what began with a blank. The first time it is said where."""
    async with opened() as shown:
        await shown.shows("what you type is kept in\\b")
        shown.enter('console.greet {"name": "Ada"}')
        await shown.shows("< console.greet")
        shown.enter(' console.greet {"name": "Secret"}')
        await shown.shows("Hello, Secret!")
        shown.enter(".quit")
        assert await shown.ended() == 0
    kept = tmp_path / "state/linkd/connect_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert "Secret" not in kept.read_text()

    async with opened() as shown:
        shown.type(UP + UP)
        await shown.has_line(r'^> console\.greet \{"name": "Ada"\}')
        assert "is kept in" not in shown.text


async def test_nothing_is_kept_where_that_is_asked_for(opened: Open, tmp_path: Path) -> None:
    """No file is made."""
    async with opened("--no-history") as shown:
        shown.enter("console.me")
        await shown.shows("< console.me null")

    assert not (tmp_path / "state").exists()


async def test_history_that_cannot_be_written_stops_nothing(opened: Open, tmp_path: Path) -> None:
    """It is said, and the rest goes on."""
    (tmp_path / "state").write_text("no folder")

    async with opened() as shown:
        await shown.shows("! what you type is not kept")
        shown.enter("console.me")
        await shown.shows("< console.me null")


async def test_rooms_show_presence_and_history(opened: Open, console: Platform) -> None:
    """Who comes and goes, who is there, and what was said before."""
    async with opened() as shown, client(console.url("/ws/console", make_token("u-9", name="Una"))) as other:
        shown.enter(".room lobby-2")
        await shown.shows("watching lobby-2: nothing is said of it until the service joins this session to it")
        shown.enter('console.join "lobby-2"')
        await shown.shows(r"\+ lobby-2  .* came; 1 is there")
        await other.ask("console.join", "lobby-2")
        await shown.shows(r"\+ lobby-2  Una \(u-9\) came; 2 are there")
        await other.ask("console.say", {"room": "lobby-2", "text": "hi"})
        await shown.shows(r'\* console\.said \{"text": "hi"\}  lobby-2 1')
        shown.enter(".presence lobby-2")
        await shown.shows(r"\+   Una \(u-9\)  online")
        shown.enter(".history lobby-2")
        await shown.shows(r'\* console\.said \{"text": "hi"\}  offset 1')
        shown.enter(".leave lobby-2")
        await shown.shows("- lobby-2 is not watched any more")
        shown.enter(".presence lobby-3")
        await shown.shows("! .presence: 404 NOT_FOUND")


async def test_help_names_every_command(opened: Open) -> None:
    """In a few lines."""
    async with opened() as shown:
        shown.enter(".help")
        await shown.shows(r"Ctrl\+D leaves")

        for name in ("room", "leave", "presence", "history", "state", "help", "quit"):
            assert f".{name}" in shown.text


async def test_flood_of_events_does_not_stop_the_prompt(opened: Open) -> None:
    """What cannot be shown in time is counted, the answer behind it is shown, and typing goes on."""
    async with opened() as shown:
        shown.enter("console.burst 5000")
        await shown.shows(r"< console\.burst 5000")

        shown.enter('console.greet {"name": "Ada"}')
        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_server_that_closes_for_good_ends_the_program(opened: Open) -> None:
    """With its code and reason, printable, and status 1."""
    async with opened() as shown:
        shown.enter("console.bye")

        await shown.shows(r"linkd: the connection was closed for good \(3999 enough\\u001b\[31m\)")
        assert await shown.ended() == 1


async def test_break_and_return_are_said(opened: Open, tmp_path: Path) -> None:
    """What is typed meanwhile waits, and a session that could not be kept is said to be lost."""
    async with platform(tmp_path / "own", "tests/services/console.py") as own, opened(of=own) as shown:
        await own.gateway.kill()
        await shown.shows("! the connection is lost")
        shown.enter('console.greet {"name": "Ada"}')
        await shown.shows("waiting for console.greet")
        shown.enter(".state")
        await shown.shows("- (waiting|connecting): ")
        await own.start_gateway()

        await shown.shows("! the session is lost, and what was sent to it: the gateway does not know it any more")
        await shown.shows("- connected again, in a new session")
        await shown.shows(r'< console\.greet "Hello, Ada!"')


async def test_terminal_is_left_as_it_was(opened: Open) -> None:
    """The cursor shows, and lines are echoed again."""
    async with opened() as shown:
        shown.type(CTRL_D)
        assert await shown.ended() == 0

        assert shown.raw.rfind(b"\x1b[?25h") > shown.raw.rfind(b"\x1b[?25l")
        assert shown.raw.count(b"\x1b[?2004h") == shown.raw.count(b"\x1b[?2004l"), "bracketed paste is off"


async def test_signal_is_like_ctrl_c(opened: Open) -> None:
    """It gives up a call, and does not end the program."""
    async with opened() as shown:
        shown.enter("console.slow 600")
        await shown.shows("waiting for console.slow")
        os.kill(shown.process.pid, 2)
        await shown.shows("- console.slow is given up")
        shown.type("console.me" + ENTER)
        await shown.shows("< console.me null")
