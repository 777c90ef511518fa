"""AsyncAPI 3.0 of what a service says and understands over WebSocket: messages, answers, errors and declared events."""

from __future__ import annotations

from typing import Any

from ..runtime import Offer
from ..websocket import MessageHandler, StreamHandler
from .schemas import ERROR, JsonSchema, Schemas, result_type

_CHANNEL = "#/channels/websocket"
_EVERY_SERVICE = "/ws"  # where a service without a path of its own is reached
_ID: JsonSchema = {"type": ["string", "integer"]}


def asyncapi(service: Offer) -> dict[str, Any]:
    """The document, ready to be written as JSON. Operations are the service's: it receives messages, sends events."""
    handlers = list(service.ws.handlers)
    types = [handler.schema.type for handler in handlers if handler.schema is not None]
    events = {name: schema.type for name, schema in service.ws.events.items()}
    schemas = Schemas([*types, *(result_type(handler) for handler in handlers), *events.values()])
    messages: dict[str, Any] = {"error": _message("error", {"id": _ID, "error": ERROR}, required=["error"])}
    operations: dict[str, Any] = {}
    for handler in handlers:
        answer = f"{handler.name}.response"
        messages[handler.name] = _request(handler, schemas)
        result = schemas.of(result_type(handler))
        messages[answer] = _message("response", {"id": _ID, "data": result}, required=["id"])
        operations[f"receive.{handler.name}"] = _receive(handler, answer)
    for name, type in events.items():
        messages[f"{name}.event"] = _message(name, {"data": schemas.of(type)})
        operations[f"send.{name}"] = {
            "action": "send", "channel": {"$ref": _CHANNEL}, "messages": [_reference(f"{name}.event")],
        }  # fmt: skip
    return {
        "asyncapi": "3.0.0",
        "info": {"title": service.name, "version": service.version},
        "defaultContentType": "application/json",
        "channels": {"websocket": {"address": service.path or _EVERY_SERVICE, "messages": messages}},
        "operations": operations,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _request(handler: MessageHandler, schemas: Schemas) -> dict[str, Any]:
    fields: dict[str, JsonSchema] = {"id": _ID}
    if handler.schema is not None:
        fields["data"] = schemas.of(handler.schema.type)
    if isinstance(handler, StreamHandler):
        fields["stream"] = {"const": True}
    message = _message(handler.name, fields, required=["stream", "id"] if "stream" in fields else [])
    if handler.description:
        message["description"] = handler.description
    return message


def _message(type: str, fields: dict[str, JsonSchema], *, required: list[str] | None = None) -> dict[str, Any]:
    """A message in its envelope."""
    properties = {"type": {"const": type}, **fields}
    return {
        "name": type,
        "payload": {"type": "object", "required": ["type", *(required or [])], "properties": properties},
    }


def _receive(handler: MessageHandler, answer: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "receive",
        "channel": {"$ref": _CHANNEL},
        "messages": [_reference(handler.name)],
        "reply": {"channel": {"$ref": _CHANNEL}, "messages": [_reference(answer), _reference("error")]},
    }
    if handler.requirement.auth:
        operation["security"] = [{"$ref": "#/components/securitySchemes/token"}]
    if handler.requirement.roles:
        operation["x-linkd-roles"] = sorted(handler.requirement.roles)
    return operation


def _reference(message: str) -> dict[str, str]:
    return {"$ref": f"{_CHANNEL}/messages/{message}"}
