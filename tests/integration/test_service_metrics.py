"""What the gateway's metrics say of services: classes of failures, and what is in their databases."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from pylinkd import LinkdError
from pylinkd.client import connect
from tests.processes import platform

from .client import eventually
from .test_metrics import scrape

pytestmark = pytest.mark.plain("the same code over TLS; what is in it is not about the transport")

SERVICE = '''
import os
from pylinkd import ConflictError, Service, TransientError, WsContext
from pylinkd.db import Database

class Nothing(Database):
    """No tables of its own."""

service = Service("shop", database=os.environ["SHOP"], tables=Nothing)
ERRORS = {"permanent": ConflictError, "transient": TransientError, "bug": ValueError}

@service.ws.on("shop.fail", dead_letters=True)
async def fail(ctx: WsContext, kind: str) -> None:
    raise ERRORS[kind]
'''


async def test_failures_and_dead_letters_are_counted(tmp_path: Path) -> None:
    """By class, and as the service says with its signs of life."""
    program = tmp_path / "shop.py"
    program.write_text(SERVICE)
    env = {"SHOP": f"sqlite:///{tmp_path}/shop.db"}
    async with platform(tmp_path, program, env=env) as running, connect(running.url("/ws/shop")) as client:
        for kind in ("permanent", "permanent", "transient", "bug"):
            with contextlib.suppress(LinkdError):
                await client.call("shop.fail", kind)
        metrics = await scrape(running)
        counted = [metrics("linkd_service_failures_total", "shop", kind) for kind in ("permanent", "transient", "bug")]
        assert counted == [2, 1, 1]

        async def said() -> bool:
            return (await scrape(running))("linkd_service_stored", "shop", "dead_letters") == 2

        await eventually(said, "the service said how many dead letters it has")
