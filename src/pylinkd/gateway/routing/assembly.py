"""The parts between clients and services, built and joined in one place: for the gateway, and for tests without one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

import msgspec

from ..core.audience import Audiences
from ..core.delivery import Delivery
from ..core.expiry import Expiry
from ..core.history import Histories
from ..core.registry import Registry
from ..core.resume_tokens import ResumeTokens
from ..core.rooms import Rooms
from ..core.traffic import Traffic
from ..guard.guard import Guard
from ..guard.issuers import LEEWAY
from ..guard.peers import Peers
from .acknowledgements import Acknowledgements
from .actions import Actions
from .attachments import Attachments
from .back_pressure import BackPressure
from .client_answers import ClientAnswers, Timer
from .commands import Commands
from .connection_limit import ConnectionLimit, ConnectionLimitSettings
from .descriptions import Descriptions
from .durable_events import DurableEvents
from .inbound import Inbound
from .lifecycle import Lifecycle, ResumptionSettings
from .link import ServiceLink
from .parking import Parking, ParkingSettings
from .publishing import Publishing
from .registration import Registration
from .resuming import Resuming
from .room_histories import RoomHistories
from .room_presence import RoomPresences
from .services import Services, ServicesSettings
from .session_commands import SessionCommands
from .signin import SignIn, SignInSettings
from .welcoming import WelcomeSettings, Welcoming


class RoutingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How sessions and services are brought together.

    Attributes:
        services: What becomes of services that are away.
        parking: Messages that wait for one.
        connection_limit: Connections of a user.
        signin: How long a client may take to sign in.
        resumption: How sessions are kept for clients that are away.
        welcome: What clients are to keep to.
        session_window: Messages of one session that may be unanswered.
        max_rooms_per_session: Rooms that one session may be in.
        history_limit: Bytes of the histories of all rooms.
        link_uids: Users whose processes may be services.
        link_secret: What these have to know; empty: nothing.
    """

    services: ServicesSettings = ServicesSettings()
    parking: ParkingSettings = ParkingSettings()
    connection_limit: ConnectionLimitSettings = ConnectionLimitSettings()
    signin: SignInSettings = SignInSettings()
    resumption: ResumptionSettings = ResumptionSettings()
    welcome: WelcomeSettings = WelcomeSettings()
    session_window: int = 64
    max_rooms_per_session: int = 1000
    history_limit: int = 64 * 2**20
    link_uids: frozenset[int] = frozenset()
    link_secret: str = ""


class Routing:
    """Everything between the edge and the links.

    Args:
        settings: How sessions and services are brought together.
        guard: Who may do how much.
        delivery: The door to clients.
        traffic: What is counted.
        gateway_instance: One for each gateway process; services know by it whether their sessions live on.
        resume_key: Signs the tokens by which clients come back, 32 bytes; one for each gateway process.
        open: Whether the gateway takes clients now.
        clock: Unix time in seconds.
        monotonic: Seconds that never go back.
        schedule: Runs a function after so many seconds; ``loop.call_later`` in the real gateway.
    """

    def __init__(
        self,
        settings: RoutingSettings,
        *,
        guard: Guard,
        delivery: Delivery,
        traffic: Traffic,
        gateway_instance: str,
        resume_key: bytes,
        open: Callable[[], bool],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        schedule: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self.limits = guard.limits
        self.registry = Registry()
        self.rooms = Rooms(settings.max_rooms_per_session)
        self.services = Services(monotonic, settings.services)
        self.attachments = Attachments(self.services, schedule)
        self.pressure = BackPressure(self.attachments)
        self.inbound = Inbound(
            self.services,
            self.attachments,
            self.pressure,
            guard.limits,
            settings.session_window,
            lambda give_up: Parking(monotonic, schedule, give_up, settings.parking),
        )
        self.client_answers = ClientAnswers(schedule)
        self.durable_events = DurableEvents(self.services, schedule, monotonic)
        self.presences = RoomPresences(
            rules=self.services.room_rules,
            rooms=self.rooms,
            registry=self.registry,
            services=self.services,
            limits=guard.limits,
            delivery=delivery,
            monotonic=monotonic,
            schedule=schedule,
        )
        self.histories = RoomHistories(
            rules=self.services.room_rules,
            histories=Histories(settings.history_limit, lambda: secrets.token_urlsafe(6)),
            rooms=self.rooms,
            registry=self.registry,
            delivery=delivery,
            monotonic=monotonic,
            clock=clock,
        )
        expiry = Expiry(lead=settings.signin.expiring, leeway=LEEWAY)
        self.lifecycle = Lifecycle(
            registry=self.registry,
            rooms=self.rooms,
            services=self.services,
            attachments=self.attachments,
            inbound=self.inbound,
            client_answers=self.client_answers,
            presences=self.presences,
            expiry=expiry,
            traffic=traffic,
            clock=monotonic,
            window=settings.session_window,
            settings=settings.resumption,
        )
        delivery.absent = self.lifecycle.detached
        self.actions = Actions(self.services)
        self.publishing = Publishing(
            registry=self.registry,
            audiences=Audiences(self.registry, self.rooms),
            services=self.services,
            limits=guard.limits,
            delivery=delivery,
            client_answers=self.client_answers,
            histories=self.histories,
            durable_events=self.durable_events,
        )
        self.descriptions = Descriptions(self.services)
        self.commands = self._make_commands(settings, gateway_instance)
        self.connection_limit = ConnectionLimit(
            self.registry, guard.audit, settings.connection_limit, clock=monotonic, schedule=schedule
        )
        self.door = guard.door(knows=self.services.knows, takes_sessions=self.services.takes_sessions, open=open)
        self.signin = self._make_signin(settings.signin, guard, expiry, clock, monotonic)
        self.acknowledgements = Acknowledgements(delivery, guard.limits, traffic, monotonic)
        self.resuming = self._make_resuming(settings, delivery, ResumeTokens(resume_key), traffic)

    def _make_resuming(
        self, settings: RoutingSettings, delivery: Delivery, tokens: ResumeTokens, traffic: Traffic
    ) -> Resuming:
        return Resuming(
            registry=self.registry,
            lifecycle=self.lifecycle,
            delivery=delivery,
            signin=self.signin,
            tokens=tokens,
            welcoming=Welcoming(
                settings.welcome,
                window=settings.session_window,
                tokens=tokens,
                places=self.histories.places,
                presences=self.presences.states,
            ),
            traffic=traffic,
        )

    def _make_signin(
        self,
        settings: SignInSettings,
        guard: Guard,
        expiry: Expiry,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> SignIn:
        return SignIn(
            recognize=self.door.recognize,
            registry=self.registry,
            lifecycle=self.lifecycle,
            connection_limit=self.connection_limit,
            services=self.services,
            attachments=self.attachments,
            expiry=expiry,
            unfinished=guard.unfinished,
            audit=guard.audit,
            clock=clock,
            monotonic=monotonic,
            timeout=settings.timeout,
        )

    def _make_commands(self, settings: RoutingSettings, gateway_instance: str) -> Commands:
        return Commands(
            registration=Registration(
                gateway_instance=gateway_instance,
                peers=Peers(settings.link_uids, settings.link_secret),
                services=self.services,
                attachments=self.attachments,
                pressure=self.pressure,
                inbound=self.inbound,
                client_answers=self.client_answers,
                durable_events=self.durable_events,
            ),
            publishing=self.publishing,
            session_commands=SessionCommands(self.registry, self.rooms, self.histories, self.presences),
            histories=self.histories,
            presences=self.presences,
            durable_events=self.durable_events,
            actions=self.actions,
            services=self.services,
            pressure=self.pressure,
        )

    @property
    def links(self) -> Collection[ServiceLink]:
        """Those of all processes that are connected."""
        return self.commands.links
