"""The connections of a client, one after the other: made, read, written, given up, and made anew after a while."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from ..protocol.close import ABNORMAL, CloseCode, Reconnect, reconnect_after
from .backoff import backoff
from .events import Report
from .protocol import Session
from .state import State, StateChange
from .tokens import Tokens

ENDED = "closed by this client"

_STABLE = 10.0  # a connection that lasted so long was a good one; the next failure is the first
_STABLE_RESUMED = 2.0
_OPENING = 10.0
_CLOSING = 5.0
_WAKE_PAUSE = 2.0
_LONGEST_ASKED = 600.0
_UNWRITTEN = 1024  # messages that wait for the socket; windows allow fewer, beside acknowledgements
_MAX_MESSAGE = 16 * 1024 * 1024
_REFUSED = {401: int(CloseCode.UNAUTHORIZED), 403: int(CloseCode.FORBIDDEN)}
_FAILED = {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_TEXT, CloseCode.MESSAGE_TOO_BIG}
"""Codes with which a connection is failed for what came over it (RFC 6455 §7.1.7)."""
_COME_BACK_STATUS = {408, 425, 429, *range(500, 600)}  # proxies have some of their own


class Connections:
    """Keeps a client connected.

    Args:
        url: Where to.
        session: Says what is to be written, and takes what comes.
        binary: Whether messages travel in binary frames.
        tokens: Who the user is.
        headers: More headers of opening handshakes.
        ssl: How to trust the server; ``None``: as the system does.
        changed: Hears of each state.
        lost: Hears that a connection is lost.
        report: Hears what fails that nobody waits for.

    Attributes:
        state: The present one.
    """

    def __init__(
        self,
        url: str,
        *,
        session: Session,
        binary: bool,
        tokens: Tokens,
        headers: Mapping[str, str],
        ssl: ssl.SSLContext | None,
        changed: Callable[[StateChange], None],
        lost: Callable[[], None],
        report: Report,
    ) -> None:
        self.state = State.IDLE
        self._url = _address(url, ssl)
        self._session = session
        self._binary = binary
        self._tokens = tokens
        self._headers = headers
        self._ssl = ssl
        self._changed = changed
        self._lost = lost
        self._report = report
        self._failures = 0
        self._opened_at: float | None = None
        self._stable_after = _STABLE
        self._not_before = 0.0
        self._woken_at = float("-inf")
        self._ending = False
        self._wake = asyncio.Event()
        self._websocket: ClientConnection | None = None
        self._outbox: list[bytes] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._broken: asyncio.Future[tuple[str, bool]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, tasks: asyncio.TaskGroup) -> tuple[str, int | None]:
        """Connect, and again after each break, until that makes no sense. Returns why, and the last close code."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                code, reason, asked = await self._attempt(tasks)
            finally:
                self._drop()
            if self._ending:
                return ENDED, None
            now = loop.time()
            if self._opened_at is not None and now - self._opened_at >= self._stable_after:
                self._failures = 0
            self._opened_at = None
            self._failures += 1
            if code == CloseCode.UNAUTHORIZED and self._tokens.renewable:
                self._tokens.wanted = "refused"
            elif not comes_back(code):
                return reason, code
            retry = self._session.retry
            if retry.attempts and self._failures > retry.attempts:
                return "gave up", code
            self._not_before = max(self._not_before, now + asked)
            delay = asked = self._not_before - now
            if asked <= 0 or self._failures > 1:
                delay = max(asked, backoff(retry, self._failures, random.random))
            self._set(StateChange(State.WAITING, reason, code, delay))
            await self._pause(delay)

    async def _pause(self, delay: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def drain(self) -> None:
        """Write what may be written, and close the connection, if there is one, with 1000. There will be no other."""
        self._ending = True
        websocket = self._websocket
        if websocket is None or self.state is not State.OPEN:
            return
        self.flush()
        try:
            async with asyncio.timeout(_CLOSING):
                while self._outbox and websocket is self._websocket:
                    self._emptied.clear()
                    await self._emptied.wait()
                await websocket.close()
        except (TimeoutError, ConnectionClosed):
            pass

    def end(self, reason: str, code: int | None) -> None:
        """There will be no further connection."""
        self._drop()
        self._session.end(reason)
        self._set(StateChange(State.CLOSED, reason, code))

    def wake(self) -> None:
        """Find out whether the connection is alive, or connect at once."""
        now = asyncio.get_running_loop().time()
        if now - self._woken_at < _WAKE_PAUSE:
            return
        self._woken_at = now
        if self.state is State.OPEN:
            self._session.probe(now)
            self.flush()
        elif now >= self._not_before:
            self._wake.set()

    # what the session says

    def opened(self, resumed: bool) -> None:
        """The server has said its welcome."""
        self._opened_at = asyncio.get_running_loop().time()
        self._stable_after = _STABLE_RESUMED if resumed else _STABLE
        self._set(StateChange(State.OPEN))

    def closing(self, retry_after: float) -> None:
        """The server wants to be left alone for so many seconds."""
        self._not_before = asyncio.get_running_loop().time() + retry_after

    def broken(self, reason: str, fault: bool) -> None:
        """The connection is of no use."""
        if self._broken is not None and not self._broken.done():
            self._broken.set_result((reason, fault))

    # one connection

    async def _attempt(self, tasks: asyncio.TaskGroup) -> tuple[int, str, float]:
        """One connection, from its opening handshake to its end: close code, reason, and in how many seconds the
        server wants the client back.
        """
        self._set(StateChange(State.CONNECTING))
        wanted = self._tokens.wanted
        if wanted is not None:
            try:
                token = await self._tokens.ask(wanted)
            except Exception as error:  # an application's
                self._report(error, "token")
                return ABNORMAL, "no token", 0.0
            if token is None and wanted == "refused":
                return CloseCode.UNAUTHORIZED, "there is no other token", 0.0
            self._tokens.token, self._tokens.wanted = token, None
        try:
            websocket = await self._open()
        except InvalidStatus as refused:
            return _refusal(refused)
        except (OSError, InvalidHandshake, EOFError) as error:
            return ABNORMAL, str(error) or type(error).__name__, 0.0
        except Exception as error:  # where the server redirects to, or the proxy of the system, is no address
            self._report(error, "connect")
            return CloseCode.NORMAL, "no connection can be made", 0.0
        return await self._serve(websocket, tasks)

    async def _open(self) -> ClientConnection:
        headers = dict(self._headers)
        if self._tokens.token is not None:
            headers["Authorization"] = f"Bearer {self._tokens.token}"
        options: dict[str, Any] = {} if self._ssl is None else {"ssl": self._ssl}
        return await connect_websocket(
            self._url,
            subprotocols=[Subprotocol(name) for name in self._session.offers()],
            additional_headers=headers,
            open_timeout=_OPENING,
            close_timeout=_CLOSING,
            ping_interval=None,  # linkd.ack with an echo is the heartbeat
            max_size=_MAX_MESSAGE,
            **options,
        )

    async def _serve(self, websocket: ClientConnection, tasks: asyncio.TaskGroup) -> tuple[int, str, float]:
        """Read until the connection ends, or is of no use."""
        loop = asyncio.get_running_loop()
        self._websocket, self._outbox = websocket, []
        self._broken = broken = loop.create_future()
        self._session.dial(loop.time())
        self._arm()
        reader = tasks.create_task(self._read(websocket))
        writer = tasks.create_task(self._write(websocket))
        ends: set[asyncio.Future[Any]] = {reader, broken}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
        if not broken.done():
            return websocket.close_code or ABNORMAL, websocket.close_reason or "", 0.0
        reason, fault = broken.result()
        if fault:
            tasks.create_task(_close(websocket))  # the server may forget the session
            self._drop(abort=False)
        return ABNORMAL, reason, 0.0

    async def _read(self, websocket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                while len(self._outbox) > _UNWRITTEN and websocket is self._websocket:
                    # The server takes nothing: acknowledgements of what it says would pile up.
                    self._emptied.clear()
                    await self._emptied.wait()
                payload = await websocket.recv()
                if websocket is not self._websocket:
                    return
                if isinstance(payload, str) is self._binary:
                    self._session.fault("a frame of the other kind")
                    continue
                self._session.receive(payload.encode() if isinstance(payload, str) else payload, loop.time())
                self.flush()
        except ConnectionClosed as closed:
            if closed.sent is None:
                return
            if closed.rcvd_then_sent is False and closed.sent.code == CloseCode.NORMAL:
                self._session.arrived()  # what the server has answered is behind all the rest
            elif closed.rcvd is None and closed.sent.code in _FAILED:
                self._session.fault(closed.sent.reason)  # with the same session the same would come again

    async def _write(self, websocket: ClientConnection) -> None:
        outbox = self._outbox
        try:
            while True:
                while not outbox:
                    self._emptied.set()
                    self._filled.clear()
                    await self._filled.wait()
                await websocket.send(outbox[0], text=not self._binary)
                del outbox[0]
        except ConnectionClosed:
            self._emptied.set()  # the reader says how it ended

    def _drop(self, *, abort: bool = True) -> None:
        """Give the present connection up."""
        websocket, self._websocket = self._websocket, None
        self._session.detach()
        self._arm()
        self._emptied.set()
        if websocket is not None:
            if abort:  # not closed, which takes minutes where it is dead; and the server keeps the session
                websocket.transport.abort()
            self._lost()

    def flush(self) -> None:
        """Have written what is to be written, and see to it that what has a time is done then."""
        if self._websocket is None:
            return
        payloads = self._session.take(asyncio.get_running_loop().time())
        if payloads:
            self._outbox += payloads
            self._filled.set()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._session.due
        self._timer = None if due == float("inf") else asyncio.get_running_loop().call_at(due, self.flush)

    def _set(self, change: StateChange) -> None:
        self.state = change.state
        self._changed(change)


def _address(url: str, ssl: ssl.SSLContext | None) -> str:
    """Of a WebSocket, where ``url`` may be one for HTTP.

    Raises:
        ValueError: If it is no address, or none for TLS.
    """
    address = f"ws{url.removeprefix('http')}" if url.startswith("http") else url
    try:
        parsed = parse_uri(address)
        parsed.host.encode("idna")
    except (InvalidURI, ValueError) as cause:
        raise ValueError(f"connect() takes an address such as wss://example.org/ws/chat, not {url!r}") from cause
    if ssl is not None and not parsed.secure:
        raise ValueError(f"an SSLContext is for addresses that begin with wss:// or https://, not for {url!r}")
    return address


async def _close(websocket: ClientConnection) -> None:
    try:
        await websocket.close(CloseCode.NORMAL)
    finally:
        websocket.transport.abort()


def comes_back(code: int) -> bool:
    """Whether a client connects again by itself after a close code (docs/protocol.md, "Closing")."""
    if reconnect_after(code) is Reconnect.YES:
        return True
    return code < 3000 and code not in set(CloseCode)  # a proxy's


def _refusal(refused: InvalidStatus) -> tuple[int, str, float]:
    """What the status of a refused handshake says, as a close code."""
    status = refused.response.status_code
    said = refused.response.headers.get_all("Retry-After")
    after = float(said[0]) if len(said) == 1 and said[0].isdecimal() else 0.0
    code = _REFUSED.get(status) or (ABNORMAL if status in _COME_BACK_STATUS else CloseCode.POLICY_VIOLATION)
    return code, f"refused with {status}", min(after, _LONGEST_ASKED)
