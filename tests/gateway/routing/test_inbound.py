"""A client's message on its way to a service, and the answer on its way back."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pylinkd.gateway.core.session import Session
from pylinkd.gateway.routing.claims import EVERY_SERVICE
from pylinkd.protocol.envelope import MSGPACK
from pylinkd.protocol.errors import ConflictError, NotFoundError, ValidationError
from pylinkd.protocol.link_pb2 import Frame, Handler

from ..doubles import connection_of
from .rig import Process, Rig, registration


@pytest.fixture
async def rig() -> Rig:
    """With a window of four messages."""
    return Rig(window=4)


def joined(rig: Rig, process: Process, id: str = "s-1", path: str = "/ws/chat") -> Session:
    """A session that the service knows."""
    session = rig.open(id, path=path)
    process.open_all()
    return session


async def test_message_and_answer_pass_untouched(rig: Rig) -> None:
    """The service gets the client's bytes, the client the service's, with its own id."""
    process = rig.start()
    session = joined(rig, process)

    rig.send(session, id="c-17", data={"x": [1, "ü"]})
    question = process.take("inbound")
    process.answer(question, b'{"ok":true}')

    assert (question.inbound.session, question.inbound.type) == ("s-1", "chat.send")
    assert question.inbound.data == '{"x":[1,"ü"]}'.encode()
    assert rig.heard(session) == [{"type": "response", "id": "c-17", "data": {"ok": True}}]
    assert session.in_flight == 0


async def test_answers_may_come_in_any_order(rig: Rig) -> None:
    """Each finds its message."""
    process = rig.start()
    session = joined(rig, process)
    for number in range(3):
        rig.send(session, id=number)
    questions = [process.take("inbound") for _ in range(3)]

    for number in (2, 0, 1):
        process.answer(questions[number], b"%d" % (number * 10))

    assert [(answer["id"], answer["data"]) for answer in rig.heard(session)] == [(2, 20), (0, 0), (1, 10)]


async def test_error_is_the_answer(rig: Rig) -> None:
    """With everything that the handler put into it."""
    process = rig.start()
    session = joined(rig, process)
    rig.send(session, id=1)

    process.fail(process.take("inbound"), ValidationError("Odd.", details={"field": "x"}, retry_after=1.0))

    assert rig.heard(session)[0]["error"] == {
        "code": 422, "type": "VALIDATION_ERROR", "message": "Odd.", "details": {"field": "x"}, "retryAfterMs": 1000,
    }  # fmt: skip


async def test_message_without_id_is_not_answered_unless_it_fails(rig: Rig) -> None:
    """Success is silent, an error is told without an id."""
    process = rig.start()
    session = joined(rig, process)
    rig.send(session)
    rig.send(session)

    process.answer(process.take("inbound"), b"1")
    process.fail(process.take("inbound"), ConflictError())

    (error,) = rig.heard(session)
    assert (error["type"], "id" in error) == ("error", False)
    assert session.in_flight == 0


async def test_answer_that_comes_twice_counts_once(rig: Rig) -> None:
    """A faulty service neither answers twice nor frees the window twice."""
    process = rig.start()
    session = joined(rig, process)
    rig.send(session, id=1)
    question = process.take("inbound")

    process.answer(question)
    process.answer(question)
    process.fail(question, NotFoundError())

    assert len(rig.heard(session)) == 1
    assert session.in_flight == 0


async def test_error_that_a_codec_cannot_tell_is_an_answer_all_the_same(rig: Rig) -> None:
    """A number over 64 bit in its details: the client hears of the error, and its window is whole."""
    process = rig.start()
    session = rig.open("s-1", codec=MSGPACK)
    process.open_all()
    rig.send(session, id=1)

    process.fail(process.take("inbound"), ConflictError(details={"n": 2**70}))

    assert rig.heard(session)[0]["id"] == 1
    assert session.in_flight == 0
    assert process.kinds() == []


# errors of the gateway's own


async def test_unknown_type_is_told(rig: Rig) -> None:
    """With the type, and without asking the service."""
    process = rig.start()
    session = joined(rig, process)

    rig.send(session, "chat.typo", 1)

    error = rig.heard(session)[0]["error"]
    assert (error["type"], error["details"]) == ("UNKNOWN_MESSAGE_TYPE", {"type": "chat.typo"})
    assert process.kinds() == []


async def test_unknown_type_on_the_shared_path_is_told(rig: Rig) -> None:
    """Nobody registered it."""
    process = rig.start()
    session = joined(rig, process, path="/ws")

    rig.send(session, "game.move", 1)

    assert rig.heard(session)[0]["error"]["type"] == "UNKNOWN_MESSAGE_TYPE"


async def test_type_of_another_service_is_unknown_on_a_services_path(rig: Rig) -> None:
    """/ws/chat reaches the chat alone."""
    process = rig.start()
    rig.start("game", types=["game.move"])
    session = joined(rig, process)

    rig.send(session, "game.move", 1)

    assert rig.heard(session)[0]["error"]["type"] == "UNKNOWN_MESSAGE_TYPE"


@pytest.mark.parametrize("path", ["/ws/chat", "/ws"])
async def test_service_that_is_away_is_unavailable(rig: Rig, path: str) -> None:
    """503, not 404: its types come back with it."""
    process = rig.start()
    session = joined(rig, process, path=path)
    process.die()

    rig.send(session, id=1)

    error = rig.heard(session)[0]["error"]
    assert (error["code"], error["retryAfterMs"] > 0) == (503, True)


async def test_lost_link_fails_what_was_under_way(rig: Rig) -> None:
    """503 for each, once, and the window is whole again."""
    process = rig.start()
    session = joined(rig, process)
    for number in range(3):
        rig.send(session, id=number)

    process.die()

    assert [(answer["id"], answer["error"]["code"]) for answer in rig.heard(session)] == [(0, 503), (1, 503), (2, 503)]
    assert session.in_flight == 0


async def test_frame_that_is_too_large_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link stays, and the message has its answer."""
    process = rig.start()
    session = joined(rig, process)
    monkeypatch.setattr("pylinkd.protocol.link.MAX_FRAME_SIZE", 100)

    with structlog.testing.capture_logs():
        rig.send(session, id=1, data="x" * 200)

    assert rig.heard(session)[0]["error"]["code"] == 500
    assert session.in_flight == 0
    rig.send(session, id=2)
    assert process.kinds() == ["inbound"]


async def test_answer_to_a_session_that_ended_harms_nobody(rig: Rig) -> None:
    """It is dropped; the end was told after the message."""
    process = rig.start()
    session = joined(rig, process)
    rig.send(session, id=1)
    rig.end(session)
    assert process.kinds() == ["inbound", "session_closed"]

    process.answer(process.take("inbound"))

    assert session.in_flight == 0


# back pressure


async def test_full_window_stops_reading(rig: Rig) -> None:
    """At the window, and until half of it is answered."""
    process = rig.start()
    session = joined(rig, process)
    connection = connection_of(session)

    for number in range(4):
        assert connection.reading
        rig.send(session, id=number)
    assert not connection.reading
    process.answer(process.take("inbound"))
    assert not connection.reading
    process.answer(process.take("inbound"))

    assert connection.reading


@pytest.mark.parametrize("window", [1, 2, 3, 5])
async def test_every_window_opens_again(window: int) -> None:
    """Odd ones and the smallest too, even if messages that were read already exceed it."""
    rig = Rig(window=window)
    process = rig.start()
    session = joined(rig, process)
    for number in range(window + 3):
        rig.send(session, id=number)
    assert not connection_of(session).reading

    while process.kinds():
        process.answer(process.take("inbound"))

    assert connection_of(session).reading


async def test_congested_link_stops_reading_from_its_clients() -> None:
    """From whoever sends while it is; all are read from again once it has caught up."""
    rig = Rig(window=64, link_window=4)
    process = rig.start()
    sessions = [joined(rig, process, f"s-{number}") for number in range(3)]

    for session in sessions[:2] * 2:
        rig.send(session, id=1)
    assert [connection_of(session).reading for session in sessions] == [True, False, True]
    process.answer(process.take("inbound"))
    assert not connection_of(sessions[1]).reading
    process.answer(process.take("inbound"))

    assert [connection_of(session).reading for session in sessions] == [True, True, True]


async def test_slow_socket_of_a_link_stops_reading_too() -> None:
    """The kernel takes no more: clients wait until it does."""
    rig = Rig(window=64)
    process = rig.start()
    session = joined(rig, process)
    process.link.pause_writing()

    rig.send(session, id=1)
    assert not connection_of(session).reading
    process.link.resume_writing()

    assert connection_of(session).reading


@pytest.mark.parametrize("slow", [True, False])
async def test_lost_link_releases_who_was_held(slow: bool) -> None:
    """Nobody waits for a process that is gone."""
    rig = Rig(window=64, link_window=2)
    process = rig.start()
    sessions = [joined(rig, process, f"s-{number}") for number in range(2)]
    if slow:
        process.link.pause_writing()
    for session in sessions * 2:
        rig.send(session, id=1)
    assert not connection_of(sessions[1]).reading

    process.die()

    assert all(connection_of(session).reading for session in sessions)


async def test_held_session_that_ends_is_forgotten() -> None:
    """Releasing it later harms nobody."""
    rig = Rig(window=64, link_window=1)
    process = rig.start()
    session = joined(rig, process)
    rig.send(session, id=1)
    rig.end(session)

    process.answer(process.take("inbound"))

    assert session.connection is None


# waiting for an instance

PARK = 10.0


async def test_message_waits_for_the_next_instance() -> None:
    """In the order they came, after the session was adopted; the client notices nothing."""
    rig = Rig(park=PARK)
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    first.die()

    for number in range(3):
        rig.send(session, id=number)
    heard_meanwhile = rig.heard(session)
    second = rig.start()

    assert heard_meanwhile == []
    assert second.kinds() == ["session_opened", "inbound", "inbound", "inbound"]
    second.open_all()
    for _ in range(3):
        second.answer(second.take("inbound"))
    assert [answer["id"] for answer in rig.heard(session)] == [0, 1, 2]
    assert session.in_flight == 0


def left_alone(rig: Rig) -> Session:
    """A session that its service knew, whose only instance is gone."""
    process = rig.start()
    session = rig.open("s-1")
    process.open_all()
    process.die()
    return session


async def test_message_that_waited_too_long_is_answered() -> None:
    """503 with retryAfterMs; later ones get it at once while the service stays away."""
    rig = Rig(park=PARK)
    session = left_alone(rig)
    rig.send(session, id=1)
    rig.timers.pass_(PARK / 2)
    rig.send(session, id=2)

    rig.timers.pass_(PARK / 2)
    first = rig.heard(session)
    rig.send(session, id=3)

    assert [(answer["id"], answer["error"]["code"]) for answer in first] == [(1, 503)]
    assert first[0]["error"]["retryAfterMs"] > 0
    assert [answer["id"] for answer in rig.heard(session)] == [1, 3]
    rig.timers.pass_(PARK / 2)
    assert [answer["id"] for answer in rig.heard(session)] == [1, 3, 2]
    assert session.in_flight == 0


@pytest.mark.parametrize(("messages", "data"), [(5, None), (2, "x" * 400)], ids=["number", "bytes"])
async def test_waiting_is_bounded(messages: int, data: str | None) -> None:
    """In number and in bytes: what is too much is answered at once."""
    rig = Rig(park=PARK, window=100)
    session = left_alone(rig)

    for number in range(messages + 1):
        rig.send(session, id=number, data=data)

    assert [answer["id"] for answer in rig.heard(session)] == [messages]
    assert rig.inbound.parking.messages == messages


async def test_waiting_messages_count_for_the_window() -> None:
    """A client cannot make the gateway keep more of its messages than the window; reading goes on afterwards."""
    rig = Rig(park=PARK, window=4)
    session = left_alone(rig)

    for number in range(4):
        rig.send(session, id=number)
    assert not connection_of(session).reading
    second = rig.start()
    second.open_all()
    for _ in range(4):
        second.answer(second.take("inbound"))

    assert connection_of(session).reading


async def test_messages_of_a_session_that_ended_wait_no_more() -> None:
    """Nothing is kept for it, and the next instance hears nothing of them."""
    rig = Rig(park=PARK)
    session = left_alone(rig)
    rig.send(session, id=1)

    rig.end(session)

    assert rig.inbound.parking.messages == 0
    assert "inbound" not in rig.start().kinds()


async def test_next_message_waits_until_a_draining_instance_has_finished() -> None:
    """The order of a session's messages holds, and the instance that leaves gets nothing new."""
    rig = Rig(park=PARK)
    leaving = rig.start()
    session = rig.open("s-1")
    leaving.open_all()
    rig.send(session, id=1)
    rig.services.drain(leaving.link)
    coming = rig.start()

    rig.send(session, id=2)
    before = coming.kinds()
    leaving.answer(leaving.take("inbound"))

    assert before == []
    assert leaving.kinds() == []
    assert coming.kinds() == ["session_opened", "inbound"]


async def test_request_at_one_service_does_not_hold_the_messages_of_another() -> None:
    """On the shared path a redeploy of one service waits for what that service has, and not for the busy other."""
    rig = Rig(park=PARK)
    leaving, busy = rig.start(), rig.start("game", types=["game.move"])
    session = rig.open("s-1", path=EVERY_SERVICE)
    leaving.open_all(), busy.open_all()
    rig.send(session, "game.move", id=1)
    rig.services.drain(leaving.link)
    coming = rig.start()

    rig.send(session, id=2)

    assert coming.kinds() == ["session_opened", "inbound"]


async def test_unordered_message_holds_nobody() -> None:
    """A long poll at the instance that leaves is answered by that one; the session goes on at the next meanwhile."""
    rig = Rig(park=PARK)
    poll = [Handler(type="chat.poll", unordered=True)]
    leaving = rig.start(handlers=poll)
    session = rig.open("s-1")
    leaving.open_all()
    rig.send(session, "chat.poll", id=1)
    rig.services.drain(leaving.link)
    coming = rig.start(handlers=poll)

    rig.send(session, id=2)
    coming.open_all()
    coming.answer(coming.take("inbound"))
    leaving.answer(leaving.take("inbound"))

    assert [answer["id"] for answer in rig.heard(session)] == [2, 1]


async def test_lost_link_lets_waiting_messages_go_on() -> None:
    """They waited for an instance that had to finish; where that one dies another takes them at once."""
    rig = Rig(park=PARK)
    leaving = rig.start()
    session = rig.open("s-1")
    leaving.open_all()
    rig.send(session, id=1)
    rig.services.drain(leaving.link)
    coming = rig.start()
    rig.send(session, id=2)

    leaving.die()

    assert coming.kinds() == ["session_opened", "inbound"]


async def test_instance_that_stops_and_registers_again_gets_nothing_new() -> None:
    """Its link broke while it finished what it had. It may be an earlier release, too."""
    rig = Rig(park=PARK)
    coming = rig.start(types=["chat.send"])
    again = rig.connect()
    asked = registration(types=["chat.old"])
    asked.draining = True
    answer = again.ask(Frame(register=asked))

    session = rig.open("s-1")
    coming.open_all()
    rig.send(session)

    assert answer.WhichOneof("body") == "registered"
    assert coming.kinds() == ["inbound"]
    assert again.kinds() == []


async def test_client_is_read_from_again_where_what_waited_is_refused() -> None:
    """The last answer of the instance that leaves brings it to half its window, and the next refuses the rest."""
    rig = Rig(park=PARK, window=4)
    leaving = rig.start(types=["chat.send", "chat.old"])
    session = rig.open("s-1")
    leaving.open_all()
    for _ in range(2):
        rig.send(session)
    rig.services.drain(leaving.link)
    rig.start(types=["chat.send"])
    for _ in range(2):
        rig.send(session, "chat.old")
    held = not connection_of(session).reading

    for _ in range(2):
        leaving.answer(leaving.take("inbound"))

    assert held
    assert session.in_flight == 0
    assert connection_of(session).reading


# every message with an id is answered exactly once, or its session has ended

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2), st.sampled_from(["chat.send", "game.move", "odd"])),
        st.tuples(st.just("answer"), st.integers(0, 3), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.integers(0, 3), st.integers(0, 9)),
        st.tuples(st.just("refuse"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("open"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("die"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("start"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("drain"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("slow"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("pass"), st.integers(1, 8), st.just(0)),
    ),
    max_size=60,
)  # fmt: skip


class World:
    """Clients and services that do anything in any order."""

    def __init__(self, park: float) -> None:
        self.rig = Rig(window=3, link_window=5, park=park, park_messages=4)
        self.processes: list[Process] = []
        self.start(0)
        self.start(1)
        self.sessions = [self.rig.open(f"s-{n}", path="/ws" if n else "/ws/chat") for n in range(3)]
        self.connections = [connection_of(session) for session in self.sessions]
        self.asked: list[list[int]] = [[], [], []]
        self._last_id = 0

    def start(self, which: int) -> None:
        """A process of one of the two services comes."""
        name, type = (("chat", "chat.send"), ("game", "game.move"))[which]
        self.processes.append(self.rig.start(name, types=[type]))

    def process(self, number: int) -> Process | None:
        """One that lives."""
        return self.processes[number % len(self.processes)] if self.processes else None

    def pending(self, process: Process, kind: str, number: int = 0) -> Frame | None:
        """A question of this kind that came and is unanswered."""
        frames = [frame for frame in process.pump() if frame.WhichOneof("body") == kind]
        if not frames:
            return None
        frame = frames[number % len(frames)]
        process.unread.remove(frame)
        return frame

    def step(self, what: str, number: int, more: int | str) -> None:
        """One thing happens."""
        process = self.process(number)
        if what == "send":
            session = self.sessions[number]
            if session.connection is not None:
                self._last_id += 1
                self.asked[number].append(self._last_id)
                self.rig.send(session, str(more), self._last_id)
        elif what == "end":
            if self.sessions[number].connection is not None:
                self.rig.turns.end()
                self.rig.end(self.sessions[number])
        elif what == "start":
            self.start(number)
        elif what == "pass":
            self.rig.timers.pass_(number)
        elif process is not None:
            self.process_step(process, what, int(more))

    def process_step(self, process: Process, what: str, more: int) -> None:
        """A process does something."""
        if what in ("answer", "fail"):
            question = self.pending(process, "inbound", more)
            if question is not None:
                process.answer(question) if what == "answer" else process.fail(question, ConflictError())
        elif what in ("open", "refuse"):
            question = self.pending(process, "session_opened")
            if question is not None:
                process.done(question) if what == "open" else process.fail(question, NotFoundError())
        elif what == "die":
            self.processes.remove(process)
            process.die()
        elif what == "drain":
            self.rig.services.drain(process.link)
        elif what == "slow":
            process.link.pause_writing() if more else process.link.resume_writing()

    def settle(self) -> None:
        """Every process answers what it has, and what waits for none has waited long enough."""
        self.answer_all()
        self.rig.timers.pass_(PARK)
        self.answer_all()
        self.rig.turns.end()

    def answer_all(self) -> None:
        """Every process answers what it has, and what comes to it meanwhile."""
        for process in self.processes:
            process.link.resume_writing()
            while frames := list(process.pump()):
                process.unread.clear()
                for frame in frames:
                    process.answer(frame) if frame.WhichOneof("body") == "inbound" else process.done(frame)


@pytest.mark.parametrize("park", [0.0, PARK], ids=["no-parking", "parking"])
@given(steps=STEPS)
def test_every_message_with_an_id_is_answered_exactly_once(
    park: float, steps: list[tuple[str, int, int | str]]
) -> None:
    """Under any interleaving of answers, errors, refusals, ends, deaths, starts, draining, slow links and time."""

    async def scenario() -> None:
        world = World(park)
        for step in steps:
            world.step(*step)
        world.settle()

        for number, session in enumerate(world.sessions):
            connection = world.connections[number]
            answers = Counter(message["id"] for message in connection.data() if "id" in message)
            assert not answers or max(answers.values()) == 1
            if session.connection is not None and connection.closed is None:
                assert set(answers) == set(world.asked[number])
            assert set(answers) <= set(world.asked[number])
            assert session.in_flight == 0 or session.connection is None
            assert world.rig.inbound.parking.messages == world.rig.inbound.parking.bytes == 0
            assert connection.reading or session.connection is None

    with structlog.testing.capture_logs():
        asyncio.run(scenario())
