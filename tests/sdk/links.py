"""The gateway's end of a link in memory: asks a service by the frame, and keeps its answers."""

from __future__ import annotations

import asyncio

from pylinkd.protocol.errors import LinkdError
from pylinkd.protocol.link import encode
from pylinkd.protocol.link_pb2 import Frame, Registered
from pylinkd.protocol.link_values import fill_failure, read_failure
from pylinkd.sdk.link import Offline
from pylinkd.sdk.runtime import Runtime


class MemoryLink:
    """Asks a running service. Answers are encoded and decoded, as on a real link; a second answer fails the test."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._last_id = 0

    async def ask(self, frame: Frame) -> Frame:
        """Ask, and wait for the answer; an error of the service is raised."""
        self._last_id += 1
        question = Frame()
        question.CopyFrom(frame)
        question.request_id = self._last_id
        future = self._asked[self._last_id] = asyncio.get_running_loop().create_future()
        kind = question.WhichOneof("body")
        assert kind is not None
        self.runtime.received(self, kind, question)
        answer: Frame = await future
        return answer

    def answer(self, request_id: int, frame: Frame) -> None:
        """The service answers."""
        frame.request_id = request_id
        answer = Frame.FromString(encode(frame)[4:])
        self._asked.pop(request_id).set_result(answer)

    def fail(self, request_id: int, error: LinkdError) -> None:
        """The service answers with an error."""
        frame = Frame()
        fill_failure(frame.failure, error)
        encode(frame)
        self._asked.pop(request_id).set_exception(read_failure(frame.failure))

    def register(self, gateway_instance: str) -> None:
        """A gateway process takes the service."""
        self.runtime.registered(Offline(), Registered(gateway_instance=gateway_instance))
