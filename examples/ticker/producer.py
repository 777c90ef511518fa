"""The producer: no service, a plain program that sends a price to the room of each symbol every second."""

from __future__ import annotations

import asyncio
import random

from pylinkd import Publisher, ServiceUnavailableError

SYMBOLS = ("tea", "coffee")


async def main() -> None:
    """Send until the program is ended. Prices of the time without a gateway are of no use later: they are left out."""
    prices = dict.fromkeys(SYMBOLS, 100.0)
    async with Publisher("ticker") as publisher:
        while True:
            for symbol in SYMBOLS:
                prices[symbol] = round(prices[symbol] + random.uniform(-1, 1), 2)  # noqa: S311  no secret
                try:
                    await publisher.to(symbol).emit("ticker.price", {"symbol": symbol, "price": prices[symbol]})
                except ServiceUnavailableError:
                    continue
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
