"""HTTP requests and calls between services, on their way to an action."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from typing import NamedTuple

from ...protocol.errors import LinkdError, NotFoundError, ServiceUnavailableError, UnknownActionError
from ...protocol.identity import Identity
from ...protocol.link_pb2 import Action, Call, Frame, HttpRequest, HttpResponse
from ...protocol.link_values import read_identity
from ...protocol.routes import choose, match
from .instance import Instance
from .link import ServiceLink
from .service import Service
from .services import Services
from .streamed_bodies import AnswerBody, Asker, RequestBody


class RouteMatch(NamedTuple):
    """Who answers a request.

    Attributes:
        action: Name.
        service: Whose it is.
        params: The variables of its route.
        cookies: Names of the cookies that it reads.
        max_body: Most bytes of a request's body; ``None``: as many as the gateway takes.
        stream: Whether it takes the body as a stream.
        identity: Who asks; ``None``: nobody signed in.
    """

    action: str
    service: Service
    params: dict[str, str]
    cookies: Sequence[str]
    max_body: int | None
    stream: bool
    identity: Identity | None


class HttpAnswer(NamedTuple):
    """What a service answers.

    Attributes:
        head: With the whole body, if that is not streamed.
        body: The streamed body, which has to be used up or closed; ``None``: it is not streamed.
    """

    head: HttpResponse
    body: AnswerBody | None


class Actions:
    """Finds the action for a request and brings back its answer."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies: set[AnswerBody] = set()  # of answers that are streamed

    def find(self, method: str, segments: Sequence[str], identity: Identity | None) -> RouteMatch:
        """The action for an HTTP request; nothing but the request's head is needed.

        Args:
            method: Of the request.
            segments: Of its path, each decoded by itself: a slash that was encoded is no separator (RFC 3986 §2.2).
            identity: Who asks; ``None``: nobody signed in.

        Raises:
            LinkdError: If no action matches, or the caller may not use it, or no instance can take it.
        """
        action, service, params = self._match(method, segments)
        refusal = _requirement(service, action.name, identity)
        if refusal is not None:
            raise refusal
        max_body = action.max_body if action.HasField("max_body") else None
        target = RouteMatch(action.name, service, params, action.cookies, max_body, action.stream, identity)
        _instance_of(target)
        return target

    async def request(
        self, request: HttpRequest, target: RouteMatch, chunks: AsyncIterable[bytes] | None = None
    ) -> HttpAnswer:
        """Have a service answer an HTTP request. Safe to cancel.

        Args:
            request: All but ``action`` and ``params``, which are filled in here.
            target: Who answers.
            chunks: The body, if it is streamed. It is read until there is an answer.

        Raises:
            LinkdError: If the service fails, or no instance can take it any more.
            Exception: Whatever ``chunks`` raises.
        """
        instance = _instance_of(target)
        request.action = target.action
        request.params.update(target.params)
        request.streamed = chunks is not None
        question = HttpQuestion(instance.link, Asker(target.identity, request.remote_address), self._bodies)
        question.ask(request)
        sending = None if chunks is None else asyncio.ensure_future(question.send(chunks))
        try:
            return await question.answer
        except asyncio.CancelledError:
            question.give_up()
            raise
        finally:
            if sending is not None:
                sending.cancel()

    def answers(self, segments: Sequence[str]) -> bool:
        """Whether a path, in decoded segments, is that of an action, by whatever method."""
        return any(match(route, segments) is not None for _, route, _ in self._routes())

    def end_answers(self, unwanted: Callable[[Asker], bool]) -> int:
        """End the streamed answers to these; how many."""
        ending = [body for body in self._bodies if unwanted(body.asker)]
        for body in ending:
            body.revoke()
        return len(ending)

    def call(self, call: Call, link: ServiceLink, request_id: int) -> None:
        """Pass one service's call to another's action, and the result back.

        Raises:
            LinkdError: If there is no such action, or it cannot take the call now.
        """
        service = self._services.get(call.service)
        known = service is not None and any(call.action in instance.actions for instance in service.offers)
        if service is None or not known:
            raise UnknownActionError(f"No service offers the action {call.service}.{call.action}.")
        instance = service.idlest(lambda instance: call.action in instance.actions)
        if instance is None or instance.link.congested:
            raise ServiceUnavailableError(retry_after=1.0)
        identity = read_identity(call.identity) if call.HasField("identity") else None
        refusal = _requirement(service, call.action, identity)
        if refusal is not None:
            raise refusal
        call.caller = link.name
        instance.link.ask(Frame(call=call), _Relay(link, request_id))

    def _match(self, method: str, segments: Sequence[str]) -> tuple[Action, Service, dict[str, str]]:
        found = choose(self._routes(), method, segments)
        if found is not None:
            (service, action), params = found
            return action, service, params
        if self._services.incomplete:
            raise ServiceUnavailableError(retry_after=1.0)
        raise NotFoundError()

    def _routes(self) -> Iterator[tuple[str, str, tuple[Service, Action]]]:
        for service in self._services:
            seen: set[str] = set()
            for instance in service.offers:
                for action in instance.registration.actions:
                    if action.route and action.name not in seen:
                        seen.add(action.name)
                        yield action.method, action.route, (service, action)


def _requirement(service: Service, action: str, identity: Identity | None) -> LinkdError | None:
    for instance in service.offers:
        requirement = instance.actions.get(action)
        if requirement is not None:
            refusal = requirement.refusal(identity)
            if refusal is not None:
                return refusal
    return None


def _instance_of(target: RouteMatch) -> Instance:
    instance = target.service.idlest(lambda instance: target.action in instance.actions)
    if instance is None or instance.link.congested:
        raise ServiceUnavailableError(retry_after=1.0)
    return instance


class HttpQuestion:
    """An HTTP request that a service was asked to answer. A Waiter (link.py).

    Args:
        link: To the service.
        asker: Who asks.
        bodies: Where the body of the answer is kept while it is streamed.

    Attributes:
        answer: What comes of it.
    """

    __slots__ = ("_asker", "_bodies", "_body", "_link", "_request_id", "answer")

    def __init__(self, link: ServiceLink, asker: Asker, bodies: set[AnswerBody]) -> None:
        self._asker = asker
        self._bodies = bodies
        self.answer: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()
        self._link = link
        self._request_id = 0
        self._body: RequestBody | None = None

    def ask(self, request: HttpRequest) -> None:
        """Send the request, without what is streamed of it."""
        self._request_id = self._link.ask(Frame(http_request=request), self)
        if request.streamed:
            self._body = RequestBody(self._link, self._request_id)

    async def send(self, chunks: AsyncIterable[bytes]) -> None:
        """Send the body. What goes wrong with it is the answer."""
        assert self._body is not None
        try:
            await self._body.send(chunks)
        except Exception as error:
            if not self.answer.done():
                self.answer.set_exception(error)

    def give_up(self) -> None:
        """Nobody is there for the answer any more, though it may have come in this turn."""
        answer = self.answer
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            body = answer.result().body
            if body is not None:
                body.close()

    def taken(self) -> None:
        """The service has taken a chunk of the body."""
        if self._body is not None:
            self._body.taken()

    def answered(self, frame: Frame) -> None:
        """See Waiter."""
        if self._body is not None:
            self._body.over = True
        head = frame.http_response
        body = None
        if head.streamed:
            body = AnswerBody(self._link, self._request_id, head, self._asker, self._bodies.discard)
            self._bodies.add(body)
            body.begin()
        if not self.answer.done():
            self.answer.set_result(HttpAnswer(head, body))
        elif body is not None:
            body.close()

    def failed(self, error: LinkdError) -> None:
        """See Waiter."""
        if not self.answer.done():
            self.answer.set_exception(error)


class _Relay:
    """A question asked on behalf of a service, which gets the answer."""

    __slots__ = ("_link", "_request_id")

    def __init__(self, link: ServiceLink, request_id: int) -> None:
        self._link = link
        self._request_id = request_id

    def answered(self, frame: Frame) -> None:
        self._link.answer(self._request_id, Frame(call_result=frame.call_result))

    def failed(self, error: LinkdError) -> None:
        self._link.fail(self._request_id, error)
