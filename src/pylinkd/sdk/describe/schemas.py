"""JSON Schema (2020-12) of the types that handlers take and answer, by the generators of msgspec and pydantic.

A type that neither knows, such as a row of the database, is described as any value.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable
from typing import Any

import msgspec

from ..batches import BatchHandler
from ..handlers import Handler
from ..response import Response
from ..signatures import result_of

JsonSchema = dict[str, Any]

_REFERENCE = "#/components/schemas/"

ERROR: JsonSchema = {
    "type": "object",
    "required": ["code", "type", "message"],
    "properties": {
        "code": {"type": "integer", "minimum": 400, "maximum": 599},
        "type": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
        "message": {"type": "string"},
        "details": {"type": "object"},
        "retryAfterMs": {"type": "integer", "minimum": 0},
    },
}
"""The body of an error, over WebSocket and HTTP alike."""


class Schemas:
    """The schemas of one document, with the named ones that they refer to.

    Args:
        types: Every type that the document needs. They are generated together, so that two of one name are told apart.

    Attributes:
        components: Named schemas, by name.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        self.components: dict[str, JsonSchema] = {}
        wanted: list[Any] = []
        for type in types:
            if type not in wanted:
                wanted.append(type)
        known = [type for type in wanted if self._generated([type]) is not None]
        self.components.clear()  # what single attempts have left
        schemas = self._generated(known) or []
        self._schemas = list(zip(known, schemas, strict=True))

    def of(self, type: Any) -> JsonSchema:
        """The schema of one of the types; empty: any value."""
        return next((dict(schema) for known, schema in self._schemas if known == type), {})

    def resolved(self, schema: JsonSchema) -> JsonSchema:
        """The schema that a reference means, or the schema itself."""
        name = str(schema.get("$ref", "")).removeprefix(_REFERENCE)
        return self.components[name] if name else schema

    def _generated(self, types: list[Any]) -> list[JsonSchema] | None:
        try:
            found, components = msgspec.json.schema_components(
                types, schema_hook=self._foreign, ref_template=_REFERENCE + "{name}"
            )
        except Exception:  # a type that cannot be described raises whatever its own generator does
            return None
        self.components.update(components)
        return list(found)

    def _foreign(self, type: type) -> JsonSchema:
        """The schema of a class that msgspec does not know."""
        if not (inspect.isclass(type) and hasattr(type, "model_validate")):
            return {}
        from pydantic import TypeAdapter  # an author's dependency: who has such a model has it

        schema: JsonSchema = TypeAdapter(type).json_schema(ref_template=_REFERENCE + "{model}")
        self.components.update(schema.pop("$defs", {}))
        return schema


def result_type(handler: Handler) -> Any:
    """What a handler answers, by its annotation; Any where it is a Response, which may hold anything.

    A handler of batches returns a list of answers.
    """
    found = result_of(handler.function)
    if isinstance(handler, BatchHandler):
        found = next(iter(typing.get_args(found)), found)
    return Any if inspect.isclass(found) and issubclass(found, Response) else found
