"""The chat's rows whose time is over go by themselves."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from examples.chat import cleanup
from examples.chat.models import ChatDatabase, now
from pylinkd import Service
from pylinkd.testing import run


async def test_what_has_ended_is_forgotten(tmp_path: Path) -> None:
    """And nothing else."""
    service = Service("chat", database=f"sqlite:///{tmp_path}/chat.db", tables=ChatDatabase)
    service.every(0.05, name="cleanup")(cleanup.forget)
    earlier, later = now() - timedelta(seconds=1), now() + timedelta(hours=1)

    @service.before_start
    async def fill(service: Service) -> None:
        await service.db.create_all()
        for name, ends_at in (("over", earlier), ("open", later)):
            await service.db.attempts.insert(key=name, count=1, ends_at=ends_at)

    async with run(service):
        async with asyncio.timeout(10.0):
            while await service.db.attempts.count() > 1:
                await asyncio.sleep(0.01)
        assert [attempt.key for attempt in await service.db.attempts.get()] == ["open"]
