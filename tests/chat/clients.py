"""A chat client of the tests: a plain WebSocket, questions with answers, and events in the order in which they came."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from examples.chat.models import ChatDatabase
from pylinkd.db import open_database
from tests.processes import ROOT, Platform, Program, make_token, platform, start_program

SERVICE = ROOT / "examples/chat/service.py"
SUBPROTOCOL = Subprotocol("linkd.v1+json")
PATIENCE = 10.0  # seconds; how long a test waits for something that should come at once


class RefusedError(Exception):
    """The service answered with an error; ``frame`` is the answer as it came."""

    def __init__(self, frame: dict[str, Any]) -> None:
        super().__init__(json.dumps(frame["error"]))
        self.frame = frame
        self.error: dict[str, Any] = frame["error"]


@dataclass(frozen=True)
class User:
    """Somebody whom nobody has seen before, or a seeded user."""

    name: str
    id: str = field(default_factory=lambda: f"user-{uuid.uuid4()}")

    @property
    def token(self) -> str:
        """A token that the gateway accepts."""
        return make_token(self.id, name=self.name)

    @property
    def headers(self) -> dict[str, str]:
        """The token as HTTP carries it."""
        return bearer(self.token)

    def person(self, room: str | None = None) -> dict[str, str]:
        """How events tell of them."""
        person = {"userId": self.id, "username": self.name}
        return person if room is None else {**person, "roomId": room}


class Client:
    """One window of a user.

    Attributes:
        user: Whose it is.
        there: Who is in which room, as the gateway has told it: the state of each member by their id.
    """

    def __init__(self, socket: ClientConnection, user: User) -> None:
        self.user = user
        self.there: dict[str, dict[str, str]] = {}
        self._socket = socket
        self._events: deque[tuple[str, dict[str, Any]]] = deque()
        self._offsets: deque[int | None] = deque()
        self._places: dict[str, dict[str, Any]] = {}
        self._last_id = 0

    async def _frame(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            frame: dict[str, Any] = json.loads(await self._socket.recv())
        return frame

    async def ask(self, message_type: str, /, **data: Any) -> Any:
        """The answer's data.

        Raises:
            RefusedError: If the answer is an error.
        """
        self._last_id += 1
        await self._socket.send(json.dumps({"type": message_type, "data": data, "id": self._last_id}))
        while (frame := await self._frame()).get("id") != self._last_id:
            self._keep(frame)
        if frame["type"] == "error":
            raise RefusedError(frame)
        return frame.get("data")

    async def refusal(self, message_type: str, /, **data: Any) -> dict[str, Any]:
        """The error that answers this, without its id."""
        try:
            answer = await self.ask(message_type, **data)
        except RefusedError as refused:
            return refused.error
        raise AssertionError(f"{message_type} was answered by {answer}")

    async def tell(self, message_type: str, /, **data: Any) -> None:
        """Send without asking for an answer."""
        await self._socket.send(json.dumps({"type": message_type, "data": data}))

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next event, whatever it is: a test that expects one thus sees that no other came before it."""
        while not self._events:
            self._keep(await self._frame())
        self._offsets.popleft()
        return self._events.popleft()

    async def placed_event(self) -> tuple[str, int | None]:
        """The next event's text or type, and its place in the history of its room."""
        while not self._events:
            self._keep(await self._frame())
        type, data = self._events.popleft()
        return data.get("content", type), self._offsets.popleft()

    def place(self, room: str) -> dict[str, Any]:
        """What the gateway said when this window joined the room: where it is, and whether that is all it missed."""
        return self._places[f"chat:{room}"]

    async def until_there(self, room: str, *users: User) -> None:
        """Wait until these, and nobody else, are online in a room."""
        wanted = {user.id: "online" for user in users}
        while self.there.get(f"chat:{room}") != wanted:
            self._keep(await self._frame())

    async def closed(self) -> tuple[int | None, str | None]:
        """Code and reason with which the window is closed."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self._keep(await self._frame())
        return self._socket.close_code, self._socket.close_reason

    def _keep(self, frame: dict[str, Any]) -> None:
        type, data = frame["type"], frame.get("data") or {}
        if type == "linkd.presence":
            known = self.there.setdefault(data["room"], {})
            if "members" in data:
                known.clear()
            for change in ("members", "join", "update"):
                known.update({key: member["state"] for key, member in data.get(change, {}).items()})
            for key in data.get("leave", ()):
                known.pop(key, None)
        elif type == "linkd.room":
            self._places[data["room"]] = data
        elif not type.startswith("linkd."):
            self._events.append((type, data))
            self._offsets.append(frame.get("offset"))

    async def close(self) -> None:
        """Close the window."""
        await self._socket.close()


class Browser:
    """A browser without windows: its cookies, and requests as a page of the chat makes them."""

    def __init__(self, http: httpx.AsyncClient, origin: str) -> None:
        self._http = http
        self.origin = origin

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """A request of the page; headers may be replaced."""
        return await self._http.request(method, path, json=body, headers={"Origin": self.origin, **headers})

    async def sign_in(self, name: str, password: str) -> httpx.Response:
        """Fill in the form."""
        return await self.ask("POST", "/chat/session", {"name": name, "password": password})

    async def register(self, name: str, password: str) -> httpx.Response:
        """Fill it in as somebody new."""
        return await self.ask("POST", "/chat/accounts", {"name": name, "password": password})

    async def renew(self, **body: Any) -> httpx.Response:
        """Get another access token for the cookie."""
        return await self.ask("POST", "/chat/session/renew", body)

    async def sign_out(self, token: str | None = None) -> httpx.Response:
        """With the cookie, and with the access token where one is given."""
        return await self.ask("DELETE", "/chat/session", **({} if token is None else bearer(token)))

    @property
    def cookie(self) -> str | None:
        """The refresh token that it has."""
        return self._http.cookies.get("chat_refresh")

    def put_back(self, cookie: str | None) -> None:
        """Have an earlier refresh token again."""
        assert cookie is not None
        for kept in self._http.cookies.jar:
            kept.value = cookie


def bearer(token: str) -> dict[str, str]:
    """A token as HTTP carries it."""
    return {"Authorization": f"Bearer {token}"}


class Chat:
    """A chat that runs.

    Attributes:
        platform: Its gateway.
        service: Its service process.
        url: Of its database.
    """

    def __init__(self, running: Platform, service: Program, url: str) -> None:
        self.platform = running
        self.service = service
        self.url = url

    def database(self) -> ChatDatabase:
        """Its database, to look into and to change behind its back: ``async with chat.database() as db``."""
        return open_database(self.url, ChatDatabase)

    async def restart_service(self) -> None:
        """Start the service again, after it was stopped or killed."""
        self.service = await self.platform.start_service(SERVICE)

    @contextlib.asynccontextmanager
    async def window(self, user: User, path: str = "/ws/chat", token: str | None = None) -> AsyncIterator[Client]:
        """A connected window of a user, once the service has taken it. It is in no room yet."""
        url = self.platform.url(path, user.token if token is None else token)
        async with connect(url, ssl=self.platform.trust, subprotocols=[SUBPROTOCOL]) as socket:
            client = Client(socket, user)
            await client.ask("room.list")  # waits for on_connect, as messages do
            yield client

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """A browser with no cookies."""
        async with self.platform.http_client(PATIENCE) as http:
            yield Browser(http, self.platform.http)

    async def http(self, method: str, path: str, user: User | None = None, **options: Any) -> httpx.Response:
        """Ask over HTTP."""
        headers = {**({} if user is None else user.headers), **options.pop("headers", {})}
        async with self.platform.http_client(PATIENCE) as client:
            return await client.request(method, path, headers=headers, **options)

    async def new_room(self, owner: User, *, private: bool = False, name: str = "Test room") -> str:
        """The id of a room that nobody but its owner is in."""
        answer = await self.http("POST", "/chat/rooms", owner, json={"name": name, "isPrivate": private})
        assert answer.status_code == 201, answer.text
        room: str = answer.json()["room"]["id"]
        return room


async def upgrade(folder: Path, database: str, *options: str) -> Program:
    """Bring the tables to the last revision, as an operator does before a start."""
    env = {"CHAT_DATABASE": database}
    program = await start_program(folder, "upgrade", "db", "upgrade", str(SERVICE), *options, env=env)
    assert await program.process.wait() == 0, program.text()
    return program


@contextlib.asynccontextmanager
async def started(folder: Path, database: str, **env: str) -> AsyncIterator[Chat]:
    """A chat of its own gateway and service, in which no handler fails."""
    await upgrade(folder, database)
    async with platform(folder, env={"CHAT_DATABASE": database, **env}) as running:
        chat = Chat(running, await running.start_service(SERVICE), database)
        yield chat
        # A window that was closed while its last request was handled is no failure.
        failed = [line for line in chat.service.logged("handler_failed") if line["error"] != "SESSION_GONE"]
        assert not failed, chat.service.text()


@contextlib.asynccontextmanager
async def talking(chat: Chat, *users: User) -> AsyncIterator[tuple[str, list[Client]]]:
    """A public room in which a window of each user is, and no event is left unread."""
    room = await chat.new_room(users[0])
    async with contextlib.AsyncExitStack() as stack:
        clients: list[Client] = []
        for user in users:
            client = await stack.enter_async_context(chat.window(user))
            await client.ask("room.join", room=room)
            for earlier in clients:
                assert (await earlier.event())[0] == "user.joined"
            clients.append(client)
        for client in clients:
            await client.until_there(room, *users)
        yield room, clients
