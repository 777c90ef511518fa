"""Refusing a request with a plain HTTP answer, after which its connection ends."""

from __future__ import annotations

import asyncio

from ...protocol.errors import LinkdError
from ..core.traffic import Traffic
from .handshake import refusal


def refuse(transport: asyncio.Transport, error: LinkdError, traffic: Traffic, timeout: float) -> None:
    """Answer, and close; who does not read the answer is cut after ``timeout`` seconds."""
    traffic.handshakes[str(error.code)] += 1
    transport.write(refusal(error))
    transport.close()
    # A peer that does not read would keep the transport open until its buffer drains, which is never.
    asyncio.get_running_loop().call_later(timeout, transport.abort)
