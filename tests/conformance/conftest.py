"""The gateway that all cases share: it takes what the suite sends, up to its own upper bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.processes import Platform, platform

# The largest messages of the suite that pass, in fragments of 64 bytes; and everything compressed, however short.
SETTINGS = {
    "LINKD_MAX_MESSAGE_SIZE": str(8 * 2**20),
    "LINKD_MAX_FRAGMENTS": str(2**20),
    "LINKD_COMPRESSION_THRESHOLD": "0",
    "ECHO_CONTROLS": "keep",  # the protocol carries every character
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway with the service ``echo``."""
    async with platform(tmp_path_factory.mktemp("conformance"), "tests/services/echo.py", env=SETTINGS) as running:
        yield running
