"""An issuer's keys, with a clock and an issuer that a test turns."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from pylinkd.gateway.guard.keys import KeySet, PublicKey
from pylinkd.gateway.guard.remote_keys import COOLDOWN, RemoteKeys
from pylinkd.protocol.errors import ServiceUnavailableError

from ..doubles import Clock

KEY = PublicKey(generate_private_key(SECP256R1()).public_key(), ["ES256"])


class Issuer:
    """Publishes keys with these names.

    Attributes:
        names: What the keys are called.
        down: It does not answer.
        fault: What the fetch raises.
        asked: How often it was asked.
        slept: How long was waited.
        gone: How often a key was gone.
    """

    def __init__(self) -> None:
        self.names = ["a"]
        self.down = False
        self.fault: Exception | None = None
        self.asked = 0
        self.slept: list[float] = []
        self.gone = 0
        self.clock = Clock()
        self.keys = RemoteKeys("https://id", self._fetch, clock=self.clock, sleep=self._sleep, changed=self._changed)

    async def _fetch(self) -> KeySet:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        if self.down:
            raise OSError("down")
        return KeySet([(name, KEY) for name in self.names])

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds
        await asyncio.sleep(0)

    def _changed(self) -> None:
        self.gone += 1


async def test_all_who_wait_cause_one_fetch() -> None:
    """However many they are."""
    issuer = Issuer()

    await asyncio.gather(*(issuer.keys.seek() for _ in range(500)))

    assert issuer.asked == 1
    assert issuer.keys.find("a", "ES256") is KEY
    assert issuer.keys.fetches == {"ok": 1, "failed": 0}


async def test_unknown_name_causes_one_fetch_in_ten_seconds() -> None:
    """Whoever made it up, and whoever waits for a new key: that one is found by the fetch, if late."""
    issuer = Issuer()
    await issuer.keys.seek()
    issuer.clock.now += 3
    issuer.names = ["a", "b"]

    await asyncio.gather(*(issuer.keys.seek() for _ in range(500)))

    assert issuer.asked == 2
    assert issuer.slept == [0.0, COOLDOWN - 3] or issuer.slept == [COOLDOWN - 3]
    assert issuer.keys.find("b", "ES256") is KEY


async def test_issuer_that_is_down_keeps_the_last_good_keys() -> None:
    """And says so."""
    issuer = Issuer()
    await issuer.keys.seek()
    issuer.down = True
    issuer.clock.now += 60

    await issuer.keys.seek()

    assert issuer.keys.find("a", "ES256") is KEY
    assert issuer.keys.fetches == {"ok": 1, "failed": 1}
    assert issuer.keys.age == 60
    assert issuer.gone == 0


async def test_issuer_whose_keys_never_came_is_no_reason_to_refuse_a_user() -> None:
    """But to come again later."""
    issuer = Issuer()
    issuer.down = True

    with pytest.raises(ServiceUnavailableError) as caught:
        await issuer.keys.seek()

    assert caught.value.retry_after is not None


async def test_key_that_is_gone_is_told() -> None:
    """What it vouched for is believed no longer."""
    issuer = Issuer()
    await issuer.keys.seek()
    issuer.names = ["b"]
    issuer.clock.now += 60
    await issuer.keys.seek()

    assert issuer.gone == 1
    assert issuer.keys.find("a", "ES256") is None


async def test_one_who_gives_up_does_not_end_the_fetch_of_the_others() -> None:
    """A client that is gone meanwhile is nobody else's trouble."""
    issuer = Issuer()
    first = asyncio.create_task(issuer.keys.seek())
    second = asyncio.create_task(issuer.keys.seek())
    await asyncio.sleep(0)
    first.cancel()

    await second

    assert issuer.keys.find("a", "ES256") is KEY
    assert issuer.asked == 1


async def test_too_many_who_wait_are_told_to_come_again() -> None:
    """What waits has a bound."""
    issuer = Issuer()

    outcomes = await asyncio.gather(*(issuer.keys.seek() for _ in range(1500)), return_exceptions=True)

    assert sum(isinstance(one, ServiceUnavailableError) for one in outcomes) == 500
    assert issuer.asked == 1


async def test_fault_of_ours_does_not_end_the_fetching() -> None:
    """It counts as a fetch that failed; the next one is tried."""
    issuer = Issuer()
    issuer.fault = TypeError("ours")
    with pytest.raises(ServiceUnavailableError):
        await issuer.keys.seek()
    issuer.fault = None

    await issuer.keys.seek()

    assert issuer.keys.fetches == {"ok": 1, "failed": 1}
