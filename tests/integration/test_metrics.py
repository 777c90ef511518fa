"""What an operator's scrape finds."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Platform, make_token, platform

from .client import client, eventually, refused
from .raw_websocket import frame, opening, raw_websocket

ECHO = "tests/services/echo.py"
TEXT = 0x1


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        self._samples = {(sample.name, *sorted(sample.labels.values())): float(sample.value) for sample in samples}
        self.labels = {label for sample in samples for label in sample.labels}

    def __call__(self, name: str, *labels: str) -> float:
        """The value of one sample; 0 where there is none."""
        return self._samples.get((name, *sorted(labels)), 0.0)


async def scrape(running: Platform) -> Scrape:
    """Ask for the metrics."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{running.admin}/metrics")
    assert answer.status_code == 200
    return Scrape(answer.text)


async def test_connections_messages_and_ends_are_counted(tmp_path: Path) -> None:
    """By state, service, direction, outcome and reason."""
    async with platform(tmp_path, ECHO) as running:
        async with (
            client(running.url("/ws/echo")) as one,
            client(running.url("/ws/echo"), token=make_token()) as other,
        ):
            await one.ask("echo.any", "x" * 1000)
            await other.ask("echo.events", 1)
            during = await scrape(running)
        await refused(running.url("/ws/echo", "nonsense"))
        ended = ("linkd_sessions_ended_total", "client_closed")

        async def both_gone() -> bool:
            return (await scrape(running))(*ended) == 2

        await eventually(both_gone, "both sessions ended")
        after = await scrape(running)

    assert (during("linkd_connections", "connected"), during("linkd_connections", "authenticated")) == (1, 1)
    assert during("linkd_sessions", "echo") == 2
    assert during("linkd_users") == 1
    assert (during("linkd_messages_total", "in"), during("linkd_messages_total", "out")) == (2, 3)
    assert during("linkd_message_bytes_total", "in") > 1000
    assert during("linkd_fanout_recipients_count") == 1
    assert during("linkd_service_instances", "echo") == 1
    assert during("linkd_loop_lag_seconds_count") >= 0
    assert during("linkd_gc_pause_seconds_max") <= during("linkd_gc_pause_seconds_sum")
    assert (after("linkd_handshakes_total", "accepted"), after("linkd_handshakes_total", "401")) == (2, 1)
    assert (after("linkd_connections", "connected"), after("linkd_sessions", "echo")) == (0, 0)
    assert after.labels <= {
        "state", "service", "direction", "outcome", "reason", "le", "generation", "decision", "limit",
    }  # fmt: skip


async def test_slow_client_is_seen(tmp_path: Path) -> None:
    """While it does not read: how many such clients there are, and what waits for them."""
    async with platform(tmp_path, ECHO, env={"LINKD_OUTBOX_LIMIT": str(2**26)}) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=2**10, ssl=running.trust)
        writer.write(opening("/ws/echo", running.port))
        await reader.readuntil(b"\r\n\r\n")
        for number in range(40):
            writer.write(frame(TEXT, json.dumps({"type": "echo.large", "data": 500_000, "id": number}).encode()))

        async def congested() -> bool:
            found = await scrape(running)
            return found("linkd_clients_congested") == 1 and found("linkd_outbox_bytes") > 500_000

        await eventually(congested, "the slow client was noticed")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_slow_client_that_is_cut_is_told_once(tmp_path: Path) -> None:
    """In the log, with its session and the reason, and in the metrics."""
    async with platform(tmp_path, ECHO, env={"LINKD_OUTBOX_LIMIT": "65536"}) as running:
        async with raw_websocket(running, "/ws/echo") as slow:
            slow.stop_reading()
            for number in range(40):
                await slow.send(frame(TEXT, json.dumps({"type": "echo.large", "data": 500_000, "id": number}).encode()))

            line = await running.gateway.wait_logged("session_ended")

        assert (line["level"], line["reason"], "session" in line) == ("warning", "slow_consumer", True)
        assert len(running.gateway.logged("session_ended")) == 1
        assert (await scrape(running))("linkd_sessions_ended_total", "slow_consumer") == 1


async def test_heartbeat_is_timed(tmp_path: Path) -> None:
    """From the ping to its pong."""
    env = {"LINKD_HEARTBEAT_INTERVAL_MS": "100"}
    async with platform(tmp_path, ECHO, env=env) as running, client(running.url("/ws/echo")):

        async def timed() -> bool:
            return (await scrape(running))("linkd_heartbeat_round_trip_seconds_count") >= 2

        await eventually(timed, "two pings were answered")


async def test_client_does_not_find_the_metrics(tmp_path: Path) -> None:
    """They are on another address than the clients'."""
    async with platform(tmp_path, ECHO) as running, running.http_client() as http:
        assert (await http.get("/metrics")).status_code == 404
