"""A client's session, as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping

from ..protocol.errors import LinkdError
from ..protocol.identity import Identity
from .dispatch import Job, Mailbox


class Socket:
    """A client's session.

    Attributes:
        id: The session's id; stable while the session lives.
        path: The path it connected to.
        identity: Who it is; ``None``: nobody signed in.
        connected: Whether its client is there. One that lost its connection may come back: until then what it is sent
            waits for it.
        remote_address: The client's address.
        user_agent: As the client says.
        connected_at: Unix time in seconds.
        metadata: Query parameters of the opening handshake, without the token.
    """

    __slots__ = (
        "_closed",
        "_early",
        "_mailbox",
        "_msgpack",
        "_opened",
        "_ready",
        "_refusal",
        "connected",
        "connected_at",
        "id",
        "identity",
        "metadata",
        "path",
        "remote_address",
        "user_agent",
    )

    def __init__(
        self,
        *,
        id: str,
        path: str,
        msgpack: bool,
        identity: Identity | None,
        remote_address: str,
        user_agent: str,
        connected_at: float,
        metadata: Mapping[str, str],
        connected: bool = True,
    ) -> None:
        self.id = id
        self.path = path
        self.identity = identity
        self.connected = connected
        self.remote_address = remote_address
        self.user_agent = user_agent
        self.connected_at = connected_at
        self.metadata = metadata
        self._msgpack = msgpack
        self._mailbox = Mailbox()
        self._early: list[Job] | None = None  # that keep no order, and came before on_connect had ended
        self._opened = self._closed = False
        self._ready = False
        self._refusal: LinkdError | None = None

    def __repr__(self) -> str:
        return f"<Socket {self.id}>"
