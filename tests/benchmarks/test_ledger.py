"""The rules of a ledger: each has to find what breaks it, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.ledger_check import Verdict, check
from benchmarks.ledger_records import (
    Answer,
    Connection,
    Emission,
    Execution,
    HookRun,
    Interruption,
    Ledger,
    Period,
    Request,
)

A, B = 100, 200  # processes


def good() -> Ledger:
    """Two members of a room. The first asks three times, the second and third publish; both stay to the end."""
    asking = Connection("s1", "room", joined=1.1, settled=9.0, left=60.0, ended=60.1)
    asking.requests = {
        number: Request(float(number), [Answer(200, number + 0.1, A, number)]) for number in (1, 2, 3)
    }  # fmt: skip
    asking.received = {"s1": [2, 3]}
    listening = Connection("s2", "room", joined=1.0, settled=9.0, left=60.0, ended=60.1, received={"s1": [2, 3]})
    return Ledger(
        connections=[asking, listening],
        executions=[Execution("s1", number, A, number, number + 0.01, number + 0.09) for number in (1, 2, 3)],
        emissions=[Emission("room", "s1", number, number + 0.02, number + 0.05) for number in (2, 3)],
        hooks=[
            HookRun(hook, session, A, at, ended=at + 0.1)
            for session in ("s1", "s2")
            for hook, at in (("connect", 0.5), ("disconnect", 61.0))
        ],
        periods=[Period("none", 0.0, refuses=False), Period("kill", 2.5, refuses=True)],
    )


def kinds(ledger: Ledger) -> list[str]:
    """What is wrong with it."""
    return [kind for kinds in check(ledger).violations.values() for kind in kinds]


def excused(verdict: Verdict) -> dict[str, int]:
    """What is not wrong because of an interruption; there must be nothing else."""
    assert verdict.violations == {}
    return dict(verdict.excused)


def killed(ledger: Ledger, at: float) -> Ledger:
    """The first process was killed."""
    ledger.interruptions.append(Interruption(A, at))
    return ledger


def test_good_ledger_breaks_no_rule() -> None:
    """Everything was answered, executed and received once, in order."""
    verdict = check(good())

    assert excused(verdict) == {}
    assert verdict.answers == {"none": {200: 2}, "kill": {200: 1}}
    assert verdict.totals == {
        "connections": 2, "requests": 3, "executions": 3, "events": 2, "receipts": 4, "dropped": 0, "hooks": 4,
    }  # fmt: skip


def test_request_without_answer_is_found() -> None:
    """Its connection lived on for longer than anything takes."""
    ledger = good()
    ledger.connections[0].requests[2].answers.clear()

    assert kinds(ledger) == ["no answer"]


def test_request_of_a_client_that_left_needs_no_answer() -> None:
    """Nobody waits for it."""
    ledger = good()
    ledger.connections[0].requests[3].answers.clear()
    ledger.connections[0].left = 3.05

    assert kinds(ledger) == []


def test_finished_answer_that_an_orderly_close_overtakes_is_found() -> None:
    """Whoever is sent away with 1001 gets first what is due."""
    ledger = good()
    one = ledger.connections[0]
    one.requests[3].answers.clear()
    one.left, one.ended, one.code = None, 4.0, 1001

    assert kinds(ledger) == ["closed before the answer"]


def test_request_that_an_orderly_close_overtakes_before_it_began_is_no_loss() -> None:
    """It was not executed: the client can ask again."""
    ledger = good()
    one = ledger.connections[0]
    one.requests[4] = Request(3.99)
    one.left, one.ended, one.code = None, 4.0, 1001

    assert kinds(ledger) == []


def test_second_answer_is_found() -> None:
    """One request, one answer."""
    ledger = good()
    ledger.connections[0].requests[2].answers.append(Answer(503, 3.0))
    ledger.executions[1].ended = 2.09

    assert "answered twice" in kinds(ledger)


def test_success_without_execution_is_found() -> None:
    """Somebody answered for a service that did nothing."""
    ledger = good()
    del ledger.executions[0]

    assert kinds(ledger) == ["success without execution"]


def test_answer_of_another_request_is_found() -> None:
    """The answer names an execution that was another's."""
    ledger = good()
    ledger.connections[0].requests[1].answers = [Answer(200, 1.1, A, 3)]

    assert kinds(ledger) == ["another request's answer"]


@pytest.mark.parametrize("code", [408, 429, 500])
def test_other_errors_than_unavailable_are_found(code: int) -> None:
    """Nothing in a ledger run is refused, fails or takes long."""
    ledger = good()
    ledger.connections[0].requests[1].answers = [Answer(code, 1.1)]

    assert kinds(ledger) == ["unexpected error"]


@pytest.mark.parametrize("number", [2, 3])
def test_unavailable_that_was_not_executed_is_right_where_processes_die(number: int) -> None:
    """503 says that it may be repeated. The second was sent before the kill."""
    ledger = good()
    ledger.connections[0].requests[number].answers = [Answer(503, 3.1)]
    del ledger.executions[number - 1], ledger.emissions[number - 2]
    for member in ledger.connections:
        member.received["s1"].remove(number)

    assert kinds(ledger) == []


def test_unavailable_is_right_where_processes_died_meanwhile() -> None:
    """It was asked before, and the answer came when all was well again."""
    ledger = good()
    ledger.periods.append(Period("none", 3.2, refuses=False))
    ledger.connections[0].requests[2].answers = [Answer(503, 3.5)]
    del ledger.executions[1], ledger.emissions[0]
    for member in ledger.connections:
        member.received["s1"].remove(2)

    assert kinds(ledger) == []


def test_unavailable_without_reason_is_found() -> None:
    """Nothing happened that keeps a request from being executed."""
    ledger = good()
    ledger.connections[0].requests[1].answers = [Answer(503, 1.1)]
    del ledger.executions[0]

    assert kinds(ledger) == ["503 without reason"]


def test_unavailable_though_executed_is_found() -> None:
    """Whoever repeats it has it executed twice."""
    ledger = good()
    ledger.connections[0].requests[1].answers = [Answer(503, 1.1)]

    assert kinds(ledger) == ["503 though executed"]


@pytest.mark.parametrize(("at", "ended"), [(1.05, None), (1.4, 1.09)])
def test_unavailable_though_a_killed_process_executed_it_is_excused(at: float, ended: float | None) -> None:
    """It was killed in the middle, or right after the end, with the answer in its hands."""
    ledger = killed(good(), at)
    ledger.connections[0].requests[1].answers = [Answer(503, 1.5)]
    ledger.executions[0].ended = ended

    assert excused(check(ledger)) == {"503 though executed": 1}


@pytest.mark.parametrize("at", [0.9, 1.8])
def test_kill_before_or_long_after_an_execution_excuses_nothing(at: float) -> None:
    """What begins after the process slept, or was over long before, has to be right."""
    ledger = killed(good(), at)
    ledger.connections[0].requests[1].answers = [Answer(503, 1.5)]

    assert kinds(ledger) == ["503 though executed"]


def test_second_execution_is_found() -> None:
    """Whoever executed it, and whoever was killed."""
    ledger = killed(good(), 1.05)
    ledger.executions[0].ended = None
    ledger.executions.append(Execution("s1", 1, B, 1, 1.2, 1.3))

    assert "executed twice" in kinds(ledger)


def test_execution_that_nobody_asked_for_is_found() -> None:
    """No client sent it."""
    ledger = good()
    ledger.executions.append(Execution("s1", 4, A, 4, 4.0, 4.1))

    assert kinds(ledger) == ["never asked"]


def test_execution_without_end_is_found() -> None:
    """Nobody killed the process."""
    ledger = good()
    ledger.executions[2].ended = None

    assert kinds(ledger) == ["not finished"]


def test_later_request_that_is_executed_first_is_found() -> None:
    """The order of one session's requests, across processes."""
    ledger = good()
    ledger.executions[1] = Execution("s1", 2, B, 2, 3.2, 3.3)
    ledger.connections[0].requests[2].answers = [Answer(200, 3.4, B, 2)]

    assert kinds(ledger) == ["out of order"]


def test_requests_of_a_session_that_run_side_by_side_are_found() -> None:
    """One at a time, unless the first one's process was interrupted."""
    ledger = good()
    ledger.executions[0].ended = 2.05

    assert kinds(ledger) == ["side by side"]
    assert excused(check(killed(ledger, 1.05))) == {"side by side": 1}


def test_event_that_did_not_come_is_found() -> None:
    """It was confirmed, and the member stayed to the end."""
    ledger = good()
    ledger.connections[1].received = {"s1": [2]}

    assert kinds(ledger) == ["events lost"]


def test_event_that_was_reported_as_dropped_is_not_lost() -> None:
    """The member knows that one is missing; of two it knows one."""
    ledger = good()
    ledger.connections[1].received = {"s1": [2]}
    ledger.connections[1].dropped = 1
    assert kinds(ledger) == []

    ledger.connections[1].received = {}
    assert kinds(ledger) == ["events lost"]


def test_event_that_was_not_confirmed_may_be_missing() -> None:
    """Its publisher was killed and cannot have said that it was sent."""
    ledger = killed(good(), 3.03)
    ledger.emissions[1].confirmed = None
    ledger.executions[2].ended = None
    ledger.connections[0].requests[3].answers = [Answer(503, 3.2)]
    ledger.connections[0].received = ledger.connections[1].received = {"s1": [2]}

    assert excused(check(ledger)) == {"503 though executed": 1}


def test_member_whose_connection_ended_may_miss_the_last_but_none_before() -> None:
    """What was on its way is gone with the connection; a gap is a loss."""
    ledger = good()
    member = ledger.connections[1]
    member.settled = None
    member.received = {"s1": [2]}
    assert kinds(ledger) == []

    member.received = {"s1": [3]}
    assert kinds(ledger) == ["events lost"]


def test_member_misses_nothing_of_the_time_after_it_left() -> None:
    """Even if a later number of the same publisher came before: that is another violation."""
    ledger = good()
    member = ledger.connections[1]
    member.settled, member.left, member.received = None, 3.5, {"s1": [2, 3]}
    ledger.executions[0].begun, ledger.executions[0].ended = 5.0, 5.2
    ledger.emissions.append(Emission("room", "s1", 1, 5.0, 5.1))

    assert "events lost" not in kinds(dataclasses.replace(ledger, connections=[member]))


def test_member_gets_nothing_of_the_time_before_it_joined() -> None:
    """Only what is published while it is a member."""
    ledger = good()
    ledger.connections[1].joined = 2.5
    ledger.connections[1].received = {"s1": [3]}

    assert kinds(ledger) == []


@pytest.mark.parametrize(
    ("received", "kind"),
    [([2, 3, 3], "event twice"), ([3, 2], "event out of order"), ([2, 3, 7], "event of nobody")],
)
def test_event_twice_out_of_order_or_of_nobody_is_found(received: list[int], kind: str) -> None:
    """Members get what was published, once and in order."""
    ledger = good()
    ledger.connections[1].received = {"s1": received}

    assert kinds(ledger) == [kind]


@pytest.mark.parametrize("code", [None, 1006, 1011, 1013])
def test_connection_that_ends_without_reason_is_found(code: int | None) -> None:
    """Neither its client ended it, nor a gateway that stops."""
    ledger = good()
    one = ledger.connections[1]
    one.left, one.code = None, code

    assert kinds(ledger) == ["connection lost"]


def test_slow_reader_may_be_closed_as_slow() -> None:
    """1013 is what becomes of some of them."""
    ledger = good()
    one = ledger.connections[1]
    one.left, one.code, one.slow = None, 1013, True

    assert kinds(ledger) == []


@pytest.mark.parametrize("hook", ["connect", "disconnect"])
def test_hook_that_runs_twice_is_found(hook: str) -> None:
    """Once, unless the process of the first run was killed in it."""
    ledger = good()
    first = next(run for run in ledger.hooks if run.hook == hook)
    ledger.hooks.append(dataclasses.replace(first, instance=B, begun=first.begun + 0.2, ended=first.begun + 0.3))
    assert kinds(ledger) == [f"on_{hook} twice"]

    first.ended = None
    assert excused(check(killed(ledger, first.begun + 0.05))) == {f"on_{hook} twice": 1}


def test_missing_hooks_are_found() -> None:
    """What began ends; and nothing is executed for whom on_connect did not run."""
    ledger = good()
    ledger.hooks = [run for run in ledger.hooks if run.session != "s2" or run.hook != "disconnect"]
    assert kinds(ledger) == ["on_disconnect missing"]

    ledger = good()
    ledger.hooks = [run for run in ledger.hooks if run.session != "s1"]
    assert kinds(ledger) == ["on_connect missing"]


def test_end_before_the_last_execution_is_found() -> None:
    """on_disconnect comes last."""
    ledger = good()
    for run in ledger.hooks:
        if run.session == "s1" and run.hook == "disconnect":
            run.begun, run.ended = 3.05, 3.2

    assert kinds(ledger) == ["on_disconnect too early"]


def test_violation_belongs_to_the_fault_in_which_it_began() -> None:
    """The second request was sent before the kill, the third after it."""
    ledger = good()
    for number in (2, 3):
        ledger.connections[0].requests[number].answers = [Answer(500, number + 0.1)]

    violations = check(ledger).violations
    assert {fault: list(kinds) for fault, kinds in violations.items()} == {
        "none": ["unexpected error"], "kill": ["unexpected error"],
    }  # fmt: skip


def test_what_a_service_wrote_is_read_up_to_where_it_was_cut_off() -> None:
    """A process that is killed may leave half a line."""
    ledger = Ledger()
    lines = [
        '["connect",1,0.5,"s1",""]\n', '["hooked",1,0.6]\n', '["begin",2,1.0,"s1",1]\n',
        '["emit",2,1.1,"room","s1",1]\n', '["emitted",2,1.2]\n', '["end",2,1.3]\n', '["begin",3,1.4,"s1",2]\n', '["en',
    ]  # fmt: skip

    ledger.read(A, lines)

    assert ledger.hooks == [HookRun("connect", "s1", A, 0.5, "", 0.6)]
    assert ledger.executions == [Execution("s1", 1, A, 2, 1.0, 1.3), Execution("s1", 2, A, 3, 1.4)]
    assert ledger.emissions == [Emission("room", "s1", 1, 1.1, 1.2)]
