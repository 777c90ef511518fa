"""Demonstration users: who they are, their published password, and where to go. Only where there is no production."""

from __future__ import annotations

import os

from pylinkd import Service

from .models import ChatDatabase

DEMO_PASSWORD = "linkd-demo"  # noqa: S105  published on purpose
"""Of all users that seed.py makes. In production it is nobody's, whatever the database says."""

ALICE = "11111111-1111-1111-1111-111111111111"
BOB = "22222222-2222-2222-2222-222222222222"
CHARLIE = "33333333-3333-3333-3333-333333333333"
DANA = "44444444-4444-4444-4444-444444444444"

DEMO_USERS = {ALICE: "Alice", BOB: "Bob", CHARLIE: "Charlie", DANA: "Dana"}


async def show_links(service: Service[ChatDatabase]) -> None:
    """Print where to go, once there is somebody to answer."""
    port = os.environ.get("LINKD_PORT", "0")
    if port == "0":
        return  # only the gateway knows: ``linkd dev`` says it here, ``linkd run`` alone does not
    host = os.environ.get("LINKD_HOST", "127.0.0.1")
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{port}/"  # noqa: S104  compared, not bound
    # For the person at the terminal, who should not have to look for it in the log.
    print(  # noqa: T201
        f"\nLinkd chat: {address}\n  as Alice: {address}?user=alice\n  as Bob:   {address}?user=bob\n"
        f"  {', '.join(DEMO_USERS.values())} have the password {DEMO_PASSWORD}\n",
        flush=True,
    )
