"""Whoever logs neither waits for a reader nor fails, and what is lost is counted and said."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pylinkd.line_writer import LineWriter

WAIT = 10.0


def describe(count: int) -> str:
    """The line about what is missing."""
    return f"lost {count}"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its reading and its writing end; a test may close the first."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, os.dup(writing)
    os.close(writing)


def read_lines(reading: int, last: str) -> list[str]:
    """What comes, up to a line."""
    found = b""
    while not found.endswith(f"{last}\n".encode()):
        found += os.read(reading, 65536)
    return found.decode().splitlines()


def read_some_lines(reading: int) -> list[str]:
    """What is there, and the rest of the last line."""
    found = os.read(reading, 65536)
    while not found.endswith(b"\n"):
        found += os.read(reading, 65536)
    return found.decode().splitlines()


def until_lost(writer: LineWriter, count: int) -> None:
    """Wait until so many lines are counted."""
    deadline = time.monotonic() + WAIT
    while writer.lost < count:
        assert time.monotonic() < deadline, writer.lost
        time.sleep(0.005)


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    """All of them, once they are waited for."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe)

    for number in range(10_000):
        writer.write(f"{number} \ud800")
    writer.close()

    assert file.read_text().splitlines() == [f"{number} \\ud800" for number in range(10_000)]
    assert writer.lost == 0


def test_file_is_written_at_once(tmp_path: Path) -> None:
    """So that a process that is killed has logged what it did."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe)

    for number in range(3):
        writer.write(f"{number}")
        assert file.read_text().splitlines()[-1] == f"{number}"


def test_disk_that_fills_up_is_said_with_the_next_line(tmp_path: Path) -> None:
    """A line that was written in part is ended first."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        for _ in range(4):
            writer.write("123456")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert writer.lost == 3

    writer.write("last")

    assert file.read_text() == "123456\n123\nlost 3\nlast\n"


def test_slow_reader_makes_nobody_wait(pipe: tuple[int, int]) -> None:
    """A bounded number of lines waits; the others are counted, and said when the reader reads on."""
    reading, writing = pipe
    writer = LineWriter(writing, describe, most_waiting=10_000)

    begun = time.monotonic()
    for number in range(2_000):
        writer.write(f"{number:09}")
    assert time.monotonic() - begun < 5
    assert not writer.flush(0.05)

    lost = writer.lost
    assert 0 < lost < 2_000
    # Which are lost depends on when the writer's thread began; each is either there, in order, or counted.
    numbers: list[str] = []
    said = 0
    while said < lost or len(numbers) < 2_000 - lost:
        for line in read_some_lines(reading):
            if line.startswith("lost "):
                said += int(line.removeprefix("lost "))
            else:
                numbers.append(line)
    assert (said, len(numbers)) == (lost, 2_000 - lost)
    assert numbers == sorted(set(numbers))
    writer.write("last")
    assert read_lines(reading, "last") == ["last"]
    writer.close()
    os.close(reading)


def test_line_that_is_large_is_written(tmp_path: Path) -> None:
    """Whatever its size."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe, most_waiting=1000)
    writer.write("x" * 2_000_000)
    writer.close()

    assert len(file.read_text()) == 2_000_001


def test_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    """Each is counted."""
    reading, writing = pipe
    os.close(reading)
    writer = LineWriter(writing, describe)

    for _ in range(100):
        writer.write("line")

    until_lost(writer, 100)
    writer.close()


def test_full_disk_is_said_once_there_is_room(tmp_path: Path) -> None:
    """Without waiting for the next line; the count is of what is missing at that place."""
    writer = LineWriter(os.open("/dev/full", os.O_WRONLY), describe)
    for _ in range(3):
        writer.write("line")
    until_lost(writer, 3)
    file = tmp_path / "log"

    writer.replace(os.open(file, os.O_WRONLY | os.O_CREAT))
    deadline = time.monotonic() + WAIT
    while not file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    writer.write("line")
    writer.close()

    assert file.read_text() == "lost 3\nline\n"


def test_descriptor_of_others_may_not_block(pipe: tuple[int, int]) -> None:
    """Another process may have set O_NONBLOCK on the file that both write to."""
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = LineWriter(writing, describe)
    for number in range(2_000):
        writer.write(f"{number:09}")

    assert read_lines(reading, "000001999") == [f"{number:09}" for number in range(2_000)]
    assert writer.lost == 0
    writer.close()
    os.close(reading)


def test_nowhere_to_write_to_counts() -> None:
    """A process may be started without standard error."""
    writer = LineWriter(None, describe)

    writer.write("line")
    writer.close()

    assert writer.lost == 1


def test_rotated_file_is_written_on(tmp_path: Path) -> None:
    """What came before the rotation stands in the old file."""
    file, old = tmp_path / "log", tmp_path / "log.1"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe)
    writer.write("one")
    assert writer.flush()

    file.rename(old)
    writer.replace(os.open(file, os.O_WRONLY | os.O_CREAT))
    writer.write("two")
    writer.close()

    assert (old.read_text(), file.read_text()) == ("one\n", "two\n")


def test_closed_writer_loses_lines(tmp_path: Path) -> None:
    """And says so by its count; one that finished writes them at once."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT), describe)
    writer.finish()
    writer.write("late")
    assert file.read_text() == "late\n"

    other = LineWriter(os.open(file, os.O_WRONLY | os.O_APPEND), describe)
    other.close()
    other.write("too late")

    assert (other.lost, file.read_text()) == (1, "late\n")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_process_writes_by_itself(tmp_path: Path) -> None:
    """It has no thread of its parent, and lines of the parent are not written twice."""
    file = tmp_path / "log"
    writer = LineWriter(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), describe)
    writer.write("parent")
    assert writer.flush()

    child = os.fork()
    if child == 0:
        writer.write("child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    writer.write("parent")
    writer.close()

    assert file.read_text() == "parent\nchild\nparent\n"
