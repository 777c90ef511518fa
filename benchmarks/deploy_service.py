"""The service of the scenario ``deploy``: it echoes numbers in order, and sells things once."""

from __future__ import annotations

import os

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd import ConflictError, Service, WsContext
from pylinkd.db import Database, Table


class Base(DeclarativeBase):
    """The tables."""


class Sale(Base):
    """Something that was sold."""

    __tablename__ = "sales"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str]


class DeployDatabase(Database):
    """The service's database."""

    sales: Table[Sale]


service = Service("deploy", database=os.environ["BENCH_DATABASE"], tables=DeployDatabase)

_last: dict[str, int] = {}  # number of each client, as far as this instance has seen


@service.before_start
async def create_tables(service: Service[DeployDatabase]) -> None:
    """Make the table if it does not exist yet."""
    await service.db.create_all()


@service.ws.on("deploy.echo")
async def echo(ctx: WsContext, number: int) -> int:
    """Give a number back; one that is smaller than an earlier one of the session came out of order."""
    if number < _last.get(ctx.socket.id, 0):
        raise ConflictError(type="OUT_OF_ORDER")
    _last[ctx.socket.id] = number
    return number


@service.ws.on("deploy.sell", once=True)
async def sell(ctx: WsContext[DeployDatabase], key: str) -> str:
    """Sell something, once for each key."""
    await ctx.db.sales.insert(key=key)
    return key
