"""Schemas: bytes from outside become the type that a handler asks for, or a ValidationError that names the fault.

A schema is a ``msgspec.Struct``, a dataclass, a TypedDict, any other type that msgspec reads, or a pydantic model.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import msgspec.inspect

from ..protocol.errors import BadRequestError, SetupError, ValidationError
from .text import DEFAULT_POLICY, TextPolicy

Function = Callable[..., typing.Awaitable[Any]]


class RegistrationError(SetupError):
    """A handler cannot be registered as written; the text says why and where."""


def where(function: Callable[..., Any]) -> str:
    """Where a function was written, for messages about it."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", repr(function))
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


class Schema:
    """Reads data of one type from JSON or MessagePack, or from plain values such as a query's.

    Args:
        type: What the data becomes.
        text: What its strings have to be; the policy comes before the type.

    Raises:
        RegistrationError: If the type cannot be read from data.

    Attributes:
        type: The same, for documents about it.
    """

    def __init__(self, type: Any, text: TextPolicy = DEFAULT_POLICY) -> None:
        self._pydantic: Any = type if inspect.isclass(type) and hasattr(type, "model_validate") else None
        target = Any if self._pydantic is not None else type
        try:
            if self._pydantic is not None:
                _complete(self._pydantic)
            foreign = _foreign(msgspec.inspect.type_info(target))
            if foreign is not None:
                raise TypeError(f"{foreign!r} in it is nothing that data becomes")
            self._json = msgspec.json.Decoder(target)
            self._msgpack = msgspec.msgpack.Decoder(target)
        except Exception as cause:  # a text in an annotation may raise anything, and pydantic has errors of its own
            raise RegistrationError(f"{type!r} cannot be read from data: {cause}") from cause
        self.type = type
        self._text = text

    def read(self, data: bytes, msgpack: bool = False) -> Any:
        """The value in ``data``; empty stands for null.

        Raises:
            ValidationError: If it does not fit; ``details`` has ``field`` and ``reason``.
            BadRequestError: If it is not even well formed.
        """
        try:
            data = self._text.applied(data or (b"\xc0" if msgpack else b"null"), msgpack)
            value = self._msgpack.decode(data) if msgpack else self._json.decode(data)
        except msgspec.ValidationError as cause:
            raise _invalid(str(cause)) from cause
        except (msgspec.DecodeError, UnicodeDecodeError) as cause:
            raise BadRequestError("The data is not well formed.") from cause
        except RecursionError as cause:
            raise BadRequestError("The data is nested too deeply.") from cause
        return value if self._pydantic is None else self._model(value)

    def convert(self, values: Mapping[str, str]) -> Any:
        """The value made of strings, such as the parameters of a query.

        Raises:
            ValidationError: If they do not fit.
        """
        strings = self._text.applied_to(values)
        if self._pydantic is not None:
            return self._model(strings)
        try:
            return msgspec.convert(strings, self.type, strict=False)
        except msgspec.ValidationError as cause:
            raise _invalid(str(cause)) from cause

    def _model(self, value: Any) -> Any:
        try:
            return self._pydantic.model_validate(value)
        except ValueError as cause:
            errors = getattr(cause, "errors", None)
            if errors is None:
                raise
            raise _invalid_model(errors(include_url=False, include_input=False, include_context=False)) from cause


def _complete(model: Any) -> None:
    """Have pydantic look for the types that a model names and that were not there when it was written."""
    if not getattr(model, "__pydantic_complete__", True):
        model.model_rebuild()


def _foreign(info: Any) -> Any:
    """A class inside the type that msgspec leaves to the caller to read; ``None``: there is none."""
    seen: set[int] = set()
    waiting = [info]
    while waiting:
        part = waiting.pop()
        if isinstance(part, msgspec.inspect.CustomType):
            return part.cls
        if isinstance(part, tuple | list):
            waiting.extend(part)
        elif isinstance(part, msgspec.Struct) and id(part) not in seen:
            seen.add(id(part))
            waiting.extend(getattr(part, name) for name in part.__struct_fields__)
    return None


_FAULT = re.compile(r"(?P<reason>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_NAMED_FIELD = re.compile(r"(?:missing required|contains unknown) field `(?P<field>[^`]*)`")


def _invalid(text: str) -> ValidationError:
    fault = _FAULT.fullmatch(text)
    assert fault is not None
    path = (fault["path"] or "").removeprefix("key in ").removeprefix("$").removeprefix(".")
    named = _NAMED_FIELD.search(fault["reason"])
    if named is not None:
        path = f"{path}.{named['field']}" if path else named["field"]
    details = {"field": path, "reason": fault["reason"]}
    return ValidationError(f"{path}: {fault['reason']}" if path else fault["reason"], details=details)


def _invalid_model(errors: list[dict[str, Any]]) -> ValidationError:
    faults = [{"field": ".".join(str(part) for part in error["loc"]), "reason": str(error["msg"])} for error in errors]
    first = faults[0]
    message = f"{first['field']}: {first['reason']}" if first["field"] else first["reason"]
    return ValidationError(message, details={**first, "errors": faults})


def _encode_other(value: Any) -> Any:
    """What stands for a value that msgspec does not know: of a model's instance or a database row its columns.

    SQLAlchemy's classes are known by their attributes: a service without database never imports it.
    """
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    mapper = getattr(type(value), "__mapper__", None)
    if mapper is not None:
        loaded = vars(value)  # asking for others would go to the database, or fail
        return {column.key: loaded[column.key] for column in mapper.column_attrs if column.key in loaded}
    columns = getattr(value, "_mapping", value)  # of a sqlalchemy.Row
    if isinstance(columns, Mapping):
        return dict(columns)
    raise TypeError(
        f"a {type(value).__qualname__} cannot be encoded: put what is needed of it into a dict, a msgspec.Struct, "
        "a dataclass or a pydantic model"
    )


_json_encode = msgspec.json.Encoder(enc_hook=_encode_other).encode
_msgpack_encode = msgspec.msgpack.Encoder(enc_hook=_encode_other).encode


def encode(value: Any, msgpack: bool = False) -> bytes:
    """A handler's result or an event's data as bytes; ``None`` is empty.

    Raises:
        TypeError: If the value has a part that cannot be encoded.
    """
    if value is None:
        return b""
    return _msgpack_encode(value) if msgpack else _json_encode(value)
