"""``pylinkd.testing`` and the gateway keep the same promises: each test runs against both."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

import pylinkd.testing
from pylinkd import LinkdError
from tests.processes import Platform, make_token, platform

from .client import WAIT, client
from .resuming_client import ResumingClient, resuming_client

pytestmark = pytest.mark.plain("it is about services, not about connections")

CONTRACT = "tests/services/contract.py"
Answer = tuple[int, Any]
"""200 and the data, or the error's code and type."""


class Peer(Protocol):
    """A client of the service."""

    async def request(self, type: str, data: Any = None) -> Answer:
        """Send a message and wait for its answer."""

    async def event(self, type: str, timeout: float = WAIT) -> Any:
        """The data of the next event of this type.

        Raises:
            TimeoutError: If none comes.
        """

    @property
    def id(self) -> str:
        """The session's."""

    def answer(self, type: str, answer: Callable[[Any], Any]) -> None:
        """Answer events of this type that want an answer so; others with ``None``."""

    def be_silent(self) -> None:
        """Answer nothing."""

    async def cut(self) -> None:
        """Lose the connection."""

    async def resume(self) -> None:
        """Come back to the session."""

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason with which the service has disconnected it."""

    async def close(self) -> None:
        """End the session."""


class Side(Protocol):
    """Where the service runs."""

    async def connect(self, user: str | None = None, roles: tuple[str, ...] = (), refuse: bool = False) -> Peer:
        """A client that has come in.

        Raises:
            LinkdError: If the service refuses it.
        """

    async def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        roles: tuple[str, ...] = (),
        cookies: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask an action as its own page does; a user with these roles is signed in where roles are given."""


class MemoryPeer:
    """A client of the gateway in memory."""

    def __init__(self, one: pylinkd.testing.Client) -> None:
        self._one = one

    async def request(self, type: str, data: Any = None) -> Answer:
        try:
            return 200, await self._one.send(type, data)
        except LinkdError as error:
            return error.code, error.type

    async def event(self, type: str, timeout: float = WAIT) -> Any:
        async with asyncio.timeout(timeout):
            return (await self._one.next_event(type)).data

    @property
    def id(self) -> str:
        return self._one.id

    def answer(self, type: str, answer: Callable[[Any], Any]) -> None:
        self._one.answers[type] = answer

    def be_silent(self) -> None:
        self._one.silent = True

    async def cut(self) -> None:
        await self._one.cut()

    async def resume(self) -> None:
        await self._one.resume()

    async def closed(self) -> tuple[int | None, str | None]:
        assert self._one.closed is not None
        return self._one.closed

    async def close(self) -> None:
        await self._one.close()


class Memory:
    """The service in ``pylinkd.testing``."""

    def __init__(self, gateway: pylinkd.testing.Gateway) -> None:
        self._gateway = gateway

    async def connect(self, user: str | None = None, roles: tuple[str, ...] = (), refuse: bool = False) -> Peer:
        return MemoryPeer(await self._gateway.connect(user, roles=roles, metadata={"refuse": "1"} if refuse else {}))

    async def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        roles: tuple[str, ...] = (),
        cookies: Mapping[str, str] | None = None,
    ) -> Answer:
        user = "http" if roles else None
        try:
            answer = await self._gateway.request(method, path, body=body, user=user, roles=roles, cookies=cookies)
        except LinkdError as error:
            return error.code, error.type
        return answer.status, pylinkd.testing.decode(answer)


class RealPeer:
    """A client over a WebSocket."""

    def __init__(self, one: ResumingClient) -> None:
        self._one = one

    @property
    def id(self) -> str:
        return self._one.core.session

    async def request(self, type: str, data: Any = None) -> Answer:
        return _whole(await self._one.request(type, data))

    async def event(self, type: str, timeout: float = WAIT) -> Any:
        return await self._one.event(type, timeout)

    def answer(self, type: str, answer: Callable[[Any], Any]) -> None:
        self._one.answers[type] = answer

    def be_silent(self) -> None:
        self._one.silent = True

    async def cut(self) -> None:
        await self._one.cut()

    async def resume(self) -> None:
        await self._one.connect()
        assert self._one.core.notices[-1] == "resumed"

    async def closed(self) -> tuple[int | None, str | None]:
        return await self._one.closed()

    async def close(self) -> None:
        await self._one.close()


def _whole(answer: dict[str, Any]) -> Answer:
    if answer["type"] == "error":
        return answer["error"]["code"], answer["error"]["type"]
    return 200, answer["data"]


class Real:
    """The service as a process behind a gateway."""

    def __init__(self, running: Platform, stack: contextlib.AsyncExitStack) -> None:
        self._running = running
        self._stack = stack

    async def connect(self, user: str | None = None, roles: tuple[str, ...] = (), refuse: bool = False) -> Peer:
        url = self._running.url("/ws/contract" + ("?refuse=1" if refuse else ""))
        token = None if user is None else make_token(user, roles=roles)
        if refuse:
            refused = await self._stack.enter_async_context(client(url, token=token))
            error = (await refused.receive())["error"]
            raise LinkdError(error["message"], code=error["code"], type=error["type"])
        return RealPeer(await self._stack.enter_async_context(resuming_client(url, token)))

    async def http(
        self,
        method: str,
        path: str,
        body: Any = None,
        roles: tuple[str, ...] = (),
        cookies: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {make_token('http', roles=roles)}"} if roles else {}
        headers |= {"Origin": self._running.http}
        if cookies is not None:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        async with self._running.http_client() as http:
            answer: httpx.Response = await http.request(method, path, json=body, headers=headers)
        if answer.status_code >= 400:
            return answer.status_code, answer.json()["error"]["type"]
        return answer.status_code, answer.json() if answer.content else None


@pytest.fixture(params=["memory", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    """Both, one after the other."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "memory":
            spec = importlib.util.spec_from_file_location("contract", CONTRACT)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules["contract"] = module  # where the names in its annotations are looked up
            spec.loader.exec_module(module)
            yield Memory(await stack.enter_async_context(pylinkd.testing.run(module.service)))
        else:
            env = {"LINKD_LIMITS": "enforce"}
            yield Real(await stack.enter_async_context(platform(tmp_path, CONTRACT, env=env)), stack)


async def test_messages_are_answered(side: Side) -> None:
    """With what the handler returned, or with the error that it raised."""
    nobody, one = await side.connect(), await side.connect("una")

    assert await nobody.event("contract.welcome") == {"user": None}
    assert await one.event("contract.welcome") == {"user": "una"}
    assert await one.request("contract.other", {}) == (200, "caught contract.other")
    assert await one.request("linkd.other") == (404, "UNKNOWN_MESSAGE_TYPE")
    assert await nobody.request("linkd.other") == (401, "UNAUTHORIZED")
    assert await one.request("x" * 200) == (400, "BAD_REQUEST")
    assert await one.request("contract.upload") == (400, "BAD_REQUEST")
    assert await one.request("contract.echo", {"a": [1, None, "é"]}) == (200, {"a": [1, None, "é"]})
    assert await one.request("contract.echo") == (200, None)
    assert await one.request("contract.item", {"name": "tea"}) == (200, {"name": "tea", "price": 0})
    assert await one.request("contract.item", {"price": 1}) == (422, "VALIDATION_ERROR")
    assert await one.request("contract.fails") == (500, "INTERNAL_ERROR")
    assert await one.request("contract.conflict") == (409, "ROOM_FULL")


async def test_handlers_are_for_those_they_are_for(side: Side) -> None:
    """Signed in, or of a role."""
    nobody, user, admin = await side.connect(), await side.connect("una"), await side.connect("ann", ("admin",))

    assert await nobody.request("contract.signed") == (401, "UNAUTHORIZED")
    assert await nobody.request("contract.admin") == (401, "UNAUTHORIZED")
    assert await user.request("contract.signed") == (200, "una")
    assert await user.request("contract.admin") == (403, "FORBIDDEN")
    assert await admin.request("contract.admin") == (200, "admin")


async def test_rate_of_a_handler_holds(side: Side) -> None:
    """For each session by itself."""
    one, two = await side.connect(), await side.connect()

    answers = [await peer.request("contract.rare") for peer in (one, one, two)]

    assert answers == [(200, "once"), (429, "RATE_LIMITED"), (200, "once")]


async def test_rooms_are_joined_and_left(side: Side) -> None:
    """And listed from both sides."""
    una, ben = await side.connect("una"), await side.connect("ben")

    assert await una.request("contract.join", ["a", "b"]) == (200, ["a", "b"])
    assert await ben.request("contract.join", ["b"]) == (200, ["b"])
    assert await una.request("contract.members", "b") == (200, ["ben", "una"])
    assert await una.request("contract.leave", ["b", "never"]) == (200, ["a"])
    assert await una.request("contract.members", "b") == (200, ["ben"])
    assert await una.request("contract.members", "nowhere") == (200, [])
    assert await una.request("contract.join", ["c", ""]) == (400, "BAD_REQUEST")
    assert await una.request("contract.join", ["a"]) == (200, ["a"])


async def test_events_to_everyone_reach_those_that_are_let_in(side: Side) -> None:
    """Not the session whose on_connect emits them: that has not succeeded yet."""
    one = await side.connect()
    assert await one.request("contract.echo") == (200, None)  # its on_connect has ended
    await side.connect()
    await one.event("contract.came")

    assert await one.request("contract.broadcast") == (200, 1)
    with pytest.raises(TimeoutError):
        await one.event("contract.came", 0.3)


@pytest.mark.parametrize(
    ("wanted", "reached", "heard"),
    [
        ({"rooms": ["a"]}, 2, "una ben"),
        ({"rooms": ["a", "b"]}, 3, "una ben cem"),
        ({"rooms": ["a"], "without_me": True}, 1, "ben"),
        ({"users": ["ben"]}, 1, "ben"),
        ({"users": ["ben"], "rooms": ["a"]}, 2, "una ben"),
        ({"rooms": ["a"], "without_users": ["ben"]}, 1, "una"),
        ({"everyone": True}, 3, "una ben cem"),
        ({"rooms": ["nowhere"]}, 0, ""),
    ],
)
async def test_events_reach_their_audience(side: Side, wanted: Any, reached: int, heard: str) -> None:
    """Each once, and the answer says how many."""
    peers = {name: await side.connect(name) for name in ("una", "ben", "cem")}
    for name, rooms in {"una": ["a"], "ben": ["a", "b"], "cem": ["b"]}.items():
        await peers[name].request("contract.join", rooms)

    assert await peers["una"].request("contract.emit", wanted) == (200, reached)
    for name in heard.split():
        assert await peers[name].event("contract.news") == {"from": "una"}
    # Who was not meant has nothing before the next event.
    assert await peers["cem"].request("contract.broadcast") == (200, 2)
    for name in ("una", "ben"):
        assert await peers[name].event("contract.news") == {"from": "broadcast"}


async def test_session_may_be_refused(side: Side) -> None:
    """By on_connect, with its error."""
    with pytest.raises(LinkdError) as refused:
        await side.connect("una", refuse=True)

    assert (refused.value.code, refused.value.type) == (403, "BANNED")


async def test_end_of_a_session(side: Side) -> None:
    """on_disconnect knows why, and which rooms it was in."""
    stays, leaves, quits = await side.connect(), await side.connect(), await side.connect()
    for peer, room in ((leaves, "a"), (quits, "b")):
        await peer.request("contract.join", [room])

    await leaves.close()
    assert await stays.event("contract.gone") == {"reason": "client_closed", "rooms": ["a"]}
    with contextlib.suppress(LinkdError, ConnectionError):  # which may overtake the answer
        await quits.request("contract.quit")
    assert await quits.closed() == (4000, "as asked")
    assert await stays.event("contract.gone") == {"reason": "disconnected_by_service", "rooms": ["b"]}


async def test_calls_of_actions(side: Side) -> None:
    """The service's own, too."""
    one, admin = await side.connect("una"), await side.connect("ann", ("admin",))

    assert await one.request("contract.call", "items.add") == (200, {"name": "tea", "price": 0})
    assert await one.request("contract.call", "items.remove") == (403, "FORBIDDEN")
    assert await admin.request("contract.call", "items.remove") == (200, None)
    assert await one.request("contract.call", "items.nothing") == (500, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("method", "path", "body", "roles", "answer"),
    [
        ("POST", "/items", {"name": "tea"}, (), (200, {"name": "tea", "price": 0})),
        ("POST", "/items", {"price": 1}, (), (422, "VALIDATION_ERROR")),
        ("GET", "/items/tea", None, (), (200, {"name": "tea"})),
        ("GET", "/items/new", None, (), (200, "new")),
        ("GET", "/parts/a%2Fb", None, (), (200, {"name": "a/b"})),
        ("HEAD", "/items/tea", None, (), (200, None)),
        ("GET", "/items", None, (), (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/nowhere", None, (), (404, "NOT_FOUND")),
        ("DELETE", "/items/tea", None, (), (401, "UNAUTHORIZED")),
        ("DELETE", "/items/tea", None, ("user",), (403, "FORBIDDEN")),
        ("DELETE", "/items/tea", None, ("admin",), (204, None)),
    ],
)
async def test_requests_over_http(
    side: Side, method: str, path: str, body: Any, roles: tuple[str, ...], answer: Answer
) -> None:
    """The most specific route answers."""
    assert await side.http(method, path, body, roles) == answer


async def test_action_gets_the_cookies_that_it_reads(side: Side) -> None:
    """And no others."""
    cookies = {"visitor": "7", "other": "8"}

    assert await side.http("GET", "/visits", cookies=cookies) == (200, {"visitor": "7"})
    assert await side.http("GET", "/visits") == (200, {})


async def test_session_outlives_its_connection(side: Side) -> None:
    """What it is sent waits; its hooks run in order, and not the one of its end."""
    watcher, one = await side.connect("watcher"), await side.connect("una")
    assert await one.request("contract.join", ["tea"]) == (200, ["tea"])
    assert await watcher.request("contract.receipt", "tea") == (200, [1, 0, 0])
    assert await one.event("contract.news")

    await one.cut()
    assert await watcher.event("contract.away") == {"session": one.id, "connected": False}
    assert await watcher.request("contract.receipt", "tea") == (200, [0, 1, 0])
    assert await watcher.request("contract.join_other", {"session": one.id, "room": "milk"}) == (200, ["milk", "tea"])
    assert await watcher.request("contract.receipt", "milk") == (200, [0, 1, 0])
    await one.resume()

    assert await watcher.event("contract.back") == {"session": one.id, "connected": True}
    assert [(await one.event("contract.news"))["room"] for _ in range(2)] == ["tea", "milk"]
    await one.close()
    assert (await watcher.event("contract.gone"))["reason"] == "client_closed"


async def test_clients_are_asked(side: Side) -> None:
    """One, or all in a room: what they answer, and who does not."""
    asker = await side.connect("asker")
    peers = {name: await side.connect(name) for name in ("una", "bob", "eve", "ida")}
    for peer in peers.values():
        assert await peer.request("contract.join", ["tea"]) == (200, ["tea"])
    peers["una"].answer("contract.ready", lambda data: {"yes": data})
    peers["bob"].be_silent()
    await peers["eve"].cut()
    assert await asker.event("contract.away")

    assert await asker.request("contract.ask_room", "tea") == (
        200,
        {"una": {"yes": 7}, "ida": None, "missing": ["bob", "eve"]},
    )
    assert await asker.request("contract.ask_one", peers["una"].id) == (200, {"yes": 7})
    assert await asker.request("contract.ask_one", peers["bob"].id) == (504, "NOT_ACKNOWLEDGED")
    assert await asker.request("contract.acknowledged", peers["ida"].id) == (200, 1)
    assert await asker.request("contract.acknowledged", peers["bob"].id) == (504, "NOT_ACKNOWLEDGED")
    assert await asker.request("contract.acknowledged", "nobody") == (404, "SESSION_GONE")


async def test_rooms_with_a_history(side: Side) -> None:
    """Whoever joins again gets what was missed, all of it or nothing, in order and before anything new."""
    one, other = await side.connect("una"), await side.connect("bob")
    status, joined = await one.request("contract.rejoin", {"room": "kept:a"})
    assert (status, joined["recovered"], joined["replayed"], joined["position"]["offset"]) == (200, False, 0, 0)
    here = joined["position"]
    for _ in range(3):
        assert (await one.request("contract.receipt", "kept:a"))[0] == 200

    status, again = await other.request("contract.rejoin", {"room": "kept:a", "since": here})
    assert (status, again["recovered"], again["replayed"]) == (200, True, 3)
    assert [(await other.event("contract.news"))["room"] for _ in range(3)] == ["kept:a"] * 3
    status, idle = await other.request("contract.rejoin", {"room": "kept:a", "since": again["position"]})
    assert (idle["recovered"], idle["replayed"]) == (True, 0)

    for _ in range(3):
        await one.request("contract.receipt", "kept:a")
    status, late = await other.request("contract.rejoin", {"room": "kept:a", "since": here})
    assert (late["recovered"], late["replayed"]) == (False, 0), "one of six is gone"
    for wrong in ({"epoch": "other", "offset": 6}, {**here, "offset": 7}):
        status, lost = await other.request("contract.rejoin", {"room": "kept:a", "since": wrong})
        assert (status, lost["recovered"]) == (200, False)
    news = {"room": "kept:a"}
    assert await one.request("contract.history", "kept:a") == (
        200,
        [[[5, "contract.news", news], [6, "contract.news", news]], True],
    )
    assert await one.request("contract.history", "other") == (404, "NO_HISTORY")
    assert await one.request("contract.rejoin", {"room": "other"}) == (200, None)
    assert await one.request("contract.rejoin", {"room": "other", "since": here}) == (400, "BAD_REQUEST")
    assert await one.request("contract.emit", {"rooms": ["kept:a", "other"]}) == (409, "ROOM_WITH_HISTORY")


async def test_rooms_with_presence(side: Side) -> None:
    """Who is there, with how many sessions, and what is said of them."""
    una, again, bob = await side.connect("una"), await side.connect("una"), await side.connect("bob")
    watcher = await side.connect("watcher")
    for peer in (una, again, bob):
        await peer.request("contract.join", ["seen:a"])
    joined: set[str] = set()
    while not joined >= {"una", "bob"}:
        joined |= set((await watcher.event("contract.presence"))["joined"])

    assert await watcher.request("contract.present", "seen:a") == (
        200,
        [["una", 2, False, None], ["bob", 1, False, None]],
    )
    assert await bob.request("contract.say", {"room": "seen:a", "data": {"mood": 1}, "away": True}) == (200, None)
    assert await una.request("contract.say", {"room": "seen:a", "data": "x" * 2000}) == (500, "INTERNAL_ERROR")
    assert await watcher.request("contract.say", {"room": "seen:a", "data": 1}) == (404, "NOT_PRESENT")
    assert await watcher.request("contract.present", "other") == (404, "NO_PRESENCE")
    await again.request("contract.leave", ["seen:a"])
    assert await watcher.request("contract.present", "seen:a") == (
        200,
        [["una", 1, False, None], ["bob", 1, True, {"mood": 1}]],
    )
    await una.cut()
    assert (await watcher.event("contract.away"))["session"] == una.id
    status, members = await watcher.request("contract.present", "seen:a")
    assert (status, members[0]) == (200, ["una", 1, True, None])
    await una.resume()
    await bob.request("contract.leave", ["seen:a"])
    assert await watcher.event("contract.presence") == {"room": "seen:a", "joined": [], "left": ["bob"]}
    assert await watcher.request("contract.present", "seen:a") == (200, [["una", 1, False, None]])
