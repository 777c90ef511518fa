"""Who handles what, and which instance looks after which session."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from pylinkd.protocol.end import EndReason
from pylinkd.protocol.envelope import MSGPACK
from pylinkd.protocol.errors import ForbiddenError, HandlerTimeoutError
from pylinkd.protocol.link_pb2 import CODEC_JSON, CODEC_MSGPACK, Action, Frame, Handler
from pylinkd.protocol.link_values import read_identity

from ..doubles import connection_of, user
from .rig import GRACE, STARTUP_GRACE, Process, Rig, registration


@pytest.fixture
async def rig() -> Rig:
    """Without services."""
    return Rig()


def refused(rig: Rig, **options: object) -> tuple[int, str, str]:
    """Code, type and message of a refused registration."""
    process = rig.connect()
    with structlog.testing.capture_logs():
        answer = process.ask(Frame(register=registration(**options)))  # type: ignore[arg-type]
    assert answer.WhichOneof("body") == "failure"
    assert process.transport.closing, "a process that is not taken has to go"
    return answer.failure.code, answer.failure.type, answer.failure.message


# registration


async def test_first_service_makes_the_gateway_ready(rig: Rig) -> None:
    """Ready is: some instance takes messages."""
    assert not rig.services.ready
    process = rig.start()
    assert rig.services.ready

    process.die()

    assert not rig.services.ready


@pytest.mark.parametrize("name", ["", "chat room", "linkd.x", "a..b"])
async def test_odd_service_names_are_refused(rig: Rig, name: str) -> None:
    """A name is a name."""
    assert refused(rig, service=name, path="/ws/x")[1] == "BAD_REGISTRATION"


@pytest.mark.parametrize("type", ["", "linkd.welcome", "a b", "*"])
async def test_odd_message_types_are_refused(rig: Rig, type: str) -> None:
    """The gateway's own types above all."""
    assert refused(rig, types=[type])[1] == "BAD_REGISTRATION"


async def test_odd_event_patterns_are_refused(rig: Rig) -> None:
    """Rather than failing with each event."""
    assert refused(rig, events=["a.**.b"])[1] == "BAD_REGISTRATION"


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "ü"])
async def test_odd_names_of_cookies_are_refused(rig: Rig, name: str) -> None:
    """No browser could send one of this name."""
    assert refused(rig, actions=[Action(name="a", cookies=[name])])[1] == "BAD_REGISTRATION"


async def test_cookie_of_the_token_is_read_by_no_action() -> None:
    """A service gets no tokens, by whatever name it asks."""
    code, type, message = refused(Rig(token_cookie="sid"), actions=[Action(name="steal", cookies=["a", "sid"])])

    assert (code, type) == (409, "TOKEN_COOKIE")
    assert "LINKD_TOKEN_COOKIE" in message


@pytest.mark.parametrize("path", ["/ws", "/health", "/ready", "/live", "ws/chat", "/ws/chat/", "/"])
async def test_paths_of_the_gateway_are_refused(rig: Rig, path: str) -> None:
    """And those that no client could ask for."""
    code, _, message = refused(rig, path=path)

    assert code == 409
    assert repr(path) in message


async def test_path_and_types_of_another_service_are_refused(rig: Rig) -> None:
    """While it has an instance; the message names it."""
    rig.start("chat", types=["chat.send"])

    assert "'chat'" in refused(rig, service="game", path="/ws/chat", types=[])[2]
    assert "'chat'" in refused(rig, service="game", types=["chat.send"])[2]
    assert rig.services.get("game") is None


async def test_path_and_types_of_a_service_that_left_may_be_taken(rig: Rig) -> None:
    """A renamed service is not locked out by its past."""
    rig.start("chat").die()

    rig.start("game", path="/ws/chat", types=["chat.send"])

    assert rig.services.claims.by_path["/ws/chat"].name == "game"
    assert rig.services.claims.by_type["chat.send"].name == "game"


async def test_service_that_comes_back_leaves_others_their_path(rig: Rig) -> None:
    """It had left; another took its path; it comes back with a new one."""
    rig.start("chat", path="/ws/main").die()
    rig.start("game", path="/ws/main", types=["game.move"])

    rig.start("chat", path="/ws/other")

    assert rig.services.knows("/ws/other")
    assert rig.services.claims.by_path["/ws/main"].name == "game"


async def test_process_may_not_change_its_name(rig: Rig) -> None:
    """Registering again under another name is a fault, and changes nothing."""
    process = rig.start("chat")

    answer = process.ask(Frame(register=registration("game", types=["game.move"])))

    assert answer.WhichOneof("body") == "failure"
    assert rig.services.get("game") is None


async def test_registering_again_replaces_what_is_offered(rig: Rig) -> None:
    """Handlers that were added while it runs are known, those removed are not; sessions stay."""
    process = rig.start(types=["chat.send", "chat.old"])
    session = rig.open("s-1")
    process.open_all()

    process.ask(Frame(register=registration(types=["chat.send", "chat.new"])))

    rig.send(session, "chat.new", 1)
    rig.send(session, "chat.old", 2)
    assert process.take("inbound").inbound.type == "chat.new"
    assert rig.heard(session)[0]["error"]["type"] == "UNKNOWN_MESSAGE_TYPE"
    assert process.kinds() == []


async def test_refused_change_leaves_what_was(rig: Rig) -> None:
    """A process that is known keeps its link and its handlers."""
    rig.start("game", types=["game.move"])
    process = rig.start("chat")

    answer = process.ask(Frame(register=registration(types=["chat.send", "game.move"])))

    assert answer.WhichOneof("body") == "failure"
    assert not process.transport.closing
    assert rig.services.claims.by_type["chat.send"].name == "chat"


# paths


async def test_path_is_known_as_long_as_the_gateway_lives(rig: Rig) -> None:
    """A service that is away is not the same as one that never was."""
    rig.clock.now += STARTUP_GRACE
    process = rig.start()
    process.die()

    assert rig.services.knows("/ws/chat")
    assert rig.services.knows("/ws")
    assert not rig.services.knows("/ws/game")


async def test_any_path_may_be_known_after_the_start(rig: Rig) -> None:
    """Services are on their way from another gateway: come back, not never."""
    rig.start("game", types=["game.move"])
    assert rig.services.knows("/ws/chat")

    rig.clock.now += STARTUP_GRACE

    assert not rig.services.knows("/ws/chat")


@pytest.mark.parametrize("path", ["/ws/chat", "/ws"])
async def test_sessions_are_taken_for_a_while_without_a_service(rig: Rig, path: str) -> None:
    """A restart costs no new connection, a service that stays away does."""
    assert not rig.services.takes_sessions(path)
    process = rig.start()
    assert rig.services.takes_sessions(path)

    process.die()
    rig.clock.now += GRACE - 0.1
    assert rig.services.takes_sessions(path)
    rig.clock.now += 0.1
    assert not rig.services.takes_sessions(path)
    rig.start()
    assert rig.services.takes_sessions(path)


# sessions


async def test_service_is_told_of_a_session(rig: Rig) -> None:
    """Everything that a context shows."""
    process = rig.start()
    rig.open("s-1", identity=user("una", ["admin"]), metadata={"room": "a"}, codec=MSGPACK)
    rig.open("s-2")

    first, second = (process.take("session_opened").session_opened for _ in range(2))

    assert (first.session.id, first.session.path, first.session.codec) == ("s-1", "/ws/chat", CODEC_MSGPACK)
    assert (first.session.remote_address, first.session.user_agent) == ("192.0.2.1", "test")
    assert (first.session.connected_at_ms, dict(first.session.metadata)) == (1_000_000, {"room": "a"})
    assert read_identity(first.session.identity) == user("una", ["admin"])
    assert not first.adopted
    assert second.session.codec == CODEC_JSON
    assert not second.session.HasField("identity")


async def test_session_goes_to_the_instance_with_the_fewest(rig: Rig) -> None:
    """And counts there until it ends."""
    first, second = rig.start(), rig.start()
    a, b, _c = (rig.open(f"s-{number}") for number in range(3))
    assert (first.open_all(), second.open_all()) == (["s-0", "s-2"], ["s-1"])

    rig.end(a)
    rig.end(b)
    rig.open("s-3")

    assert second.open_all() == ["s-3"]


async def test_session_stays_with_its_instance(rig: Rig) -> None:
    """All its messages go there, however idle the others are."""
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    second = rig.start()

    for number in range(3):
        rig.send(session, id=number)

    assert first.kinds() == ["inbound"] * 3
    assert second.kinds() == []


async def test_shared_path_reaches_every_service(rig: Rig) -> None:
    """Also one that comes later; each is told once."""
    chat = rig.start("chat")
    session = rig.open("s-1", path="/ws")
    game = rig.start("game", types=["game.move"])
    assert (chat.open_all(), game.open_all()) == (["s-1"], ["s-1"])

    rig.send(session, "game.move")
    rig.send(session, "chat.send")
    assert (chat.kinds(), game.kinds()) == (["inbound"], ["inbound"])
    rig.end(session)

    assert chat.kinds() == game.kinds() == ["inbound", "session_closed"]


async def test_session_that_came_early_waits_for_the_service(rig: Rig) -> None:
    """It is told of as soon as an instance is there."""
    rig.start().die()
    session = rig.open("s-1")
    rig.send(session, id=1)
    assert rig.heard(session)[0]["error"]["code"] == 503

    process = rig.start()

    assert process.open_all() == ["s-1"]


async def test_refused_session_is_closed_with_the_error(rig: Rig) -> None:
    """The client is told why, by an error and by the close code."""
    process = rig.start()
    session = rig.open("s-1")

    process.fail(process.take("session_opened"), ForbiddenError("Banned."))

    assert rig.heard(session)[0]["error"]["message"] == "Banned."
    assert connection_of(session).closed == (4403, "Banned.", EndReason.REFUSED)


async def test_service_hears_of_the_end(rig: Rig) -> None:
    """With reason and rooms, once."""
    process = rig.start()
    session = rig.open("s-1")
    process.open_all()
    rig.rooms.join(session, "chat", "lobby")
    rig.rooms.join(session, "game", "table")

    rig.end(session, EndReason.SLOW_CONSUMER)

    closed = process.take("session_closed").session_closed
    assert (closed.session.id, closed.reason, list(closed.rooms)) == ("s-1", "slow_consumer", ["lobby"])
    assert process.kinds() == []
    assert (len(rig.rooms), len(rig.registry)) == (0, 0)


# an instance dies


async def test_next_instance_adopts_sessions_at_once(rig: Rig) -> None:
    """It is told of them before their next message: should the gateway die, it runs on_disconnect for them."""
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    first.die()

    second = rig.start()

    assert second.kinds() == ["session_opened"]
    assert second.take("session_opened").session_opened.adopted
    rig.send(session, id=1)
    assert second.kinds() == ["inbound"]


async def test_many_sessions_are_adopted_a_few_at_a_time(rig: Rig) -> None:
    """So that the next instance's clients do not wait for all of them; who ended meanwhile is left out."""
    first = rig.start()
    sessions = [rig.open(f"s-{number}") for number in range(600)]
    first.open_all()
    first.die()

    second = rig.start()
    assert len(second.open_all()) == 256
    rig.end(sessions[-1])
    assert second.kinds() == ["session_closed"]
    for _ in range(2):
        rig.timers.pass_(0.01)
        second.open_all()

    adopted = [session for session, of in rig.services.get("chat").attachments.items() if of.instance is not None]  # type: ignore[union-attr]
    assert len(adopted) == 599


async def test_end_of_a_session_whose_on_connect_may_have_run_is_not_lost(rig: Rig) -> None:
    """The only instance dies in on_connect, and the client leaves before the next one is there."""
    first = rig.start()
    session = rig.open("s-1")
    assert first.kinds() == ["session_opened"]
    first.die()
    rig.end(session)

    second = rig.start()

    assert second.take("session_closed").session_closed.session.id == "s-1"


async def test_refused_session_has_no_end(rig: Rig) -> None:
    """Where on_connect refused it nothing began, and no later instance has anything to end."""
    first = rig.start()
    session = rig.open("s-1")
    first.fail(first.take("session_opened"), ForbiddenError())
    first.die()
    rig.end(session)

    assert rig.start().kinds() == []


async def test_two_programs_under_one_name_are_refused(rig: Rig) -> None:
    """Every second client would get 404; the error says what to change."""
    rig.start(types=["chat.send", "chat.read"])
    other = rig.connect()

    refused = other.ask(Frame(register=registration(types=["chat.send", "shop.buy"]))).failure

    assert (refused.code, refused.type) == (409, "OTHER_PROGRAM")
    assert "'chat.read'" in refused.message
    assert "another version" in refused.message


@pytest.mark.parametrize("change", [{"types": ["chat.send", "shop.buy"], "release": "2"}, {"types": ["chat.send"]}])
async def test_rolling_change_of_a_service_is_taken(rig: Rig, change: dict[str, Any]) -> None:
    """Another version may handle something else, and the same one less or more; the log says what differs."""
    rig.start(types=["chat.send", "chat.read"])

    with structlog.testing.capture_logs() as logs:
        rig.start(**change)

    assert [line["missing"] for line in logs if line["event"] == "offers_differ"] == [["chat.read"]]


async def test_session_that_was_never_opened_is_opened_by_the_next(rig: Rig) -> None:
    """Its instance died in on_connect: another one that lives runs it at once, not with the next message."""
    first, second = rig.start(), rig.start()
    rig.open("s-1")
    assert first.kinds() == ["session_opened"]

    first.die()

    assert not second.take("session_opened").session_opened.adopted


async def test_end_that_nobody_heard_is_told_to_the_next_instance(rig: Rig) -> None:
    """The session ended while no instance was there."""
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    first.die()
    rig.end(session)

    second = rig.start()

    assert second.take("session_closed").session_closed.session.id == "s-1"


async def test_end_that_an_instance_took_with_it_is_told_to_the_next(rig: Rig) -> None:
    """It died while on_disconnect ran: once more, to an instance that lives."""
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    rig.end(session)
    assert first.kinds() == ["session_closed"]
    second = rig.start()

    first.die()

    assert second.kinds() == ["session_closed"]


async def test_end_of_an_orphan_is_told_to_an_instance_that_is_there(rig: Rig) -> None:
    """Its instance died, another lives: on_disconnect runs when the session ends, not when the next process starts."""
    first, second = rig.start(), rig.start()
    session = rig.open("s-1")
    first.open_all()
    first.die()

    second.open_all()

    rig.end(session)

    assert second.kinds() == ["session_closed"]


async def test_end_is_told_once(rig: Rig) -> None:
    """Whoever answered is done, with an error too: the next instance hears nothing of it."""
    first = rig.start()
    sessions = [rig.open(f"s-{number}") for number in range(2)]
    first.open_all()
    for session in sessions:
        rig.end(session)
    first.done(first.take("session_closed"))
    first.fail(first.take("session_closed"), HandlerTimeoutError())
    first.die()

    assert rig.start().kinds() == []


async def test_session_that_nobody_knew_ends_in_silence(rig: Rig) -> None:
    """Neither begun nor ended, as far as services are concerned."""
    rig.start().die()
    rig.end(rig.open("s-1"))

    assert rig.start().kinds() == []


async def test_ends_that_wait_have_a_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and the log says which."""
    monkeypatch.setattr("pylinkd.gateway.routing.service._MOST_OWED", 2)
    first = rig.start()
    sessions = [rig.open(f"s-{number}") for number in range(3)]
    first.open_all()
    first.die()

    with structlog.testing.capture_logs() as logs:
        for session in sessions:
            rig.end(session)

    assert [(line["event"], line["session"]) for line in logs if line["log_level"] == "error"] == [
        ("disconnect_lost", "s-0")
    ]
    second = rig.start()
    assert [second.take("session_closed").session_closed.session.id for _ in range(2)] == ["s-1", "s-2"]


# an instance drains


async def test_draining_instance_takes_nothing_new(rig: Rig) -> None:
    """New sessions go elsewhere, and its own with their next message; what it has it finishes."""
    first = rig.start()
    idle, busy = rig.open("idle"), rig.open("busy")
    first.open_all()
    rig.send(busy, id=1)
    question = first.take("inbound")
    frame = Frame()
    frame.draining.SetInParent()
    assert first.ask(frame).WhichOneof("body") == "done"
    second = rig.start()

    rig.open("new")
    rig.send(idle, id=1)
    rig.send(busy, id=2)

    assert second.kinds() == ["session_opened", "session_opened", "inbound"]
    assert first.kinds() == ["inbound"]  # the order of a session's messages holds
    first.answer(question)
    first.answer(first.take("inbound"))
    rig.send(busy, id=3)
    assert second.kinds()[-2:] == ["session_opened", "inbound"]
    assert [answer["id"] for answer in rig.heard(busy)] == [1, 2]


async def test_draining_instance_alone_answers_nothing_new(rig: Rig) -> None:
    """503 until the next instance is there; the session is adopted then, and its end told."""
    first = rig.start()
    session = rig.open("s-1")
    first.open_all()
    rig.services.drain(first.link)
    assert not rig.services.ready

    rig.send(session, id=1)
    assert rig.heard(session)[0]["error"]["code"] == 503
    first.die()
    second = rig.start()
    rig.send(session, id=2)
    assert second.kinds() == ["session_opened", "inbound"]
    rig.end(session)

    assert second.kinds()[-1] == "session_closed"


# an instance's health check fails


def _say_health(process: Process, *failing: str) -> None:
    frame = Frame()
    frame.health.failing.extend(failing)
    assert process.ask(frame).WhichOneof("body") == "done"


async def test_failing_instance_gets_nothing_new_where_another_is_healthy(rig: Rig) -> None:
    """Its sessions go elsewhere with their next message, and it is told; what it has it finishes."""
    first = rig.start()
    idle, busy = rig.open("idle"), rig.open("busy")
    first.open_all()
    rig.send(busy, id=1)
    question = first.take("inbound")
    second = rig.start()
    _say_health(first, "database")

    rig.open("new")
    rig.send(idle, id=1)
    rig.send(busy, id=2)

    assert second.kinds() == ["session_opened", "session_opened", "inbound"]
    assert first.take("session_moved").session_moved.session == "idle"
    first.answer(question)
    first.answer(first.take("inbound"))
    rig.send(busy, id=3)
    assert second.kinds()[-2:] == ["session_opened", "inbound"]
    assert first.take("session_moved").session_moved.session == "busy"
    assert rig.services.ready


async def test_failing_instances_alone_go_on_and_are_not_ready(rig: Rig) -> None:
    """Answers that may fail are better than none."""
    only = rig.start()
    session = rig.open("s-1")
    only.open_all()
    _say_health(only, "database")
    assert not rig.services.ready

    rig.send(session, id=1)
    rig.open("s-2")

    assert only.kinds() == ["inbound", "session_opened"]
    _say_health(only)
    assert rig.services.ready


async def test_instance_that_recovers_takes_new_sessions_again(rig: Rig) -> None:
    """It has the fewest by then."""
    first, second = rig.start(), rig.start()
    _say_health(first, "database")
    rig.open("s-1"), rig.open("s-2")
    assert second.kinds() == ["session_opened", "session_opened"]
    _say_health(first)

    rig.open("s-3")

    assert first.kinds() == ["session_opened"]


# lookup by type


async def test_catch_all_takes_other_types(rig: Rig) -> None:
    """On its own path, and on the shared one if it is the only one."""
    chat = rig.start("chat", types=["chat.send"], catch_all=True)
    own, shared = rig.open("own"), rig.open("shared", path="/ws")
    chat.open_all()

    rig.send(own, "odd.type", 1)
    rig.send(shared, "odd.type", 1)
    assert chat.kinds() == ["inbound"] * 2

    rig.start("game", types=[], catch_all=True)
    rig.send(shared, "odd.type", 2)
    assert rig.heard(shared)[0]["error"]["type"] == "UNKNOWN_MESSAGE_TYPE"


async def test_requirement_is_checked_at_the_gateway(rig: Rig) -> None:
    """401 and 403 without asking the service; every handler has its own."""
    chat = rig.start(
        types=["open"], handlers=[Handler(type="signed", auth=True), Handler(type="admins", roles=["admin"])]
    )
    sessions = [
        rig.open("nobody"),
        rig.open("una", identity=user("una")),
        rig.open("root", identity=user("r", ["admin"])),
    ]
    chat.open_all()

    for session in sessions:
        for type in ("open", "signed", "admins"):
            rig.send(session, type, type)

    codes = [[answer["error"]["code"] for answer in rig.heard(session)] for session in sessions]
    assert codes == [[401, 401], [403], []]
    assert len(chat.kinds()) == 6


async def test_routes_of_one_shape_belong_to_one_service(rig: Rig) -> None:
    """Whatever their variables are called: both would match the same paths."""
    rig.start("chat", actions=[Action(name="get", method="GET", route="/items/{id}")])

    refused = rig.connect().ask(
        Frame(register=registration("shop", actions=[Action(name="get", method="GET", route="/items/{name}")]))
    )
    taken = rig.connect().ask(
        Frame(
            register=registration(
                "shop", types=["shop.buy"], actions=[Action(name="new", method="GET", route="/items/new")]
            )
        )
    )

    assert "belongs to the service 'chat'" in refused.failure.message
    assert taken.WhichOneof("body") == "registered"
