"""What breaks clients between two documents, and what does not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest

from pylinkd import HttpContext, Service, Stream, WsContext
from pylinkd.sdk.describe.asyncapi import asyncapi
from pylinkd.sdk.describe.differences import differences
from pylinkd.sdk.describe.openapi import openapi

Short = Annotated[str, msgspec.Meta(max_length=5)]
Long = Annotated[str, msgspec.Meta(max_length=9)]


_NUMBERS = itertools.count()  # for names: of two structs with the same one a document has one


def struct(**fields: Any) -> type[msgspec.Struct]:
    """A struct; a tuple is a type with a default."""
    listed = [(name, *field) if isinstance(field, tuple) else (name, field) for name, field in fields.items()]
    return msgspec.defstruct(f"Thing{next(_NUMBERS)}", sorted(listed, key=len), kw_only=True)


def messages(data: Any, result: Any = None, event: Any = None, **options: Any) -> dict[str, Any]:
    """A service with one message and one event."""
    service = Service("shop")
    service.ws.event("shop.sold", event)

    async def handler(ctx: WsContext, data: Any) -> Any: ...

    handler.__annotations__ |= {"data": data, "return": result}
    service.ws.on("shop.buy", **options)(handler)
    return asyncapi(service)


def actions(data: Any, result: Any = None, *, route: str = "/shop/{id}", method: str = "PUT", **options: Any) -> Any:
    """A service with one action."""
    service = Service("shop")

    async def handler(ctx: HttpContext, data: Any) -> Any: ...

    handler.__annotations__ |= {"data": data, "return": result}
    service.action("shop.change", route=route, method=method, **options)(handler)
    return openapi(service)


BOTH = [
    (int, float, []),
    (float, int, ["the value does not take number any more"]),
    (struct(a=int), struct(a=int, b=(int, 0)), []),
    (struct(a=int), struct(a=int, b=int), ["b is required"]),
    (struct(a=(int, 0)), struct(a=int), ["a is required"]),
    (struct(a=int), struct(a=(int, 0)), []),
    (struct(a=int, b=(int, 0)), struct(a=int), ["b is removed"]),
    (struct(a=int | None), struct(a=int), ["a does not take null any more"]),
    (struct(a=list[int | str]), struct(a=list[int]), ["a[] does not take string any more"]),
    (dict[str, int | str], dict[str, int], ["* does not take string any more"]),
    (struct(a=struct(b=str)), struct(a=struct(b=int)), ["a.b does not take string any more"]),
    (Literal["a", "b"], Literal["a"], ["the value does not take 'b' any more"]),
    (Literal["a"], Literal["a", "b"], []),
    (Literal["a"], str, []),
    (str, Literal["a"], ["the value does not take any string any more"]),
    (Long, Short, ["the value is limited further (maxLength)"]),
    (Short, Long, []),
    (str, Short, ["the value is limited further (maxLength)"]),
    (Any, int, ["the value does not take any value any more"]),
    (int, Any, []),
    (tuple[int, str], tuple[int, int], ["[1] does not take string any more"]),
]


@pytest.mark.parametrize(("old", "new", "expected"), BOTH)
def test_data_of_a_message_and_of_a_body(old: Any, new: Any, expected: list[str]) -> None:
    """Whatever was taken has to be taken."""
    assert differences(messages(old), messages(new)) == [f"message shop.buy: {text}" for text in expected]
    assert differences(actions(old), actions(new)) == [f"PUT /shop/{{id}}: body: {text}" for text in expected]


ANSWERS = [
    (int, int, []),
    (float, int, []),
    (int, float, ["the value may be number"]),
    (struct(a=int), struct(a=int, b=int), []),
    (struct(a=int, b=int), struct(a=int), ["b is removed"]),
    (struct(a=int), struct(a=(int, 0)), ["a may be missing"]),
    (struct(a=int), struct(a=int | None), ["a may be null"]),
    (Literal["a"], Literal["a", "b"], ["the value may be 'b'"]),
    (Short, Long, ["the value is limited less (maxLength)"]),
]


@pytest.mark.parametrize(("old", "new", "expected"), ANSWERS)
def test_answers_and_events(old: Any, new: Any, expected: list[str]) -> None:
    """Whatever comes now has to be what could come before."""
    of_both = [
        *(f"message shop.buy: answer: {text}" for text in expected),
        *(f"event shop.sold: {text}" for text in expected),
    ]

    assert differences(messages(int, old, old), messages(int, new, new)) == of_both
    assert differences(actions(int, old), actions(int, new)) == [
        f"PUT /shop/{{id}}: answer: {text}" for text in expected
    ]


def test_what_is_removed_or_asks_for_more() -> None:
    """Messages, events, actions, parameters, tokens and roles."""
    empty, query = Service("shop"), struct(a=int)

    assert differences(messages(int), asyncapi(empty)) == ["message shop.buy is removed", "event shop.sold is removed"]
    assert differences(actions(int), openapi(empty)) == ["PUT /shop/{id} is removed"]
    assert differences(asyncapi(empty), messages(int)) == differences(openapi(empty), actions(int)) == []
    assert differences(actions(int), actions(int, route="/shop/{name}")) == []
    assert differences(actions(int), actions(int, auth=True)) == ["PUT /shop/{id}: a token is required"]
    assert differences(messages(int, roles=["a", "b"]), messages(int, roles=["a", "c"])) == [
        "message shop.buy: not for the roles b any more"
    ]
    changed = differences(actions(query, method="GET"), actions(struct(b=int), method="GET"))
    assert changed == [
        "GET /shop/{id}: query parameter a is removed",
        "GET /shop/{id}: query parameter b is required",
    ]
    assert differences(actions(int, int), actions(int, None)) == [
        "PUT /shop/{id}: the answer is 204 and not 200 any more"
    ]


def test_message_that_becomes_a_stream() -> None:
    """Is another message."""
    service = Service("shop")
    service.ws.event("shop.sold")

    @service.ws.on_stream("shop.buy")
    async def upload(ctx: WsContext, chunks: Stream) -> None: ...

    assert "message shop.buy: is a stream" in differences(messages(int), asyncapi(service))


class Tree(msgspec.Struct):
    children: list[Tree]


def test_recursive_types_end() -> None:
    """A tree is compared once."""
    assert differences(messages(Tree, Tree), messages(Tree, Tree)) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.clear(),
        lambda document: document.update({"x-linkd-missing": ["other"]}),
        lambda document: document.update(operations=[]),
        lambda document: document["channels"].clear(),
    ],
)
def test_what_cannot_be_compared_is_said(spoil: Callable[[dict[str, Any]], None]) -> None:
    """And nothing is guessed."""
    document = messages(int)
    spoil(document)

    with pytest.raises(ValueError, match=r"one|both|document"):
        differences(document, messages(int))
