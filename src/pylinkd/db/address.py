"""Where a database is: the forms of URL that are understood, made into the one that drivers take."""

from __future__ import annotations

import importlib.util

import sqlalchemy as sa
from sqlalchemy import exc

from .errors import DatabaseSetupError, MissingDriverError

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    # The older name, which several hosting services still hand out.
    "postgres": "postgresql+asyncpg",
}
_PACKAGES = {"aiosqlite": "pylinkd", "asyncpg": "pylinkd[postgres]"}


def parse_url(text: str) -> sa.URL:
    """Read a database URL and fill in the asynchronous driver.

    ``sslmode``, as libpq and hosting services write it, becomes asyncpg's ``ssl``.

    Raises:
        DatabaseSetupError: If it is no URL, or of another database or driver.
        MissingDriverError: If the driver is not installed.
    """
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):
        # Without the text: it may hold a password.
        raise DatabaseSetupError(
            "the database URL cannot be read; expected for example sqlite:///chat.db "
            "or postgresql://user:password@host/name"
        ) from None
    if url.drivername not in _DRIVERS:
        raise DatabaseSetupError(
            f"cannot use a database by {url.drivername!r}; expected sqlite:///path or postgresql://user@host/name"
        )
    url = url.set(drivername=_DRIVERS[url.drivername])
    driver = url.get_driver_name()
    if importlib.util.find_spec(driver) is None:
        raise MissingDriverError(driver, _PACKAGES[driver])
    if driver == "asyncpg" and "sslmode" in url.query:
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url
