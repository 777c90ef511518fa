"""Connections that have not said yet what they want, or are not let in yet: how many there may be."""

from __future__ import annotations

from .addresses import site


class Unfinished:
    """Counts them.

    Args:
        most: How many there may be at once.
        most_each: How many of one address.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._by_address: dict[str, int] = {}
        self._all = 0

    def enter(self, address: str, *, shared: bool = False) -> bool:
        """Count one more.

        Args:
            address: Where it comes from.
            shared: Many come from there, such as a proxy's clients: it counts among all alone.

        Returns:
            ``False``: there are too many, and it was not counted.
        """
        if self._all >= self._most:
            return False
        if not shared:
            place = site(address)
            of_address = self._by_address.get(place, 0)
            if of_address >= self._most_each:
                return False
            self._by_address[place] = of_address + 1
        self._all += 1
        return True

    def crowded(self, address: str) -> bool:
        """Whether there are as many of this address as there may be."""
        return self._by_address.get(site(address), 0) >= self._most_each

    def leave(self, address: str, *, shared: bool = False) -> None:
        """Count one that had entered out again, by the same words."""
        self._all -= 1
        if shared:
            return
        place = site(address)
        left = self._by_address[place] - 1
        if left:
            self._by_address[place] = left
        else:
            del self._by_address[place]

    def __len__(self) -> int:
        return self._all
