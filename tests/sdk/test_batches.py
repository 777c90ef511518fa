"""Messages that are handled together."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from pylinkd import (
    Batched,
    ConflictError,
    HandlerTimeoutError,
    InternalError,
    LinkdError,
    RegistrationError,
    Service,
    ValidationError,
)
from pylinkd.testing import Client, run


class Sample(msgspec.Struct):
    """What clients push."""

    value: int


def pushing(sizes: list[int], **options: Any) -> Service[Any]:
    """A service that doubles what it gets, and notes how much came together."""
    service = Service("metrics")

    @service.ws.on_batch("metrics.push", **options)
    async def push(batch: list[Batched[Sample]]) -> list[Any]:
        sizes.append(len(batch))
        return [ConflictError(str(item.data.value)) if item.data.value == 13 else 2 * item.data.value for item in batch]

    return service


async def push(client: Client, *values: Any) -> list[Any]:
    """The answers, or errors, to messages that are sent at once."""
    sent = (client.send("metrics.push", {"value": value}) for value in values)
    return await asyncio.gather(*sent, return_exceptions=True)


async def test_messages_of_several_clients_are_one_batch() -> None:
    """Each gets its own answer."""
    sizes: list[int] = []
    async with run(pushing(sizes, max_wait=0.05)) as gateway:
        one, two = await gateway.connect(), await gateway.connect(user="alice")
        answers = await asyncio.gather(push(one, 1, 2), push(two, 3))

    assert list(answers) == [[2, 4], [6]]
    assert sizes == [3]


async def test_full_batch_does_not_wait() -> None:
    """And order is kept over batches."""
    sizes: list[int] = []
    async with run(pushing(sizes, max_items=4, max_wait=0.2)) as gateway:
        client = await gateway.connect()
        began = asyncio.get_running_loop().time()
        assert await push(client, *range(8)) == [2 * value for value in range(8)]
        assert asyncio.get_running_loop().time() - began < 0.2

    assert sizes == [4, 4]


async def test_bad_message_fails_alone() -> None:
    """One that does not fit never comes to the handler, one that is refused is answered so."""
    sizes: list[int] = []
    async with run(pushing(sizes, max_wait=0.05)) as gateway:
        client = await gateway.connect()
        fine, unfit, refused = await push(client, 1, "x", 13)

    assert fine == 2
    assert isinstance(unfit, ValidationError)
    assert isinstance(refused, ConflictError)
    assert sizes == [2]


async def test_what_the_handler_raises_all_get() -> None:
    """A bug is one traceback and everybody's 500; the next batch is handled."""
    service, fails = Service("metrics"), [True]

    @service.ws.on_batch("metrics.push", max_wait=0.05)
    async def handler(batch: list[Batched[Sample]]) -> None:
        if fails[0]:
            raise ValueError

    async with run(service) as gateway:
        client = await gateway.connect()
        assert {type(answer) for answer in await push(client, 1, 2, 3)} == {InternalError}
        fails[0] = False
        assert await push(client, 1) == [None]


@pytest.mark.parametrize("answers", [[1], "abc", 7])
async def test_wrong_number_of_answers_is_a_bug(answers: Any) -> None:
    """Nobody gets another's."""
    service = Service("metrics")

    @service.ws.on_batch("metrics.push", max_wait=0.05)
    async def handler(batch: list[Batched[Sample]]) -> Any:
        return answers

    async with run(service) as gateway:
        client = await gateway.connect()
        assert {type(answer) for answer in await push(client, 1, 2, 3)} == {InternalError}


async def test_batch_that_takes_too_long_is_answered() -> None:
    """All of it, and the next one is handled."""
    service, hangs = Service("metrics"), [True]

    @service.ws.on_batch("metrics.push", max_wait=0.01, timeout=0.2)
    async def handler(batch: list[Batched[Sample]]) -> None:
        if hangs[0]:
            await asyncio.Event().wait()

    async with run(service) as gateway:
        client = await gateway.connect()
        assert {type(answer) for answer in await push(client, 1, 2, 3)} == {HandlerTimeoutError}
        hangs[0] = False
        assert await push(client, 1, 2) == [None, None]


@pytest.mark.parametrize("options", [{"max_items": 0}, {"max_items": True}, {"max_wait": -1}, {"max_wait": "x"}])
def test_odd_options_are_refused(options: dict[str, Any]) -> None:
    """Where they are written."""
    with pytest.raises(RegistrationError, match="max_"):
        pushing([], **options)


def test_handler_has_its_own_form() -> None:
    """The error shows it."""
    service = Service("metrics")

    async def two(ctx: Any, data: Any) -> None: ...
    async def other(batch: list[int]) -> None: ...

    for function in (two, other):
        with pytest.raises(RegistrationError, match=r"list\[Batched\[T\]\]"):
            service.ws.on_batch("metrics.push")(function)


async def test_groups_have_batches() -> None:
    """With their prefix and options."""
    service = Service("metrics")

    @service.ws.group("metrics", auth=True).on_batch("push", max_wait=0.0)
    async def handler(batch: list[Batched[Sample]]) -> list[Any]:
        return [item.ctx.auth.user for item in batch]

    async with run(service) as gateway:
        with pytest.raises(LinkdError):
            await (await gateway.connect()).send("metrics.push", {"value": 1})
        assert await push(await gateway.connect(user="alice"), 1) == ["alice"]
