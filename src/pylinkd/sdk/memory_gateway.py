"""A gateway in memory: what a service asks of its gateway, carried out without one.

What it promises is what the real one promises: tests/integration/test_contract.py asks both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..protocol.close import check_service_code
from ..protocol.end import EndReason
from ..protocol.errors import InternalError, LinkdError, NotFoundError, UnknownActionError
from ..protocol.link_pb2 import CODEC_JSON, Event, Frame, Member, Publish, RoomCommand
from ..protocol.link_values import fill_failure
from ..protocol.rooms import check_room
from .declared_events import check_event
from .jobs import done
from .memory_client import Client, Emitted
from .memory_history import MemoryHistories
from .memory_presence import MemoryPresence
from .memory_streams import StreamedAnswer
from .response import decode_result
from .runtime import Runtime
from .service import Service
from .validation import encode


class MemoryGateway:
    """A gateway in memory with one service behind it.

    Attributes:
        service: The service.
        rooms: The ids of the sessions in each room; empty rooms vanish.
        emitted: Every event for clients, oldest first.
        histories: Of the rooms that have one.
        presence: Who is in the rooms that have it.
        service_events: Type and data of what the service emitted to other services.
        streamed: Answers that are streamed and read, by their question.
    """

    def __init__(self, service: Service[Any], runtime: Runtime) -> None:
        self.service = service
        self.rooms: dict[str, set[str]] = {}
        self.emitted: list[Emitted] = []
        self.service_events: list[tuple[str, Any]] = []
        self.clients: dict[str, Client] = {}
        self.histories = MemoryHistories(service.room_rules)
        self.presence = MemoryPresence(service.room_rules, lambda frame: self._run(self.tell(frame)))
        self._runtime = runtime
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self.streamed: dict[int, StreamedAnswer] = {}
        self._last_id = 0
        self._connected = 0
        self._others: dict[tuple[str, str], Callable[[Any], Awaitable[Any]]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def disconnect(self, client: Client, reason: str) -> None:
        """End a session and wait until ``on_disconnect`` has run."""
        if self.clients.pop(client.id, None) is None:
            return
        frame = Frame()
        closed = frame.session_closed
        closed.session.id = client.id
        closed.reason = reason
        for room in [room for room, members in self.rooms.items() if client.id in members]:
            closed.rooms.append(room)
            self._leave(room, client.id)
            self.presence.left(client, room)
        await self.tell(frame)

    # the service's counterpart: what it gets

    def say(self, frame: Frame) -> None:
        """Send the service a frame that is not answered."""
        self._runtime.received(self, str(frame.WhichOneof("body")), frame)

    async def tell(self, frame: Frame) -> Frame:
        """Send the service a frame and return its answer.

        Raises:
            LinkdError: If it answers with an error.
        """
        self._last_id += 1
        frame.request_id = self._last_id
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[self._last_id] = future
        kind = frame.WhichOneof("body")
        assert kind is not None
        self._runtime.received(self, kind, frame)
        return await future

    def answer(self, request_id: int, frame: Frame) -> None:
        """The service answers."""
        kind = frame.WhichOneof("body")
        if kind == "stream_credit":
            return  # it has taken a chunk; here the chunks do not wait for that
        answer = Frame()
        answer.CopyFrom(frame)  # the service may use the frame again for its next answer
        if kind in ("stream_chunk", "stream_aborted"):
            streamed = self.streamed.get(request_id)
            if streamed is not None:  # else the test has left
                streamed.receive(answer)
            return
        if kind == "http_response" and answer.http_response.streamed:
            self.streamed[request_id] = StreamedAnswer(self, request_id, answer.http_response)
        self._asked.pop(request_id).set_result(answer)

    def fail(self, request_id: int, error: LinkdError) -> None:
        """The service answers with an error."""
        fill_failure(Frame().failure, error)  # one that cannot be encoded is a fault here too
        self._asked.pop(request_id).set_exception(error)

    # and what it asks

    def ask(self, frame: Frame) -> asyncio.Future[Frame]:
        """The service asks something."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        kind = frame.WhichOneof("body")
        if kind == "call":
            self._call(frame, future)
            return future
        try:
            future.set_result(self._carry_out(str(kind), frame))
        except LinkdError as error:
            future.set_exception(error)
        return future

    def _carry_out(self, kind: str, frame: Frame) -> Frame:
        answer = Frame()
        match kind:
            case "publish":
                check_event(self.service.ws.events, frame.publish.type, frame.publish.data)
                reached = self._publish(frame.publish)
                away = sum(not self.clients[id].connected for id in reached.sessions)
                answer.published.reached, answer.published.queued = len(reached.sessions) - away, away
                if frame.publish.answer_within_ms:
                    answer = self._answers(reached)
            case "room_command":
                return self._room_command(frame.room_command)
            case "presence_query":
                return self.presence.list(frame.presence_query.room)
            case "presence_command":
                self._known(frame.presence_command.session)
                self.presence.change(frame.presence_command)
                return done()
            case "history_query":
                return self.histories.page(frame.history_query)
            case "room_query" if frame.room_query.session:
                self._known(frame.room_query.session)
                answer.room_list.rooms.extend(
                    room for room, members in self.rooms.items() if frame.room_query.session in members
                )
            case "room_query":
                for id in sorted(self.rooms.get(frame.room_query.room, ())):
                    self._describe(answer.member_list.members.add(), id)
            case "session_command":
                self._close(frame)
                return done()
            case "event":
                answer.event_done.reached = self._event(frame.event)
                if frame.event.id and answer.event_done.reached:
                    answer.event_done.taken_by.append(self.service.name)
                self._subscribe(answer)
            case "subscribers_query":
                self._subscribe(answer)
        return answer

    def _subscribe(self, answer: Frame) -> None:
        answer.event_done.SetInParent()
        patterns = list(self.service.events.durable_patterns)
        answer.event_done.subscribers.add(service=self.service.name, patterns=patterns)

    def _answers(self, event: Emitted) -> Frame:
        """What the clients answer to an event. Who is away answers too late, whenever it comes back."""
        frame = Frame()
        for id in sorted(event.sessions):
            client = self.clients[id]
            if client.silent or not client.connected:
                self._describe(frame.answers.missing.add().member, id)
                continue
            answer = frame.answers.answers.add(codec=CODEC_JSON)
            self._describe(answer.member, id)
            try:
                answer.data = encode(client.answer_to(event))
            except LinkdError as error:
                fill_failure(answer.failure, error)
        frame.answers.SetInParent()
        return frame

    def _describe(self, member: Member, id: str) -> None:
        identity = self.clients[id].identity
        member.session = id
        if identity is not None:
            member.user, member.name = identity.user, identity.name

    def _publish(self, publish: Publish) -> Emitted:
        admitted = {id for id, client in self.clients.items() if client.admitted}
        meant = set(admitted) if publish.everyone else set(publish.sessions)
        for room in publish.rooms:
            meant |= self.rooms.get(room, set())
        excepted = set(publish.except_sessions)
        for id, client in self.clients.items():
            user = None if client.identity is None else client.identity.user
            if user is not None and user in publish.users and id in admitted:
                meant.add(id)
            if user is not None and user in publish.except_users:
                excepted.add(id)
        reached = frozenset(meant & set(self.clients) - excepted)
        event = Emitted(publish.type, decode_result(publish.data), reached, self.histories.place(publish))
        if event.offset is not None:
            self.histories.record(publish, event)
        self.emitted.append(event)
        for id in reached:
            self.clients[id].receive(event)
        return event

    def _room_command(self, command: RoomCommand) -> Frame:
        self._known(command.session)
        for room in command.rooms:
            check_room(room)
        client = self.clients[command.session]
        self.histories.check(command, connected=client.connected)
        for room in command.rooms:
            if command.verb == RoomCommand.JOIN:
                self.rooms.setdefault(room, set()).add(command.session)
            else:
                self._leave(room, command.session)
        for room in command.rooms:
            if command.verb != RoomCommand.JOIN or command.absent:
                self.presence.left(client, room)
            else:
                self.presence.joined(client, room)
        if command.verb != RoomCommand.JOIN:
            return done()
        answer, missed = self.histories.joined(command)
        for event in missed:
            client.receive(event)
        return answer or done()

    def _leave(self, room: str, id: str) -> None:
        members = self.rooms.get(room, set())
        members.discard(id)
        if not members:
            self.rooms.pop(room, None)

    def _event(self, event: Event) -> int:
        self.service_events.append((event.type, decode_result(event.data)))
        takers = [one for one in self.service.events.matching(event.type) if one.durable == bool(event.id)]
        if not takers:
            return 0
        # The service hears its own events too.
        heard = Event()
        heard.CopyFrom(event)
        heard.source = self.service.name
        self._run(self.tell(Frame(event=heard)))
        return 1

    def _close(self, frame: Frame) -> None:
        command = frame.session_command
        check_service_code(command.close_code)
        if command.session:
            self._known(command.session)
        for client in list(self.clients.values()):
            by_user = client.identity is not None and command.user and client.identity.user == command.user
            if by_user or client.id == command.session:
                client.closed = (command.close_code, command.reason)
                self._run(self.disconnect(client, EndReason.DISCONNECTED))

    def _call(self, frame: Frame, future: asyncio.Future[Frame]) -> None:
        key = (frame.call.service, frame.call.action)
        provided = self._others.get(key)
        own = key[0] == self.service.name and self.service.action.find(key[1]) is not None

        async def answer() -> None:
            try:
                if provided is not None:
                    result = Frame()
                    result.call_result.data = encode(await provided(decode_result(frame.call.params)))
                elif own:
                    frame.call.caller = self.service.name
                    result = await self.tell(Frame(call=frame.call))
                else:
                    raise UnknownActionError(f"No service offers the action {key[0]}.{key[1]}.")
                future.set_result(result)
            except LinkdError as error:
                future.set_exception(error)
            except Exception as cause:
                internal = InternalError()
                internal.__cause__ = cause
                future.set_exception(internal)

        self._run(answer())

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._calls.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # a handler's, which the service has logged

    def _known(self, id: str) -> None:
        if id not in self.clients:
            raise NotFoundError("The session has ended.", type="SESSION_GONE")

    async def until_idle(self) -> None:
        """End every session and wait for what that sets off."""
        for client in list(self.clients.values()):
            await self.disconnect(client, EndReason.SHUTDOWN)
        await asyncio.gather(*self._calls, return_exceptions=True)
