"""The bus: what gateways say to each other, under names, and what each of them may rely on.

A transport carries bytes, and loses some now and then. Here everything is numbered, so that a loss is noticed; who is
there is known; large payloads go in parts; and a connection that has died without a word is found out. Whatever comes
is read with suspicion: it may be anybody's.

What holds, for any transport:

- Frames of one gateway under one name arrive in order, none twice, and never at their sender.
- What is published under a name once ``subscribe`` and ``barrier`` are through arrives, or ``suspect`` says that
  something may be missing: at the next frame of that sender, or ``BusTiming.tail`` after its last.
- ``publish`` keeps nothing: where there is no connection it returns ``False``, and the others learn of the gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from time import time
from typing import Protocol

import msgspec
import structlog

from ...protocol.bus_pb2 import BusFrame
from .chunks import MAX_TOTAL, Assembly, ChunkError, split
from .frames import MAX_PAYLOAD, OVERHEAD, VERSION, FrameError, origin_of, read_frame
from .member import Member
from .sequences import Received, Sent, Verdict
from .subjects import Subjects
from .transport import Transport

log = structlog.get_logger("linkd.bus")

_MISSES = 2  # probes in a row without an answer, after which the connection counts as deaf
_MOST_CAUTION = 16
_MOST_QUESTIONS = 10_000
_MOST_MEMBERS = 4_096


class BusTiming(msgspec.Struct, frozen=True, kw_only=True):
    """When things are due, in seconds.

    Attributes:
        tick: Between two looks at what is due.
        tail: After the last frame under a name, until its number is said once more: so late a loss shows at most.
        announce: Between two words of a gateway that it is there; three times as long without one, and it is gone.
        unsubscribe: For which a name is heard though nobody wants it any more: pages that are loaded anew come back.
        probe: Between two questions whether the connection is alive.
        probe_timeout: For an answer to one.
        echo_timeout: For an answer of another server's gateways.
    """

    tick: float = 0.5
    tail: float = 5.0
    announce: float = 5.0
    unsubscribe: float = 1.0
    probe: float = 10.0
    probe_timeout: float = 5.0
    echo_timeout: float = 2.0


class BusListener(Protocol):
    """Hears what the bus has to say. Its methods are called in the loop, and do not block."""

    def up(self, epoch: int) -> None:
        """There is a connection; ``epoch`` grows with each. After the first, ``suspect(None)`` came before."""

    def down(self) -> None:
        """There is none, until ``up``."""

    def received(self, origin: Member, name: str, payload: bytes) -> None:
        """A gateway has published something under a name that is subscribed."""

    def told(self, origin: Member, payload: bytes) -> None:
        """A gateway has sent this one something."""

    def asked(self, origin: Member, payload: bytes) -> bytes:
        """A gateway asks; the answer. What is raised becomes a refusal."""

    def suspect(self, names: Sequence[str] | None) -> None:
        """Something under these names may not have come; ``None``: under any."""


class BusUnavailableError(Exception):
    """There is no connection, or nobody answers."""


class Bus:
    """One gateway's end of it.

    Args:
        transport: The connection.
        subjects: Of the cluster.
        member: This gateway.
        listener: Who hears it.
        dice: For what shall not happen everywhere at once.
        timing: When things are due.

    Attributes:
        refused: What came and was not taken, by reason.
        gaps: How often something was missing.
    """

    def __init__(
        self,
        transport: Transport,
        subjects: Subjects,
        member: Member,
        listener: BusListener,
        dice: random.Random,
        timing: BusTiming = BusTiming(),
    ) -> None:
        if not member.is_valid:
            raise ValueError(f"a gateway is called by 1 to 64 letters, digits, '_' and '-', not {member.gateway!r}")
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._subjects = subjects
        self._member = member
        self._listener = listener
        self._dice = dice
        self._timing = timing
        self._sent, self._received, self._assembly = Sent(), Received(), Assembly()
        self._names: set[str] = set()
        self._leaving: dict[str, float] = {}  # those that nobody wants any more, and until when; the next one first
        self._by_subject: dict[str, str] = {}
        self._tails: OrderedDict[str, float] = OrderedDict()  # names, and when their last number is said once more
        self._members: dict[str, _Seen] = {}
        self._questions: dict[int, asyncio.Future[bytes]] = {}
        self._last_question = 0
        self._server: str | None = None  # that this gateway is connected to
        self._echo_subject = ""
        self._epoch = 0
        self._announced = self._probed = 0.0
        self._misses = 0
        self._caution = 1  # times as long between two probes
        self._heard_at = 0.0
        self._in_company = False  # others were there, and have not said goodbye
        self._probe: asyncio.Task[None] | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self.refused: Counter[str] = Counter()
        self.gaps = 0

    # its life

    def open(self) -> None:
        """Connect, and stay connected until ``close``."""
        own = self._subjects.gateway(self._member.gateway)
        self._transport.subscribe((self._subjects.everybody, own))
        self._transport.open(self)
        self._tick()

    async def close(self) -> None:
        """Say goodbye, and end. Whoever waits for an answer gets none."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self._probe is not None:
            self._probe.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probe
        if self._server is not None:
            self._announce(leaving=True)
        await self._transport.close()
        self._server = None
        self._give_up_questions()

    @property
    def epoch(self) -> int:
        """Which connection is the present one; 0: there has been none."""
        return self._epoch

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._server is not None

    @property
    def members(self) -> list[Member]:
        """The other gateways that are there."""
        return [Member(gateway, seen.incarnation) for gateway, seen in self._members.items()]

    # names

    def subscribe(self, names: Iterable[str]) -> None:
        """Hear what is published under these names from now on; see ``barrier``. Repeating it does nothing.

        Raises:
            ValueError: If a name is empty, longer than MAX_NAME, or no text that UTF-8 can carry.
        """
        by_subject = {self._subjects.of(name): name for name in names}
        new = [subject for subject, name in by_subject.items() if name not in self._names]
        for name in by_subject.values():
            self._names.add(name)
            self._leaving.pop(name, None)
        self._by_subject.update(by_subject)
        if new:
            self._transport.subscribe(new)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Hear them no more, soon."""
        due = self._loop.time() + self._timing.unsubscribe
        for name in names:
            if name in self._names and name not in self._leaving:
                self._leaving[name] = due

    async def barrier(self) -> None:
        """Return when every gateway's publications reach what is subscribed now.

        A server of the bus tells its neighbours what is subscribed, and the way to them is one: whoever is at another
        server and answers a question that went the same way shows that they know.

        Raises:
            BusUnavailableError: If there is no connection, or the servers of others do not answer.
        """
        try:
            await self._transport.flush()
        except ConnectionError as cause:
            raise BusUnavailableError("there is no connection to the bus") from cause
        others = {seen.server for seen in self._members.values()} - {self._server}
        asking = [
            self._ask(self._subjects.echo(server), BusFrame(), self._timing.echo_timeout) for server in sorted(others)
        ]
        for answer in await asyncio.gather(*asking, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise BusUnavailableError("a server of the bus does not answer") from answer

    # what goes

    def publish(self, name: str, payload: bytes) -> bool:
        """Send something to all gateways that have subscribed to a name, but this one.

        ``False``: there is no connection, or too much waits for it. Those who should have got it will find that
        something is missing.

        Raises:
            ValueError: If the name is none, or the payload larger than chunks.MAX_TOTAL.
        """
        if len(payload) > MAX_TOTAL:
            raise ValueError(f"the bus carries {MAX_TOTAL} bytes at most, not {len(payload)}")
        subject = self._subjects.of(name)
        largest = min(MAX_PAYLOAD, self._transport.largest - OVERHEAD)
        self._tails.pop(name, None)
        self._tails[name] = self._loop.time() + self._timing.tail
        if len(payload) <= largest:
            frame = self._frame(name)
            frame.payload = payload
            return self._write(subject, frame)
        for chunk in split(payload, largest):
            frame = self._frame(name)
            frame.chunk.CopyFrom(chunk)
            if not self._write(subject, frame):
                return False
        return True

    def send(self, gateway: str, payload: bytes) -> bool:
        """Send something to one gateway; ``False``: as ``publish``."""
        frame = self._frame()
        frame.payload = payload
        return self._write(self._subjects.gateway(gateway), frame)

    async def ask(self, gateway: str, payload: bytes, timeout: float) -> bytes:
        """Ask one gateway.

        Raises:
            BusUnavailableError: If there is no connection, it is not there, it refuses, or does not answer within
                ``timeout`` seconds.
        """
        if gateway not in self._members:
            raise BusUnavailableError(f"the gateway {gateway} is not there")
        frame = BusFrame(payload=payload)
        return await self._ask(self._subjects.gateway(gateway), frame, timeout)

    async def _ask(self, subject: str, frame: BusFrame, timeout: float) -> bytes:
        if len(self._questions) >= _MOST_QUESTIONS:
            raise BusUnavailableError("too many questions wait for answers")
        self._last_question += 1
        number = self._last_question
        question = self._frame()
        question.question = number
        if frame.HasField("payload"):
            question.payload = frame.payload
        else:
            question.echo.SetInParent()
        answer = self._questions[number] = self._loop.create_future()
        try:
            if not self._write(subject, question):
                raise BusUnavailableError("there is no connection to the bus")
            async with asyncio.timeout(timeout):
                payload: bytes = await answer
                return payload
        except TimeoutError as cause:
            raise BusUnavailableError(f"nobody answered within {timeout:g} s") from cause
        finally:
            self._questions.pop(number, None)

    def _frame(self, name: str = "") -> BusFrame:
        frame = BusFrame(
            version=VERSION,
            gateway=self._member.gateway,
            incarnation=self._member.incarnation,
            name=name,
            sent_ms=round(time() * 1000),
        )
        if name:
            # A number is used up where nothing can be sent, too: so the others see the gap.
            frame.sequence, frame.previous = self._sent.next(name)
        return frame

    def _write(self, subject: str, frame: BusFrame) -> bool:
        return self._transport.publish(subject, frame.SerializeToString())

    def _announce(self, *, leaving: bool = False) -> None:
        frame = self._frame()
        frame.member.server = self._server or ""
        frame.member.leaving = leaving
        self._write(self._subjects.everybody, frame)
        self._announced = self._loop.time()

    # transport.TransportListener

    def connected(self, server: str) -> None:
        """See TransportListener."""
        self._server = server
        self._epoch += 1
        self._misses = 0
        echo = self._subjects.echo(server)
        if echo != self._echo_subject:
            self._transport.unsubscribe((self._echo_subject,) if self._echo_subject else ())
            self._transport.subscribe((echo,), group="echo")
            self._echo_subject = echo
        if self._epoch > 1:
            self._received.forget_all()
            self._assembly.clear()
            self._listener.suspect(None)
            for name in list(self._tails):
                self._tails[name] = 0.0  # what could not be sent meanwhile shows at once
        self._announce()
        self._listener.up(self._epoch)

    def disconnected(self) -> None:
        """See TransportListener."""
        self._server = None
        self._give_up_questions()
        self._listener.down()

    def received(self, subject: str, data: bytes) -> None:
        """See TransportListener."""
        try:
            frame = read_frame(data)
        except FrameError as error:
            self._refuse(error.reason)
            return
        origin = origin_of(frame)
        if origin == self._member:
            return  # transports that return what was sent
        self._heard_at = self._loop.time()
        if origin.gateway == self._member.gateway:
            self._refuse("same_id")  # another process with this one's id: one of the two is wrong
            return
        if frame.name:
            self._take(subject, origin, frame)
        else:
            self._take_directed(origin, frame)

    def _take(self, subject: str, origin: Member, frame: BusFrame) -> None:
        name = frame.name
        if self._by_subject.get(subject) != name:
            # Somebody else's name with the same hash, or one that was forged; or it is not subscribed any more.
            if subject in self._by_subject:
                self._refuse("name")
            return
        kind = frame.WhichOneof("body")
        if kind == "tail":
            if self._received.tail(origin, name, frame.sequence) is Verdict.GAP:
                self._gap(name)
            return
        verdict = self._received.take(origin, name, frame.sequence, frame.previous)
        if verdict is Verdict.OLD:
            self._refuse("old")
            return
        if verdict is Verdict.GAP:
            self._gap(name)
        if kind == "payload":
            self._listener.received(origin, name, frame.payload)
        elif kind == "chunk":
            try:
                payload = self._assembly.take(origin, name, frame.chunk, self._loop.time())
            except ChunkError:
                self._gap(name)
                return
            if payload is not None:
                self._listener.received(origin, name, payload)
        else:
            self._refuse("unknown_kind")

    def _take_directed(self, origin: Member, frame: BusFrame) -> None:
        match frame.WhichOneof("body"):
            case "member":
                self._note(origin, frame)
            case "answer":
                self._answered(frame)
            case "echo" if frame.question:
                self._answer(origin, frame.question, b"")
            case "payload" if frame.question:
                self._answer_question(origin, frame)
            case "payload":
                self._listener.told(origin, frame.payload)
            case _:
                self._refuse("unknown_kind")

    def _answer_question(self, origin: Member, frame: BusFrame) -> None:
        try:
            payload = self._listener.asked(origin, frame.payload)
        except Exception:
            log.exception("bus_question_failed", gateway=origin.gateway)
            self._answer(origin, frame.question, None)
        else:
            self._answer(origin, frame.question, payload)

    def _answer(self, origin: Member, question: int, payload: bytes | None) -> None:
        frame = self._frame()
        frame.question = question
        frame.answer.refused = payload is None
        frame.answer.payload = payload or b""
        self._write(self._subjects.gateway(origin.gateway), frame)

    def _answered(self, frame: BusFrame) -> None:
        answer = self._questions.get(frame.question)
        if answer is None or answer.done():
            return  # nobody waits any more
        if frame.answer.refused:
            answer.set_exception(BusUnavailableError(f"the gateway {frame.gateway} could not answer"))
        else:
            answer.set_result(frame.answer.payload)

    def _note(self, origin: Member, frame: BusFrame) -> None:
        known = self._members.get(origin.gateway)
        if frame.member.leaving:
            if known is not None and known.incarnation == origin.incarnation:
                del self._members[origin.gateway]
                self._in_company = bool(self._members)
            return
        if known is None and len(self._members) >= _MOST_MEMBERS:
            self._refuse("members")
            return
        self._members[origin.gateway] = _Seen(origin.incarnation, frame.member.server, self._loop.time())
        self._in_company = True
        if known is None:
            # It should know of this one soon, though not of all at once.
            wait = self._timing.announce * self._dice.random() / 5
            self._announced = min(self._announced, self._loop.time() - self._timing.announce + wait)

    def _gap(self, name: str) -> None:
        self.gaps += 1
        self._listener.suspect([name])

    def _refuse(self, reason: str) -> None:
        if not self.refused[reason]:
            log.warning("bus_frame_refused", reason=reason)  # the others are counted
        self.refused[reason] += 1

    def _give_up_questions(self) -> None:
        questions, self._questions = self._questions, {}
        for answer in questions.values():
            if not answer.done():
                answer.set_exception(BusUnavailableError("the connection to the bus was lost"))

    # what is due

    def _tick(self) -> None:
        now = self._loop.time()
        self._ticking = self._loop.call_later(self._timing.tick, self._tick)
        self._let_go(now)
        for name in self._assembly.expire(now):
            self._gap(name)
        self._forget_silent(now)
        if self._server is None:
            return
        self._say_tails(now)
        if now - self._announced >= self._timing.announce:
            self._announce()
        if now - self._probed >= self._timing.probe * self._caution and self._members and self._probe is None:
            self._probed = now
            self._probe = self._loop.create_task(self._look_for_life(), name="linkd-bus-probe")

    def _forget_silent(self, now: float) -> None:
        """Gateways that say nothing are gone; where all are, and nothing else came, it is this one that is deaf."""
        silent = now - 3 * self._timing.announce
        gone = [gateway for gateway, seen in self._members.items() if seen.at < silent]
        for gateway in gone:
            del self._members[gateway]
        if self._in_company and not self._members and self._heard_at < silent and self._server is not None:
            self._in_company = False
            self._reconnect()

    def _reconnect(self) -> None:
        """The connection seems to be dead. Where that did not help, the fault is another's, and nothing is hurried."""
        log.warning("bus_deaf")
        self._misses = 0
        self._caution = min(_MOST_CAUTION, 2 * self._caution)
        self._transport.reconnect()

    def _let_go(self, now: float) -> None:
        while self._leaving:
            name, due = next(iter(self._leaving.items()))
            if due > now:
                return
            del self._leaving[name]
            self._names.discard(name)
            subject = self._subjects.of(name)
            del self._by_subject[subject]
            self._received.forget(name)
            self._transport.unsubscribe((subject,))

    def _say_tails(self, now: float) -> None:
        while self._tails:
            name, due = next(iter(self._tails.items()))
            if due > now:
                return
            del self._tails[name]
            last = self._sent.last(name)
            if last:
                frame = self._frame()
                frame.name, frame.sequence = name, last
                frame.tail.SetInParent()
                self._write(self._subjects.of(name), frame)

    async def _look_for_life(self) -> None:
        """Ask somebody for a sign. Where several do not answer, the connection is the likeliest fault."""
        try:
            gateway = self._dice.choice(list(self._members))
            await self._ask(self._subjects.gateway(gateway), BusFrame(), self._timing.probe_timeout)
            self._misses, self._caution = 0, 1
        except BusUnavailableError:
            self._misses += 1
            if self._misses < _MISSES:
                self._probed = 0.0  # at once, somebody else
            elif self._server is not None:
                self._reconnect()
        finally:
            self._probe = None


class _Seen:
    """Another gateway, as it last said of itself."""

    __slots__ = ("at", "incarnation", "server")

    def __init__(self, incarnation: str, server: str, at: float) -> None:
        self.incarnation = incarnation
        self.server = server
        self.at = at
