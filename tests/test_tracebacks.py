"""Tracebacks on a terminal: the author's code, and nothing of what surrounds it or of what it holds."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from pylinkd import InternalError, Service, WsContext
from pylinkd.cli.logs import configure_logs
from pylinkd.cli.tracebacks import write_traceback
from pylinkd.line_writer import flush_log
from pylinkd.testing import run


def written(error: BaseException) -> str:
    """The traceback as a terminal gets it."""
    stream = io.StringIO()
    write_traceback(stream, (type(error), error, error.__traceback__))
    return stream.getvalue()


def caught(function: Any) -> BaseException:
    """What it raises."""
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def query_what_is_not_there() -> None:
    """Fail deep inside of a framework."""
    password = "hunter2"  # noqa: F841
    with sa.create_engine("sqlite://").connect() as connection:
        connection.execute(sa.text("SELECT * FROM missing"))


def test_frames_of_frameworks_and_variables_are_left_out() -> None:
    """What remains is where the author's code was, and the error."""
    text = written(caught(query_what_is_not_there))

    assert "query_what_is_not_there" in text
    assert 'connection.execute(sa.text("SELECT * FROM missing"))' in text
    assert "no such table: missing" in text
    assert "site-packages" not in text
    assert "password" not in text
    assert len(text.splitlines()) < 30


async def test_frames_of_pylinkd_are_left_out() -> None:
    """What lies around a handler says nothing about it."""
    service = Service("chat")

    @service.ws.on("fails")
    async def fails(ctx: WsContext) -> None:
        await ctx.send("event", object())

    async with run(service) as gateway:
        with pytest.raises(InternalError) as error:
            await (await gateway.connect()).send("fails")

    assert error.value.__cause__ is not None
    text = written(error.value.__cause__)
    assert "in fails" in text
    assert "cannot be encoded" in text
    assert "src/pylinkd" not in text


def test_causes_and_groups_are_shortened_too() -> None:
    """All of them are told."""

    def chained() -> None:
        try:
            query_what_is_not_there()
        except Exception as cause:
            raise ExceptionGroup("several", [ValueError("one"), cause]) from cause

    text = written(caught(chained))

    assert "ValueError: one" in text
    assert text.count("no such table: missing") >= 2
    assert "site-packages" not in text


def test_error_without_a_frame_of_the_authors_says_where_it_was_raised() -> None:
    """Better than nowhere."""
    text = written(_from_library())

    assert "File" in text
    assert "JSONDecodeError" in text


def _from_library() -> BaseException:
    error = caught(lambda: json.loads("{"))
    trace = error.__traceback__
    while trace is not None and "json" not in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return error.with_traceback(trace)


@pytest.mark.parametrize("format", ["console", "json"])
def test_logs_use_them_on_a_terminal_alone(format: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """JSON has every frame, as before."""
    before = structlog.get_config()
    try:
        configure_logs("info", format)
        structlog.get_logger().error("failed", exc_info=caught(query_what_is_not_there))
        flush_log()
    finally:
        structlog.configure(**before)

    text = capfd.readouterr().err
    assert "no such table: missing" in text
    assert ("site-packages" in text) == (format == "json")
    assert str(Path(__file__).name) in text
    assert "hunter2" not in text
