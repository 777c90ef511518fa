"""The end of a client: what was sent without an answer has come, before the session is closed."""

from __future__ import annotations

import asyncio

from ...client import Client

_PAUSE = 0.05  # seconds; the client does not say when everything is confirmed


async def wait_until_confirmed(client: Client, timeout: float) -> bool:
    """Wait until the gateway has confirmed everything. Returns whether it has, within so many seconds."""
    try:
        async with asyncio.timeout(timeout):
            while client.pending:
                client.wake()  # asks the gateway how much has come, at most every two seconds
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        return False
    return True
