"""Requests with a key: handled once, answered each time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import websockets

from pylinkd import ConflictError, HttpContext, LinkdError, Once, RegistrationError, Response, Service, WsContext
from pylinkd.client import connect
from pylinkd.sdk.host import persistence_of
from pylinkd.sdk.once import KnownKeys
from pylinkd.testing import decode, run
from tests.processes import ROOT, make_token, platform

from .conftest import fresh
from .shops import ShopDatabase, shop, sold, until


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> Service[Any]:
    """Once without a database, and once with each."""
    return Service("shop") if request.param == "memory" else shop(await fresh(request.param, tmp_path, request))


async def test_repetition_is_answered_and_not_handled(service: Service[Any]) -> None:
    """A message without a key is handled each time."""
    runs: list[str] = []

    @service.ws.on("shop.order", once=True)
    async def order(ctx: WsContext, item: str) -> dict[str, Any]:
        runs.append(item)
        return {"number": len(runs), "key": ctx.key}

    async with run(service) as gateway:
        alice = await gateway.connect(user="alice")
        first = await alice.send("shop.order", "tea", key="k1")
        assert await alice.send("shop.order", "tea", key="k1") == first == {"number": 1, "key": "k1"}
        other_window = await gateway.connect(user="alice")
        assert await other_window.send("shop.order", "tea", key="k1") == first
        assert (await alice.send("shop.order", "tea", key="k2"))["number"] == 2
        assert (await alice.send("shop.order", "tea"))["number"] == 3

    assert len(runs) == 3


async def test_key_is_its_users(service: Service[Any]) -> None:
    """Nobody gets another's answer, signed in or not."""
    runs: list[str] = []

    @service.ws.on("shop.order", once=True)
    async def order(ctx: WsContext, item: str) -> int:
        runs.append(item)
        return len(runs)

    async with run(service) as gateway:
        clients = [await gateway.connect(user=user) for user in ("alice", "ben", None, None)]
        answers = [await client.send("shop.order", "tea", key="k1") for client in clients]

    assert answers == [1, 2, 3, 4]


async def test_key_with_another_payload_is_refused(service: Service[Any]) -> None:
    """It is a mistake of the client's."""

    @service.ws.on("shop.order", once=True)
    async def order(ctx: WsContext, item: str) -> None: ...

    async with run(service) as gateway:
        client = await gateway.connect(user="alice")
        await client.send("shop.order", "tea", key="k1")
        with pytest.raises(ConflictError) as failure:
            await client.send("shop.order", "milk", key="k1")

    assert failure.value.type == "KEY_REUSED"


async def test_repetition_waits_for_the_first(service: Service[Any]) -> None:
    """While that is still handled."""
    begun, go, runs = asyncio.Event(), asyncio.Event(), []

    @service.ws.on("shop.order", once=True, ordered=False)
    async def order(ctx: WsContext, item: str) -> int:
        begun.set()
        await go.wait()
        runs.append(item)
        return len(runs)

    async with run(service) as gateway:
        client = await gateway.connect(user="alice")
        first = asyncio.create_task(client.send("shop.order", "tea", key="k1"))
        await begun.wait()
        second = asyncio.create_task(client.send("shop.order", "tea", key="k1"))
        await asyncio.sleep(0)
        go.set()
        assert list(await asyncio.gather(first, second)) == [1, 1]

    assert runs == ["tea"]


async def test_failure_is_not_kept(service: Service[Any]) -> None:
    """A repetition is handled."""
    runs: list[int] = []

    @service.ws.on("shop.order", once=True)
    async def order(ctx: WsContext) -> int:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError
        return len(runs)

    async with run(service) as gateway:
        client = await gateway.connect(user="alice")
        with pytest.raises(LinkdError):
            await client.send("shop.order", key="k1")
        assert await client.send("shop.order", key="k1") == 2


async def test_action_with_a_key_is_handled_once(service: Service[Any]) -> None:
    """Status, headers and body are those of the first answer."""
    runs: list[int] = []

    @service.action("shop.pay", route="/pay", method="POST", once=True)
    async def pay(ctx: HttpContext) -> Response:
        runs.append(1)
        return Response({"paid": len(runs)}, status=201, headers={"X-Receipt": "7"}, cookies=["a=b"])

    async with run(service) as gateway:
        key = {"idempotency-key": "k1"}
        answers = [await gateway.request("POST", "/pay", body={"n": 1}, headers=key, user="alice") for _ in range(2)]
        with pytest.raises(ConflictError):
            await gateway.request("POST", "/pay", body={"n": 2}, headers=key, user="alice")

    assert [(a.status, decode(a), a.headers["X-Receipt"], a.cookies) for a in answers] == [
        (201, {"paid": 1}, "7", ["a=b"])
    ] * 2


async def test_answer_and_what_was_written_are_one_transaction(url: str) -> None:
    """Over instances and restarts: whatever fails, the next one with the key does all of it, or nothing."""
    fails = [True]

    def made() -> Service[Any]:
        service = shop(url)

        @service.ws.on("shop.order", once=True)
        async def order(ctx: WsContext[ShopDatabase], item: str) -> str:
            await ctx.db.sales.insert(item=item)
            if fails[0]:
                raise ValueError
            return f"sold {item}"

        return service

    one, two = made(), made()
    async with run(one) as first, run(two) as second:
        clients = [await gateway.connect(user="alice") for gateway in (first, second)]
        with pytest.raises(LinkdError):
            await clients[0].send("shop.order", "tea", key="k1")
        assert await sold(one) == []
        fails[0] = False
        answers = await asyncio.gather(*(client.send("shop.order", "tea", key="k1") for client in clients))
        assert answers == ["sold tea"] * 2
        assert await sold(two) == ["tea"]
    async with run(made()) as gateway:
        client = await gateway.connect(user="alice")
        assert await client.send("shop.order", "tea", key="k1") == "sold tea"


async def test_keys_have_a_window_and_a_bound() -> None:
    """In memory, by a driven clock."""
    now, runs = [0.0], []
    keys = KnownKeys(lambda: now[0])
    once = Once(window=10.0, most=2)

    async def handle() -> int:
        runs.append(1)
        return len(runs)

    async def ask(key: str) -> Any:
        return await keys.answer(once, key, "f", handle, None, None)

    assert [await ask("a"), await ask("a")] == [1, 1]
    now[0] = 10.5
    assert await ask("a") == 2
    assert [await ask("b"), await ask("c"), await ask("a")] == [3, 4, 5]


async def test_answer_in_messagepack_is_the_same_each_time() -> None:
    """It carries more than JSON can."""
    keys, once = KnownKeys(), Once()
    said = {1: 2, "bytes": b"\xff", "at": datetime(2026, 1, 1, tzinfo=UTC), "much": float("inf")}

    async def handle() -> Any:
        return said

    answers = [await keys.answer(once, "a", "f", handle, None, None, msgpack=True) for _ in range(2)]
    assert answers == [said, said]


async def test_bytes_of_answers_in_memory_are_bounded() -> None:
    """Also where a key is forgotten while its handler runs again."""
    now = [0.0]
    keys, once = KnownKeys(lambda: now[0]), Once(window=10.0, most=1)

    async def ask(key: str, answer: str, meanwhile: str = "") -> None:
        async def handle() -> str:
            if meanwhile:
                await ask(meanwhile, "x")
            return answer

        await keys.answer(once, key, "f", handle, None, None)

    await ask("a", "x" * 1000)
    now[0] = 11.0
    await ask("a", "x", meanwhile="b")

    assert keys._size == len(b'J"x"')


async def test_old_keys_are_forgotten_in_the_database(url: str) -> None:
    """By age, and by number."""
    service = shop(url)
    async with run(service):
        keys = persistence_of(service._host).keys
        for number in range(5):
            assert await keys.claim(f"k{number}", "f", float(number), 0.0)
        assert await keys.forget(1.0, 2) == 3
        assert await keys.find("k4", 0.0) is not None
        assert await keys.find("k4", 4.5) is None
        assert await keys.claim("k4", "f", 9.0, 4.5)


SERVICE = """
from pylinkd import Service, WsContext

service = Service("shop")
runs = []

@service.ws.on("shop.order", once=True)
async def order(ctx: WsContext, item: str) -> int:
    runs.append(item)
    return len(runs)

@service.ws.on("shop.plain")
async def plain(ctx: WsContext) -> str:
    return ctx.key
"""


async def test_gateway_passes_keys_on_to_those_that_want_them(tmp_path: Path) -> None:
    """From the wire: key, or id within the session; of one message none stays for the next."""
    program = tmp_path / "shop.py"
    program.write_text(SERVICE)
    async with platform(tmp_path, program) as running, websockets.connect(running.url("/ws/shop")) as client:

        async def ask(text: str) -> Any:
            await client.send(text)
            return decode(Response(await client.recv()))

        answers = [
            await ask('{"type": "shop.order", "id": 1, "data": "tea", "key": "k1"}'),
            await ask('{"type": "shop.order", "id": 2, "data": "tea", "key": "k1"}'),
            await ask('{"type": "shop.order", "id": 2, "data": "tea"}'),
            await ask('{"type": "shop.order", "id": 2, "data": "tea"}'),
            await ask('{"type": "shop.plain", "id": 3}'),
            await ask('{"type": "shop.order", "id": 4, "data": "tea", "key": 5}'),
        ]

    assert [answer.get("data") for answer in answers] == [1, 1, 2, 2, "", None]
    assert answers[-1]["error"]["code"] == 400


@pytest.mark.parametrize("once", [Once(window=0), Once(most=0), 3, "yes"])
def test_odd_options_are_refused(once: Any) -> None:
    """Where they are written."""
    with pytest.raises(RegistrationError, match=r"(?i)once"):
        Service("shop").ws.on("shop.order", once=once)(_nothing)


async def _nothing(ctx: WsContext) -> None: ...


SLOW = """
import asyncio, os, sys
from pathlib import Path
from pylinkd import Service, WsContext
from tests.work.shops import ShopDatabase, shop

service = shop(os.environ["SHOP"])

@service.ws.on("shop.order", auth=True, once=True)
async def order(ctx: WsContext[ShopDatabase], item: str) -> str:
    await ctx.db.sales.insert(item=item)
    Path(os.environ["BEGUN"]).touch()
    await asyncio.sleep(0.5)
    return f"sold {item}"
"""


async def test_call_that_is_repeated_in_another_session_is_handled_once(tmp_path: Path) -> None:
    """The gateway is killed while it is handled: the client does not know, asks again, and gets the first answer."""
    program, begun, url = tmp_path / "slow.py", tmp_path / "begun", f"sqlite:///{tmp_path}/shop.db"
    program.write_text(SLOW)
    env = {"SHOP": url, "BEGUN": str(begun), "PYTHONPATH": str(ROOT), "LINKD_PARK_TIMEOUT_MS": "10000"}
    async with (
        platform(tmp_path, program, env=env) as running,
        connect(running.url("/ws/shop"), token=make_token("alice")) as client,
    ):
        call = asyncio.create_task(client.call("shop.order", "tea", idempotent=True, timeout=20.0))
        await until(begun.exists)
        await running.gateway.kill()
        await running.start_gateway()
        assert await call == "sold tea"

    service = shop(url)
    async with service.db:
        assert await sold(service) == ["tea"]
