"""What a handler does wrong is its caller's answer, and nobody else's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.client import client, error_of
from tests.processes import Platform, Program, platform
from tests.services.faults import SECRET

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Platform, Program]]:
    """A gateway, and the process of the service ``faults``."""
    async with platform(tmp_path_factory.mktemp("p")) as running:
        yield running, await running.start_service("tests/services/faults.py")


@pytest.fixture(scope="module")
def faults(processes: tuple[Platform, Program]) -> Platform:
    """The gateway in front of ``faults``."""
    return processes[0]


ANSWERS = [
    ("faults.raises", 500, "INTERNAL_ERROR"),
    ("faults.raises_group", 500, "INTERNAL_ERROR"),
    ("faults.returns_object", 500, "INTERNAL_ERROR"),
    ("faults.returns_surrogate", 500, "INTERNAL_ERROR"),
    ("faults.returns_cycle", 500, "INTERNAL_ERROR"),
    ("faults.returns_too_much", 500, "INTERNAL_ERROR"),
    ("faults.emits_object", 500, "INTERNAL_ERROR"),
    ("faults.details_object", 500, "INTERNAL_ERROR"),
    ("faults.details_surrogate", 500, "INTERNAL_ERROR"),
    ("faults.details_cycle", 500, "INTERNAL_ERROR"),
    ("faults.message_surrogate", 500, "INTERNAL_ERROR"),
    ("faults.retry_never", 500, "INTERNAL_ERROR"),
    ("faults.cancels_itself", 500, "INTERNAL_ERROR"),
    ("faults.awaits_cancelled", 500, "INTERNAL_ERROR"),
    ("faults.raises_cancelled", 500, "INTERNAL_ERROR"),
    ("faults.hangs", 408, "TIMEOUT"),
]


@pytest.mark.parametrize("path", ["/ws/faults", "/ws"])
@pytest.mark.parametrize(("type", "code", "name"), ANSWERS)
async def test_faulty_handler_is_answered(faults: Platform, path: str, type: str, code: int, name: str) -> None:
    """Each fault has one answer, and the next messages of this and of another connection are handled."""
    async with client(faults.url(path)) as one, client(faults.url(path)) as other:
        answer = await one.request(type)

        assert error_of(answer) == (code, name)
        assert await one.ask("faults.fine") == "fine"
        assert await other.ask("faults.fine") == "fine"


@pytest.mark.parametrize("type", ["faults.raises", "faults.raises_group", "faults.cancels_itself"])
async def test_fault_is_found_in_the_log_by_its_id(processes: tuple[Platform, Program], type: str) -> None:
    """The answer has an errorId and nothing of the cause; the service's log has both."""
    running, service = processes
    async with client(running.url("/ws/faults")) as one:
        answer = await one.request(type)

    assert SECRET not in str(answer)
    error_id = answer["error"]["details"]["errorId"]
    (line,) = [line for line in service.logged("handler_failed") if line["error_id"] == error_id]
    assert line["type"] == type
    assert "Traceback" in line["exception"] or "CancelledError" in line["exception"]


async def test_error_of_the_handler_arrives_whole(faults: Platform) -> None:
    """Code, type, message, details and retryAfterMs are the handler's."""
    async with client(faults.url("/ws/faults")) as one:
        answer = await one.request("faults.refuses")

    assert answer["error"] == {
        "code": 409,
        "type": "ROOM_FULL",
        "message": "The room is full.",
        "details": {"size": 3},
        "retryAfterMs": 2000,
    }


async def test_fault_without_id_is_told_without_id(faults: Platform) -> None:
    """An error answers a message without id too, and has none itself."""
    async with client(faults.url("/ws/faults")) as one:
        await one.send({"type": "faults.raises"})
        answer = await one.receive()

    assert error_of(answer) == (500, "INTERNAL_ERROR")
    assert "id" not in answer


async def test_handler_that_hangs_is_stopped_at_its_timeout(faults: Platform) -> None:
    """408 comes about when the handler's time is up, not long before or after."""
    clock = asyncio.get_running_loop().time
    async with client(faults.url("/ws/faults")) as one:
        begun = clock()
        answer = await one.request("faults.hangs")

    assert error_of(answer) == (408, "TIMEOUT")
    assert 0.25 < clock() - begun < 2.0


async def test_handler_that_fails_while_it_is_stopped_gets_one_answer(faults: Platform) -> None:
    """An exception out of the cleanup after a timeout is still one answer, and no secret."""
    async with client(faults.url("/ws/faults")) as one:
        answer = await one.request("faults.hangs_and_fails")

        assert answer["error"]["code"] in (408, 500)
        assert SECRET not in str(answer)
        await one.send({"type": "faults.fine", "id": "next"})
        assert (await one.receive())["id"] == "next"


async def test_handler_that_swallows_its_cancellation_is_answered(faults: Platform) -> None:
    """The client gets 408, its next message is handled, and others never notice."""
    async with client(faults.url("/ws/faults")) as one, client(faults.url("/ws/faults")) as other:
        await one.send({"type": "faults.stubborn", "id": "stubborn"})
        assert await other.ask("faults.fine") == "fine"

        assert error_of(await one.answer("stubborn")) == (408, "TIMEOUT")
        assert await one.ask("faults.fine") == "fine"

        await other.ask("faults.release")
        assert await one.ask("faults.fine") == "fine"


async def test_pipelined_faults_are_answered_in_order(faults: Platform) -> None:
    """Messages that wait behind a fault are handled as if nothing had been."""
    types = [type for type, _, _ in ANSWERS if type != "faults.returns_too_much"] * 2
    async with client(faults.url("/ws/faults")) as one:
        for number, type in enumerate(types):
            await one.send({"type": type, "id": number})
            await one.send({"type": "faults.fine", "id": 1000 + number})
        order = [(await one.receive())["id"] for _ in range(2 * len(types))]

    assert order == [id for number in range(len(types)) for id in (number, 1000 + number)]


async def test_cancellations_do_not_reach_later_handlers(faults: Platform) -> None:
    """200 sessions whose handlers cancel themselves leave no cancellation behind for the next ones."""
    async with client(faults.url("/ws/faults")) as one:
        for number in range(200):
            await one.send({"type": "faults.cancels_itself", "id": 2 * number})
            await one.send({"type": "faults.fine", "id": 2 * number + 1})
        answers = [await one.receive() for _ in range(400)]

    assert [answer["type"] for answer in answers] == ["error", "response"] * 200
