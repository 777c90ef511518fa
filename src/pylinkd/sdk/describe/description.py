"""The documents about a service as the gateway asks for them."""

from __future__ import annotations

import msgspec

from ...protocol.errors import PayloadTooLargeError
from ...protocol.link import MAX_DESCRIPTION_SIZE
from ...protocol.link_pb2 import Description
from ..runtime import Offer
from .asyncapi import asyncapi
from .openapi import openapi


def description(service: Offer) -> Description:
    """Both documents, as JSON.

    Raises:
        PayloadTooLargeError: If they have more than MAX_DESCRIPTION_SIZE bytes together.
    """
    found = Description(
        openapi=msgspec.json.encode(openapi(service)),
        asyncapi=msgspec.json.encode(asyncapi(service)),
    )
    size = len(found.openapi) + len(found.asyncapi)
    if size > MAX_DESCRIPTION_SIZE:
        raise PayloadTooLargeError(
            "The documents about the service are too large.", details={"size": size, "limit": MAX_DESCRIPTION_SIZE}
        )
    return found
