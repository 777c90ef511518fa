"""Durable events between services: who is told of whom, and that one that hangs holds up nobody."""

from __future__ import annotations

import pytest

from pylinkd.protocol.link_pb2 import Event, Frame

from .rig import Process, Rig, registration


@pytest.fixture
async def rig() -> Rig:
    """Without services."""
    return Rig()


def taking(rig: Rig, service: str, *patterns: str) -> Process:
    """A process that stores such events."""
    process = Process(rig)
    wanted = registration(service, types=())
    wanted.durable_events.extend(patterns)
    assert process.ask(Frame(register=wanted)).WhichOneof("body") == "registered"
    return process


def emit(process: Process, number: int) -> None:
    """It emits a durable event."""
    process.say(Frame(request_id=1000 + number, event=Event(type="order.placed", id=f"e{number}", data=b"1")))


def taken_by(process: Process) -> list[str]:
    """Who has its last event, as it is told."""
    return list(process.take("event_done").event_done.taken_by)


async def test_emitters_learn_of_a_first_subscriber_at_once(rig: Rig) -> None:
    """Else only this gateway would know of it; what it takes already is no news."""
    shop = taking(rig, "shop")
    shop.forget()
    billing = taking(rig, "billing", "order.*")

    assert shop.kinds() == ["subscribers_changed"]
    shop.done(shop.take("subscribers_changed"))
    again = registration("billing", types=())
    again.durable_events.append("order.*")
    billing.ask(Frame(register=again))
    taking(rig, "billing", "order.*")
    assert shop.kinds() == []

    again.durable_events.append("stock.*")
    billing.ask(Frame(register=again))
    assert shop.kinds() == ["subscribers_changed"]


async def test_service_that_hangs_holds_up_nobody(rig: Rig) -> None:
    """The emitter hears of the others in time, and the one that hangs gets nothing more until it answers."""
    shop = taking(rig, "shop")
    good, hung = taking(rig, "good", "order.*"), taking(rig, "hung", "order.*")
    emit(shop, 1)
    good.done(good.take("event"))
    shop.forget()
    assert "event_done" not in shop.kinds()
    rig.timers.pass_(5.0)
    assert taken_by(shop) == ["good"]

    hanging = hung.take("event")
    emit(shop, 2)
    good.done(good.take("event"))
    assert taken_by(shop) == ["good"]
    assert "event" not in hung.kinds()

    hung.done(hanging)
    assert "event_done" not in shop.kinds()
    emit(shop, 3)
    good.done(good.take("event"))
    hung.done(hung.take("event"))
    assert sorted(taken_by(shop)) == ["good", "hung"]
    rig.timers.pass_(60.0)
    assert "event_done" not in shop.kinds()


async def test_service_that_dies_is_asked_anew_when_it_is_back(rig: Rig) -> None:
    """What it was asked before is forgotten with it."""
    shop = taking(rig, "shop")
    hung = taking(rig, "hung", "order.*")
    emit(shop, 1)
    rig.clock.now += 3.0
    hung.die()
    assert taken_by(shop) == []

    back = taking(rig, "hung", "order.*")
    emit(shop, 2)
    back.done(back.take("event"))
    assert taken_by(shop) == ["hung"]
