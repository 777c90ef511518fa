"""Documents about services as the gateway serves them, and the page that shows them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.chat.browsers import chromium
from tests.processes import Platform, make_token, platform, start_program

pytestmark = pytest.mark.plain("it is about services, not about connections of clients")

ASYNCAPI = json.loads((Path(__file__).parents[1] / "sdk/describe/asyncapi-3.0.0.json").read_text())
SERVICES = Path("tests/services")
PATHS = ["/openapi.json", "/asyncapi.json", "/linkd/docs"]
OWN = """
from pylinkd import HttpContext, Service

service = Service("own", version="%s")


@service.action("own.document", route="%s")
async def document(ctx: HttpContext) -> str:
    return "mine"
"""


@pytest.fixture
async def described(tmp_path: Path) -> AsyncIterator[Platform]:
    """A gateway that serves documents, with two services that have names in common."""
    targets = SERVICES / "described.py", SERVICES / "described_other.py"
    async with platform(tmp_path, *targets, env={"LINKD_DESCRIBE": "true"}) as running:
        yield running


async def document(running: Platform, path: str) -> Any:
    """A document as it is served."""
    async with running.http_client() as client:
        return (await client.get(path)).raise_for_status().json()


async def test_documents_are_those_of_all_services(described: Platform) -> None:
    """The validators of both formats accept them; equal names are told apart, and routes of one shape are one path."""
    openapi, asyncapi = await document(described, "/openapi.json"), await document(described, "/asyncapi.json")

    OpenAPIV31SpecValidator(openapi).validate()
    jsonschema.validate(asyncapi, ASYNCAPI)
    assert openapi["paths"].keys() == {"/items/{id}"}
    assert openapi["paths"]["/items/{id}"].keys() == {"get", "put"}
    assert openapi["components"]["schemas"].keys() == {"described.Item", "other.Item"}
    assert asyncapi["info"]["x-linkd-services"] == {"described": "1.2.0", "other": "0.0.0"}
    assert asyncapi["channels"].keys() == {"described", "other"}
    assert "described.send.described.item" in asyncapi["operations"]


async def test_documents_follow_registrations(described: Platform, tmp_path: Path) -> None:
    """A service that comes is in them, and one that has left is named as missing."""
    await document(described, "/openapi.json")
    (tmp_path / "own.py").write_text(OWN % (1, "/own"))

    own = await described.start_service(tmp_path / "own.py")
    assert "/own" in (await document(described, "/openapi.json"))["paths"]
    await own.stop()
    await described.gateway.wait_logged("service_left")

    openapi = await document(described, "/openapi.json")
    assert "/own" not in openapi["paths"]
    assert openapi["x-linkd-missing"] == ["own"]


async def test_action_at_the_same_path_goes_before(described: Platform, tmp_path: Path) -> None:
    """The documents are served where no service has anything to say."""
    (tmp_path / "own.py").write_text(OWN % (1, "/openapi.json"))
    await described.start_service(tmp_path / "own.py")

    assert await document(described, "/openapi.json") == "mine"
    assert (await document(described, "/asyncapi.json"))["asyncapi"] == "3.0.0"


async def test_nothing_is_served_unless_it_is_turned_on(tmp_path: Path) -> None:
    """Not by default."""
    async with platform(tmp_path, SERVICES / "described.py") as running, running.http_client() as client:
        assert [(await client.get(path)).status_code for path in PATHS] == [404, 404, 404]


@pytest.mark.parametrize(("env", "status"), [({}, 200), ({"LINKD_DESCRIBE": "false"}, 404)])
async def test_linkd_dev_turns_it_on(tmp_path: Path, env: dict[str, str], status: int) -> None:
    """Unless the environment says otherwise."""
    target = str(SERVICES / "described.py")
    program = await start_program(tmp_path, "dev", "dev", target, env={**Platform(tmp_path).env, **env})
    try:
        started = await program.wait_logged("gateway_started")
        await program.wait_logged("service_registered")
        async with httpx.AsyncClient(base_url=started["address"], trust_env=False) as client:
            assert (await client.get("/openapi.json")).status_code == status
    finally:
        await program.stop()


async def test_page_runs_its_own_script_only(described: Platform) -> None:
    """The policy has the hashes of the inline script and style, and names no other source of either."""
    async with described.http_client() as client:
        answer = await client.get("/linkd/docs")
        refused = await client.post("/linkd/docs")

    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    for element in ("script", "style"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert (policy["default-src"], policy["connect-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")
    assert not re.search(r"https?://|innerHTML|localStorage|\son\w+=\"", answer.text)
    assert refused.status_code == 405


async def test_page_shows_services_and_talks_to_them(described: Platform) -> None:
    """In a browser: a request and a message get their answers; a text with markup stays text, and a token signs in."""
    async with chromium() as browser:
        page = await browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        await page.goto(f"{described.http}/linkd/docs")

        action = page.locator("details", has_text="GET /items/{id}")
        await action.locator("summary").click()
        await action.locator("input").fill("<b>tea</b>")
        await action.get_by_role("button").click()
        await action.get_by_text('"name": "<b>tea</b>"').wait_for()

        message = page.locator("details", has=page.get_by_text("described.echo", exact=True))
        await message.locator("summary").click()
        await message.locator("textarea").fill('{"name": "cup"}')
        await message.get_by_role("button").click()
        await page.get_by_text('{"type":"response","id":1,"data":{"name":"cup","parts":[]}}').wait_for()

        await page.locator("#token").fill(make_token("ada"))
        mine = page.locator("details", has=page.get_by_text("described.me (token)", exact=True))
        await mine.locator("summary").click()
        await mine.get_by_role("button").click()
        await page.get_by_text('"data":"ada"').wait_for()

        assert faults == []
