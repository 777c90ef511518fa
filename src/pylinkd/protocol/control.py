"""Control messages: what gateway and client say to each other about the connection, ``linkd.*``.

They travel in the same envelope as messages of services, and are no service's business. A client that has chosen a
subprotocol gets them; those of clients are taken from anybody.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from .envelope import Codec
from .errors import BadRequestError


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """A control message. Durations and moments are integers in milliseconds."""

    type: ClassVar[str]


# from the gateway


class Welcome(Control, frozen=True):
    """The first message of a connection.

    Attributes:
        session: The session's id.
        max_message_size: Bytes of a message.
        window: Messages that may be unanswered before the gateway stops reading.
    """

    type = "linkd.welcome"

    session: str
    max_message_size: int
    window: int


class AuthExpiring(Control, frozen=True):
    """The token ends soon: an ``Auth`` with a new one is due.

    Attributes:
        expires_in_ms: When, counted from now.
    """

    type = "linkd.auth.expiring"

    expires_in_ms: int


class Dropped(Control, frozen=True):
    """Events were dropped, since the client reads too slowly. It comes before those that are left.

    Attributes:
        events: How many.
    """

    type = "linkd.dropped"

    events: int


class Closing(Control, frozen=True):
    """The gateway stops. Answers that are due still come; what is sent from now on gets 503.

    Attributes:
        retry_after_ms: When the client should come back, counted from now.
    """

    type = "linkd.closing"

    retry_after_ms: int


# from the client


class Auth(Control, frozen=True):
    """The client signs in, or renews its token. Answered with ``Authenticated``, or an error.

    Attributes:
        token: Whom it speaks of is whose the session is.
    """

    type = "linkd.auth"

    token: str

    @classmethod
    def read(cls, codec: Codec, data: bytes) -> Auth:
        """Out of a message's data.

        Raises:
            BadRequestError: If there is no token in it.
        """
        decode = msgspec.msgpack.decode if codec.binary else msgspec.json.decode
        try:
            return decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise BadRequestError('"data" must be an object with a "token".', details={"field": "token"}) from cause


class Authenticated(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to ``Auth``.

    Attributes:
        user: Whose the session is from now on.
        name: How the user is called.
        expires_at: When the token ends, Unix time in milliseconds; ``None``: never.
    """

    user: str
    name: str
    expires_at: int | None

    def encode(self, codec: Codec) -> bytes:
        """As the data of an answer."""
        return msgspec.msgpack.encode(self) if codec.binary else msgspec.json.encode(self)


class Abort(Control, frozen=True):
    """The client gives up the stream that it sends."""

    type = "linkd.abort"
