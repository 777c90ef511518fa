"""What a handler does wrong is its caller's answer, and nobody else's trouble."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.client import client, error_of
from tests.processes import Platform, Program, platform
from tests.services.faults import FATAL, SECRET

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.plain("the same code over TLS; what is in it is not about the transport"),
]


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
    ("faults.exits", 500, "INTERNAL_ERROR"),
    ("faults.group_of_one", 404, "NO_BOARD"),
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


# what no ``except Exception`` takes


@pytest.mark.parametrize("name", FATAL)
async def test_no_exception_ends_the_service(processes: tuple[Platform, Program], name: str) -> None:
    """Wherever it is raised: 500 with an id that the log has, and the same process goes on."""
    running, service = processes
    pid = service.process.pid
    ids: list[str] = []
    async with client(running.url("/ws/faults")) as one, running.http_client() as http:
        for _ in range(3):
            answer = await one.request("faults.fatal", name)
            assert error_of(answer) == (500, "INTERNAL_ERROR")
            ids.append(answer["error"]["details"]["errorId"])
        response = await http.get(f"/faults/{name}")
        assert response.status_code == 500
        ids.append(response.json()["error"]["details"]["errorId"])
        before = len(service.logged("handler_failed"))
        assert await one.ask("faults.emits", name) == 1
        await service.wait_logged("handler_failed", before + 1)

        assert await one.ask("faults.fine") == "fine"

    assert {line["error_id"] for line in service.logged("handler_failed")} >= set(ids)
    assert len(set(ids)) == 4
    assert (service.process.pid, service.process.returncode) == (pid, None)


@pytest.mark.parametrize("name", FATAL)
async def test_no_exception_of_a_session_hook_ends_the_service(processes: tuple[Platform, Program], name: str) -> None:
    """on_connect refuses the session with 500, on_disconnect is logged; others are served."""
    running, service = processes
    async with client(running.url(f"/ws/faults?on_connect={name}")) as refused:
        assert (await refused.closed())[0] == 1011
    before = len(service.logged("handler_failed"))
    async with client(running.url(f"/ws/faults?on_disconnect={name}")) as one:
        assert await one.ask("faults.fine") == "fine"

    await service.wait_logged("handler_failed", before + 1)
    async with client(running.url("/ws/faults")) as one:
        assert await one.ask("faults.fine") == "fine"


@pytest.mark.parametrize("how", ["group", "nested", "wait_for", "thread", "forgotten"])
async def test_exit_in_a_task_of_a_handler_ends_no_service(processes: tuple[Platform, Program], how: str) -> None:
    """500 where the handler awaits the task; the process goes on in any case."""
    running, service = processes
    async with client(running.url("/ws/faults")) as one:
        answer = await one.request("faults.exits_in_task", how)

        assert error_of(answer) == (500, "INTERNAL_ERROR")
        assert SECRET not in str(answer)
        assert await one.ask("faults.fine") == "fine"
    assert service.process.returncode is None


async def test_panics_leave_no_client_deaf(faults: Platform) -> None:
    """More of them at once than a client may have unanswered."""
    async with client(faults.url("/ws/faults")) as one:
        for number in range(200):
            await one.send({"type": "faults.fatal", "data": "panic", "id": number})
        answers = [await one.receive() for _ in range(200)]

        assert [(answer["id"], *error_of(answer)) for answer in answers] == [
            (number, 500, "INTERNAL_ERROR") for number in range(200)
        ]
        assert await one.ask("faults.fine") == "fine"


async def test_event_that_is_too_large_is_an_error_of_the_handler(processes: tuple[Platform, Program]) -> None:
    """One that it may catch; else 500, since the client's own message was not too large."""
    running, service = processes
    async with client(running.url("/ws/faults")) as one:
        assert await one.ask("faults.emits_too_much", True) == {"code": 413, "details": {"limit": 16 * 2**20}}

        answer = await one.request("faults.emits_too_much", False)

    assert error_of(answer) == (500, "INTERNAL_ERROR")
    (line,) = [
        line
        for line in service.logged("handler_failed")
        if line.get("error_id") == answer["error"]["details"]["errorId"]
    ]
    assert line["target"] == "emit faults.event"


async def test_answer_that_is_too_large_is_named_in_the_log(processes: tuple[Platform, Program]) -> None:
    """With its limit."""
    running, service = processes
    async with client(running.url("/ws/faults")) as one:
        answer = await one.request("faults.returns_too_much")

    assert error_of(answer) == (500, "INTERNAL_ERROR")
    lines = service.logged("answer_too_large")
    assert answer["error"]["details"]["errorId"] in [line["error_id"] for line in lines]
    assert {line["limit"] for line in lines} == {16 * 2**20}


# calls that come back


NESTED = "tests/services/nested.py"


@pytest.mark.parametrize(
    "way", [["nested"], ["nested"] * 4, ["other", "nested"], ["other", "nested", "other", "nested"]]
)
async def test_calls_that_come_back_are_answered_at_full_max_concurrent(tmp_path: Path, way: list[str]) -> None:
    """Directly, and over another service that is as busy: more handlers wait for calls than may run at once."""
    async with platform(tmp_path, NESTED, f"{NESTED}:other") as running, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(running.url("/ws/nested"))) for _ in range(12)]
        answers = await asyncio.gather(*(one.ask("nested.ask", way) for one in clients))

    assert answers == [len(way)] * 12


async def test_client_that_sets_off_too_much_is_not_answered_as_if_nothing_was_done(tmp_path: Path) -> None:
    """The handler did its work and then emitted beyond the rate: 500, never 429 and never retryAfterMs."""
    env = {"LINKD_LIMITS": "enforce", "LINKD_BROADCAST_RATE": "1/1h"}
    async with platform(tmp_path, NESTED, env=env) as running, client(running.url("/ws/nested")) as one:
        assert await one.ask("nested.book") == 1
        answer = await one.request("nested.book")

        assert error_of(answer) == (500, "INTERNAL_ERROR")
        assert "retryAfterMs" not in answer["error"]
        assert await one.ask("nested.booked") == 2
        line = await running.programs[-1].wait_logged("handler_failed")
        assert (line["target"], line["error_id"]) == ("emit nested.booked", answer["error"]["details"]["errorId"])


async def test_failed_call_names_its_target_in_the_log(tmp_path: Path) -> None:
    """Whose action it was, where the handler passes the error on."""
    async with platform(tmp_path, NESTED) as running, client(running.url("/ws/nested")) as one:
        answer = await one.request("nested.ask", ["nobody"])

        assert error_of(answer) == (500, "INTERNAL_ERROR")
        line = await running.programs[-1].wait_logged("handler_failed")
        assert (line["target"], line["error_id"]) == ("call nobody.down", answer["error"]["details"]["errorId"])
