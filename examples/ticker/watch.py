"""The client: prints the prices of one symbol (``watch.py ws://127.0.0.1:3000/ws tea``)."""

from __future__ import annotations

import asyncio
import sys

from pylinkd.client import connect


async def main(url: str, symbol: str) -> None:
    """Print prices until the program is ended."""
    async with connect(url) as client:
        events = client.events("ticker.price")
        await client.call("ticker.watch", symbol)
        async for event in events:
            print(event.data["symbol"], event.data["price"], flush=True)  # noqa: T201  it is what it is for


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
