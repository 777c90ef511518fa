"""What breaks clients between two OpenAPI or AsyncAPI documents, those that linkd makes.

A client goes on where what it sends is taken more widely than before, and where what it gets is told more narrowly. A
field that is gone counts as a break either way: somebody sends it for a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .schema_differences import Fit, Misfit, resolved

Document = dict[str, Any]

_VARIABLE = re.compile(r"\{[^}*]*(\*?)\}")


def differences(old: Document, new: Document) -> list[str]:
    """The changes that break clients of the old document, a sentence each; empty: there are none.

    Raises:
        ValueError: If the two are not of one format, lack a service, or are malformed.
    """
    for name, document in (("old", old), ("new", new)):
        if document.get("x-linkd-missing"):
            lacking = ", ".join(map(str, document["x-linkd-missing"]))
            raise ValueError(f"the {name} one was made while services were away: {lacking}")
    for word, compared in (("openapi", _openapi), ("asyncapi", _asyncapi)):
        if word in old and word in new:
            try:
                return list(dict.fromkeys(compared(_Pair(old, new))))
            except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as cause:
                raise ValueError("one of them is not of the form that linkd describe writes") from cause
    raise ValueError("both have to be OpenAPI, or both AsyncAPI")


class _Pair:
    """The two documents, and what is the same to compare in each format.

    Attributes:
        old: The document that clients were made for.
        new: The one that they will meet.
    """

    def __init__(self, old: Document, new: Document) -> None:
        self.old = old
        self.new = new

    def sent(self, place: str, old: Any, new: Any) -> Iterator[str]:
        """What clients send: whatever the old schema allowed has to do for the new one."""
        for misfit in Fit(self.old, self.new).misfits(old, new):
            yield f"{place}: {_name(misfit)} {_refusal(misfit)}"

    def received(self, place: str, old: Any, new: Any) -> Iterator[str]:
        """What clients get: whatever the new schema allows has to do for the old one. New fields do."""
        removed = [misfit.path for misfit in Fit(self.old, self.new).misfits(old, new) if misfit.kind == "unknown"]
        for path in removed:
            yield f"{place}: {path} is removed"
        for misfit in Fit(self.new, self.old).misfits(new, old):
            if misfit.kind != "unknown" and misfit.path not in removed:
                yield f"{place}: {_name(misfit)} {_surprise(misfit)}"

    def access(self, place: str, old: Document, new: Document) -> Iterator[str]:
        """Who may ask."""
        if new.get("security") and not old.get("security"):
            yield f"{place}: a token is required"
        before, now = set(old.get("x-linkd-roles", ())), set(new.get("x-linkd-roles", ()))
        if now and not before:
            yield f"{place}: a role is required: {', '.join(sorted(now))}"
        elif now and before - now:
            yield f"{place}: not for the roles {', '.join(sorted(before - now))} any more"


def _name(misfit: Misfit) -> str:
    return misfit.path or "the value"


def _refusal(misfit: Misfit) -> str:
    return {
        "required": "is required",
        "unknown": "is removed",
        "type": f"does not take {misfit.what} any more",
        "value": f"does not take {misfit.what} any more",
        "limit": f"is limited further ({misfit.what})",
    }[misfit.kind]


def _surprise(misfit: Misfit) -> str:
    return {
        "required": "may be missing",
        "type": f"may be {misfit.what}",
        "value": f"may be {misfit.what}",
        "limit": f"is limited less ({misfit.what})",
    }[misfit.kind]


# OpenAPI


def _openapi(pair: _Pair) -> Iterator[str]:
    new = _operations(pair.new)
    for key, (place, before) in _operations(pair.old).items():
        if key not in new:
            yield f"{place} is removed"
            continue
        now = new[key][1]
        yield from pair.access(place, before, now)
        yield from _parameters(pair, place, before, now)
        yield from _bodies(pair, place, before, now)
        yield from _answers(pair, place, before["responses"], now["responses"])


def _operations(document: Document) -> dict[tuple[str, str], tuple[str, Document]]:
    """By method and route; the names of a route's variables are nobody's business."""
    return {
        (method, _VARIABLE.sub(r"{\1}", route)): (f"{method.upper()} {route}", operation)
        for route, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _parameters(pair: _Pair, place: str, before: Document, now: Document) -> Iterator[str]:
    old, new = _by_place(before), _by_place(now)
    for key, parameter in old.items():
        label = f"{place}: {key[0]} parameter"
        if key not in new:
            yield f"{label} {key[1]} is removed"
        else:
            yield from pair.sent(f"{label} {key[1]}", parameter["schema"], new[key]["schema"])
    for key, parameter in new.items():
        if parameter.get("required") and not old.get(key, {}).get("required"):
            yield f"{place}: {key[0]} parameter {key[1]} is required"


def _by_place(operation: Document) -> dict[tuple[str, str], Document]:
    found = operation.get("parameters", ())
    return {(one["in"], one["name"]): one for one in found if one["in"] != "path"}


def _bodies(pair: _Pair, place: str, before: Document, now: Document) -> Iterator[str]:
    old, new = before.get("requestBody"), now.get("requestBody")
    if old and new:
        yield from pair.sent(f"{place}: body", _schema(old), _schema(new))
    elif old:
        yield f"{place}: the body is removed"
    elif new and new.get("required"):
        yield f"{place}: a body is required"


def _answers(pair: _Pair, place: str, old: Document, new: Document) -> Iterator[str]:
    for status, answer in old.items():
        if status == "default":
            continue
        if status not in new:
            now = ", ".join(sorted(set(new) - {"default"}))
            yield f"{place}: the answer is {now} and not {status} any more"
        elif "content" in answer:
            yield from pair.received(f"{place}: answer", _schema(answer), _schema(new[status]))


def _schema(part: Document) -> Any:
    return part.get("content", {}).get("application/json", {}).get("schema", {})


# AsyncAPI


def _asyncapi(pair: _Pair) -> Iterator[str]:
    for name, channel in pair.old["channels"].items():
        now = pair.new["channels"].get(name, channel)
        if channel["address"] != now["address"]:
            yield f"{channel['address']} is {now['address']} now"
    for key, before in pair.old["operations"].items():
        sends = before["action"] == "send"
        message = _message(pair.old, before)
        place = f"{'event' if sends else 'message'} {message['name']}"
        now = pair.new["operations"].get(key)
        if now is None:
            yield f"{place} is removed"
        elif sends:
            yield from pair.received(place, _data(message), _data(_message(pair.new, now)))
        else:
            yield from pair.access(place, before, now)
            yield from _called(pair, place, before, now)


def _called(pair: _Pair, place: str, before: Document, now: Document) -> Iterator[str]:
    old, new = _message(pair.old, before), _message(pair.new, now)
    if ("stream" in _fields(old)) is not ("stream" in _fields(new)):
        yield f"{place}: {'is a stream' if 'stream' in _fields(new) else 'is no stream any more'}"
    if "data" in _fields(old) and "data" not in _fields(new):
        yield f"{place}: the data is removed"
    elif "data" in _fields(new):
        # A message without data has null for it.
        yield from pair.sent(place, _fields(old).get("data", {"type": "null"}), _data(new))
    answers = _message(pair.old, before["reply"]), _message(pair.new, now["reply"])
    yield from pair.received(f"{place}: answer", _data(answers[0]), _data(answers[1]))


def _message(document: Document, operation: Document) -> Document:
    found: Document = resolved(document, operation["messages"][0])
    return found


def _fields(message: Document) -> Document:
    found: Document = message["payload"]["properties"]
    return found


def _data(message: Document) -> Any:
    return _fields(message).get("data", {})
