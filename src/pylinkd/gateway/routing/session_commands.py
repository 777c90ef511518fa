"""What services do to single sessions: have them join and leave rooms, list either, disconnect them."""

from __future__ import annotations

from ...protocol.close import check_service_code
from ...protocol.end import EndReason
from ...protocol.errors import BadRequestError
from ...protocol.link_pb2 import Frame, RoomCommand
from ...protocol.rooms import check_room
from ..core.registry import Registry
from ..core.rooms import Rooms
from .client_answers import describe_member
from .instance import Instance
from .room_histories import RoomHistories
from .room_presence import RoomPresences


class SessionCommands:
    """Carries out what a service wants of its sessions.

    Args:
        registry: The sessions.
        rooms: Their rooms.
        histories: Of these rooms.
        presences: Who is in them.
    """

    def __init__(self, registry: Registry, rooms: Rooms, histories: RoomHistories, presences: RoomPresences) -> None:
        self._registry = registry
        self._rooms = rooms
        self._histories = histories
        self._presences = presences

    def change(self, instance: Instance, frame: Frame) -> None:
        """A session joins rooms, or leaves them."""
        command = frame.room_command
        session = instance.service.session(self._registry, command.session)
        namespace = instance.service.namespace
        for room in command.rooms:
            check_room(room)
        if command.verb == RoomCommand.JOIN:
            self._histories.check(session, namespace, command)
            self._rooms.join(session, namespace, *command.rooms)
            self._presences.joined(session, namespace, command)
            answer = self._histories.joined(session, namespace, command)
            if answer is not None:
                instance.link.answer(frame.request_id, answer)
                return
        elif command.verb == RoomCommand.LEAVE:
            self._rooms.leave(session, namespace, *command.rooms)
            self._presences.left(session, namespace, command.rooms)
        else:
            raise BadRequestError("A room command is to join or to leave.")
        instance.link.done(frame.request_id)

    def list(self, instance: Instance, frame: Frame) -> None:
        """The rooms of a session, or the members of a room."""
        query = frame.room_query
        namespace = instance.service.namespace
        answer = Frame()
        if query.session:
            session = instance.service.session(self._registry, query.session)
            answer.room_list.rooms.extend(self._rooms.names(session, namespace))
            answer.room_list.SetInParent()  # an empty list is an answer too
        else:
            for member in self._rooms.members(namespace, query.room):
                describe_member(answer.member_list.members.add(), member)
            answer.member_list.SetInParent()
        instance.link.answer(frame.request_id, answer)

    def disconnect(self, instance: Instance, frame: Frame) -> None:
        """Close a session's connection, or those of all sessions of a user."""
        command = frame.session_command
        code = check_service_code(command.close_code)
        if command.user:
            sessions = [one for one in self._registry.of_user(command.user) if instance.service.knows(one)]
        else:
            sessions = [instance.service.session(self._registry, command.session)]
        for session in sessions:
            session.close(code, command.reason, EndReason.DISCONNECTED)
        instance.link.done(frame.request_id)
