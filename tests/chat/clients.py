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

from tests.processes import ROOT, Platform, Program, make_token, platform

SERVICE = ROOT / "examples/chat/service.py"
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
        return {"Authorization": f"Bearer {self.token}"}

    def person(self, room: str | None = None) -> dict[str, str]:
        """How events tell of them."""
        person = {"userId": self.id, "username": self.name}
        return person if room is None else {**person, "roomId": room}


class Client:
    """One window of a user."""

    def __init__(self, socket: ClientConnection, user: User) -> None:
        self.user = user
        self._socket = socket
        self._events: deque[tuple[str, dict[str, Any]]] = deque()
        self._presence: deque[tuple[str, dict[str, Any]]] = deque()
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
        """The next event, whatever it is: a test that expects one thus sees that no other came before it. But presence
        is told in its own time.
        """
        while not self._events:
            self._keep(await self._frame())
        return self._events.popleft()

    async def presence(self) -> tuple[str, dict[str, Any]]:
        """The next event of somebody who came online or went offline."""
        while not self._presence:
            self._keep(await self._frame())
        return self._presence.popleft()

    async def until(self, type: str, person: dict[str, str]) -> None:
        """Wait for this event of presence, whatever comes before it."""
        while await self.presence() != (type, person):
            pass

    def _keep(self, frame: dict[str, Any]) -> None:
        is_presence = frame["type"] in ("user.online", "user.offline")
        (self._presence if is_presence else self._events).append((frame["type"], frame.get("data", {})))

    async def close(self) -> None:
        """Close the window."""
        await self._socket.close()


class Chat:
    """A chat that runs.

    Attributes:
        platform: Its gateway.
        service: Its service process.
    """

    def __init__(self, running: Platform, service: Program) -> None:
        self.platform = running
        self.service = service

    async def restart_service(self) -> None:
        """Start the service again, after it was stopped or killed."""
        self.service = await self.platform.start_service(SERVICE)

    @contextlib.asynccontextmanager
    async def window(self, user: User, path: str = "/ws/chat") -> AsyncIterator[Client]:
        """A connected window of a user, once the service has taken it."""
        async with connect(self.platform.url(path, user.token), ssl=self.platform.trust) as socket:
            client = Client(socket, user)
            # Messages wait for on_connect: after this answer the user is in their rooms.
            await client.ask("chat.rooms")
            yield client

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


@contextlib.asynccontextmanager
async def started(folder: Path, database: str, **env: str) -> AsyncIterator[Chat]:
    """A chat of its own gateway and service, in which no handler fails."""
    async with platform(folder, env={"CHAT_DATABASE": database, **env}) as running:
        chat = Chat(running, await running.start_service(SERVICE))
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
            await client.ask("chat.join", room=room)
            for earlier in clients:
                assert (await earlier.event())[0] == "user.joined"
                await earlier.until("user.online", user.person(room))
            clients.append(client)
        yield room, clients
