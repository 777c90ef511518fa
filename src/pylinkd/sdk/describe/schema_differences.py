"""Why values of one JSON Schema would not do for another: the half of a comparison that knows no operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .schemas import JsonSchema

_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT = ("pattern", "multipleOf", "allOf", "not", "format")


class Misfit(NamedTuple):
    """Why some values do not do.

    Attributes:
        path: Of the field, such as ``lines[].price``; empty: the value itself.
        kind: ``required``, ``unknown`` (the field is in the given schema only), ``type``, ``value`` or ``limit``.
        what: Which type, value or limit.
    """

    path: str
    kind: str
    what: str = ""


class Fit:
    """Compares schemas of two documents.

    Args:
        given: The document of the values.
        wanted: The document of what they have to be.
    """

    def __init__(self, given: Any, wanted: Any) -> None:
        self._given = given
        self._wanted = wanted
        self._open: set[tuple[str, str]] = set()  # pairs of references that are being compared

    def misfits(self, given: Any, wanted: Any, path: str = "") -> Iterator[Misfit]:
        """Why values of one schema do not do for the other. A field that only ``given`` knows is a misfit, too."""
        pair = _reference(given), _reference(wanted)
        if all(pair):
            if pair in self._open:
                return
            self._open.add(pair)
        try:
            choices = list(_choices(self._wanted, wanted))
            for one in _choices(self._given, given):
                yield from self._best(one, choices, path)
        finally:
            self._open.discard(pair)

    def _best(self, one: JsonSchema, choices: list[JsonSchema], path: str) -> Iterator[Misfit]:
        able = [choice for choice in choices if _covers(choice.get("type"), one.get("type"))]
        if not able:
            yield Misfit(path, "type", str(one.get("type", "any value")))
            return
        # Several, such as a union of objects: the one that fits best is meant.
        found = [list(self._compared(one, choice, path)) for choice in able]
        yield from min(found, key=len)

    def _compared(self, given: JsonSchema, wanted: JsonSchema, path: str) -> Iterator[Misfit]:
        yield from _values(given, wanted, path)
        yield from _limits(given, wanted, path)
        yield from self._fields(given, wanted, path)
        if wanted.get("prefixItems") or given.get("prefixItems"):
            yield from self._places(given, wanted, path)
        elif "items" in wanted:
            yield from self.misfits(given.get("items", {}), wanted.get("items", {}), f"{path}[]")

    def _fields(self, given: JsonSchema, wanted: JsonSchema, path: str) -> Iterator[Misfit]:
        old, new = given.get("properties", {}), wanted.get("properties", {})
        sure = given.get("required", [])
        for name in wanted.get("required", []):
            if name not in sure:
                yield Misfit(_join(path, name), "required")
        for name, schema in old.items():
            if name in new:
                yield from self.misfits(schema, new[name], _join(path, name))
            else:
                yield Misfit(_join(path, name), "unknown")
        if not old and not new and "additionalProperties" in wanted:  # a mapping
            values = given.get("additionalProperties", True), wanted["additionalProperties"]
            yield from self.misfits(*values, _join(path, "*"))

    def _places(self, given: JsonSchema, wanted: JsonSchema, path: str) -> Iterator[Misfit]:
        old, new = given.get("prefixItems", []), wanted.get("prefixItems", [])
        if len(old) != len(new):
            yield Misfit(path, "limit", "number of items")
        for place, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from self.misfits(one, other, f"{path}[{place}]")


def resolved(document: Any, value: Any) -> Any:
    """What a reference within the document means, or the value itself.

    Raises:
        ValueError: If it means nothing.
    """
    for _ in range(32):
        if not isinstance(value, dict) or not isinstance(value.get("$ref"), str):
            return value
        reference = value["$ref"]
        value = document
        for key in reference.removeprefix("#/").split("/"):
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"{reference!r} is not in its document")
            value = value[key]
    raise ValueError("a reference leads to itself")


def _reference(schema: Any) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, dict) else ""


def _choices(document: Any, schema: Any, depth: int = 0) -> Iterator[JsonSchema]:
    """The schemas of one type each that it is a union of; one without a type takes any value."""
    schema = resolved(document, schema)
    if schema is False or depth > 32:
        return
    if not isinstance(schema, dict):
        yield {}
        return
    for word in ("anyOf", "oneOf"):
        if word in schema:
            for part in schema[word]:
                yield from _choices(document, part, depth + 1)
            return
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    types = schema.get("type") or sorted({_type_of(value) for value in values or ()})
    for one in [types] if isinstance(types, str) else types or [None]:
        some = {} if values is None else {"enum": [value for value in values if _covers(one, _type_of(value))]}
        yield {**schema, **some, "type": one} if one else {**schema, **some}


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _covers(wanted: str | None, given: str | None) -> bool:
    return wanted is None or wanted == given or (wanted == "number" and given == "integer")


def _values(given: JsonSchema, wanted: JsonSchema, path: str) -> Iterator[Misfit]:
    if "enum" not in wanted:
        return
    if "enum" not in given:
        yield Misfit(path, "type", f"any {given.get('type', 'value')}")
    for value in given.get("enum", []):
        if value not in wanted["enum"]:
            yield Misfit(path, "value", repr(value))


def _limits(given: JsonSchema, wanted: JsonSchema, path: str) -> Iterator[Misfit]:
    if "enum" in given:
        return  # the values are known
    for name in _LOWER:
        if name in wanted and not (name in given and given[name] >= wanted[name]):
            yield Misfit(path, "limit", name)
    for name in _UPPER:
        if name in wanted and not (name in given and given[name] <= wanted[name]):
            yield Misfit(path, "limit", name)
    for name in _EXACT:
        if name in wanted and given.get(name) != wanted[name]:
            yield Misfit(path, "limit", name)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
