"""What a service is told once and may not miss: the ends of sessions, and who came to rooms and left them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Frame
from .link import LinkLostError

if TYPE_CHECKING:
    from .instance import Instance
    from .service import Service


class Owed:
    """Waits until a service has handled what it is owed; kept for its next instance if this one dies first.

    Args:
        service: The service.
        frame: What it is told.
    """

    __slots__ = ("_frame", "_service")

    def __init__(self, service: Service, frame: Frame) -> None:
        self._service = service
        self._frame = frame

    def tell(self, instance: Instance | None) -> None:
        """Tell an instance, or the next one where there is none."""
        if instance is None:
            self._service.keep(self._frame)
        else:
            instance.link.ask(self._frame, self)

    # link.Waiter

    def answered(self, frame: Frame) -> None:
        """See Waiter."""

    def failed(self, error: LinkdError) -> None:
        """See Waiter."""
        if isinstance(error, LinkLostError):
            self._service.keep(self._frame)
