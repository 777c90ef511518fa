"""One rate for each of many keys."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakValueDictionary

from ...protocol.rate import Rate


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
                self._accounts[key] = account  # looked at again after all others
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
