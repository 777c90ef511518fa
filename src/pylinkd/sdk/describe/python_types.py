"""JSON Schema as types of Python that msgspec decodes: structs for named objects, everything else written out.

What msgspec could not tell apart, such as two structs without a tag in one union, is ``Any``.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .schemas import JsonSchema

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_IMPORTED = {"annotations", "Any", "Api", "Callable", "Client", "Event", "Literal", "msgspec"}
_TAKEN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | _IMPORTED
_METHODS = {"self", "_call", "_client", "_on"}
# What annotations of fields are made of: elsewhere a field may be called as a builtin is, such as id.
_IN_FIELDS = frozenset({"bool", "dict", "float", "int", "list", "str", "tuple"}) | _IMPORTED | frozenset(keyword.kwlist)


def identifier(text: str, used: set[str], taken: frozenset[str] = _TAKEN) -> str:
    """A name for it that is not taken, by Python, the module or another one; it is used from now on."""
    name = re.sub(r"^(?=\d)|\W", "_", text, flags=re.ASCII)
    if name.startswith("__"):  # private to its class, or a method of Python's
        name = f"x{name}"
    while name in taken or name in _METHODS or name in used:
        name += "_"
    used.add(name)
    return name


class PythonTypes:
    """The types of one document.

    Args:
        components: The named schemas.
    """

    def __init__(self, components: Mapping[str, JsonSchema]) -> None:
        self._components = components
        used: set[str] = set()
        self._structs = {name: identifier(name, used) for name, schema in components.items() if _is_struct(schema)}

    def structs(self) -> Iterator[str]:
        """The definitions of all structs."""
        for name, struct in self._structs.items():
            yield self._definition(struct, self._components[name])

    def of(self, schema: Any) -> str:
        """The type of what the schema describes."""
        leaves = list(self._leaves(schema, ()))
        types = dict.fromkeys(self._of_leaf(leaf) for leaf in leaves)
        if "Any" in types or not types or not self._told_apart(leaves):
            return "Any"
        return " | ".join(types)

    def _leaves(self, schema: Any, within: tuple[str, ...]) -> Iterator[Any]:
        """The schemas that it is a union of, with names that are no structs resolved. Within itself one is anything."""
        if not isinstance(schema, dict):
            yield {}  # true: anything; false: nothing, of which there are no values to type
        elif "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in self._structs:
                yield {"$ref": schema["$ref"]}
            else:
                yield from [{}] if name in within else self._leaves(self._components[name], (*within, name))
        elif "anyOf" in schema or "oneOf" in schema:
            for part in schema.get("anyOf") or schema["oneOf"]:
                yield from self._leaves(part, within)
        elif isinstance(schema.get("type"), list):
            for kind in schema["type"]:
                yield {**schema, "type": kind}
        else:
            yield schema

    def _of_leaf(self, schema: JsonSchema) -> str:
        if "$ref" in schema:
            return self._structs[schema["$ref"].rpartition("/")[2]]
        values = _values(schema)
        if values is not None:
            return _literal(values)
        kind = schema.get("type")
        if kind == "object":
            plain = True if schema.get("properties") else schema.get("additionalProperties", True)
            return f"dict[str, {self.of(plain)}]"
        return self._array(schema) if kind == "array" else _PLAIN.get(str(kind), "Any")

    def _array(self, schema: JsonSchema) -> str:
        items = schema.get("prefixItems")
        if not items:
            return f"list[{self.of(schema.get('items', True))}]"
        if schema.get("minItems") != len(items) or schema.get("items") not in (None, False):
            return "list[Any]"
        return f"tuple[{', '.join(self.of(item) for item in items)}]"

    def _told_apart(self, leaves: Sequence[JsonSchema]) -> bool:
        """Whether msgspec knows by the kind of a value, or by a tag, which type of a union it has."""
        structs = {leaf["$ref"].rpartition("/")[2] for leaf in leaves if "$ref" in leaf}
        kinds = [kind for leaf in leaves if "$ref" not in leaf for kind in _kinds(leaf)]
        if len(kinds) != len(set(kinds)) or (structs and "object" in kinds):
            return False
        tags = [_tag(self._components[name]) for name in structs]
        known = [tag for tag in tags if tag is not None]
        if len(structs) < 2:
            return True
        return len(known) == len(tags) and len({field for field, _ in known}) == 1 and len(set(known)) == len(known)

    def _definition(self, struct: str, schema: JsonSchema) -> str:
        tag = _tag(schema)
        options = "kw_only=True" if tag is None else f"kw_only=True, tag_field={_text(tag[0])}, tag={_text(tag[1])}"
        required = schema.get("required", [])
        used = set(self._structs.values())
        lines = [
            self._field(name, identifier(name, used, _IN_FIELDS), field, required=name in required)
            for name, field in schema["properties"].items()
            if tag is None or name != tag[0]
        ]
        return "\n".join([f"\nclass {struct}(msgspec.Struct, {options}):", *(lines or ["    pass"]), ""])

    def _field(self, name: str, attribute: str, schema: Any, *, required: bool) -> str:
        type = self.of(schema)
        default = None if required else _default(type, schema)
        if not required and default is None:
            type, default = f"{type} | msgspec.UnsetType", "msgspec.UNSET"
        if name == attribute:
            return f"    {attribute}: {type}" + ("" if default is None else f" = {default}")
        given = "" if default is None else f"default={default}, "
        return f"    {attribute}: {type} = msgspec.field({given}name={_text(name)})"


def _is_struct(schema: JsonSchema) -> bool:
    return schema.get("type") == "object" and "properties" in schema


def _values(schema: JsonSchema) -> list[Any] | None:
    """The only values that there are; ``None``: the schema lists none."""
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _kinds(leaf: JsonSchema) -> list[str]:
    values = _values(leaf)
    if values is None:
        return [str(leaf.get("type"))]
    return sorted({{str: "string", int: "integer"}.get(type(value), "null") for value in values})


def _tag(schema: JsonSchema) -> tuple[str, str] | None:
    """The field, and its only value, by which an object is known."""
    for name, field in schema["properties"].items():
        values = _values(field) if isinstance(field, dict) else None
        if (
            values is not None
            and len(values) == 1
            and isinstance(values[0], str)
            and name in schema.get("required", [])
        ):
            return name, values[0]
    return None


def _default(type: str, schema: Any) -> str | None:
    """The schema's default, where it is a plain value; ``None``: there is none that could stand in the module."""
    if not isinstance(schema, dict) or "default" not in schema:
        return None
    value = schema["default"]
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if (value == [] and type.startswith("list[")) or (value == {} and type.startswith("dict[")):
        return repr(value)
    return None


def _literal(values: Sequence[Any]) -> str:
    if not values or not all(value is None or isinstance(value, str | int) for value in values):
        return "Any"
    if any(isinstance(value, bool) for value in values):
        return "bool" if all(isinstance(value, bool) for value in values) else "Any"
    return f"Literal[{', '.join(_text(value) if isinstance(value, str) else repr(value) for value in values)}]"


def _text(value: str) -> str:
    """A literal of Python within ASCII, in double quotes."""
    escapes = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(letter, ascii(letter)[1:-1]) for letter in value) + '"'
