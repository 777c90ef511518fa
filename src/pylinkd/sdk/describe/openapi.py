"""OpenAPI 3.1 of a service's actions, those that have a route."""

from __future__ import annotations

import inspect
import re
from typing import Any

from ...protocol.routes import shape
from ..actions import ActionHandler, StreamActionHandler
from ..runtime import Offer
from ..signatures import result_of
from ..streaming import EventSourceResponse
from .schemas import ERROR, JsonSchema, Schemas, result_type

_VARIABLE = re.compile(r"\{([^}]*)\}")
_QUERY_METHODS = frozenset({"GET", "DELETE"})  # their data is the query


def openapi(service: Offer) -> dict[str, Any]:
    """The document, ready to be written as JSON."""
    actions = [action for action in service.action.handlers if action.route]
    types = [action.schema.type for action in actions if action.schema is not None]
    schemas = Schemas([*types, *(result_type(action) for action in actions)])
    paths: dict[str, dict[str, Any]] = {}
    templates: dict[str, str] = {}
    for action in actions:
        # Two templates that differ only in the names of variables are one path to OpenAPI.
        template = templates.setdefault(shape(action.route), action.route)
        paths.setdefault(template, {})[action.method.lower()] = _operation(action, template, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": service.name, "version": service.version},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {"Error": {"description": "An error.", "content": _json(_ERROR_BODY)}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR_BODY: JsonSchema = {"type": "object", "required": ["error"], "properties": {"error": ERROR}}


def _operation(action: ActionHandler, template: str, schemas: Schemas) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(template)
    ]
    operation: dict[str, Any] = {"operationId": action.name, "responses": _responses(action, schemas)}
    if action.description:
        operation["description"] = action.description
    if action.schema is not None:
        data = schemas.of(action.schema.type)
        if isinstance(action, StreamActionHandler):
            operation["requestBody"] = {"content": {"application/octet-stream": {}}}
        elif action.method in _QUERY_METHODS:
            parameters += _query(schemas.resolved(data))
        else:
            operation["requestBody"] = {"required": True, "content": _json(data)}
    parameters += [{"name": name, "in": "cookie", "schema": {"type": "string"}} for name in action.cookies]
    if parameters:
        operation["parameters"] = parameters
    if action.requirement.auth:
        operation["security"] = [{"token": []}]
    if action.requirement.roles:
        operation["x-linkd-roles"] = sorted(action.requirement.roles)
    return operation


def _query(data: JsonSchema) -> list[dict[str, Any]]:
    required = data.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in data.get("properties", {}).items()
    ]


def _responses(action: ActionHandler, schemas: Schemas) -> dict[str, Any]:
    result = result_type(action)
    returned = result_of(action.function)
    error = {"$ref": "#/components/responses/Error"}
    if result in (None, type(None)):
        return {"204": {"description": "Done."}, "default": error}
    if inspect.isclass(returned) and issubclass(returned, EventSourceResponse):
        events = {"text/event-stream": {"schema": {"type": "string"}}}
        return {"200": {"description": "Events, as long as the client listens.", "content": events}, "default": error}
    if result is Any:  # a Response, or nothing was said: neither its status nor its type is known
        return {"2XX": {"description": "The answer."}, "default": error}
    return {"200": {"description": "The answer.", "content": _json(schemas.of(result))}, "default": error}


def _json(schema: JsonSchema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
