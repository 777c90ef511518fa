"""How much a client may do, and what becomes of one that does more."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.guard.test_proxy_protocol import preface
from tests.processes import Platform, make_token, platform

from .client import barred, client, error_of, eventually, refused
from .raw_websocket import TEXT, frame, http_exchange, opening, raw_connection
from .test_metrics import scrape

LIMITED = "tests/services/limited.py"
PATH = "/ws/limited"

OFF = {
    f"LINKD_{name}_RATE": "off"
    for name in (
        "HANDSHAKE",
        "AUTH_FAILURE",
        "MESSAGE",
        "BYTE",
        "USER_MESSAGE",
        "BROADCAST",
        "ROOM_BROADCAST",
        "STRIKE",
    )
}


def limits(**rates: str) -> dict[str, str]:
    """The settings of a gateway with these limits and no others."""
    return {**OFF, "LINKD_LIMITS": "enforce", **{f"LINKD_{name.upper()}": rate for name, rate in rates.items()}}


async def answers(one: Any, count: int, type: str = "limited.often", data: Any = None) -> list[int]:
    """Codes of the answers to so many messages; 200: an answer."""
    found = [await one.request(type, data) for _ in range(count)]
    return [200 if answer["type"] == "response" else answer["error"]["code"] for answer in found]


async def test_messages_over_the_rate_are_answered_with_429(tmp_path: Path) -> None:
    """With the time after which to try again; each connection has its own; nothing else is lost."""
    async with (
        platform(tmp_path, LIMITED, env=limits(message_rate="3/1h")) as running,
        client(running.url(PATH)) as one,
        client(running.url(PATH)) as other,
    ):
        assert await answers(one, 5) == [200, 200, 200, 429, 429]
        refusal = await one.request("limited.often")
        assert error_of(refusal) == (429, "RATE_LIMITED")
        assert 0 < refusal["error"]["retryAfterMs"] <= 1_200_000
        assert await answers(other, 3) == [200, 200, 200]
        assert (await scrape(running))("linkd_limits_exceeded_total", "messages") == 3


async def test_bytes_over_the_rate_are_answered_with_429(tmp_path: Path) -> None:
    """One large message is taken, the next is not."""
    async with (
        platform(tmp_path, LIMITED, env=limits(byte_rate="1000/1h")) as running,
        client(running.url(PATH)) as one,
    ):
        assert await answers(one, 3, "limited.often", "x" * 900) == [200, 429, 429]


async def test_one_users_connections_count_together(tmp_path: Path) -> None:
    """Another user is not concerned; nor is who has not signed in."""
    async with (
        platform(tmp_path, LIMITED, env=limits(user_message_rate="4/1h")) as running,
        client(running.url(PATH), token=make_token("una")) as one,
        client(running.url(PATH), token=make_token("una")) as two,
        client(running.url(PATH), token=make_token("bob")) as bob,
        client(running.url(PATH)) as nobody,
    ):
        assert await answers(one, 3) == [200, 200, 200]
        assert await answers(two, 2) == [200, 429]
        assert await answers(bob, 4) == [200] * 4
        assert await answers(nobody, 5) == [200] * 5


async def test_handler_may_have_a_rate_of_its_own(tmp_path: Path) -> None:
    """For each session; its other messages go on."""
    async with (
        platform(tmp_path, LIMITED, env=limits()) as running,
        client(running.url(PATH)) as one,
        client(running.url(PATH)) as other,
    ):
        assert await answers(one, 3, "limited.rare") == [200, 200, 429]
        assert await answers(one, 3) == [200] * 3
        assert await answers(other, 2, "limited.rare") == [200, 200]


async def test_events_that_a_client_sets_off_are_limited(tmp_path: Path) -> None:
    """Of a connection, and to a room whoever sends; what a handler sends to its own client is no broadcast.

    The handler gets the error. Where it does not catch it, it is a fault of its own: 429 would say that the message was
    not handled.
    """
    env = limits(broadcast_rate="3/1h", room_broadcast_rate="5/1h")
    async with (
        platform(tmp_path, LIMITED, env=env) as running,
        client(running.url(PATH)) as one,
        client(running.url(PATH)) as two,
        client(running.url(PATH)) as three,
    ):
        await one.ask("limited.join", "a")
        assert await answers(one, 4, "limited.shout", "a") == [200, 200, 200, 500]
        assert await answers(one, 10, "limited.self") == [200] * 10
        assert await answers(two, 3, "limited.shout", "a") == [200, 200, 500]
        assert await answers(three, 3, "limited.shout", "b") == [200, 200, 200]


async def test_who_goes_on_is_closed_and_then_banned(tmp_path: Path) -> None:
    """429, then 4429, then no answer to who comes again; the record says why."""
    env = limits(message_rate="1/1h", strike_rate="5/1h", offence_rate="1/1h")
    async with platform(tmp_path, LIMITED, env=env) as running:
        for _ in range(2):
            async with client(running.url(PATH)) as one:
                for number in range(20):
                    await one.send({"type": "limited.often", "id": number})
                code, reason = await one.closed()
                assert (code, reason) == (4429, "too many messages")

        assert await barred(running.url(PATH))
        (ban,) = running.gateway.logged("banned")
        assert (ban["address"], ban["reason"]) == ("127.0.0.1", "went on after being refused")
        assert {line["limit"] for line in running.gateway.logged("rate_limited")} == {"messages"}


async def test_exempt_addresses_are_not_limited(tmp_path: Path) -> None:
    """Such as those of a load test, or of the operator's own services."""
    env = {**limits(message_rate="1/1h", handshake_rate="1/1h"), "LINKD_EXEMPT_ADDRESSES": "127.0.0.0/8"}
    async with platform(tmp_path, LIMITED, env=env) as running:
        for _ in range(3):
            async with client(running.url(PATH)) as one:
                assert await answers(one, 5) == [200] * 5


async def test_limits_can_be_tried_before_they_hold(tmp_path: Path) -> None:
    """Everything is counted and logged, and nothing refused."""
    env = {**limits(message_rate="1/1h", handshake_rate="1/1h", strike_rate="1/1h"), "LINKD_LIMITS": "observe"}
    async with platform(tmp_path, LIMITED, env=env) as running:
        async with client(running.url(PATH)) as one, client(running.url(PATH)) as two:
            assert await answers(one, 5) == [200] * 5
            assert await answers(two, 5) == [200] * 5
        found = await scrape(running)

        assert found("linkd_limits_exceeded_total", "messages") == 8
        assert found("linkd_limits_exceeded_total", "handshakes") == 1
        assert not running.gateway.logged("rate_limited")
        assert running.gateway.logged("rate_would_limit")


async def test_handshakes_over_the_rate_are_refused(tmp_path: Path) -> None:
    """Before the upgrade, with advice; who is in stays in."""
    async with (
        platform(tmp_path, LIMITED, env=limits(handshake_rate="2/1h")) as running,
        client(running.url(PATH)) as one,
        client(running.url(PATH)),
    ):
        status, body = await refused(running.url(PATH))

        assert (status, body["error"]["type"]) == (429, "RATE_LIMITED")
        assert await answers(one, 2) == [200, 200]


async def test_guessing_tokens_is_stopped(tmp_path: Path) -> None:
    """After some that were wrong not even the right one is looked at."""
    async with platform(tmp_path, LIMITED, env=limits(auth_failure_rate="3/1h")) as running:
        statuses = [(await refused(running.url(PATH, f"guess-{n}")))[0] for n in range(4)]
        right = (await refused(running.url(PATH, make_token())))[0]
        async with client(running.url(PATH)) as nobody:
            assert await answers(nobody, 1) == [200]

        assert statuses == [401, 401, 401, 429]
        assert right == 429


@pytest.mark.plain  # over TLS the bound holds before the end of the handshake: test_tls.py
async def test_connections_that_say_nothing_have_a_bound(tmp_path: Path) -> None:
    """What is more is cut at once, and nobody who has come in notices."""
    env = {"LINKD_MAX_UNFINISHED_PER_ADDRESS": "20", "LINKD_HEAD_TIMEOUT_MS": "60000"}
    async with (
        platform(tmp_path, LIMITED, env=env) as running,
        client(running.url(PATH)) as one,
        contextlib.AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(raw_connection(running)) for _ in range(20)]

        async with raw_connection(running) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(opening(PATH, running.port))
                async with asyncio.timeout(10):
                    assert await reader.read() == b""
        assert await answers(one, 3) == [200] * 3

        silent[0][1].close()

        async def room() -> bool:
            with contextlib.suppress(Exception):  # whatever the library makes of being cut
                async with client(running.url(PATH)) as two:
                    return await answers(two, 1) == [200]
            return False

        await eventually(room, "whoever leaves makes room")


@pytest.mark.parametrize(
    ("policy", "code", "ended"), [("reject", 4429, "new"), ("evict_oldest", 4409, "old")], ids=["reject", "evict"]
)
async def test_connections_of_a_user_have_a_bound(tmp_path: Path, policy: str, code: int, ended: str) -> None:
    """Either the new one or the oldest has to go; others' are not counted."""
    env = {"LINKD_MAX_CONNECTIONS_PER_USER": "2", "LINKD_CONNECTIONS_EXCESS": policy}
    token = make_token("una")
    async with (
        platform(tmp_path, LIMITED, env=env) as running,
        client(running.url(PATH), token=token) as old,
        client(running.url(PATH), token=token) as middle,
        client(running.url(PATH), token=make_token("bob")) as bob,
        client(running.url(PATH), token=token) as new,
    ):
        gone, stays = (new, old) if ended == "new" else (old, new)

        assert (await gone.closed())[0] == code
        for one in (stays, middle, bob):
            assert await answers(one, 1) == [200]


async def test_flood_is_stopped_and_others_are_served(tmp_path: Path) -> None:
    """Fifty connections send as fast as they can, with the limits that a gateway has by default: every one is closed
    with 4429, its address banned, and who is in from elsewhere is answered all the while."""
    env = {"LINKD_LIMITS": "enforce", "LINKD_TRUSTED_PROXIES": "127.0.0.1"}
    elsewhere, flooder = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "198.51.100.1"}
    async with platform(tmp_path, LIMITED, env=env) as running:

        async def flood() -> int | None:
            async with client(running.url(PATH), headers=flooder) as one:
                with contextlib.suppress(Exception):
                    for number in range(5000):
                        await one.send({"type": "limited.often", "id": number})
                return (await one.closed(30))[0]

        async with client(running.url(PATH), headers=elsewhere) as good:
            floods = asyncio.gather(*(flood() for _ in range(50)))
            while not floods.done():
                assert await answers(good, 1) == [200]
                await asyncio.sleep(0.05)

            assert set(await floods) == {4429}
            assert await answers(good, 5) == [200] * 5
        assert (await refused(running.url(PATH), flooder))[0] == 403


async def _status(running: Platform, headers: dict[str, str]) -> int:
    try:
        async with client(running.url(PATH), headers=headers):
            return 101
    except Exception as refusal:  # what the library raises for each status
        return int(getattr(refusal, "response").status_code)  # noqa: B009


async def test_forged_address_is_of_no_use(tmp_path: Path) -> None:
    """Without a trusted proxy the header counts for nothing; with one, only what it says itself."""
    denied = {"LINKD_DENIED_ADDRESSES": "203.0.113.0/24"}
    async with platform(tmp_path / "a", LIMITED, env=denied) as running:
        assert await _status(running, {"X-Forwarded-For": "203.0.113.7"}) == 101
    async with platform(tmp_path / "b", LIMITED, env={**denied, "LINKD_TRUSTED_PROXIES": "127.0.0.0/8"}) as running:
        assert await _status(running, {"X-Forwarded-For": "203.0.113.7"}) == 403
        assert await _status(running, {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}) == 403
        assert await _status(running, {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}) == 101
        assert await _status(running, {"Forwarded": "for=198.51.100.1", "X-Forwarded-For": "203.0.113.7"}) == 403


FORGED = [("X-Forwarded-For", "198.51.100.1"), ("X-Real-IP", "198.51.100.1"), ("Forwarded", "for=198.51.100.1")]


@pytest.mark.parametrize(
    ("header", "appended"),
    [
        ("x-forwarded-for", "203.0.113.7"),
        ("Forwarded", "for=203.0.113.7"),
        ("forwarded", 'for="203.0.113.7:80";host="x;for=198.51.100.1"'),
        ("CF-Connecting-IP", "203.0.113.7"),
    ],
)
async def test_one_header_of_the_proxy_counts(tmp_path: Path, header: str, appended: str) -> None:
    """For WebSocket and HTTP alike: whatever the client sent itself, in other headers or in a line of its own before
    the proxy's, a denied address is kept out.
    """
    env = {
        "LINKD_DENIED_ADDRESSES": "203.0.113.0/24",
        "LINKD_TRUSTED_PROXIES": "127.0.0.0/8",
        "LINKD_FORWARDED_HEADER": header,
    }
    async with platform(tmp_path, "tests/services/web.py", env=env) as running:
        lines = [f"{name}: {value}" for name, value in [*FORGED, (header, appended)]]
        handshake = await http_exchange(running, opening("/ws/web", running.port, *lines))
        async with running.http_client() as http:
            answer = await http.get("/items/1", headers=[*FORGED, (header, appended)])
            others = await http.get("/items/1", headers=FORGED)

        assert handshake.startswith(b"HTTP/1.1 403 ")
        assert b"FORBIDDEN_ADDRESS" in handshake
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "FORBIDDEN_ADDRESS")
        assert others.status_code == 200


@pytest.mark.plain  # where a proxy passes bytes on, it speaks TLS itself
async def test_proxy_that_passes_bytes_on_says_whose_they_are(tmp_path: Path) -> None:
    """With version 2 of the PROXY protocol: services see the client, its address is barred, and others are cut."""
    env = {
        "LINKD_TRUSTED_PROXIES": "127.0.0.1",
        "LINKD_PROXY_PROTOCOL": "true",
        "LINKD_DENIED_ADDRESSES": "203.0.113.66",
    }
    async with platform(tmp_path, "tests/services/echo.py", env=env) as running:
        for client_address, first in (("203.0.113.7", b"HTTP/1.1 101"), ("203.0.113.66", b"")):
            async with raw_connection(running) as (reader, writer):
                said = preface(client_address) + opening("/ws/echo", running.port)
                with contextlib.suppress(ConnectionError):  # who is barred may be cut while it still speaks
                    for at in range(0, len(said), 7):
                        writer.write(said[at : at + 7])
                        await writer.drain()
                with contextlib.suppress(ConnectionError):
                    assert (await reader.read(12)) == first
                if first:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(frame(TEXT, b'{"type":"echo.me","id":1}'))
                    assert b'"remote_address":"203.0.113.7"' in await reader.read(1000)
        async with raw_connection(running) as (reader, writer):
            writer.write(opening("/ws/echo", running.port))
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
