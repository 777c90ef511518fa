"""A program that is no service sends over the link."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylinkd import NotFoundError, Publisher, RefusedError, RegistrationError, ServiceUnavailableError, publish
from tests.integration.client import client, eventually
from tests.processes import make_token, platform

pytestmark = pytest.mark.plain("it is about the link, not about connections of clients")

ROOMS = "tests/services/rooms.py"


async def test_publisher_reaches_rooms_users_sessions_and_everyone(tmp_path: Path) -> None:
    """Every audience of a handler is a publisher's as well."""
    async with (
        platform(tmp_path, ROOMS) as running,
        client(running.url("/ws"), token=make_token("ada")) as ada,
        Publisher("rooms", link=running.link) as publisher,
    ):
        id = await ada.ask("rooms.me")
        await ada.ask("rooms.join", ["tea"])

        for target in (publisher.to("tea"), publisher.to(user="ada"), publisher.to(session=id), publisher.everyone):
            assert (await target.emit("news", {"n": 1})).reached == 1
            assert await ada.event("news") == {"n": 1}
        assert [member.session for member in await publisher.members("tea")] == [id]
        assert (await publish("rooms", "news", 2, room="tea", link=running.link)).reached == 1
        await publisher.disconnect(user="ada", code=4000, reason="bye")
        assert await ada.closed() == (4000, "bye")


async def test_publisher_is_no_instance_of_a_service(tmp_path: Path) -> None:
    """With a publisher alone there is nobody to serve clients, and nobody to call."""
    async with platform(tmp_path) as running, Publisher("rooms", link=running.link) as publisher:
        async with running.http_client() as http:
            assert (await http.get("/ready")).status_code == 503
        with pytest.raises((NotFoundError, ServiceUnavailableError)):
            await publisher.call("rooms", "any")
        assert (await publisher.emit("happened")).reached == 0


async def test_publisher_has_no_right_to_a_foreign_namespace(tmp_path: Path) -> None:
    """As with a service, the operator lists who may use another namespace."""
    async with platform(tmp_path) as running:
        with pytest.raises(RefusedError, match="LINKD_NAMESPACES"):
            async with Publisher("rooms", name="ticker", link=running.link):
                pass


async def test_publisher_fails_at_once_without_gateway_and_comes_back(tmp_path: Path) -> None:
    """While the gateway is away everything raises; with the next one it goes on."""
    async with platform(tmp_path) as running, Publisher("rooms", link=running.link) as publisher:
        assert running.gateway is not None
        await running.gateway.kill()

        async def refuses() -> bool:
            try:
                await publisher.emit("happened")
            except ServiceUnavailableError:
                return True
            return False

        await eventually(refuses, "the publisher notices that the gateway is gone")
        await running.start_gateway()

        async def sends() -> bool:
            return not await refuses()

        await eventually(sends, "the publisher is connected again")


def test_publisher_refuses_a_namespace_that_is_no_name() -> None:
    """The mistake is named where it is made."""
    with pytest.raises(RegistrationError, match="such as 'board'"):
        Publisher("no name")
