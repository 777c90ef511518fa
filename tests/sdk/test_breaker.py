"""Circuit breakers, by a driven clock; and what they are around."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from pylinkd import Breaker, LinkdError, NotFoundError, RegistrationError, Service, ServiceUnavailableError, WsContext
from pylinkd.sdk.breaker import Circuit, State
from pylinkd.testing import run

BREAKER = Breaker(failures=3, window=10.0, reset_after=5.0)


def fail(circuit: Circuit, at: float) -> None:
    """A call that fails at once."""
    circuit.failed(circuit.enter(at), at)


def opened(at: float = 0.0) -> Circuit:
    """A circuit that has just opened."""
    circuit = Circuit(BREAKER, "prices")
    for _ in range(3):
        fail(circuit, at)
    return circuit


def test_failures_within_the_window_open_it() -> None:
    """It then says when the next one may try."""
    circuit = opened(at=100.0)

    assert circuit.state is State.OPEN
    with pytest.raises(ServiceUnavailableError) as refusal:
        circuit.enter(102.0)
    assert refusal.value.retry_after == pytest.approx(3.0)


def test_failures_further_apart_do_not() -> None:
    """They are the noise of every day."""
    circuit = Circuit(BREAKER, "prices")
    for at in (0.0, 6.0, 12.0, 18.0):
        fail(circuit, at)

    assert circuit.state is State.CLOSED


def test_one_call_tries_at_a_time() -> None:
    """All others are refused until it is known how that went."""
    circuit = opened()
    circuit.enter(5.0)

    assert circuit.state is State.HALF_OPEN
    with pytest.raises(ServiceUnavailableError):
        circuit.enter(5.1)


def test_success_closes_it() -> None:
    """It begins to count anew."""
    circuit = opened()
    circuit.succeeded(circuit.enter(5.0))
    for at in (6.0, 6.1):
        fail(circuit, at)

    assert circuit.state is State.CLOSED


def test_failure_opens_it_for_as_long_again() -> None:
    """One that comes back late is not stormed."""
    circuit = opened()
    circuit.failed(circuit.enter(5.0), 5.5)

    with pytest.raises(ServiceUnavailableError):
        circuit.enter(10.0)
    circuit.enter(10.5)


def test_callers_own_fault_shows_that_it_works() -> None:
    """It was answered."""
    circuit = opened()
    circuit.ended(circuit.enter(5.0), NotFoundError(), 5.1)

    assert circuit.state is State.CLOSED


def test_call_that_began_earlier_says_nothing() -> None:
    """Neither success nor failure of before the circuit opened is that of the call that tries."""
    circuit = Circuit(BREAKER, "prices")
    earlier = circuit.enter(0.0)
    for _ in range(3):
        fail(circuit, 0.0)
    trial = circuit.enter(5.0)
    circuit.succeeded(earlier)
    circuit.failed(earlier, 5.1)

    states = [circuit.state]
    circuit.succeeded(trial)
    assert [*states, circuit.state] == [State.HALF_OPEN, State.CLOSED]


@pytest.mark.parametrize("error", [ServiceUnavailableError(), ValueError(), asyncio.CancelledError(), LinkdError()])
def test_failures_are_what_is_not_the_callers_fault(error: BaseException) -> None:
    """What takes too long is cancelled, and counts."""
    circuit = Circuit(BREAKER, "prices")
    for _ in range(3):
        circuit.ended(circuit.enter(0.0), error, 0.0)

    assert circuit.state is State.OPEN


async def test_handler_that_fails_is_left_alone() -> None:
    """Its callers get 503 with a time, and it is not run."""
    service, runs = Service("board"), []

    @service.ws.on("board.price", breaker=Breaker(failures=2, reset_after=60.0))
    async def price(ctx: WsContext) -> None:
        runs.append(1)
        raise ValueError

    async with run(service) as gateway:
        client = await gateway.connect()
        codes = []
        for _ in range(4):
            with pytest.raises(LinkdError) as failure:
                await client.send("board.price")
            codes.append((failure.value.code, failure.value.retry_after is not None))

    assert codes == [(500, False), (500, False), (503, True), (503, True)]
    assert len(runs) == 2


async def test_target_of_calls_has_a_circuit_of_its_own() -> None:
    """One that fails costs others nothing."""
    service = Service("board", call_breaker=Breaker(failures=2, reset_after=60.0))
    asked: list[str] = []

    async def broken(params: object) -> None:
        asked.append("broken")
        raise ServiceUnavailableError

    async def fine(params: object) -> str:
        return "fine"

    async with run(service) as gateway:
        gateway.provide("shop", "broken", broken)
        gateway.provide("shop", "fine", fine)
        with structlog.testing.capture_logs() as logs:
            for _ in range(4):
                with pytest.raises(ServiceUnavailableError):
                    await service.call("shop", "broken")
        assert await service.call("shop", "fine") == "fine"

    assert asked == ["broken", "broken"]
    assert [entry["target"] for entry in logs if entry["event"] == "circuit_opened"] == ["call shop.broken"]


@pytest.mark.parametrize("breaker", [Breaker(failures=0), Breaker(window=0), Breaker(reset_after=-1), "often"])
def test_odd_breakers_are_refused(breaker: object) -> None:
    """Where they are written."""
    with pytest.raises(RegistrationError, match=r"(?i)breaker"):

        @Service("board").ws.on("board.price", breaker=breaker)  # type: ignore[call-overload, untyped-decorator]
        async def price(ctx: WsContext) -> None: ...
