"""``linkd describe``: a document about a service on standard output."""

from __future__ import annotations

import json

from ..protocol.errors import SetupError
from ..sdk.describe.asyncapi import asyncapi as asyncapi_of
from ..sdk.describe.openapi import openapi as openapi_of
from .loading import load_service


def print_document(target: str, *, openapi: bool, asyncapi: bool) -> None:
    """Print the document that is asked for.

    Raises:
        SetupError: If not exactly one is, or there is no such service.
    """
    if openapi == asyncapi:
        raise SetupError("linkd describe prints one document: give --openapi or --asyncapi")
    service = load_service(target)
    print(json.dumps(openapi_of(service) if openapi else asyncapi_of(service), indent=2))
