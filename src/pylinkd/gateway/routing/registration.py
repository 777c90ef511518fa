"""Processes of services, from their registration to their end."""

from __future__ import annotations

import structlog

from ...protocol.errors import BadRequestError, LinkdError
from ...protocol.link import PROTOCOL_VERSION
from ...protocol.link_pb2 import Frame, Register
from ...version import __version__
from ..guard.peers import Peers
from .attachments import Attachments
from .back_pressure import BackPressure
from .client_answers import ClientAnswers
from .durable_events import DurableEvents
from .inbound import Inbound
from .instance import MOST_FAILING, Instance
from .link import ServiceLink
from .services import Services

log = structlog.get_logger("linkd.services")


class Registration:
    """Takes processes in, and lets them go.

    Args:
        gateway_instance: One for each gateway process; services know by it whether their sessions live on.
        peers: Decides which processes may be services.
        services: The services.
        attachments: Gives a new instance what waits for one.
        pressure: Holds clients back for links.
        inbound: Has messages that wait for an instance.
        client_answers: Wait on behalf of a process.
        durable_events: Are told of by whom they are taken.
    """

    def __init__(
        self,
        *,
        gateway_instance: str,
        peers: Peers,
        services: Services,
        attachments: Attachments,
        pressure: BackPressure,
        inbound: Inbound,
        client_answers: ClientAnswers,
        durable_events: DurableEvents,
    ) -> None:
        self._gateway_instance = gateway_instance
        self._peers = peers
        self._services = services
        self._attachments = attachments
        self._pressure = pressure
        self._inbound = inbound
        self._client_answers = client_answers
        self._durable_events = durable_events

    def admit(self, link: ServiceLink) -> None:
        """A process connected: close its link if its user may run no services."""
        uid = link.peer.uid
        if not self._peers.admits(uid):
            link.close(f"processes of user {uid} may not be services: list it in LINKD_LINK_UIDS if they should")

    def register(self, link: ServiceLink, frame: Frame) -> None:
        """A process says what it offers, for the first time or since that changed."""
        known = self._services.of(link) is not None
        taken = self._durable_events.patterns(frame.register.service)
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
        link.answer(frame.request_id, answer)
        if instance.registration.publisher:
            link.trust()
            log.info("publisher_registered", publisher=link.name, namespace=instance.service.namespace)
        elif not known:
            link.trust()
            self._attachments.hand_out(instance.service)
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
        self._durable_events.announce(set(instance.registration.durable_events) - taken)

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
        if registration.publisher:
            return self._services.register_publisher(link, registration)
        new = self._services.get(registration.service) is None
        instance = self._services.register(link, registration)
        if new:
            self._attachments.include(instance.service)
        return instance

    def drain(self, instance: Instance, frame: Frame) -> None:
        """A process wants nothing new, or has finished everything."""
        self._services.drain(instance.link)
        instance.link.done(frame.request_id)
        if frame.draining.finished:
            instance.link.finish()

    def review(self, instance: Instance, frame: Frame) -> None:
        """A process says which of its health checks fail."""
        instance.failing = tuple(frame.health.failing[:MOST_FAILING])
        instance.service.review()
        instance.link.done(frame.request_id)
        log.info(
            "service_health",
            service=instance.service.name,
            instance=instance.registration.instance,
            failing=list(instance.failing),
            ready=instance.service.ready,
        )

    def lost(self, link: ServiceLink) -> None:
        """A process is gone."""
        instance = self._services.remove(link)
        self._pressure.ready(link)
        self._client_answers.link_lost(link)
        if instance is not None and instance.registration.publisher:
            log.info("publisher_left", publisher=link.name)
        elif instance is not None:
            self._attachments.hand_out(instance.service)
            self._inbound.resume(instance.service)
            log.info(
                "service_left",
                service=instance.service.name,
                instance=instance.registration.instance,
                remaining=len(instance.service.instances),
            )
