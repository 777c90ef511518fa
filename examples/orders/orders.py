"""Takes orders, tells of them, and hears when they are billed."""

from __future__ import annotations

import os
import time

import msgspec
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd import EventContext, JobContext, Service, WsContext
from pylinkd.db import Database, Table

PAY_WITHIN = 60.0  # seconds
KEEP = 30 * 86_400.0  # seconds


class Base(DeclarativeBase):
    """The tables."""


class Order(Base):
    """What somebody ordered."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="placed")
    placed_at: Mapped[float]


class OrdersDatabase(Database):
    """The service's database."""

    orders: Table[Order]


service = Service("orders", database=os.environ.get("ORDERS_DATABASE", "sqlite:///orders.db"), tables=OrdersDatabase)


class NewOrder(msgspec.Struct):
    """What a client sends."""

    item: str


class Placed(msgspec.Struct):
    """The event ``order.placed``."""

    order: int
    item: str


class Written(msgspec.Struct):
    """The event ``invoice.written``."""

    order: int
    invoice: int


@service.before_start
async def create_tables(service: Service[OrdersDatabase]) -> None:
    """Make the tables that do not exist yet."""
    await service.db.create_all()


@service.ws.on("orders.place")
async def place(ctx: WsContext[OrdersDatabase], new: NewOrder) -> int:
    """Store an order, and tell of it: both or neither."""
    async with ctx.db.transaction():
        order = await ctx.db.orders.insert(item=new.item, placed_at=time.time())
        await ctx.emit("order.placed", Placed(order=order.id, item=order.item), durable=True)
        await ctx.after(PAY_WITHIN, cancel, order.id, key=str(order.id))
    return order.id


@service.ws.on("orders.list")
async def listed(ctx: WsContext[OrdersDatabase]) -> list[Order]:
    """All orders, the latest first."""
    return await ctx.db.orders.order_by("-id").limit(1000).get()


@service.events.on("invoice.written", durable=True, once=True)
async def billed(ctx: EventContext[OrdersDatabase], written: Written) -> None:
    """Note that an order is billed; it is cancelled no more."""
    await ctx.db.orders.where_equals("id", written.order).update(state="billed")
    await ctx.cancel_job(cancel, key=str(written.order))
    await ctx.everyone.emit("orders.billed", {"order": written.order}, volatile=True)


@service.job("orders.cancel")
async def cancel(ctx: JobContext[OrdersDatabase], order: int) -> None:
    """Cancel an order for which no invoice came."""
    await ctx.db.orders.where_equals("id", order).where_equals("state", "placed").update(state="cancelled")


@service.cron("0 3 * * *", timezone="Europe/Berlin")
async def forget(ctx: JobContext[OrdersDatabase]) -> None:
    """Forget old orders, at night."""
    await ctx.db.orders.where_lt("placed_at", time.time() - KEEP).delete()
