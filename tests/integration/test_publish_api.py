"""Programs in any language publish events over HTTP, with an API key."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import ROOT, Platform, make_token, platform

from .client import client
from .test_metrics import scrape

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")

ROOMS = "tests/services/rooms.py"
KEPT = "tests/services/contract.py"
SHOP = "the secret of the shop, 32 bytes+".replace(" ", "-")
NEXT = "the next secret of the shop, 32+ b".replace(" ", "-")
TEA = "the secret of the tea house, 32 b.".replace(" ", "-")
ENV = {"LINKD_API_KEYS": f"shop:{SHOP} shop:{NEXT} tea:{TEA}:tea,coffee"}


async def post(
    running: Platform, body: object, secret: str | None = SHOP, *, raw: bytes | None = None, **headers: str
) -> httpx.Response:
    """Post events; ``headers`` have underscores for hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if secret is not None:
        sent["Authorization"] = f"Bearer {secret}"
    async with httpx.AsyncClient(trust_env=False) as http:
        url = f"{running.admin}/linkd/v1/publish"
        if raw is not None:
            return await http.post(url, content=raw, headers=sent)
        return await http.post(url, json=body, headers=sent)


def event(**fields: Any) -> dict[str, Any]:
    """An event for the room ``tea``, with what a test wants otherwise."""
    return {"namespace": "rooms", "type": "news", "data": {"n": 1}, "rooms": ["tea"], **fields}


REACHED = {"reached": 1, "queued": 0, "dropped": 0}


async def test_every_audience_is_reached(tmp_path: Path) -> None:
    """Rooms, users, sessions and everyone, without those that are left out."""
    async with (
        platform(tmp_path, ROOMS, env=ENV) as running,
        client(running.url("/ws"), token=make_token("ada")) as ada,
        client(running.url("/ws"), token=make_token("bob")) as bob,
    ):
        id = await ada.ask("rooms.me")
        await ada.ask("rooms.join", ["tea"])
        await bob.ask("rooms.join", ["rest"])

        for audience in (
            {},
            {"rooms": [], "users": ["ada"]},
            {"rooms": [], "sessions": [id]},
            {"rooms": ["tea", "rest"], "except": {"users": ["bob"]}},
            {"rooms": [], "everyone": True, "except": {"users": ["bob"]}, "volatile": True},
        ):
            answer = await post(running, event(**audience))
            assert (answer.status_code, answer.json()) == (200, REACHED)
            assert await ada.event("news") == {"n": 1}
        left_out = await post(running, event(rooms=[], everyone=True, **{"except": {"sessions": [id]}}))

        assert left_out.json() == REACHED
        assert await bob.event("news") == {"n": 1}


async def test_batch_is_answered_event_by_event(tmp_path: Path) -> None:
    """In order; a bad event fails alone, and says why."""
    async with platform(tmp_path, ROOMS, env=ENV) as running, client(running.url("/ws")) as one:
        await one.ask("rooms.join", ["tea"])
        events = [
            event(data=1),
            event(type="linkd.welcome"),
            event(namespace="nobodys"),
            event(rooms=[]),
            event(room="tea"),
            event(rooms=[""]),
            "no event",
            event(data=["\u00e9\u20ac", 2**70, 1.0]),
        ]
        answer = await post(running, {"events": events})

        assert answer.status_code == 200
        results = answer.json()["results"]
        types = [result.get("error", {}).get("type") for result in results]
        bad = "BAD_REQUEST"
        assert types == [None, bad, "UNKNOWN_NAMESPACE", bad, bad, bad, bad, None]
        assert results[0] == results[-1] == REACHED
        assert [await one.event("news"), await one.event("news")] == [1, ["\u00e9\u20ac", 2**70, 1.0]]
        numbers = await scrape(running)
        assert numbers("linkd_api_requests_total", "shop", "partly") == 1


MALFORMED = [
    (b"", 400),
    (b"[]", 400),
    (b'{"events": []}', 400),
    (b'{"events": [{}], "type": "news"}', 400),
    (b'{"events": {}}', 400),
    (b'{"namespace": "rooms", "type": "news", "users": ["\xff"]}', 400),
    (b'{"namespace": "rooms", "type": "news", "users": ["u"], "data": "\\ud800"}', 400),
    (b'{"namespace": "rooms", "type": "news", "users": ["u"], "data": [01]}', 400),
    (b'{"namespace": "rooms", "type": "news", "users": ["u"], "data": ' + b"[" * 100_000, 400),
    (b'{"events": [' + b",".join([b"{}"] * 101) + b"]}", 413),
    (b" " * (2**20 + 1), 413),
]


async def test_malformed_requests_are_refused(tmp_path: Path) -> None:
    """As a whole, with a typed error; nothing of the gateway's inside is shown."""
    async with platform(tmp_path, ROOMS, env=ENV) as running:
        for raw, status in MALFORMED:
            answer = await post(running, None, raw=raw)

            assert answer.status_code == status, raw[:80]
            assert set(answer.json()["error"]) == {"code", "type", "message"}
        assert (await scrape(running))("linkd_api_requests_total", "shop", "failed") == len(MALFORMED)


async def test_history_holds_what_is_published(tmp_path: Path) -> None:
    """One who joins later gets it, as any other event of the room; two such rooms at once are refused."""
    async with platform(tmp_path, KEPT, env=ENV) as running, client(running.url("/ws")) as one:
        event = {"namespace": "contract", "type": "news", "data": 7, "rooms": ["kept:a"]}
        assert (await post(running, event)).json()["reached"] == 0
        two = await post(running, {**event, "rooms": ["kept:a", "kept:b"]})

        assert (two.status_code, two.json()["error"]["type"]) == (409, "ROOM_WITH_HISTORY")
        assert "7" in str(await one.ask("contract.history", "kept:a"))


async def test_keys_are_needed_and_restricted(tmp_path: Path) -> None:
    """A wrong key gets 401 and a record; a key with namespaces sends to no other; no secret is in the log."""
    async with platform(tmp_path, ROOMS, env={**ENV, "LINKD_ADMIN_KEY": "k" * 32}) as running:
        for secret in (None, "e", "wrong", SHOP[:-1], f"shop:{SHOP}", "k" * 32):
            refused = await post(running, event(), secret)
            assert (refused.status_code, refused.json()["error"]["type"]) == (401, "UNAUTHORIZED")
            assert refused.headers["WWW-Authenticate"] == "Bearer"
        foreign = await post(running, event(), TEA)
        assert (foreign.status_code, foreign.json()["error"]["type"]) == (403, "FORBIDDEN")
        for secret in (SHOP, NEXT):
            assert (await post(running, event(), secret)).status_code == 200
        async with httpx.AsyncClient(trust_env=False) as http:
            sessions = await http.get(f"{running.admin}/sessions", headers={"Authorization": f"Bearer {SHOP}"})
        assert sessions.status_code == 401
        async with running.http_client() as http:
            assert (await http.post("/linkd/v1/publish", json=event())).status_code == 404

        assert len(running.gateway.logged("api_key_refused")) == 6
        assert running.gateway.logged("api_namespace_refused")[0]["namespace"] == "rooms"
        assert not any(secret in running.gateway.text() for secret in (SHOP, NEXT, TEA))
        numbers = await scrape(running)
        assert numbers("linkd_api_requests_total", "", "refused") == 6
        assert numbers("linkd_api_requests_total", "shop", "published") == 2


async def test_without_keys_there_is_no_route(tmp_path: Path) -> None:
    """Whatever is shown."""
    async with platform(tmp_path, ROOMS) as running:
        assert (await post(running, event())).status_code == 404


async def test_repeated_request_is_carried_out_once(tmp_path: Path) -> None:
    """The same key and body get the stored answer, at once or later; another body, or another sender, does not."""
    async with platform(tmp_path, ROOMS, env=ENV) as running, client(running.url("/ws")) as one:
        await one.ask("rooms.join", ["tea"])
        answers = await asyncio.gather(
            *(post(running, event(data="once"), idempotency_key="order-1") for _ in range(10))
        )
        await one.ask("rooms.leave", ["tea"])
        later = await post(running, event(data="once"), NEXT, idempotency_key="order-1")
        other = await post(running, event(data="other"), idempotency_key="order-1")
        foreign = await post(running, event(data="once"), TEA, idempotency_key="order-1")

        assert [answer.json() for answer in (*answers, later)] == [REACHED] * 11
        assert (other.status_code, other.json()["error"]["type"]) == (409, "KEY_REUSED")
        assert foreign.status_code == 403
        assert await one.events("news", one.ask("rooms.me")) == ["once"]
        assert (await post(running, event(), idempotency_key="x" * 256)).status_code == 400
        numbers = await scrape(running)
        assert numbers("linkd_api_requests_total", "shop", "repeated") == 10
        assert numbers("linkd_api_requests_total", "shop", "key_reused") == 1


async def test_failed_request_is_tried_again(tmp_path: Path) -> None:
    """Where nothing was sent, the same idempotency key may be used until something is."""
    async with platform(tmp_path, env=ENV) as running:
        early = await post(running, event(), idempotency_key="order-1")
        await running.start_service(ROOMS)
        later = await post(running, event(), idempotency_key="order-1")

        assert (early.status_code, early.json()["error"]["type"]) == (404, "UNKNOWN_NAMESPACE")
        assert later.status_code == 200


async def test_rate_holds_for_each_name(tmp_path: Path) -> None:
    """Events are counted, those of a batch one by one; other keys are not concerned."""
    async with platform(tmp_path, ROOMS, env={**ENV, "LINKD_API_RATE": "5/m"}) as running:
        assert (await post(running, {"events": [event()] * 20})).status_code == 200
        limited = await post(running, event(), NEXT)

        assert (limited.status_code, limited.json()["error"]["type"]) == (429, "RATE_LIMITED")
        assert 1 <= int(limited.headers["Retry-After"]) <= 60
        assert (await post(running, event(), TEA)).status_code == 403


async def test_example_of_the_documentation_works(tmp_path: Path) -> None:
    """The curl command of docs/operations.md, as it stands there."""
    page = (ROOT / "docs/operations.md").read_text()
    (command,) = re.findall(r"```sh\n(curl [^`]*/linkd/v1/publish.*?)```", page, re.DOTALL)
    assert "http://127.0.0.1:13000" in command
    async with platform(tmp_path, ROOMS, env=ENV) as running, client(running.url("/ws")) as one:
        await one.ask("rooms.join", ["tea"])
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command.replace("http://127.0.0.1:13000", running.admin),
            stdout=asyncio.subprocess.PIPE, env={"API_KEY": SHOP, "PATH": os.environ["PATH"], "no_proxy": "*"},
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 20)

        assert output.decode().strip() == '{"reached":1,"queued":0,"dropped":0}'
        assert await one.event("news") == {"title": "Tea is ready"}
