"""Documents about all services, asked of them when somebody wants to know."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from pylinkd.gateway.routing.descriptions import Descriptions, Documents
from pylinkd.protocol.errors import InternalError
from pylinkd.protocol.link import MAX_DESCRIPTION_SIZE
from pylinkd.protocol.link_pb2 import Description, Frame
from pylinkd.protocol.link_values import fill_failure
from pylinkd.sdk.describe.description import description
from tests.services.described import service

from ..doubles import turns
from .rig import Process, Rig

GOOD = description(service)
HEAD = b'{"info":{"version":"1"},'


@pytest.fixture
async def rig() -> Rig:
    """Without services."""
    return Rig()


def failure() -> Frame:
    """An answer that is an error."""
    frame = Frame()
    fill_failure(frame.failure, InternalError())
    return frame


def answer(process: Process, frame: Frame) -> None:
    """Answer the question for documents."""
    frame.request_id = process.take("describe_query").request_id
    process.say(frame)


async def wanted(descriptions: Descriptions) -> asyncio.Task[Documents]:
    """A request for them, on its way."""
    task = asyncio.create_task(descriptions.documents())
    await turns()
    return task


async def test_each_service_is_asked_once_until_a_registration_changes(rig: Rig) -> None:
    """Requests that come meanwhile, and later ones, get the same answer."""
    descriptions = Descriptions(rig.services)
    process, second = rig.start("described", types=()), rig.start("described", types=())
    first, other = await wanted(descriptions), await wanted(descriptions)

    answer(process, Frame(description=GOOD))

    assert await first is await other is await descriptions.documents()
    assert "describe_query" not in [*process.kinds(), *second.kinds()]
    rig.start("another", types=())
    again = await wanted(descriptions)
    assert "describe_query" in process.kinds()
    again.cancel()


@pytest.mark.parametrize(
    "bad",
    [
        failure(),
        Frame(description=Description(openapi=b"{", asyncapi=b"{}")),
        Frame(description=Description(openapi=b"[]", asyncapi=b"[]")),
        Frame(description=Description(openapi=b"{}", asyncapi=b"{}")),
        Frame(description=Description(openapi=HEAD + b'"paths":{"/a":[]}}', asyncapi=GOOD.asyncapi)),
        Frame(description=Description(openapi=GOOD.openapi, asyncapi=b" " * MAX_DESCRIPTION_SIZE)),
        Frame(description=Description(openapi=b"[" * 100_000, asyncapi=b"{}")),
    ],
    ids=["error", "no JSON", "no object", "empty", "another form", "too large", "deep"],
)
async def test_service_that_gives_no_documents_is_left_out(rig: Rig, bad: Frame) -> None:
    """The others are described, it is named, and the next request asks again."""
    descriptions = Descriptions(rig.services)
    good, process = rig.start("described", types=()), rig.start("broken", types=())
    asking = await wanted(descriptions)

    answer(good, Frame(description=GOOD))
    answer(process, bad)

    documents = await asking
    openapi = msgspec.json.decode(documents.openapi)
    assert (list(openapi["paths"]), openapi["x-linkd-missing"]) == (["/items/{id}"], ["broken"])
    (await wanted(descriptions)).cancel()
    assert "describe_query" in process.kinds()


async def test_silent_service_is_waited_for_so_long(rig: Rig) -> None:
    """Then it is left out."""
    rig.start("described")

    documents = await Descriptions(rig.services, timeout=0.01).documents()

    assert msgspec.json.decode(documents.asyncapi)["x-linkd-missing"] == ["described"]


async def test_service_that_has_left_is_named_and_not_asked_for_again(rig: Rig) -> None:
    """Until a process registers nothing about it changes."""
    descriptions = Descriptions(rig.services)
    process = rig.start("described")
    process.link.connection_lost(None)

    documents = await descriptions.documents()

    assert msgspec.json.decode(documents.openapi)["x-linkd-missing"] == ["described"]
    assert await descriptions.documents() is documents
