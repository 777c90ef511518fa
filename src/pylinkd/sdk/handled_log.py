"""One line at level debug for each message, request, call and event that a service handled, and each session's ends.

A runtime that notes them is made where debug is logged; anywhere else nothing of this is there, and costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog

from ..protocol.errors import LinkdError
from ..protocol.link_pb2 import Frame
from .jobs import Answerable
from .runtime import Runtime

log = structlog.get_logger("linkd.service")

_Facts = dict[str, Any]

_OF_STREAMS = ("stream_credit", "stream_chunk", "stream_aborted")  # an answer is still to come, or was there


def runtime_class() -> type[Runtime]:
    """The runtime for what is logged: one that notes everything where that is debug."""
    # A program that configured nothing has NOTSET; it did not ask for this.
    level = getattr(log.bind(), "get_effective_level", lambda: 0)()
    return LoggedRuntime if 0 < level <= logging.DEBUG else Runtime


class LoggedRuntime(Runtime):
    """A runtime that notes what it was asked and what came of it."""

    def received(self, link: Answerable, kind: str, frame: Frame) -> None:
        """See link.LinkOwner."""
        note = _NOTES.get(kind)
        if note is not None:
            event, facts = note
            link = _Noted(link, event, facts(self, frame))
        super().received(link, kind, frame)


class _Noted:
    """Where an answer goes, by way of the log."""

    def __init__(self, link: Answerable, event: str, facts: _Facts) -> None:
        self._link = link
        self._event = event
        self._facts = facts
        self._began = perf_counter()

    def answer(self, request_id: int, frame: Frame) -> None:
        """See Answerable."""
        kind = frame.WhichOneof("body")
        status = frame.http_response.status if kind == "http_response" else 200
        self._link.answer(request_id, frame)
        if kind not in _OF_STREAMS:
            self._note(status)

    def fail(self, request_id: int, error: LinkdError) -> None:
        """See Answerable."""
        self._link.fail(request_id, error)
        self._note(error.code, error_type=error.type)

    def _note(self, code: int, **facts: Any) -> None:
        milliseconds = round((perf_counter() - self._began) * 1000, 3)
        log.debug(self._event, **self._facts, code=code, **facts, milliseconds=milliseconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)


def _user(wire: Any) -> str | None:
    return wire.identity.user if wire.HasField("identity") else None


def _of_session(runtime: Runtime, session: str) -> _Facts:
    socket = runtime.sockets.get(session)
    identity = None if socket is None else socket.identity
    return {"session": session, "user": None if identity is None else identity.user}


def _inbound(runtime: Runtime, frame: Frame) -> _Facts:
    return {"type": frame.inbound.type, **_of_session(runtime, frame.inbound.session)}


def _stream(runtime: Runtime, frame: Frame) -> _Facts:
    return {"type": frame.stream_opened.type, **_of_session(runtime, frame.stream_opened.session)}


def _request(runtime: Runtime, frame: Frame) -> _Facts:
    request = frame.http_request
    return {"action": request.action, "method": request.method, "user": _user(request)}


def _call(runtime: Runtime, frame: Frame) -> _Facts:
    return {"action": frame.call.action, "caller": frame.call.caller, "user": _user(frame.call)}


def _event(runtime: Runtime, frame: Frame) -> _Facts:
    return {"type": frame.event.type, "source": frame.event.source, "user": _user(frame.event)}


def _opened(runtime: Runtime, frame: Frame) -> _Facts:
    session = frame.session_opened.session
    return {"session": session.id, "user": _user(session), "path": session.path}


def _closed(runtime: Runtime, frame: Frame) -> _Facts:
    closed = frame.session_closed
    facts = _of_session(runtime, closed.session.id)
    return {**facts, "user": facts["user"] or _user(closed.session), "reason": closed.reason}


_NOTES: dict[str, tuple[str, Callable[[Runtime, Frame], _Facts]]] = {
    "inbound": ("message_handled", _inbound),
    "stream_opened": ("stream_handled", _stream),
    "http_request": ("request_handled", _request),
    "call": ("call_handled", _call),
    "event": ("event_handled", _event),
    "session_opened": ("session_begun", _opened),
    "session_closed": ("session_over", _closed),
}
