"""One service's rows of one table: several services may share a database."""

from __future__ import annotations

from typing import ClassVar

import sqlalchemy as sa

from ...db import Database


class Rows:
    """The rows of a service.

    Args:
        db: The service's database.
        service: Its name.
    """

    table: ClassVar[sa.Table]
    """Which table; it has a column ``service``."""

    def __init__(self, db: Database, service: str) -> None:
        self._db = db
        self._service = service
        self._mine = self.table.c.service == service

    async def count(self) -> int:
        """How many there are."""
        wanted = sa.select(sa.func.count()).select_from(self.table).where(self._mine)
        return (await self._db.execute(wanted)).scalar_one()
