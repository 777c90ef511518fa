"""The gateway's end of the link to one service process."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
import structlog

from pylinkd.gateway.routing.link import LinkLostError, ServiceLink
from pylinkd.protocol.errors import ConflictError, LinkdError
from pylinkd.protocol.link import BATCH_FRAMES, MAX_FIRST_FRAME_SIZE, FrameReader, encode
from pylinkd.protocol.link_pb2 import Frame
from pylinkd.protocol.link_values import fill_failure

from ..doubles import RecordingTransport, turns


class Receiver:
    """Keeps what a link says unasked."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.raises: Exception | None = None

    def connected(self, link: ServiceLink) -> None:
        self.said.append("connected")

    def received(self, link: ServiceLink, kind: str, frame: Frame) -> None:
        self.said.append(kind)
        if self.raises is not None:
            raise self.raises

    def ready(self, link: ServiceLink) -> None:
        self.said.append("ready")

    def lost(self, link: ServiceLink) -> None:
        self.said.append("lost")


class Question:
    """Keeps its answers."""

    def __init__(self, *, broken: bool = False) -> None:
        self.answers: list[Frame | LinkdError] = []
        self._broken = broken

    def answered(self, frame: Frame) -> None:
        self.answers.append(frame)
        if self._broken:
            raise RuntimeError("whoever asked is broken")

    def failed(self, error: LinkdError) -> None:
        self.answers.append(error)
        if self._broken:
            raise RuntimeError("whoever asked is broken")


class Rig:
    """A link with both its ends."""

    def __init__(self, window: int = 8, *, registered: bool = True, register_timeout: float = 5.0) -> None:
        self.receiver = Receiver()
        self.link = ServiceLink(self.receiver, window, register_timeout)
        self.transport = RecordingTransport(self.link)
        self.link.connection_made(self.transport)
        if registered:
            self.link.trust()

    def ask(self, question: Question | None = None) -> Question:
        """Ask something."""
        question = question or Question()
        frame = Frame()
        frame.ping.SetInParent()
        self.link.ask(frame, question)
        return question

    @property
    def written(self) -> list[Frame]:
        """What the process has been sent."""
        self.link.flush()
        return list(FrameReader().feed(self.transport.bytes))

    def done(self, request_id: int) -> None:
        """The process answers."""
        frame = Frame(request_id=request_id)
        frame.done.SetInParent()
        self.link.data_received(encode(frame))

    def say(self, request_id: int = 5) -> None:
        """The process asks something."""
        frame = Frame(request_id=request_id)
        frame.draining.SetInParent()
        self.link.data_received(encode(frame))


@pytest.fixture
async def rig() -> Rig:
    """A link that is up."""
    return Rig()


async def test_questions_have_numbers_of_their_own(rig: Rig) -> None:
    """From 1 on: 0 means that nobody waits."""
    for _ in range(3):
        rig.ask()

    assert [frame.request_id for frame in rig.written] == [1, 2, 3]
    assert rig.link.questions == 3


async def test_answer_reaches_whoever_asked(rig: Rig) -> None:
    """Once; a second one reaches nobody."""
    first, second = rig.ask(), rig.ask()

    rig.done(2)
    rig.done(2)

    assert (len(first.answers), len(second.answers)) == (0, 1)
    assert rig.link.questions == 1


async def test_failure_reaches_whoever_asked_as_an_error(rig: Rig) -> None:
    """With its class."""
    question = rig.ask()
    frame = Frame(request_id=1)
    fill_failure(frame.failure, ConflictError("Full."))

    rig.link.data_received(encode(frame))

    (error,) = question.answers
    assert isinstance(error, ConflictError)
    assert error.message == "Full."


async def test_frames_of_one_turn_leave_together(rig: Rig) -> None:
    """In one write, at the end of the turn."""
    for _ in range(5):
        rig.ask()
    assert rig.transport.written == []

    await turns(1)

    assert len(rig.transport.written) == 1


async def test_full_batch_does_not_wait_for_the_turn(rig: Rig) -> None:
    """So that the process works while more is written."""
    for _ in range(BATCH_FRAMES + 1):
        rig.ask()
    assert len(rig.transport.written) == 1
    await turns(2)

    assert len(rig.transport.written) == 2
    assert len(rig.written) == BATCH_FRAMES + 1


async def test_everything_that_is_no_answer_is_received(rig: Rig) -> None:
    """In the order in which it came, however it is cut."""
    one, two = Frame(), Frame()
    one.draining.SetInParent()
    two.publish.type = "a"
    stream = encode(one) + encode(two)

    for byte in stream:
        rig.link.data_received(bytes((byte,)))

    assert rig.receiver.said == ["connected", "draining", "publish"]


async def test_empty_frame_is_passed_over(rig: Rig) -> None:
    """A kind that this version does not know looks like that."""
    rig.link.data_received(encode(Frame(request_id=1)))

    assert rig.receiver.said == ["connected"]
    assert not rig.transport.closing


async def test_error_of_the_receiver_is_the_answer(rig: Rig) -> None:
    """A LinkdError is told, anything else is an internal error without its text."""
    with structlog.testing.capture_logs() as logs:
        for number, error in enumerate((ConflictError("Full."), RuntimeError("secret")), start=5):
            rig.receiver.raises = error
            rig.say(number)

    told = [(frame.request_id, frame.failure.code, frame.failure.message) for frame in rig.written]
    assert told[0] == (5, 409, "Full.")
    assert told[1][:2] == (6, 500)
    assert "secret" not in told[1][2]
    assert [line["event"] for line in logs] == ["frame_failed"]


async def test_error_without_a_question_is_not_told(rig: Rig) -> None:
    """Nobody waits (0)."""
    rig.receiver.raises = ConflictError()

    rig.say(0)

    assert rig.written == []


async def test_fault_of_whoever_asked_is_not_the_services(rig: Rig) -> None:
    """The numbers of the two directions are two: a fault here must not answer the service's question of this number."""
    rig.ask(Question(broken=True))
    rig.link.flush()
    sent = len(rig.written)

    with structlog.testing.capture_logs():
        rig.done(1)

    assert rig.written[sent:] == []


async def test_fault_of_whoever_asked_costs_the_others_nothing() -> None:
    """Frames behind it are handled, and a congested link is relieved."""
    rig = Rig(window=2)
    rig.ask(Question(broken=True))
    other = rig.ask()
    assert rig.link.congested

    with structlog.testing.capture_logs():
        rig.done(1)
    rig.done(2)

    assert len(other.answers) == 1
    assert not rig.link.congested


async def test_garbage_ends_the_link(rig: Rig) -> None:
    """With a line in the log; what was asked fails."""
    question = rig.ask()

    with structlog.testing.capture_logs() as logs:
        rig.link.data_received(struct.pack(">I", 2**31))
    await turns()

    assert rig.transport.closing
    assert [line["event"] for line in logs] == ["link_closed_by_gateway"]
    assert isinstance(question.answers[0], LinkLostError)


async def test_lost_link_fails_every_question_once(rig: Rig) -> None:
    """Before the receiver is told; one that is broken keeps no other from its answer."""
    questions = [rig.ask(), rig.ask(Question(broken=True)), rig.ask()]

    with structlog.testing.capture_logs():
        rig.link.connection_lost(None)

    assert [[type(answer) for answer in question.answers] for question in questions] == [[LinkLostError]] * 3
    assert rig.receiver.said == ["connected", "lost"]
    assert rig.link.questions == 0


async def test_question_to_a_lost_link_fails_at_once(rig: Rig) -> None:
    """And answers go nowhere."""
    rig.link.connection_lost(None)

    question = rig.ask()
    rig.link.answer(1, Frame())
    rig.link.fail(1, ConflictError())
    rig.link.close("again")

    assert isinstance(question.answers[0], LinkLostError)
    assert rig.written == []


async def test_window_makes_a_link_congested_until_half_of_it_is_answered() -> None:
    """Half a window of slack; the receiver is told once."""
    rig = Rig(window=4)
    for _ in range(4):
        assert not rig.link.congested
        rig.ask()
    assert rig.link.congested

    rig.done(1)
    assert rig.link.congested
    rig.done(2)

    assert not rig.link.congested
    assert rig.receiver.said == ["connected", "ready"]


async def test_full_socket_makes_a_link_congested() -> None:
    """Until the kernel takes more, and half of the window is answered."""
    rig = Rig(window=4)
    for _ in range(3):
        rig.ask()
    rig.link.pause_writing()
    assert rig.link.congested

    rig.done(1)
    rig.done(2)
    assert rig.link.congested
    rig.link.resume_writing()

    assert not rig.link.congested
    assert rig.receiver.said == ["connected", "ready"]


async def test_what_was_written_leaves_before_the_end(rig: Rig) -> None:
    """close() is no abort."""
    rig.link.answer(7, Frame())

    with structlog.testing.capture_logs():
        rig.link.close("why")

    assert [frame.request_id for frame in FrameReader().feed(rig.transport.bytes)] == [7]
    assert rig.transport.closing
    assert not rig.transport.aborted


async def test_link_notes_when_it_heard_something(rig: Rig) -> None:
    """Any byte is a sign of life."""
    rig.link.heard_at = 0.0

    rig.link.data_received(b"\x00")

    assert rig.link.heard_at > 0


# before the registration


async def test_registration_passes_and_nothing_else() -> None:
    """Answers, questions and frames of an unknown kind cut the link; what stands behind them is not looked at."""
    for kind in ("done", "publish", None):
        rig = Rig(registered=False)
        frame, register = Frame(request_id=1), Frame(request_id=2, register={})
        if kind is not None:
            getattr(frame, kind).SetInParent()

        with structlog.testing.capture_logs() as logs:
            rig.link.data_received(encode(register) + encode(frame) + encode(register))
            rig.link.data_received(encode(register))

        assert rig.receiver.said == ["connected", "register"]
        assert rig.transport.closing
        assert [line["reason"] for line in logs] == [f"{kind or 'an unknown frame'} came before register"]


async def test_first_frames_are_small() -> None:
    """The length alone is enough; once the process is trusted the limit is the link's."""
    length = struct.pack(">I", MAX_FIRST_FRAME_SIZE + 1)
    stranger, service = Rig(registered=False), Rig()

    with structlog.testing.capture_logs():
        stranger.link.data_received(length)
        service.link.data_received(length)

    assert (stranger.transport.closing, service.transport.closing) == (True, False)


async def test_registration_has_to_come_in_time() -> None:
    """Who is registered by then may be silent."""
    service, stranger = Rig(register_timeout=0.01), Rig(registered=False, register_timeout=0.01)

    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(5):
            while not stranger.transport.closing:
                await turns(1)

    assert not service.transport.closing
    assert [line["reason"] for line in logs] == ["no registration within 0.01 seconds"]


async def test_link_is_closed_once() -> None:
    """A second reason is no news."""
    rig = Rig()

    with structlog.testing.capture_logs() as logs:
        rig.link.close("first")
        rig.link.close("second")

    assert [line["reason"] for line in logs] == ["first"]


# a service that does not read


async def test_nothing_is_taken_from_a_service_that_does_not_read_its_answers() -> None:
    """Its questions wait with it instead of their answers with us: in the read at hand, and in the socket."""
    rig = Rig()
    question = Frame(request_id=1)
    question.room_query.room = "lobby"

    def full(link: ServiceLink, kind: str, frame: Frame) -> None:
        rig.receiver.said.append(kind)
        if len(rig.receiver.said) == 4:
            link.pause_writing()

    rig.receiver.received = full  # type: ignore[method-assign]
    rig.link.data_received(encode(question) * 10)
    said, reading = list(rig.receiver.said), rig.transport.reading
    rig.link.data_received(encode(question))
    assert rig.receiver.said == said

    rig.link.resume_writing()

    assert (said.count("room_query"), reading) == (3, False)
    assert rig.receiver.said.count("room_query") == 11
    assert rig.transport.reading


async def test_what_was_answered_before_the_end_counts() -> None:
    """A write that fails ends a transport at once; what the process wrote before is still in the socket."""
    loop = asyncio.get_running_loop()
    receiver, question = Receiver(), Question()
    link = ServiceLink(receiver, 8)
    ours, theirs = socket.socketpair()
    transport, _ = await loop.create_unix_connection(lambda: link, sock=ours)
    link.trust()
    frame = Frame()
    frame.ping.SetInParent()
    link.ask(frame, question)
    transport.pause_reading()
    answer = Frame(request_id=1)
    answer.done.SetInParent()

    theirs.send(encode(answer))
    theirs.close()
    for _ in range(3):
        link.ask(frame, Question())
        link.flush()
    async with asyncio.timeout(5):
        while "lost" not in receiver.said:
            await asyncio.sleep(0)

    (answered,) = question.answers
    assert isinstance(answered, Frame)
