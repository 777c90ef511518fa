"""What may be imported: a promise to authors of services and clients."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import pylinkd
import pylinkd.testing

SURFACE = {
    "pylinkd": [
        "Answer", "Answers", "BadRequestError", "Batched", "Breaker", "CallLoopError", "CloseCode", "ConflictError",
        "Context", "EventContext", "EventSourceResponse", "ForbiddenError", "Form", "HandlerTimeoutError", "History",
        "HistoryPage", "HttpContext", "Identity", "InternalError", "InvalidJsonError", "JobContext", "Joined",
        "Limits", "LinkdError", "Member", "Middleware", "Next", "NotAcknowledgedError", "NotFoundError", "Once",
        "PastEvent", "PayloadTooLargeError", "Position", "Presence", "PresenceChange", "Present", "Publisher",
        "RateLimitedError", "Receipt", "Reconnect", "RefusedError", "RegistrationError", "RemoteSession", "Response",
        "Retry", "ServerSentEvent", "Service", "ServiceUnavailableError", "SetupError", "Socket", "Stream",
        "StreamAbortedError", "StreamIdleError", "StreamingResponse", "Target", "TextPolicy", "TransientError",
        "UnauthorizedError", "UnknownActionError", "UnknownMessageTypeError", "UploadedFile", "ValidationError",
        "WsContext", "__version__", "publish",
    ],
    "pylinkd.client": [
        "Client", "ConnectionLost", "Event", "EventStream", "Failure", "Gap", "HistoryPage", "Member", "Position",
        "Presence", "PresenceChange", "QueueFull", "Room", "Sent", "State", "StateChange", "Timeout", "Token",
        "TokenReason", "TokenSource", "connect",
    ],
    "pylinkd.tokens": ["issue"],
    "pylinkd.text": ["clean", "escape_html"],
    "pylinkd.testing": ["Client", "Emitted", "Gateway", "StreamedAnswer", "decode", "run"],
}  # fmt: skip


@pytest.mark.parametrize("name", SURFACE)
def test_names_are_neither_more_nor_fewer(name: str) -> None:
    """A name that goes breaks services, one that comes is a promise: both are decided here."""
    assert sorted(importlib.import_module(name).__all__) == SURFACE[name]


@pytest.mark.parametrize("name", SURFACE)
def test_every_name_is_there(name: str) -> None:
    """And public things have a docstring."""
    module = importlib.import_module(name)
    for public in module.__all__:
        found = getattr(module, public)
        if isinstance(found, type):
            assert found.__doc__, public


def test_errors_of_the_table_are_all_public() -> None:
    """Whatever a handler may raise or catch."""
    from pylinkd.protocol import errors

    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LinkdError)}
    assert kinds <= {getattr(pylinkd, name) for name in pylinkd.__all__}


def test_service_without_database_imports_no_database() -> None:
    """Nor a web server: what is not used costs no start-up time."""
    script = (
        "import sys, pylinkd; pylinkd.Service('x'); "
        "print(sorted({'sqlalchemy', 'h11', 'starlette', 'picows', 'typer', 'pydantic'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_package_is_typed() -> None:
    """py.typed lies beside the code (PEP 561)."""
    from importlib.resources import files

    assert (files(pylinkd) / "py.typed").is_file()
