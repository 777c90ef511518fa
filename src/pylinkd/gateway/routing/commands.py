"""What services ask of the gateway, and who carries it out."""

from __future__ import annotations

from collections.abc import Callable

from ...protocol.errors import BadRequestError
from ...protocol.link_pb2 import Frame
from .actions import Actions, HttpQuestion
from .back_pressure import BackPressure
from .durable_events import DurableEvents
from .instance import Instance
from .link import ServiceLink
from .publishing import Publishing
from .registration import Registration
from .room_histories import RoomHistories
from .room_presence import RoomPresences
from .services import Services
from .session_commands import SessionCommands
from .streamed_bodies import StreamBrokenError
from .streams import Upload


class Commands:
    """Hands each frame that comes over a link to the part that carries it out. A LinkHandler (link.py).

    A part answers by itself, at once or later, under the frame's number; a LinkdError that it raises is the answer.

    Attributes:
        links: Of all processes that are connected, registered or not.
    """

    def __init__(
        self,
        *,
        registration: Registration,
        publishing: Publishing,
        session_commands: SessionCommands,
        histories: RoomHistories,
        presences: RoomPresences,
        durable_events: DurableEvents,
        actions: Actions,
        services: Services,
        pressure: BackPressure,
    ) -> None:
        self._registration = registration
        self._services = services
        self._pressure = pressure
        self.links: set[ServiceLink] = set()
        self._parts: dict[str, Callable[[Instance, Frame], None]] = {
            "publish": publishing.publish,
            "event": publishing.emit,
            "room_command": session_commands.change,
            "room_query": session_commands.list,
            "session_command": session_commands.disconnect,
            "history_query": histories.query,
            "presence_query": presences.query,
            "subscribers_query": durable_events.subscribers,
            "presence_command": presences.change,
            "call": lambda instance, frame: actions.call(frame.call, instance.link, frame.request_id),
            "draining": registration.drain,
            "health": registration.review,
            "stream_credit": _chunk_taken,
            "stream_chunk": _answer_chunk,
            "stream_aborted": _answer_broken_off,
        }

    def connected(self, link: ServiceLink) -> None:
        """See LinkHandler."""
        self.links.add(link)
        self._registration.admit(link)

    def received(self, link: ServiceLink, kind: str, frame: Frame) -> None:
        """See LinkHandler."""
        if kind == "register":
            self._registration.register(link, frame)
            return
        instance = self._services.of(link)
        assert instance is not None  # before the registration a link passes on nothing else
        part = self._parts.get(kind)
        if part is None:
            raise BadRequestError(f"A gateway is not sent {kind} frames.")
        part(instance, frame)

    def ready(self, link: ServiceLink) -> None:
        """See LinkHandler."""
        self._pressure.ready(link)

    def lost(self, link: ServiceLink) -> None:
        """See LinkHandler."""
        self.links.discard(link)
        self._registration.lost(link)


def _chunk_taken(instance: Instance, frame: Frame) -> None:
    question = instance.link.question(frame.request_id)
    if isinstance(question, Upload | HttpQuestion):
        question.taken()


def _answer_chunk(instance: Instance, frame: Frame) -> None:
    body = instance.link.answer_bodies.get(frame.request_id)
    if body is not None:  # else its client is gone
        body.receive(frame.stream_chunk)


def _answer_broken_off(instance: Instance, frame: Frame) -> None:
    body = instance.link.answer_bodies.get(frame.request_id)
    if body is not None:
        body.fail(StreamBrokenError())
