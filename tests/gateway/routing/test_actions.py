"""HTTP requests and calls between services, on their way to an action."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pylinkd.protocol.errors import (
    ConflictError,
    ForbiddenError,
    LinkdError,
    NotFoundError,
    ServiceUnavailableError,
    UnauthorizedError,
)
from pylinkd.protocol.identity import Identity
from pylinkd.protocol.link import MAX_CHUNK_SIZE, STREAM_WINDOW
from pylinkd.protocol.link_pb2 import Action, Call, Frame, HttpRequest, HttpResponse, StreamChunk
from pylinkd.protocol.link_values import fill_identity
from pylinkd.protocol.routes import MethodNotAllowedError

from ..doubles import turns, user
from .rig import STARTUP_GRACE, Process, Rig


@pytest.fixture
async def rig() -> Rig:
    """Without services."""
    return Rig()


def action(name: str, route: str = "", method: str = "GET", **options: Any) -> Action:
    """An action as it is registered."""
    return Action(name=name, route=route, method=method if route else "", **options)


ROUTES = [
    action("root", "/"),
    action("rooms", "/chat/rooms"),
    action("make", "/chat/rooms", "POST"),
    action("room", "/chat/rooms/{id}"),
    action("mine", "/chat/rooms/mine"),
    action("drop", "/chat/rooms/{id}", "DELETE"),
    action("post", "/chat/rooms/{id}/posts/{post}"),
    action("pinned", "/chat/rooms/{id}/posts/pinned"),
    action("internal"),
]


async def asking(rig: Rig, method: str, path: str, identity: Identity | None = None) -> HttpResponse:
    """A request on its way."""
    target = rig.actions.find(method, path.split("/"), identity)
    return (await rig.actions.request(HttpRequest(method=method, path=path), target)).head


async def reached(rig: Rig, process: Process, method: str, path: str) -> tuple[str, dict[str, str]]:
    """The action that a request reaches, and its variables."""
    task = asyncio.create_task(asking(rig, method, path))
    await turns()
    question = process.take("http_request")
    answer = Frame(request_id=question.request_id)
    answer.http_response.status = 204
    process.say(answer)
    assert (await task).status == 204
    return question.http_request.action, dict(question.http_request.params)


@pytest.mark.parametrize(
    ("method", "path", "name", "params"),
    [
        ("GET", "/", "root", {}),
        ("GET", "/chat/rooms", "rooms", {}),
        ("HEAD", "/chat/rooms", "rooms", {}),
        ("POST", "/chat/rooms", "make", {}),
        ("GET", "/chat/rooms/7", "room", {"id": "7"}),
        ("GET", "/chat/rooms/a b", "room", {"id": "a b"}),
        ("GET", "/chat/rooms/mine", "mine", {}),
        ("DELETE", "/chat/rooms/mine", "drop", {"id": "mine"}),
        ("GET", "/chat/rooms/7/posts/9", "post", {"id": "7", "post": "9"}),
        ("GET", "/chat/rooms/7/posts/pinned", "pinned", {"id": "7"}),
    ],
)
async def test_request_reaches_the_most_specific_action(
    rig: Rig, method: str, path: str, name: str, params: dict[str, str]
) -> None:
    """Of its method; HEAD is answered as GET."""
    process = rig.start(actions=ROUTES)

    assert await reached(rig, process, method, path) == (name, params)


@pytest.mark.parametrize(
    "path", ["/chat", "/chat/rooms/", "/chat/rooms/7/posts", "/chat//7", "", "//", "/internal", "chat/rooms"]
)
async def test_unknown_path_is_not_found(rig: Rig, path: str) -> None:
    """A variable is never empty, a slash at the end is another path."""
    rig.start(actions=ROUTES)
    rig.clock.now += STARTUP_GRACE

    with pytest.raises(NotFoundError):
        await asking(rig, "GET", path)


async def test_unknown_path_may_come_while_services_are_on_their_way(rig: Rig) -> None:
    """After the gateway's start a client is told to come back, not that nothing is there."""
    rig.start(actions=ROUTES)

    with pytest.raises(ServiceUnavailableError):
        await asking(rig, "GET", "/later")


async def test_known_path_with_another_method_says_which(rig: Rig) -> None:
    """405, with those that the path takes."""
    rig.start(actions=ROUTES)

    with pytest.raises(MethodNotAllowedError) as caught:
        await asking(rig, "PATCH", "/chat/rooms")

    assert (caught.value.code, caught.value.allowed) == (405, ["GET", "POST"])


@pytest.mark.parametrize(
    ("options", "identity", "error"),
    [
        ({}, None, None),
        ({"auth": True}, None, UnauthorizedError),
        ({"auth": True}, user("una"), None),
        ({"roles": ["admin"]}, None, UnauthorizedError),
        ({"roles": ["admin"]}, user("una"), ForbiddenError),
        ({"roles": ["admin"]}, user("una", ["admin"]), None),
    ],
)
async def test_requirement_is_checked_before_the_service_is_asked(
    rig: Rig, options: dict[str, Any], identity: Identity | None, error: type[LinkdError] | None
) -> None:
    """401 and 403 are the gateway's."""
    process = rig.start(actions=[action("a", "/a", **options)])
    task = asyncio.create_task(asking(rig, "GET", "/a", identity))
    await turns()

    if error is None:
        assert process.kinds() == ["http_request"]
        process.die()
        error = ServiceUnavailableError
    with pytest.raises(error):
        await task


async def test_stricter_instance_wins(rig: Rig) -> None:
    """While an old and a new version run together, what either protects is protected."""
    rig.start(actions=[action("a", "/a")])
    rig.start(actions=[action("a", "/a", auth=True)])

    with pytest.raises(UnauthorizedError):
        await asking(rig, "GET", "/a")


async def test_requests_go_to_the_idlest_instance(rig: Rig) -> None:
    """By what is unanswered; never to one that drains."""
    instances = [rig.start(actions=ROUTES) for _ in range(3)]
    rig.services.drain(instances[2].link)

    tasks = [asyncio.create_task(asking(rig, "GET", "/chat/rooms")) for _ in range(4)]
    await turns()

    assert [len(process.kinds()) for process in instances] == [2, 2, 0]
    for process in instances:
        process.die()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_request_goes_to_an_instance_that_has_the_action(rig: Rig) -> None:
    """During a rolling restart the idlest one may not have it yet."""
    rig.start(actions=[])
    new = rig.start(actions=[action("a", "/a")])

    task = asyncio.create_task(asking(rig, "GET", "/a"))
    await turns()

    assert new.kinds() == ["http_request"]
    new.die()
    with pytest.raises(ServiceUnavailableError):
        await task


async def test_error_of_the_action_is_the_answer(rig: Rig) -> None:
    """With its class."""
    process = rig.start(actions=ROUTES)
    task = asyncio.create_task(asking(rig, "GET", "/chat/rooms"))
    await turns()

    process.fail(process.take("http_request"), ConflictError("Full."))

    with pytest.raises(ConflictError, match="Full"):
        await task


async def test_lost_process_is_an_answer_too(rig: Rig) -> None:
    """503, also while nobody is there."""
    process = rig.start(actions=ROUTES)
    task = asyncio.create_task(asking(rig, "GET", "/chat/rooms"))
    await turns()
    process.die()

    with pytest.raises(ServiceUnavailableError):
        await task
    with pytest.raises(ServiceUnavailableError):
        await asking(rig, "GET", "/chat/rooms")


async def test_withdrawn_request_harms_nobody(rig: Rig) -> None:
    """The client went; the answer comes all the same."""
    process = rig.start(actions=ROUTES)
    task = asyncio.create_task(asking(rig, "GET", "/chat/rooms"))
    await turns()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    answer = Frame(request_id=process.take("http_request").request_id)
    answer.http_response.status = 200
    process.say(answer)

    assert process.link.questions == 0


# calls


def call(service: str = "store", name: str = "get", identity: Identity | None = None) -> Frame:
    """A call."""
    frame = Frame(call=Call(service=service, action=name, params=b"[1]", caller="a lie"))
    if identity is not None:
        fill_identity(frame.call.identity, identity)
    return frame


async def test_call_passes_and_its_result_comes_back(rig: Rig) -> None:
    """On behalf of whoever asked the caller; the gateway says who calls."""
    store = rig.start("store", types=[], actions=[action("get")])
    chat = rig.start("chat")
    chat.say(Frame(request_id=41, call=call(identity=user("una")).call))

    question = store.take("call")
    answer = Frame(request_id=question.request_id)
    answer.call_result.data = b'{"x":1}'
    store.say(answer)

    assert (question.call.action, question.call.params, question.call.caller) == ("get", b"[1]", "chat")
    assert question.call.identity.user == "una"
    result = chat.take("call_result")
    assert (result.request_id, result.call_result.data) == (41, b'{"x":1}')


async def test_error_of_a_call_comes_back(rig: Rig) -> None:
    """Raised, or because the process died."""
    store = rig.start("store", types=[], actions=[action("get")])
    chat = rig.start("chat")
    chat.say(Frame(request_id=1, call=call().call))
    chat.say(Frame(request_id=2, call=call().call))

    store.fail(store.take("call"), ConflictError("Full."))
    store.die()

    failures = [chat.take("failure") for _ in range(2)]
    assert [(frame.request_id, frame.failure.code) for frame in failures] == [(1, 409), (2, 503)]


@pytest.mark.parametrize("frame", [call("nowhere"), call(name="unknown")])
async def test_unknown_action_is_not_found(rig: Rig, frame: Frame) -> None:
    """With its name."""
    rig.start("store", types=[], actions=[action("get")])

    answer = rig.start("chat").ask(frame)

    assert answer.failure.code == 404
    assert f"{frame.call.service}.{frame.call.action}" in answer.failure.message


async def test_call_is_refused_for_whom_the_action_is_not(rig: Rig) -> None:
    """A service speaks for its caller, not for itself."""
    rig.start("store", types=[], actions=[action("get", roles=["admin"])])
    chat = rig.start("chat")

    assert chat.ask(call()).failure.code == 401
    assert chat.ask(call(identity=user("una"))).failure.code == 403


async def test_call_to_a_service_that_is_away_is_unavailable(rig: Rig) -> None:
    """503: it comes back; the same if it drains."""
    store = rig.start("store", types=[], actions=[action("get")])
    chat = rig.start("chat")
    rig.services.drain(store.link)
    assert chat.ask(call()).failure.code == 503
    store.die()

    assert chat.ask(call()).failure.code == 503


async def test_call_goes_to_an_instance_that_has_the_action(rig: Rig) -> None:
    """As requests do."""
    rig.start("store", types=[], actions=[])
    new = rig.start("store", types=[], actions=[action("get")])
    rig.start("chat").say(Frame(request_id=1, call=call().call))

    assert new.kinds() == ["call"]


async def test_caller_that_is_gone_gets_no_answer(rig: Rig) -> None:
    """And the action's process is not disturbed."""
    store = rig.start("store", types=[], actions=[action("get")])
    chat = rig.start("chat")
    chat.say(Frame(request_id=1, call=call().call))
    question = store.take("call")
    chat.die()

    answer = Frame(request_id=question.request_id)
    answer.call_result.data = b"1"
    store.say(answer)

    assert store.link.questions == 0


async def streaming(rig: Rig) -> tuple[Process, asyncio.Task[Any], Frame]:
    """A request, and the head of an answer that is streamed, which the service is about to send."""
    process = rig.start(actions=[action("a", "/a")])
    target = rig.actions.find("GET", ["", "a"], None)
    task = asyncio.create_task(rig.actions.request(HttpRequest(method="GET", path="/a"), target))
    await turns()
    head = Frame(request_id=process.take("http_request").request_id)
    head.http_response.status = 200
    head.http_response.streamed = True
    return process, task, head


async def test_streamed_answer_to_nobody_is_ended(rig: Rig) -> None:
    """Also where its client leaves in the very turn in which it comes."""
    process, task, head = await streaming(rig)

    process.say(head)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert process.link.answer_bodies == {}
    assert process.take("stream_aborted").request_id == head.request_id


@pytest.mark.parametrize("size", [1, MAX_CHUNK_SIZE + 1])
async def test_service_that_sends_more_than_it_may_is_cut_short(rig: Rig, size: int) -> None:
    """What is kept of an answer is bounded, whatever a service does."""
    process, task, head = await streaming(rig)
    process.say(head)
    body = (await task).body
    for _ in range(STREAM_WINDOW + 1 if size == 1 else 1):
        process.say(Frame(request_id=head.request_id, stream_chunk=StreamChunk(data=bytes(size))))

    with pytest.raises(LinkdError):
        async for _ in body:
            pass
    assert process.take("stream_aborted").request_id == head.request_id


async def test_credits_that_nobody_owes_change_nothing(rig: Rig) -> None:
    """A body is sent as fast as the service takes it, whatever it says it has taken."""
    process = rig.start(actions=[action("put", "/a", "PUT", stream=True)])
    target = rig.actions.find("PUT", ["", "a"], None)

    async def chunks() -> Any:
        for _ in range(100):
            yield b"x"

    task = asyncio.create_task(rig.actions.request(HttpRequest(method="PUT", path="/a"), target, chunks()))
    await turns()
    number = process.take("http_request").request_id
    process.forget()
    for _ in range(50):
        credit = Frame(request_id=number)
        credit.stream_credit.SetInParent()
        process.say(credit)
    await turns()

    assert 0 < process.kinds().count("stream_chunk") <= STREAM_WINDOW
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
