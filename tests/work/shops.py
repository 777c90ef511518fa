"""A service with a table, for tests of what is stored beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd import Service
from pylinkd.db import Database, Table

PATIENCE = 10.0  # seconds


class Base(DeclarativeBase):
    """The tables of the shop."""


class Sale(Base):
    """Something that was sold."""

    __tablename__ = "sales"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    item: Mapped[str]


class ShopDatabase(Database):
    """The shop's database."""

    sales: Table[Sale]


def shop(url: str, name: str = "shop") -> Service[Any]:
    """A service whose tables are made at its start."""
    service = Service(name, database=url, tables=ShopDatabase)

    @service.before_start
    async def create(service: Service[Any]) -> None:
        await service.db.create_all()

    return service


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def sold(service: Service[Any]) -> list[str]:
    """What was sold, in order."""
    return [sale.item for sale in await service.db.sales.order_by("id").get()]
