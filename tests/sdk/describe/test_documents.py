"""OpenAPI and AsyncAPI of a service, judged by the validators of these formats.

``asyncapi-3.0.0.json`` is AsyncAPI's own schema, from version 6.11.1 of the npm package ``@asyncapi/specs``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import msgspec
import pydantic
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from examples.chat.service import service as chat
from pylinkd import HttpContext, RegistrationError, Response, Service, Stream, WsContext
from pylinkd.sdk.describe.asyncapi import asyncapi
from pylinkd.sdk.describe.openapi import openapi

ASYNCAPI = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text())


class Page(msgspec.Struct, rename="camel"):
    """A part of a list."""

    first_item: Annotated[int, msgspec.Meta(ge=0)]
    size: int = 20


class Place(pydantic.BaseModel):
    city: str


class Order(pydantic.BaseModel):
    place: Place


def described() -> Service[Any]:
    """A service with every kind of handler and of type."""
    service = Service("shop", version="1.2.0", path=None)
    service.ws.event("shop.ordered", Order)
    service.ws.event("shop.closed")

    @service.ws.on("shop.order", auth=True, roles=["buyer"], description="Buy.")
    async def order(ctx: WsContext, data: Order) -> list[Place]:
        return [data.place]

    @service.ws.on_stream("shop.upload")
    async def upload(ctx: WsContext, chunks: Stream) -> int:
        return 0

    @service.action("shop.list", route="/shop/{id}", cookies=["seen"])
    async def listed(ctx: HttpContext, page: Page) -> list[Page]:
        return [page]

    @service.action("shop.change", route="/shop/{name}", method="PUT", auth=True)
    async def change(ctx: HttpContext, data: Order) -> None:
        return None

    @service.action("shop.photo", route="/photo")
    async def photo(ctx: HttpContext) -> Response:
        return Response(b"")

    @service.action("shop.internal")
    async def internal(ctx: HttpContext) -> int:
        return 1

    return service


@pytest.mark.parametrize("service", [described(), chat, Service("empty")], ids=lambda service: service.name)
def test_documents_are_valid(service: Service[Any]) -> None:
    """Both, for a service with everything, with nothing, and for the chat."""
    actions = json.loads(json.dumps(openapi(service)))
    messages = json.loads(json.dumps(asyncapi(service)))

    OpenAPIV31SpecValidator(actions).validate()
    jsonschema.Draft7Validator(ASYNCAPI).validate(messages)


@pytest.mark.parametrize("document", [openapi, asyncapi])
def test_every_reference_leads_somewhere(document: Any) -> None:
    """Also those of pydantic's inner models."""
    made = document(described())

    for reference in references(made):
        found = made
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def references(part: Any) -> list[str]:
    """Every ``$ref`` inside a document."""
    if isinstance(part, list):
        return [found for each in part for found in references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if "$ref" in part else []
    return own + [found for each in part.values() for found in references(each)]


def test_query_of_a_get_is_parameters() -> None:
    """By their names on the wire, beside those of path and cookies."""
    operation = openapi(described())["paths"]["/shop/{id}"]["get"]

    found = [(each["name"], each["in"], each.get("required", False)) for each in operation["parameters"]]
    assert found == [
        ("id", "path", True), ("firstItem", "query", True), ("size", "query", False), ("seen", "cookie", False),
    ]  # fmt: skip


def test_routes_of_one_shape_are_one_path() -> None:
    """OpenAPI takes templates that differ in variables' names for the same."""
    paths = openapi(described())["paths"]

    assert sorted(paths) == ["/photo", "/shop/{id}"]
    assert sorted(paths["/shop/{id}"]) == ["get", "put"]
    assert paths["/shop/{id}"]["put"]["security"] == [{"token": []}]


def test_declared_events_are_sent() -> None:
    """And messages received, with their answers and errors."""
    document = asyncapi(described())

    assert document["operations"]["send.shop.ordered"]["action"] == "send"
    order = document["operations"]["receive.shop.order"]
    assert order["x-linkd-roles"] == ["buyer"]
    assert [each["$ref"].rpartition("/")[2] for each in order["reply"]["messages"]] == ["shop.order.response", "error"]


def test_unreadable_result_is_any_value() -> None:
    """A type that only a checker sees does not keep the rest from being described."""
    service = Service("odd")

    @service.ws.on("odd.one")
    async def one(ctx: WsContext) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return 1

    answer = asyncapi(service)["channels"]["websocket"]["messages"]["odd.one.response"]

    assert answer["payload"]["properties"]["data"] == {}


def test_event_declared_twice_is_refused() -> None:
    """With what to do instead."""
    service = Service("shop")
    service.ws.event("shop.closed")

    with pytest.raises(RegistrationError, match="declare an event once"):
        service.ws.event("shop.closed", int)


@pytest.mark.parametrize(("name", "data"), [("linkd.x", None), ("", None), ("shop.x", object)])
def test_event_that_cannot_be_is_refused(name: str, data: Any) -> None:
    """Names are the protocol's, and types those that data becomes."""
    with pytest.raises(RegistrationError, match=r"service\.ws\.event"):
        Service("shop").ws.event(name, data)
