"""Linkd: a realtime platform. What a service author imports, and nothing else.

The database layer is ``pylinkd.db``, clean text ``pylinkd.text``, what a service's tests use ``pylinkd.testing``.
"""

from .protocol.close import CloseCode
from .protocol.errors import (
    BadRequestError,
    CallLoopError,
    ConflictError,
    ForbiddenError,
    HandlerTimeoutError,
    InternalError,
    InvalidJsonError,
    LinkdError,
    NotAcknowledgedError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    ServiceUnavailableError,
    SetupError,
    TransientError,
    UnauthorizedError,
    UnknownActionError,
    UnknownMessageTypeError,
    ValidationError,
)
from .protocol.identity import Identity
from .protocol.rooms import Position
from .sdk.answers import Answer, Answers, Member
from .sdk.batches import Batched
from .sdk.breaker import Breaker
from .sdk.connector import RefusedError
from .sdk.context import Context, EventContext, HttpContext, WsContext
from .sdk.forms import Form, UploadedFile
from .sdk.limits import Limits, Reconnect
from .sdk.middleware import Middleware, Next
from .sdk.once import Once
from .sdk.presence import Presence, PresenceChange, Present
from .sdk.publisher import Publisher, publish
from .sdk.remote_session import RemoteSession
from .sdk.response import Response
from .sdk.retry import Retry
from .sdk.rooms import History, HistoryPage, Joined, PastEvent
from .sdk.scheduled import JobContext
from .sdk.service import Service
from .sdk.socket import Socket
from .sdk.streaming import EventSourceResponse, ServerSentEvent, StreamingResponse
from .sdk.streams import Stream, StreamAbortedError, StreamIdleError
from .sdk.target import Receipt, Target
from .sdk.text import TextPolicy
from .sdk.validation import RegistrationError
from .version import __version__

__all__ = [
    "Answer",
    "Answers",
    "BadRequestError",
    "Batched",
    "Breaker",
    "CallLoopError",
    "CloseCode",
    "ConflictError",
    "Context",
    "EventContext",
    "EventSourceResponse",
    "ForbiddenError",
    "Form",
    "HandlerTimeoutError",
    "History",
    "HistoryPage",
    "HttpContext",
    "Identity",
    "InternalError",
    "InvalidJsonError",
    "JobContext",
    "Joined",
    "Limits",
    "LinkdError",
    "Member",
    "Middleware",
    "Next",
    "NotAcknowledgedError",
    "NotFoundError",
    "Once",
    "PastEvent",
    "PayloadTooLargeError",
    "Position",
    "Presence",
    "PresenceChange",
    "Present",
    "Publisher",
    "RateLimitedError",
    "Receipt",
    "Reconnect",
    "RefusedError",
    "RegistrationError",
    "RemoteSession",
    "Response",
    "Retry",
    "ServerSentEvent",
    "Service",
    "ServiceUnavailableError",
    "SetupError",
    "Socket",
    "Stream",
    "StreamAbortedError",
    "StreamIdleError",
    "StreamingResponse",
    "Target",
    "TextPolicy",
    "TransientError",
    "UnauthorizedError",
    "UnknownActionError",
    "UnknownMessageTypeError",
    "UploadedFile",
    "ValidationError",
    "WsContext",
    "__version__",
    "publish",
]
