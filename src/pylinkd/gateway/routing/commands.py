"""What services ask of the gateway: register, publish, join, leave, disconnect, call, emit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import structlog

from ...protocol.errors import BadRequestError, LinkdError, NotFoundError
from ...protocol.link import PROTOCOL_VERSION
from ...protocol.link_pb2 import Event, Frame, Publish, Register, RoomCommand
from ...protocol.patterns import check_name
from ...version import __version__
from ..core.fanout import NOBODY, Broadcast, Fanout, Sessions
from ..core.outbox import Kind
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import EndReason, Session
from ..guard.limits import Limits
from ..guard.peers import Peers
from .actions import Actions
from .inbound import Inbound
from .link import ServiceLink
from .services import Instance, Service, Services
from .streams import Upload

log = structlog.get_logger("linkd.services")

_MAX_ROOM_NAME = 256


class Commands:
    """Carries out what comes over the links. A Receiver (link.py).

    Args:
        gateway_instance: One for each gateway process; services tell by it whether their sessions live on.
        peers: Decides which processes may be services.
    """

    def __init__(
        self,
        *,
        gateway_instance: str,
        peers: Peers,
        registry: Registry,
        rooms: Rooms,
        services: Services,
        inbound: Inbound,
        actions: Actions,
        limits: Limits,
        fanout: Fanout,
    ) -> None:
        self._gateway_instance = gateway_instance
        self._peers = peers
        self._registry = registry
        self._rooms = rooms
        self._services = services
        self._inbound = inbound
        self._actions = actions
        self._limits = limits
        self._fanout = fanout
        self.links: set[ServiceLink] = set()
        self._carry_out: dict[str, Callable[[Instance, Frame], None]] = {
            "publish": self._publish,
            "room_command": self._room_command,
            "room_query": self._room_query,
            "session_command": self._session_command,
            "call": self._call,
            "event": self._event,
            "draining": self._draining,
            "stream_credit": self._stream_credit,
        }

    # Receiver

    def connected(self, link: ServiceLink) -> None:
        """See Receiver."""
        self.links.add(link)
        uid = link.peer.uid
        if not self._peers.admits(uid):
            link.close(f"processes of user {uid} may not be services: list it in LINKD_LINK_UIDS if they should")

    def received(self, link: ServiceLink, kind: str, frame: Frame) -> None:
        """See Receiver."""
        if kind == "register":
            self._register(link, frame)
            return
        instance = self._services.of(link)
        assert instance is not None  # before the registration a link passes on nothing else
        command = self._carry_out.get(kind)
        if command is None:
            raise BadRequestError(f"A gateway is not sent {kind} frames.")
        command(instance, frame)

    def ready(self, link: ServiceLink) -> None:
        """See Receiver."""
        self._inbound.ready(link)

    def lost(self, link: ServiceLink) -> None:
        """See Receiver."""
        self.links.discard(link)
        instance = self._services.remove(link)
        self._inbound.ready(link)
        if instance is not None:
            self._services.hand_out(instance.service)
            self._inbound.resume(instance.service)
            log.info(
                "service_left",
                service=instance.service.name,
                instance=instance.registration.instance,
                remaining=len(instance.service.instances),
            )

    # commands

    def _register(self, link: ServiceLink, frame: Frame) -> None:
        known = self._services.of(link) is not None
        try:
            instance = self._accept(link, frame.register)
        except LinkdError as error:
            link.fail(frame.request_id, error)
            if not known:
                link.close(error.message)
            return
        answer = Frame()
        answer.registered.protocol_version = PROTOCOL_VERSION
        answer.registered.gateway = __version__
        answer.registered.gateway_instance = self._gateway_instance
        link.tell(answer, frame.request_id)
        if not known:
            link.trust()
            self._services.hand_out(instance.service)
            self._inbound.resume(instance.service)
            log.info(
                "service_registered",
                service=instance.service.name,
                version=instance.registration.version,
                instance=instance.registration.instance,
                path=instance.registration.path,
                handlers=len(instance.registration.handlers),
                actions=len(instance.registration.actions),
            )

    def _accept(self, link: ServiceLink, registration: Register) -> Instance:
        # Before anything else: a stranger learns neither versions nor names.
        self._peers.check(registration.secret)
        registration.ClearField("secret")  # the rest is kept for as long as the process lives
        if registration.protocol_version != PROTOCOL_VERSION:
            raise BadRequestError(
                f"The service speaks version {registration.protocol_version} of the link protocol, "
                f"the gateway version {PROTOCOL_VERSION}: install the same version of pylinkd on both sides.",
                type="PROTOCOL_VERSION",
            )
        return self._services.register(link, registration)

    def _publish(self, instance: Instance, frame: Frame) -> None:
        publish = frame.publish
        service = instance.service
        try:
            check_name(publish.type)
        except ValueError as cause:
            raise BadRequestError(str(cause)) from cause
        origin = self._registry.get(publish.origin) if publish.origin else None
        if origin is not None:
            self._limits.broadcast(origin, service.namespace, publish.rooms)
        kind = Kind.VOLATILE if publish.volatile else Kind.EVENT
        broadcast = Broadcast(publish.type, publish.data, self._registry.formats, kind)
        answer = Frame()
        reached = self._fanout.send(broadcast, self._audience(publish, service), self._excepted(publish))
        answer.published.reached = reached
        instance.link.tell(answer, frame.request_id)

    def _audience(self, publish: Publish, service: Service) -> tuple[Session, ...]:
        if publish.everyone:
            return service.admitted
        if len(publish.rooms) == 1 and not publish.users and not publish.sessions:
            return self._rooms.members(service.namespace, publish.rooms[0])
        # A service may greet a session that its on_connect has not let in yet; others do not know of that one.
        known = (self._registry.get(id) for id in publish.sessions)
        sessions = {session for session in known if session is not None and session in service.attachments}
        users = chain.from_iterable(self._registry.of_user(user) for user in publish.users)
        sessions.update(session for session in users if service.admits(session))
        for room in publish.rooms:
            sessions.update(self._rooms.members(service.namespace, room))
        return tuple(sessions)

    def _excepted(self, publish: Publish) -> Sessions:
        if not publish.except_sessions and not publish.except_users:
            return NOBODY
        known = (self._registry.get(id) for id in publish.except_sessions)
        excepted = {session for session in known if session is not None}
        for user in publish.except_users:
            excepted.update(self._registry.of_user(user))
        return excepted

    def _room_command(self, instance: Instance, frame: Frame) -> None:
        command = frame.room_command
        session = self._session(instance, command.session)
        namespace = instance.service.namespace
        for room in command.rooms:
            if not 1 <= len(room) <= _MAX_ROOM_NAME:
                raise BadRequestError(f"A room's name has 1 to {_MAX_ROOM_NAME} characters.")
        if command.verb == RoomCommand.JOIN:
            self._rooms.join(session, namespace, *command.rooms)
        elif command.verb == RoomCommand.LEAVE:
            self._rooms.leave(session, namespace, *command.rooms)
        else:
            raise BadRequestError("A room command is to join or to leave.")
        instance.link.tell(_done(), frame.request_id)

    def _room_query(self, instance: Instance, frame: Frame) -> None:
        query = frame.room_query
        namespace = instance.service.namespace
        answer = Frame()
        if query.session:
            session = self._session(instance, query.session)
            answer.room_list.rooms.extend(self._rooms.names(session, namespace))
            answer.room_list.SetInParent()  # an empty list is an answer too
        else:
            for member in self._rooms.members(namespace, query.room):
                wire = answer.member_list.members.add()
                wire.session = member.id
                if member.identity is not None:
                    wire.user = member.identity.user
                    wire.name = member.identity.name
            answer.member_list.SetInParent()
        instance.link.tell(answer, frame.request_id)

    def _session_command(self, instance: Instance, frame: Frame) -> None:
        command = frame.session_command
        code = command.close_code
        if code != 1000 and not 3000 <= code <= 4999:
            # RFC 6455 §7.4.2: what an application may send.
            raise BadRequestError(f"A service closes with 1000 or 3000 to 4999, not with {code}.")
        if command.user:
            mine = instance.service.attachments
            sessions = [session for session in self._registry.of_user(command.user) if session in mine]
        else:
            sessions = [self._session(instance, command.session)]
        for session in sessions:
            if session.connection is not None:
                session.connection.close(code, command.reason, EndReason.DISCONNECTED)
        instance.link.tell(_done(), frame.request_id)

    def _call(self, instance: Instance, frame: Frame) -> None:
        self._actions.call(frame.call, instance.link, frame.request_id)

    def _event(self, instance: Instance, frame: Frame) -> None:
        event = frame.event
        try:
            check_name(event.type)
        except ValueError as cause:
            raise BadRequestError(str(cause)) from cause
        event.source = instance.service.name
        answer = Frame()
        answer.event_done.SetInParent()
        for service in self._services:
            taker = service.idlest(lambda instance: instance.wants(event.type))
            if taker is not None:
                taker.link.ask(Frame(event=event), _EventReceipt(service.name, event))
                answer.event_done.reached += 1
        instance.link.tell(answer, frame.request_id)

    def _draining(self, instance: Instance, frame: Frame) -> None:
        self._services.drain(instance.link)
        instance.link.tell(_done(), frame.request_id)
        if frame.draining.finished:
            instance.link.finish()

    def _stream_credit(self, instance: Instance, frame: Frame) -> None:
        upload = instance.link.question(frame.request_id)
        if isinstance(upload, Upload):
            upload.taken()

    def _session(self, instance: Instance, id: str) -> Session:
        """The session, if the service knows it.

        Raises:
            NotFoundError: If it ended, or is another service's.
        """
        session = self._registry.get(id)
        if session is None or session not in instance.service.attachments:
            raise NotFoundError("The session has ended.", type="SESSION_GONE")
        return session


class _EventReceipt:
    """Notices when an event was not handled."""

    __slots__ = ("_service", "_type")

    def __init__(self, service: str, event: Event) -> None:
        self._service = service
        self._type = event.type

    def answered(self, frame: Frame) -> None:
        pass

    def failed(self, error: LinkdError) -> None:
        log.error("event_failed", service=self._service, type=self._type, error=error.type)


def _done() -> Frame:
    frame = Frame()
    frame.done.SetInParent()
    return frame
