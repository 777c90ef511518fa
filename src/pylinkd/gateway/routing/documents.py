"""One OpenAPI and one AsyncAPI document about several services, made from those about each.

Names that belong to one service stand behind its name: schemas, operations and channels of two do not meet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ...protocol.routes import shape
from ...version import __version__

Document = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_CHANNEL = "#/channels/websocket"  # the one channel in the document of a service
_VARIABLE = re.compile(r"\{([^}]*)\}")


def merge_openapi(documents: Mapping[str, Document], missing: Sequence[str]) -> Document:
    """The actions of all services.

    Args:
        documents: OpenAPI 3.1 of each service, by the service's name.
        missing: Names of services that could not be asked; they stand under ``x-linkd-missing``.
    """
    paths: dict[str, Document] = {}
    components: Document = {}
    templates: dict[str, str] = {}
    for service, document in documents.items():
        document = _with_references(document, partial(_schema_reference, service))
        _add_components(components, document, service)
        for route, operations in document["paths"].items():
            # Two templates that differ only in the names of variables are one path to OpenAPI.
            template = templates.setdefault(shape(route), route)
            for method, operation in operations.items():
                _rename_parameters(operation, route, template)
                operation["operationId"] = f"{service}.{operation['operationId']}"
                operation["tags"] = [service]
                paths.setdefault(template, {})[method] = operation
    tags = [{"name": service} for service in documents]
    return {"openapi": "3.1.0", **_head(documents, missing), "tags": tags, "paths": paths, "components": components}


def merge_asyncapi(documents: Mapping[str, Document], missing: Sequence[str]) -> Document:
    """The messages and events of all services; each service is a channel.

    Args:
        documents: AsyncAPI 3.0 of each service, by the service's name.
        missing: Names of services that could not be asked; they stand under ``x-linkd-missing``.
    """
    channels: Document = {}
    operations: Document = {}
    components: Document = {}
    for service, document in documents.items():
        document = _with_references(document, partial(_message_reference, service))
        _add_components(components, document, service)
        channels[service] = document["channels"]["websocket"]
        operations |= {f"{service}.{name}": operation for name, operation in document["operations"].items()}
    return {
        "asyncapi": "3.0.0",
        **_head(documents, missing),
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": components,
    }


def _head(documents: Mapping[str, Document], missing: Sequence[str]) -> Document:
    versions = {service: document["info"]["version"] for service, document in documents.items()}
    head: Document = {"info": {"title": "linkd", "version": __version__, "x-linkd-services": versions}}
    return head | ({"x-linkd-missing": sorted(missing)} if missing else {})


def _add_components(components: Document, document: Document, service: str) -> None:
    for kind, found in document.get("components", {}).items():
        known = components.setdefault(kind, {})
        # Whatever is not a schema is the same in every document.
        known |= {_schema_name(name, service): schema for name, schema in found.items()} if kind == "schemas" else found


def _schema_name(name: str, service: str) -> str:
    # Names of components hold no colon. Nothing else makes a double hyphen likely enough to meet this one.
    return f"{service.replace(':', '--')}.{name}"


def _schema_reference(service: str, text: str) -> str:
    if not text.startswith(_SCHEMAS):
        return text
    return _SCHEMAS + _schema_name(text.removeprefix(_SCHEMAS), service)


def _message_reference(service: str, text: str) -> str:
    if text == _CHANNEL or text.startswith(f"{_CHANNEL}/"):
        return f"#/channels/{service}{text.removeprefix(_CHANNEL)}"
    return _schema_reference(service, text)


def _with_references(value: Any, renamed: Callable[[str], str]) -> Any:
    """A copy of the value in which every reference is renamed."""
    if isinstance(value, dict):
        return {
            key: renamed(part) if key == "$ref" and isinstance(part, str) else _with_references(part, renamed)
            for key, part in value.items()
        }
    return [_with_references(part, renamed) for part in value] if isinstance(value, list) else value


def _rename_parameters(operation: Document, route: str, template: str) -> None:
    names = dict(zip(_VARIABLE.findall(route), _VARIABLE.findall(template), strict=True))
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = names[parameter["name"]]
