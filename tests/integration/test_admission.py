"""on_connect and on_disconnect: who is refused, and what they could do until then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.client import client, error_of, eventually
from tests.processes import Platform, platform

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def porter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A gateway and the service ``porter``."""
    async with platform(tmp_path_factory.mktemp("p"), "tests/services/porter.py") as running:
        yield running


async def counts(running: Platform) -> dict[str, int]:
    """What the porter counted."""
    async with running.http_client() as http:
        found: dict[str, int] = (await http.get("/porter/counts")).json()
        return found


@pytest.mark.parametrize(
    ("refuse", "error", "code"),
    [
        ("forbidden", (403, "FORBIDDEN"), 4403),
        ("unauthorized", (401, "UNAUTHORIZED"), 4401),
        ("fault", (500, "INTERNAL_ERROR"), 1011),
    ],
)
@pytest.mark.parametrize("path", ["/ws/porter", "/ws"])
async def test_refused_session_gets_the_error_and_is_closed(
    porter: Platform, path: str, refuse: str, error: tuple[int, str], code: int
) -> None:
    """The error says why, and the close code says the same; others are served."""
    async with client(porter.url(path)) as other, client(f"{porter.url(path)}?refuse={refuse}") as one:
        assert error_of(await one.receive()) == error
        assert (await one.closed())[0] == code
        assert await other.ask("porter.enter") == "in"


async def test_no_message_of_a_refused_session_is_handled(porter: Platform) -> None:
    """What a client sends before it knows that it is refused is not handled."""
    before = await counts(porter)
    async with client(f"{porter.url('/ws/porter')}?refuse=forbidden&wait=0.3") as one:
        for number in range(5):
            await one.send({"type": "porter.enter", "id": number})
        assert (await one.closed())[0] == 4403

    assert (await counts(porter))["handled"] == before["handled"]


async def test_messages_wait_until_on_connect_is_done(porter: Platform) -> None:
    """The first message is handled after on_connect, however long that takes."""
    async with client(f"{porter.url('/ws/porter')}?wait=0.3") as one:
        await one.send({"type": "porter.enter", "id": 1})

        assert (await one.receive())["type"] == "porter.welcome"
        assert await one.receive() == {"type": "response", "id": 1, "data": "in"}


async def test_session_that_ends_during_on_connect_is_told_to_the_service(porter: Platform) -> None:
    """on_disconnect comes after on_connect even for a client that left at once."""
    before = await counts(porter)
    async with client(f"{porter.url('/ws/porter')}?wait=0.3"):
        pass

    async def told() -> bool:
        return (await counts(porter))["disconnected"] == before["disconnected"] + 1

    await eventually(told, "on_disconnect ran")
