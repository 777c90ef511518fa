"""Writes an invoice for each order that it hears of."""

from __future__ import annotations

import os

import msgspec
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pylinkd import EventContext, HttpContext, Service
from pylinkd.db import Database, Table


class Base(DeclarativeBase):
    """The tables."""


class Invoice(Base):
    """What somebody has to pay."""

    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    order: Mapped[int]
    item: Mapped[str]


class BillingDatabase(Database):
    """The service's database."""

    invoices: Table[Invoice]


service = Service(
    "billing", database=os.environ.get("BILLING_DATABASE", "sqlite:///billing.db"), tables=BillingDatabase
)


class Placed(msgspec.Struct):
    """The event ``order.placed``."""

    order: int
    item: str


@service.before_start
async def create_tables(service: Service[BillingDatabase]) -> None:
    """Make the tables that do not exist yet."""
    await service.db.create_all()


@service.events.on("order.placed", durable=True, once=True)
async def placed(ctx: EventContext[BillingDatabase], placed: Placed) -> None:
    """Write the invoice and tell of it. With ``once`` both, and that it was done, are one transaction."""
    invoice = await ctx.db.invoices.insert(order=placed.order, item=placed.item)
    await ctx.emit("invoice.written", {"order": placed.order, "invoice": invoice.id}, durable=True)


@service.action("billing.invoices", route="/billing/invoices")
async def invoices(ctx: HttpContext[BillingDatabase]) -> list[Invoice]:
    """All invoices, the latest first."""
    return await ctx.db.invoices.order_by("-id").limit(1000).get()
