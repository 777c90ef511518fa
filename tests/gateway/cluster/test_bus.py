"""What gateways may rely on, whatever server carries it: the same questions to each kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pylinkd.gateway.cluster.bus import BusUnavailableError
from pylinkd.gateway.cluster.chunks import MAX_TOTAL
from pylinkd.gateway.cluster.frames import MAX_PAYLOAD, VERSION
from pylinkd.protocol.bus_pb2 import BusChunk, BusFrame, BusMember, BusTail

from .cluster import HASTY, PATIENCE, SUBJECTS, TIMING, Cluster, InMemory, OnNats, OnRedis, Server, until

ROOM = "chat\0lobby"


SERVERS: dict[str, Callable[[Path], Server]] = {"memory": lambda _: InMemory(), "nats": OnNats, "redis": OnRedis}


@pytest.fixture(params=list(SERVERS))
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Nobody is there yet."""
    cluster = Cluster(SERVERS[request.param](tmp_path))
    yield cluster
    await cluster.close()


def frame(**fields: Any) -> bytes:
    """A frame of another gateway, as it goes over the bus."""
    known = {"version": VERSION, "gateway": "other", "incarnation": "i", "name": ROOM, **fields}
    return BusFrame(**known).SerializeToString()


async def test_what_is_published_arrives_at_the_others_in_order(cluster: Cluster) -> None:
    """Once each, and never at the one who published it."""
    one, first = await cluster.join()
    two, second = await cluster.join()
    _three, third = await cluster.join()
    for bus in (one, two):
        bus.subscribe([ROOM])
        await bus.barrier()

    sent = [b"%d" % number for number in range(1000)]
    assert all(one.publish(ROOM, payload) for payload in sent)

    await until(lambda: len(second.payloads(ROOM)) >= len(sent))
    await two.barrier()
    assert second.payloads(ROOM) == sent
    assert (first.payloads(ROOM), third.payloads(ROOM)) == ([], [])
    assert second.of("suspect") == []


async def test_what_is_published_behind_a_barrier_arrives(cluster: Cluster) -> None:
    """However soon."""
    one, _ = await cluster.join()
    two, second = await cluster.join()
    for number in range(200):
        name = f"room {number}"
        two.subscribe([name])
        await two.barrier()
        assert one.publish(name, b"at once")

    await until(lambda: len(second.of("received")) == 200)


@pytest.mark.parametrize(
    "name", [".", "*", ">", "a.b.>", " ", "\n", "\r\nPUB x 1", "ü", "🎈" * 128, "x" * 512, "\0", "$SYS.>"], ids=repr
)
async def test_names_are_any_text(cluster: Cluster, name: str) -> None:
    """And none is another's."""
    one, _ = await cluster.join()
    two, second = await cluster.join()
    two.subscribe([name, "another"])
    await two.barrier()

    one.publish(name, b"x")

    await until(lambda: second.of("received"))
    assert second.of("received") == [("g1", name, b"x")]


@pytest.mark.parametrize("name", ["", "x" * 513, "ü" * 257, "\ud800"])
async def test_what_is_no_name_is_refused(cluster: Cluster, name: str) -> None:
    """Where it is used."""
    one, _ = await cluster.join()

    with pytest.raises(ValueError):  # noqa: PT011  UnicodeEncodeError is one, too
        one.subscribe([name])
    with pytest.raises(ValueError):  # noqa: PT011
        one.publish(name, b"x")


@pytest.mark.parametrize("size", [0, 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 3 * 2**20 + 7])
async def test_payloads_of_any_size_arrive_whole(cluster: Cluster, size: int) -> None:
    """Large ones go in parts, and nobody sees those."""
    one, _ = await cluster.join()
    two, second = await cluster.join()
    two.subscribe([ROOM])
    await two.barrier()
    payload = bytes(range(256)) * (size // 256 + 1)

    assert one.publish(ROOM, payload[:size])
    assert one.publish(ROOM, b"next")

    await until(lambda: len(second.payloads(ROOM)) == 2)
    assert second.payloads(ROOM) == [payload[:size], b"next"]
    assert second.of("suspect") == []


async def test_payload_that_no_bus_carries_is_refused(cluster: Cluster) -> None:
    """Nothing of it is sent."""
    one, _ = await cluster.join()

    with pytest.raises(ValueError, match="at most"):
        one.publish(ROOM, bytes(MAX_TOTAL + 1))


async def test_nothing_arrives_once_a_name_is_let_go_of(cluster: Cluster) -> None:
    """After a while in which pages come back that were loaded anew."""
    one, _ = await cluster.join()
    two, second = await cluster.join()
    two.subscribe([ROOM, "other"])
    await two.barrier()
    two.unsubscribe([ROOM, "never"])
    two.subscribe([ROOM])
    await asyncio.sleep(2 * TIMING.unsubscribe)
    one.publish(ROOM, b"first")
    await until(lambda: second.payloads(ROOM))

    two.unsubscribe([ROOM])
    await asyncio.sleep(2 * TIMING.unsubscribe)
    one.publish(ROOM, b"second")
    one.publish("other", b"third")

    await until(lambda: second.payloads("other"))
    assert second.payloads(ROOM) == [b"first"]


async def test_lost_connection_is_told_and_made_anew(cluster: Cluster) -> None:
    """What may be missing is said before anything else, and everything is subscribed again."""
    one, first = await cluster.join()
    two, second = await cluster.join()
    two.subscribe([ROOM])
    await two.barrier()

    cluster.server.stop()
    await until(lambda: not one.is_up and not two.is_up)
    assert not one.publish(ROOM, b"lost")
    with pytest.raises(BusUnavailableError):
        await two.barrier()
    cluster.server.start()
    await until(lambda: one.is_up and two.is_up)
    await two.barrier()
    assert one.publish(ROOM, b"found")

    await until(lambda: second.payloads(ROOM) == [b"found"])
    assert [what for what in second.heard if what[0] != "received"] == [
        ("up", 1), ("down", None), ("suspect", None), ("up", 2),
    ]  # fmt: skip
    assert first.of("up") == [1, 2]


async def test_what_could_not_be_sent_shows_as_a_gap(cluster: Cluster) -> None:
    """To those whose own connection was there all the time: by the next frame, or soon by a word of the sender."""
    one, _ = await cluster.join()
    two, second = await cluster.join()
    two.subscribe([ROOM])
    await two.barrier()
    one.publish(ROOM, b"1")
    await until(lambda: second.payloads(ROOM) == [b"1"])
    lost = one._transport.publish
    one._transport.publish = lambda subject, data: False  # type: ignore[method-assign]
    assert not one.publish(ROOM, b"2")
    one._transport.publish = lost  # type: ignore[method-assign]

    await until(lambda: second.of("suspect"))
    assert second.of("suspect") == [(ROOM,)]
    one.publish(ROOM, b"3")
    await until(lambda: second.payloads(ROOM) == [b"1", b"3"])
    assert two.gaps == 1


@pytest.mark.parametrize(
    ("sent", "received", "gaps"),
    [
        ([(1, 0), (2, 1), (5, 2)], 3, 0),
        ([(1, 0), (5, 3)], 2, 1),
        ([(1, 0), (1, 0), (2, 1), (1, 0)], 2, 0),
        ([(7, 6)], 1, 0),
        ([(3, 2), (9, 0)], 2, 0),
    ],
)
async def test_numbers_show_what_is_missing_and_what_is_old(
    cluster: Cluster, sent: list[tuple[int, int]], received: int, gaps: int
) -> None:
    """Each frame has its own number, and that of the one before it under its name."""
    one, first = await cluster.join()
    one.subscribe([ROOM, "end"])
    await one.barrier()
    raw, _ = await cluster.raw()
    for sequence, previous in sent:
        raw.publish(SUBJECTS.of(ROOM), frame(sequence=sequence, previous=previous, payload=b"x"))
    raw.publish(SUBJECTS.of("end"), frame(name="end", sequence=100, payload=b"x"))

    await until(lambda: first.payloads("end"))
    assert len(first.payloads(ROOM)) == received
    assert first.of("suspect") == [(ROOM,)] * gaps


@pytest.mark.parametrize(("tail", "gaps"), [(1, 0), (2, 1), (9, 1)])
async def test_last_number_shows_that_the_last_frame_is_missing(cluster: Cluster, tail: int, gaps: int) -> None:
    """It is said some time after it, where nothing follows."""
    one, first = await cluster.join()
    one.subscribe([ROOM, "end"])
    await one.barrier()
    raw, _ = await cluster.raw()
    raw.publish(SUBJECTS.of(ROOM), frame(sequence=1, payload=b"x"))
    raw.publish(SUBJECTS.of(ROOM), frame(sequence=tail, tail=BusTail()))
    raw.publish(SUBJECTS.of("end"), frame(name="end", sequence=100, payload=b"x"))

    await until(lambda: first.payloads("end"))
    assert first.of("suspect") == [(ROOM,)] * gaps


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff garbage \xff", "malformed"),
        (b"", "version"),
        (frame(version=2, sequence=1, payload=b"x"), "version"),
        (frame(gateway="no id!", sequence=1, payload=b"x"), "malformed"),
        (frame(incarnation="", sequence=1, payload=b"x"), "malformed"),
        (frame(sequence=0, payload=b"x"), "malformed"),
        (frame(sequence=1, previous=2, payload=b"x"), "malformed"),
        (frame(name="x" * 600, sequence=1, payload=b"x"), "malformed"),
        (frame(name="another room", sequence=1, payload=b"x"), "name"),
        (frame(gateway="g1", sequence=1, payload=b"x"), "same_id"),
        (frame(sequence=1), "unknown_kind"),
        (frame(sequence=1, payload=bytes(MAX_PAYLOAD + 4096)), "too_large"),
        (frame(name="", payload=b""), None),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_what_does_not_fit_is_dropped_and_counted(cluster: Cluster, data: bytes, reason: str | None) -> None:
    """Whatever comes may be anybody's. Nothing ends by it."""
    one, first = await cluster.join()
    one.subscribe([ROOM])
    await one.barrier()
    raw, _ = await cluster.raw()

    sent = raw.publish(SUBJECTS.of(ROOM), data)  # what is too large some transports refuse themselves
    raw.publish(SUBJECTS.of(ROOM), frame(sequence=7, payload=b"good"))

    await until(lambda: first.payloads(ROOM))
    assert first.payloads(ROOM) == [b"good"]
    assert dict(one.refused) == ({} if reason is None or not sent else {reason: 1})


@pytest.mark.parametrize(
    "chunks",
    [
        [BusChunk(index=1, total=2, data=b"x")],
        [BusChunk(index=0, total=3, data=b"x"), BusChunk(index=2, total=3, data=b"x")],
        [BusChunk(index=0, total=2, data=b"x"), BusChunk(index=1, total=3, data=b"x")],
        [BusChunk(index=0, total=2**31, data=b"x")],
    ],
)
async def test_parts_that_do_not_fit_together_are_nothing(cluster: Cluster, chunks: list[BusChunk]) -> None:
    """That something is missing is said."""
    one, first = await cluster.join()
    one.subscribe([ROOM])
    await one.barrier()
    raw, _ = await cluster.raw()
    for number, chunk in enumerate(chunks, 1):
        raw.publish(SUBJECTS.of(ROOM), frame(sequence=number, previous=number - 1, chunk=chunk))

    await until(lambda: first.of("suspect"), 20)
    assert first.payloads(ROOM) == []


async def test_gateways_know_each_other_and_talk(cluster: Cluster) -> None:
    """One sends another something, or asks; who leaves is gone at once."""
    one, first = await cluster.join()
    two, second = await cluster.join()
    await until(lambda: len(one.members) == len(two.members) == 1)

    assert one.send("g2", b"hello")
    assert await one.ask("g2", b"what?", 5.0) == b"answer to what?"
    with pytest.raises(BusUnavailableError, match="could not answer"):
        await one.ask("g2", b"refuse", 5.0)
    with pytest.raises(BusUnavailableError, match="is not there"):
        await one.ask("g9", b"what?", 5.0)

    await until(lambda: second.of("told"))
    assert second.of("told") == [("g1", b"hello")]
    await two.close()
    await until(lambda: not one.members)
    assert first.of("suspect") == []


async def test_gateway_that_says_nothing_is_gone(cluster: Cluster) -> None:
    """Nobody has to say so."""
    one, _ = await cluster.join(timing=HASTY)
    raw, _ = await cluster.raw()
    raw.publish(SUBJECTS.everybody, frame(gateway="g9", name="", member=BusMember(server="")))
    await until(lambda: one.members)

    await until(lambda: not one.members)


async def test_connection_that_answers_nobody_is_made_anew(cluster: Cluster) -> None:
    """As where the server has forgotten what was subscribed."""
    one, first = await cluster.join(timing=HASTY)
    two, _ = await cluster.join(timing=HASTY)
    await until(lambda: one.members and two.members)
    received = one.received
    one.received = lambda subject, data: None  # type: ignore[method-assign]

    await until(lambda: len(first.of("up")) > 1)
    assert None in first.of("suspect")

    one.received = received  # type: ignore[method-assign]
    answer = b""
    async with asyncio.timeout(PATIENCE):
        while not answer:
            await until(lambda: one.members)
            with contextlib.suppress(BusUnavailableError):  # the other one may be at it, too
                answer = await one.ask("g2", b"what?", 5.0)
    assert answer == b"answer to what?"


async def test_close_ends_while_there_is_no_connection(cluster: Cluster) -> None:
    """And whoever waits is told."""
    one, _ = await cluster.join()
    two, _ = await cluster.join()
    await until(lambda: one.members)
    cluster.server.stop()
    await until(lambda: not one.is_up)

    with pytest.raises(BusUnavailableError):
        await one.ask("g2", b"what?", 5.0)
    async with asyncio.timeout(5):
        await one.close()
        await two.close()
