"""What services ask of the gateway."""

from __future__ import annotations

import os
import socket

import pytest
import structlog

from pylinkd.gateway.core.session import Session
from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import MSGPACK
from pylinkd.protocol.link import PROTOCOL_VERSION
from pylinkd.protocol.link_pb2 import Event, Frame, Publish, RoomCommand, RoomQuery, SessionCommand
from pylinkd.protocol.link_values import fill_identity
from pylinkd.version import __version__

from ..doubles import connection_of, user
from .rig import Process, Rig, registration

SECRET = "the-links-secret-with-32-bytes-or-more"


@pytest.fixture
async def rig() -> Rig:
    """Three rooms per session."""
    return Rig(max_rooms=3)


@pytest.fixture
async def chat(rig: Rig) -> Process:
    """A service."""
    return rig.start("chat")


def joined(rig: Rig, process: Process, id: str, *rooms: str, **options: object) -> Session:
    """A session that the service knows, in these rooms."""
    session = rig.open(id, **options)  # type: ignore[arg-type]
    process.open_all()
    if rooms:
        answer = process.ask(Frame(room_command=RoomCommand(verb=RoomCommand.JOIN, session=id, rooms=rooms)))
        assert answer.WhichOneof("body") == "done"
    return session


def code(answer: Frame) -> int:
    """The code of a failure; 0: it is none."""
    return answer.failure.code if answer.WhichOneof("body") == "failure" else 0


# register


async def test_registration_is_answered_with_what_the_gateway_is(rig: Rig) -> None:
    """Version, and which process it is."""
    answer = rig.connect().ask(Frame(register=registration()))

    assert answer.registered.protocol_version == PROTOCOL_VERSION
    assert answer.registered.gateway == __version__
    assert answer.registered.gateway_instance == "gateway-1"


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION + 1])
async def test_other_version_of_the_protocol_is_refused(rig: Rig, version: int) -> None:
    """The message says what to do; the link is closed."""
    process = rig.connect()

    with structlog.testing.capture_logs():
        answer = process.ask(Frame(register=registration(version=version)))

    assert answer.failure.type == "PROTOCOL_VERSION"
    assert "install the same version" in answer.failure.message
    assert process.transport.closing


async def test_nothing_is_done_before_the_registration(rig: Rig) -> None:
    """A process that says anything else first is cut."""
    process = rig.connect()

    with structlog.testing.capture_logs():
        process.say(Frame(request_id=1, publish=Publish(type="a", everyone=True)))

    assert process.transport.closing


async def test_process_of_a_user_that_is_not_listed_is_cut() -> None:
    """Before it has said anything; the log says whose it was and what to set."""
    rig = Rig(uids=(os.getuid() + 1,))
    here, there = socket.socketpair()

    with here, there, structlog.testing.capture_logs() as logs:
        process = Process(rig, socket=here)

    assert process.transport.closing
    assert logs[0]["peer"] == f"uid {os.getuid()}, pid {os.getpid()}"
    assert "LINKD_LINK_UIDS" in logs[0]["reason"]


async def test_secret_is_asked_for_at_each_registration() -> None:
    """Also of a service that is known, which stays what it was; the secret itself is not kept."""
    rig = Rig(secret=SECRET)
    process = rig.connect()
    right, wrong = registration(), registration(types=["chat.other"])
    right.secret, wrong.secret = SECRET.encode(), SECRET.encode() + b"x"

    assert process.ask(Frame(register=right)).WhichOneof("body") == "registered"
    assert process.ask(Frame(register=wrong)).failure.type == "LINK_SECRET"

    (service,) = rig.services
    (instance,) = service.instances
    assert list(instance.handlers) == ["chat.send"]
    assert not instance.registration.secret
    assert not process.transport.closing


@pytest.mark.parametrize("kind", ["inbound", "registered", "session_opened", "http_request", "ping"])
async def test_frames_for_services_are_refused(chat: Process, kind: str) -> None:
    """A gateway is not sent them; the link stays."""
    frame = Frame(request_id=9)
    getattr(frame, kind).SetInParent()

    answer = chat.ask(frame)

    assert code(answer) == 400
    assert kind in answer.failure.message


async def test_links_are_known_from_their_connection_to_their_end(rig: Rig) -> None:
    """For signs of life, and for the stop."""
    process = rig.connect()
    assert rig.commands.links == {process.link}

    process.die()

    assert rig.commands.links == set()


# publish


async def test_event_reaches_the_members_of_a_room(rig: Rig, chat: Process) -> None:
    """Of this service's room of that name, and the receipt counts them."""
    members = [joined(rig, chat, f"s-{number}", "lobby") for number in range(2)]
    other = joined(rig, chat, "other", "kitchen")

    answer = chat.ask(Frame(publish=Publish(type="chat.message", data=b'{"x":1}', rooms=["lobby"])))

    assert answer.published.reached == 2
    assert [rig.heard(session) for session in (*members, other)] == [
        [{"type": "chat.message", "data": {"x": 1}}], [{"type": "chat.message", "data": {"x": 1}}], [],
    ]  # fmt: skip


async def test_each_session_gets_an_event_once(rig: Rig, chat: Process) -> None:
    """However many ways lead to it."""
    session = joined(rig, chat, "s-1", "a", "b", identity=user("una"))

    answer = chat.ask(
        Frame(publish=Publish(type="x", rooms=["a", "b", "none"], users=["una", "una"], sessions=["s-1", "gone"]))
    )

    assert answer.published.reached == 1
    assert rig.heard(session) == [{"type": "x", "data": None}]


async def test_event_reaches_all_sessions_of_a_user(rig: Rig, chat: Process) -> None:
    """Users are the same on all devices; an unknown one is nobody."""
    una = [joined(rig, chat, f"una-{number}", identity=user("una")) for number in range(2)]
    bob = joined(rig, chat, "bob", identity=user("bob"))

    answer = chat.ask(Frame(publish=Publish(type="x", users=["una", "nobody"])))

    assert answer.published.reached == 2
    assert [len(rig.heard(session)) for session in (*una, bob)] == [1, 1, 0]


async def test_exceptions_are_made(rig: Rig, chat: Process) -> None:
    """Sessions and all sessions of users, from every kind of target."""
    joined(rig, chat, "a", "lobby", identity=user("una"))
    joined(rig, chat, "b", "lobby", identity=user("una"))
    joined(rig, chat, "c", "lobby", identity=user("bob"))
    joined(rig, chat, "d", "lobby")

    def reached(**target: object) -> int:
        return chat.ask(Frame(publish=Publish(type="x", **target))).published.reached  # type: ignore[arg-type]

    for target in ({"everyone": True}, {"rooms": ["lobby"]}, {"users": ["una", "bob"], "sessions": ["d"]}):
        assert reached(**target) == 4
        assert reached(**target, except_sessions=["a", "gone"]) == 3
        assert reached(**target, except_users=["una", "nobody"]) == 2
        assert reached(**target, except_sessions=["c"], except_users=["una"]) == 1


async def test_everyone_is_everyone_who_can_reach_the_service(rig: Rig, chat: Process) -> None:
    """On its path and on the shared one, and nobody else; nor can others be reached by id or user."""
    game = rig.start("game", types=["game.move"])
    own, shared = joined(rig, chat, "own"), joined(rig, chat, "shared", path="/ws")
    foreign = joined(rig, game, "foreign", path="/ws/game", identity=user("una"))

    everyone = chat.ask(Frame(publish=Publish(type="x", everyone=True)))
    foreign_too = chat.ask(Frame(publish=Publish(type="x", users=["una"], sessions=["foreign"])))

    assert (everyone.published.reached, foreign_too.published.reached) == (2, 0)
    assert [len(rig.heard(session)) for session in (own, shared, foreign)] == [1, 1, 0]


async def test_rooms_are_the_services_own_unless_the_operator_shares_them() -> None:
    """A namespace in common makes rooms common."""
    rig = Rig(namespaces=[("bots", "chat")])
    chat = rig.start()
    session = joined(rig, chat, "s-1", "lobby")
    game = rig.start("game", types=["game.move"])
    bots = rig.start("bots", types=["bots.x"], namespace="chat")

    frame = Publish(type="x", rooms=["lobby"])
    assert game.ask(Frame(publish=frame)).published.reached == 0
    assert bots.ask(Frame(publish=frame)).published.reached == 1
    assert len(rig.heard(session)) == 1


async def test_foreign_namespace_is_refused(rig: Rig, chat: Process) -> None:
    """A service could read and write the rooms of another; what the operator has to set is said."""
    intruder = rig.connect()

    refused = intruder.ask(Frame(register=registration("bots", types=["bots.x"], namespace="chat"))).failure

    assert (refused.code, refused.type) == (409, "NAMESPACE")
    assert "bots:chat to LINKD_NAMESPACES" in refused.message


async def test_session_that_is_not_let_in_hears_of_nobody_else(rig: Rig, chat: Process) -> None:
    """Until on_connect has succeeded, everyone and its user mean others; its service may greet it by its id."""
    rig.open("s-1", identity=user("ada"))
    banned = rig.open("s-2", identity=user("eve"))
    first, second = (chat.take("session_opened") for _ in range(2))
    chat.done(first)

    everyone = chat.ask(Frame(publish=Publish(type="x", everyone=True))).published.reached
    by_user = chat.ask(Frame(publish=Publish(type="x", users=["eve"]))).published.reached
    greeted = chat.ask(Frame(publish=Publish(type="x", sessions=["s-2"]))).published.reached
    chat.done(second)
    later = chat.ask(Frame(publish=Publish(type="x", everyone=True))).published.reached

    assert (everyone, by_user, greeted, later) == (1, 0, 1, 2)
    assert len(rig.heard(banned)) == 2


@pytest.mark.parametrize("type", ["linkd.welcome", "", "a b", "a..b", "x" * 129])
async def test_types_of_the_gateway_are_reserved(rig: Rig, chat: Process, type: str) -> None:
    """And odd ones are no types."""
    session = joined(rig, chat, "s-1")

    assert code(chat.ask(Frame(publish=Publish(type=type, everyone=True)))) == 400
    assert rig.heard(session) == []


@pytest.mark.parametrize("type", ["response", "error"])
async def test_types_of_answers_are_reserved(rig: Rig, chat: Process, type: str) -> None:
    """An event that looks like an answer would confuse every client."""
    session = joined(rig, chat, "s-1")

    assert code(chat.ask(Frame(publish=Publish(type=type, everyone=True)))) == 400
    assert rig.heard(session) == []


async def test_event_that_a_recipient_cannot_be_told_reaches_nobody(rig: Rig, chat: Process) -> None:
    """The emitter is told 400, and nobody got half of it."""
    text, _packed = joined(rig, chat, "text"), joined(rig, chat, "packed", codec=MSGPACK)

    assert code(chat.ask(Frame(publish=Publish(type="x", data=b"%d" % 2**70, everyone=True)))) == 400
    assert rig.heard(text) == []


async def test_what_a_service_emits_arrives_in_order(rig: Rig, chat: Process) -> None:
    """Events and answers, as they were written on the link."""
    session = joined(rig, chat, "s-1")
    rig.send(session, id=1)
    question = chat.take("inbound")
    chat.say(Frame(publish=Publish(type="before", sessions=["s-1"])))
    chat.answer(question)
    chat.say(Frame(publish=Publish(type="after", sessions=["s-1"])))

    assert [message["type"] for message in rig.heard(session)] == ["before", "response", "after"]


# rooms


def join(session: str, *rooms: str, verb: RoomCommand.Verb = RoomCommand.JOIN) -> Frame:
    """A room command."""
    return Frame(room_command=RoomCommand(verb=verb, session=session, rooms=rooms))


def rooms_of(process: Process, session: str) -> list[str]:
    """The rooms that the gateway says a session is in."""
    answer = process.ask(Frame(room_query=RoomQuery(session=session)))
    assert answer.WhichOneof("body") == "room_list"
    return sorted(answer.room_list.rooms)


async def test_rooms_are_joined_and_left(rig: Rig, chat: Process) -> None:
    """Once confirmed, they are listed."""
    joined(rig, chat, "s-1", "a", "b")
    assert rooms_of(chat, "s-1") == ["a", "b"]

    assert code(chat.ask(join("s-1", "a", "never", verb=RoomCommand.LEAVE))) == 0
    assert rooms_of(chat, "s-1") == ["b"]
    chat.ask(join("s-1", "b", verb=RoomCommand.LEAVE))

    assert rooms_of(chat, "s-1") == []


async def test_members_are_listed(rig: Rig, chat: Process) -> None:
    """With user and name where they signed in; an unknown room has none."""
    joined(rig, chat, "s-1", "lobby", identity=user("una"))
    joined(rig, chat, "s-2", "lobby")

    answer = chat.ask(Frame(room_query=RoomQuery(room="lobby")))
    nobody = chat.ask(Frame(room_query=RoomQuery(room="attic")))

    members = sorted((member.session, member.user, member.name) for member in answer.member_list.members)
    assert members == [("s-1", "una", "Una"), ("s-2", "", "")]
    assert (nobody.WhichOneof("body"), len(nobody.member_list.members)) == ("member_list", 0)


@pytest.mark.parametrize("room", ["", "x" * 257])
async def test_odd_room_names_are_refused(rig: Rig, chat: Process, room: str) -> None:
    """Before any of the command's rooms is joined."""
    joined(rig, chat, "s-1")

    assert code(chat.ask(join("s-1", "fine", room))) == 400
    assert rooms_of(chat, "s-1") == []
    assert code(chat.ask(join("s-1", "x" * 256))) == 0


async def test_one_room_too_many_is_refused(rig: Rig, chat: Process) -> None:
    """409, and the command joined none of its rooms: whoever asked need not find out which."""
    joined(rig, chat, "s-1", "a", "b")

    answer = chat.ask(join("s-1", "c", "d"))

    assert (code(answer), answer.failure.type) == (409, "TOO_MANY_ROOMS")
    assert rooms_of(chat, "s-1") == ["a", "b"]


async def test_command_without_a_verb_is_refused(rig: Rig, chat: Process) -> None:
    """To join or to leave."""
    joined(rig, chat, "s-1")

    assert code(chat.ask(join("s-1", "a", verb=RoomCommand.VERB_UNSPECIFIED))) == 400


# sessions


def frames_about(session: str) -> list[Frame]:
    """Everything that a service can ask about one session."""
    return [
        join(session, "a"),
        join(session, "a", verb=RoomCommand.LEAVE),
        Frame(room_query=RoomQuery(session=session)),
        Frame(session_command=SessionCommand(session=session, close_code=1000)),
    ]


async def test_session_that_ended_is_gone(rig: Rig, chat: Process) -> None:
    """404 of a type of its own, for everything."""
    session = joined(rig, chat, "s-1")
    rig.end(session)

    for frame in frames_about("s-1"):
        answer = chat.ask(frame)
        assert (code(answer), answer.failure.type) == (404, "SESSION_GONE")


async def test_session_of_another_service_is_as_good_as_gone(rig: Rig, chat: Process) -> None:
    """Equal answers: a service learns nothing of others' sessions."""
    game = rig.start("game", types=["game.move"])
    foreign = joined(rig, game, "foreign", path="/ws/game")

    for frame, other in zip(frames_about("foreign"), frames_about("nobody"), strict=True):
        assert chat.ask(frame).failure == chat.ask(other).failure
    assert connection_of(foreign).closed is None


@pytest.mark.parametrize("close_code", [1000, 3000, 4400, 4999])
async def test_service_disconnects_a_session(rig: Rig, chat: Process, close_code: int) -> None:
    """With a code that applications may send, and a reason."""
    session = joined(rig, chat, "s-1")

    answer = chat.ask(Frame(session_command=SessionCommand(session="s-1", close_code=close_code, reason="bye")))

    assert code(answer) == 0
    assert connection_of(session).closed == (close_code, "bye", EndReason.DISCONNECTED)


@pytest.mark.parametrize("close_code", [0, 999, 1001, 1005, 1006, 1011, 2999, 5000])
async def test_other_close_codes_are_refused(rig: Rig, chat: Process, close_code: int) -> None:
    """RFC 6455 §7.4.2."""
    session = joined(rig, chat, "s-1")

    assert code(chat.ask(Frame(session_command=SessionCommand(session="s-1", close_code=close_code)))) == 400
    assert connection_of(session).closed is None


async def test_service_disconnects_a_user(rig: Rig, chat: Process) -> None:
    """All sessions that it knows, none that it does not; a user who is not there is no error."""
    game = rig.start("game", types=["game.move"])
    mine = [joined(rig, chat, f"s-{number}", identity=user("una")) for number in range(2)]
    foreign = joined(rig, game, "foreign", path="/ws/game", identity=user("una"))
    other = joined(rig, chat, "other", identity=user("bob"))

    for name in ("una", "nobody"):
        assert code(chat.ask(Frame(session_command=SessionCommand(user=name, close_code=1000)))) == 0

    closed = [connection_of(session).closed is not None for session in (*mine, foreign, other)]
    assert closed == [True, True, False, False]


# service events


def emit(type: str = "user.created") -> Frame:
    """An event between services."""
    frame = Frame(event=Event(type=type, data=b'{"x":1}', source="a lie"))
    fill_identity(frame.event.identity, user("una"))
    return frame


async def test_event_reaches_one_instance_of_each_service_that_asked(rig: Rig, chat: Process) -> None:
    """The emitter too, if it asked; the gateway says who emitted."""
    mails = [rig.start("mail", types=["mail.x"], events=["user.*"]) for _ in range(2)]
    audit = rig.start("audit", types=["audit.x"], events=["**"])
    other = rig.start("other", types=["other.x"], events=["user.deleted"])
    selfish = rig.start("selfish", types=["selfish.x"], events=["user.created"])

    answer = selfish.ask(emit())

    assert answer.event_done.reached == 3
    assert sorted(len(mail.kinds()) for mail in mails) == [0, 1]
    event = audit.take("event").event
    assert (event.type, event.data, event.source, event.identity.user) == ("user.created", b'{"x":1}', "selfish", "una")
    assert (selfish.kinds(), other.kinds()) == (["event"], [])


async def test_event_that_nobody_wants_reaches_nobody(chat: Process) -> None:
    """Which is no error."""
    assert chat.ask(emit()).event_done.reached == 0


async def test_event_goes_to_an_instance_that_wants_it(rig: Rig, chat: Process) -> None:
    """During a rolling restart the idlest instance may be one that never asked."""
    rig.start("mail", types=["mail.x"])
    new = rig.start("mail", types=["mail.x"], events=["user.*"])

    assert chat.ask(emit()).event_done.reached == 1
    assert new.kinds() == ["event"]


@pytest.mark.parametrize("type", ["linkd.x", "", "a b"])
async def test_odd_event_types_are_refused(chat: Process, type: str) -> None:
    """As for clients."""
    assert code(chat.ask(emit(type))) == 400


async def test_failed_event_is_logged(rig: Rig, chat: Process) -> None:
    """The emitter has gone on: the log is the only place."""
    mail = rig.start("mail", types=["mail.x"], events=["user.*"])
    chat.ask(emit())

    with structlog.testing.capture_logs() as logs:
        mail.die()

    failed = [line for line in logs if line["event"] == "event_failed"]
    assert [(line["service"], line["type"]) for line in failed] == [("mail", "user.created")]
