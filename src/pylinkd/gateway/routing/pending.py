"""Questions to a service whose answers are awaited by a coroutine."""

from __future__ import annotations

import asyncio

from ...protocol.errors import LinkdError
from ...protocol.link_pb2 import Frame
from .link import ServiceLink


async def ask(link: ServiceLink, frame: Frame) -> Frame:
    """Ask, and wait for the answer. Safe to cancel.

    Raises:
        LinkdError: If the service answers with an error, or is gone.
    """
    question = _Pending()
    link.ask(frame, question)
    return await question.answer


class _Pending:
    """A question whose answer a coroutine awaits."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

    def answered(self, frame: Frame) -> None:
        if not self.answer.done():
            self.answer.set_result(frame)

    def failed(self, error: LinkdError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
