"""How much is allowed in how much time: the generic cell rate algorithm (ITU-T I.371), which keeps one number a key.

The number is when everything that was taken so far would be paid off at the steady rate. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakValueDictionary

from ...protocol.rate import parse_rate

_ROUNDING = 1e-6  # seconds; far more than a sum of clocks and periods is off, and less than anybody can use


class Rate:
    """So many in so much time: as many at once, then one after the other as time passes.

    Attributes:
        text: As it was written, such as ``100/s``, ``20/m``, ``300/10s``.
        interval: Seconds that one of them costs.
        period: Seconds in which all of them are allowed.
        ceiling: Seconds that may be owed, which is the period and what rounding adds to it.
    """

    __slots__ = ("ceiling", "interval", "period", "text")

    def __init__(self, count: int, period: float) -> None:
        self.text = f"{count}/{period:g}s"
        self.period = period
        self.interval = period / count
        self.ceiling = period + _ROUNDING

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """Read ``100/s`` and its like; ``None`` for ``off``.

        Raises:
            ValueError: If it is none.
        """
        if text == "off":
            return None
        try:
            count, period = parse_rate(text)
        except ValueError as cause:
            raise ValueError(f"{cause}; off sets no limit") from cause
        rate = cls(count, period)
        rate.text = text
        return rate

    def take(self, paid: float, now: float, cost: float = 1.0) -> tuple[float, float]:
        """Take ``cost`` of them.

        Args:
            paid: When everything taken so far is paid off; 0: nothing was taken.
            now: The time in seconds.
            cost: How many.

        Returns:
            When everything is paid off now, and 0.0; or ``paid`` as it was, and the seconds after which to try again.
        """
        after = (paid if paid > now else now) + self.interval * cost
        owed = after - now
        return (after, 0.0) if owed <= self.ceiling else (paid, owed - self.period)

    def __repr__(self) -> str:
        return f"<Rate {self.text}>"


class Account:
    """What one key has taken.

    Attributes:
        paid: When everything taken so far is paid off; 0: nothing was taken.
    """

    __slots__ = ("__weakref__", "paid")

    def __init__(self) -> None:
        self.paid = 0.0


class Rates:
    """One rate for each of many keys, of which a bounded number is remembered.

    What owes nothing is forgotten as new keys come, so that a stream of ever new keys leaves no more than those of the
    last period.

    Args:
        rate: What each is allowed; ``None``: everything.
        most: Keys that are remembered. Beyond them the ones seen first are forgotten, though they owe something.
    """

    def __init__(self, rate: Rate | None, most: int = 100_000) -> None:
        self.rate = rate
        self._most = most
        self._accounts: dict[Hashable, Account] = {}
        # Accounts that were forgotten and that a session still counts by: the same user's next session shares them.
        self._in_use: WeakValueDictionary[Hashable, Account] = WeakValueDictionary()

    def account(self, key: Hashable, now: float) -> Account:
        """The key's account. Whoever keeps it counts by it, though it may be forgotten here."""
        account = self._accounts.get(key)
        if account is None:
            account = self._in_use.get(key) or Account()
            if len(self._accounts) >= self._most:
                self._forget(now)
            self._accounts[key] = account
            self._look_at_oldest(now)
        return account

    def _look_at_oldest(self, now: float) -> None:
        """Forget those that owe nothing. Two for each that is new, so that there are never many of them."""
        for _ in range(min(2, len(self._accounts) - 1)):
            key = next(iter(self._accounts))
            account = self._accounts.pop(key)
            if account.paid > now:
                self._accounts[key] = account  # seen again when the others were
            else:
                self._in_use[key] = account

    def take(self, key: Hashable, now: float) -> float:
        """Take one for the key; 0.0, or the seconds after which to try again, and then nothing was taken."""
        rate = self.rate
        if rate is None:
            return 0.0
        account = self.account(key, now)
        account.paid, wait = rate.take(account.paid, now)
        return wait

    def peek(self, key: Hashable, now: float) -> float:
        """What ``take`` would say, without taking."""
        account = self._accounts.get(key)
        return 0.0 if self.rate is None or account is None else self.rate.take(account.paid, now)[1]

    def _forget(self, now: float) -> None:
        # A tenth at once, so that a flood of new keys does not walk the table for each.
        for key in [key for key, account in self._accounts.items() if account.paid <= now]:
            self._in_use[key] = self._accounts.pop(key)
        while len(self._accounts) > self._most * 0.9:
            key = next(iter(self._accounts))
            self._in_use[key] = self._accounts.pop(key)

    def __len__(self) -> int:
        return len(self._accounts)
