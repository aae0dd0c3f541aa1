"""What a close reads, and what it leaves behind."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import ColumnElement, Label, func, or_, text
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from broker.services.views import StatementLine, StatementView
from broker.store.copying import copy_out, merge
from broker.store.repositories.resales import ResaleRepository
from broker.store.rows import (
    AccountRow,
    ActRow,
    CloseRow,
    InvoiceLineRow,
    InvoiceRow,
    LeaseRow,
    LeaseSlotRow,
    PayoutRow,
    PlanRow,
    ProviderRow,
    SellerRow,
    SetAsideRow,
    UsageRow,
)
from contracts.close import CloseRecord
from contracts.ledger_tables import ACCOUNTS, HARDWARE, LEASES, PARTIES, PERIODS, PLANS, PROVIDERS, USAGE
from contracts.resale import bought_of, sold_by_holders, with_resold, with_sold
from contracts.review import Unbilled
from contracts.settlement import Settlement, SettlementBook, settlement_book
from contracts.settlement_book import in_total_order
from contracts.statements import Invoice, InvoiceLine, PayoutAdvice, Seller
from contracts.terms.hardware import HardwareClass
from contracts.terms.tables import Table
from contracts.terms.time import Period

ONLY = "seller"


class ClosedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A period that was closed, and when."""

    period: int
    month: Period
    closes_at: datetime
    status: str


class KeptUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of all usage received before a moment: columns of `USAGE`, leases as they are known to their holders."""

    rows: pl.DataFrame
    until: datetime


class SettlementRepository:
    """Reads a settlement book from the live tables; keeps what a close decided."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def closed(self) -> list[ClosedPeriod]:
        """Closed periods, in order."""
        rows = await self._session.scalars(select(CloseRow).order_by(col(CloseRow.period)))
        return [
            ClosedPeriod(period=row.period, month=Period(row.month_start, row.month_end), closes_at=row.closes_at, status=row.status)
            for row in rows
        ]

    async def closed_at(self, period: int) -> datetime | None:
        """Until when what arrived counted for a finalised period; None while it is open."""
        row = await self._session.get(CloseRow, period)
        return row.closes_at if row else None

    async def record(self, period: int) -> CloseRecord | None:
        """The close record of a period, or None while it is open."""
        row = await self._session.get(CloseRow, period)
        return msgspec.convert(row.record, CloseRecord) if row else None

    async def first_slot(self) -> datetime | None:
        """When the first hour that was ever leased began."""
        return (await self._session.scalars(select_columns(func.min(LeaseSlotRow.slot_start)))).one()

    async def latest_moment(self) -> datetime | None:
        """The latest moment the store knows anything of: an arrival, or somebody's act."""
        statement = select_columns(func.greatest(select_columns(func.max(UsageRow.received_at)).scalar_subquery(), func.max(ActRow.at)))
        latest: datetime | None = (await self._session.scalars(statement)).one()
        return latest

    async def stop_arrivals(self) -> None:
        """Wait for usage under way and let none in until the transaction ends."""
        await self._session.execute(text("LOCK TABLE usage_records IN SHARE ROW EXCLUSIVE MODE"))

    async def unbilled(self, closed: ClosedPeriod, *, since: datetime) -> Unbilled:
        """What a close leaves out of hours that ended before a moment: records that came too late, leases nobody metered."""
        late = select_columns(func.count(), func.min(UsageRow.end)).where(
            col(UsageRow.received_at) >= closed.closes_at, col(UsageRow.end) < since
        )
        records, oldest = (await self._session.execute(late)).one()
        metered = select_columns(col(UsageRow.lease_id)).where(col(UsageRow.received_at) < closed.closes_at)
        silent = (
            select_columns(col(LeaseSlotRow.lease_id))
            .where(
                col(LeaseSlotRow.slot_start) >= closed.month.start,
                col(LeaseSlotRow.slot_end) <= min(closed.month.end, since),
                col(LeaseSlotRow.quantity) > 0,
                col(LeaseSlotRow.lease_id).not_in(metered),
            )
            .distinct()
            .order_by(col(LeaseSlotRow.lease_id))
        )
        return Unbilled(records_waiting=records, oldest=oldest, leases_silent=tuple(await self._session.scalars(silent)))

    async def book(
        self,
        periods: list[ClosedPeriod],
        hardware: list[HardwareClass],
        *,
        account_id: str | None = None,
        kept: KeptUsage | None = None,
    ) -> SettlementBook:
        """Everything these periods are settled from, of one account or of all: what was known at the last of their closes.

        A lease whose rate changes by slot is one settlement lease per rate, `{lease_id}@{n}`, rates in order of time.

        kept   usage that need not be read again, received no later than that
        """
        known_until = periods[-1].closes_at
        sales = (await ResaleRepository(self._session).all_sales()).filter(pl.col("slot_start") < known_until)
        mine = sales if account_id is None else sales.filter(pl.col("account_id") == account_id)
        rated = await self._rated_leases(known_until, account_id, sold=mine)
        since = kept.until if kept else None
        arrived = await self.received(known_until, since=since, account_id=account_id, bought=bought_of(mine, sales))
        usage = with_resold(pl.concat([kept.rows, arrived]) if kept else arrived, sales)
        frames = {
            "usage": _rated(usage.filter(pl.col("lease_id").is_in(rated["lease_id"].unique().implode())) if account_id else usage, rated),
            "leases": sold_by_holders(await self._leases(rated), sales),
            "accounts": _frame(
                [row.model_dump() | {"account_id": row.id} for row in await self._session.scalars(_known_accounts(known_until))], ACCOUNTS
            ),
            "hardware": _frame([{"hardware": each.name, "tflops": each.tflops} for each in hardware], HARDWARE),
            "plans": _frame([row.terms | {"plan_id": row.id} for row in await self._session.scalars(select(PlanRow))], PLANS),
            "periods": _frame(
                [{"period": p.period, "month_start": p.month.start, "month_end": p.month.end, "closes_at": p.closes_at} for p in periods],
                PERIODS,
            ),
        }
        return settlement_book(frames)

    async def providers(self, until: datetime) -> pl.DataFrame:
        """The public table `providers`, as far as it was known at a moment: who joins later is in no earlier close."""
        known = or_(col(ProviderRow.joined_at).is_(None), col(ProviderRow.joined_at) < until)
        rows = await self._session.scalars(select(ProviderRow).where(known).order_by(col(ProviderRow.id)))
        return _frame([row.model_dump() | {"provider_id": row.id} for row in rows], PROVIDERS)

    async def parties(self, until: datetime) -> pl.DataFrame:
        """The public table `parties`: the accounts known at a moment that said what an e-invoice must name."""
        rows = await self._session.scalars(_known_accounts(until).where(col(AccountRow.legal_name) != "").order_by(col(AccountRow.id)))
        return _frame([row.model_dump() | {"account_id": row.id} for row in rows], PARTIES)

    async def seller(self) -> Seller:
        """Who issues the invoices."""
        row = await self._session.get(SellerRow, ONLY)
        return Seller(**row.model_dump(exclude={"id"})) if row else Seller()

    async def name_seller(self, seller: Seller) -> None:
        """Say who issues the invoices, from now on."""
        facts = msgspec.structs.asdict(seller)
        await self._session.execute(insert(SellerRow).values(id=ONLY, **facts).on_conflict_do_update(index_elements=["id"], set_=facts))

    async def _rated_leases(self, until: datetime, account_id: str | None, *, sold: pl.DataFrame) -> pl.DataFrame:
        """Every lease slot that began before a moment, with its settlement lease: lease_id, slot_start, rate_micros, quantity, rated_id."""
        statement = select_columns(
            col(LeaseSlotRow.lease_id), col(LeaseSlotRow.slot_start), col(LeaseSlotRow.rate_micros), col(LeaseSlotRow.quantity)
        )
        chosen = [col(LeaseSlotRow.slot_start) < until, *_leased_by(account_id, col(LeaseSlotRow.lease_id))]
        slots = with_sold(await copy_out(self._session, statement.where(*chosen)), sold)
        # Numbered by when a rate first held: slots dropped later, by a release or a failure, renumber nothing.
        first = pl.col("slot_start").min().over("lease_id", "rate_micros")
        number = first.rank("dense").over("lease_id").cast(pl.Int64)
        return slots.with_columns(rated_id=pl.format("{}@{}", "lease_id", number))

    async def _leases(self, rated: pl.DataFrame) -> pl.DataFrame:
        most = rated.group_by("lease_id", "rated_id", "rate_micros").agg(pl.col("quantity").max().alias("accelerators"))
        lease_id: Label[str] = col(LeaseRow.id).label("lease_id")
        rest = [col(getattr(LeaseRow, name)) for name in ("account_id", "provider_id", "hardware", "tier")]
        leases = await copy_out(self._session, select_columns(lease_id, *rest))
        joined = most.join(leases, on="lease_id").drop("lease_id").rename({"rated_id": "lease_id"})
        return joined.select(list(LEASES.schema))

    async def received(
        self, until: datetime, *, since: datetime | None = None, account_id: str | None = None, bought: Sequence[str] = ()
    ) -> pl.DataFrame:
        """Usage received before a moment, and not before another, in no order: records, and copies of them that said something else.

        account_id   whose leases it was delivered on; None for all; `bought` are leases that count as the account's too
        """
        return pl.concat(
            [
                await copy_out(
                    self._session,
                    select_columns(*(col(getattr(row, name)) for name in USAGE.schema)).where(
                        col(row.received_at) < until,
                        *([col(row.received_at) >= since] if since else []),
                        *which,
                        *_leased_by(account_id, col(row.lease_id), also=bought),
                    ),
                )
                for row, which in ((UsageRow, []), (SetAsideRow, [col(SetAsideRow.reason) == "other_content"]))
            ]
        )

    async def keep(self, closed: ClosedPeriod, settlement: Settlement, *, record: CloseRecord) -> None:
        """Write what the period decided; those already there are left alone, so a close that is run again writes nothing."""
        row = {
            "period": closed.period,
            "month_start": closed.month.start,
            "month_end": closed.month.end,
            "closes_at": closed.closes_at,
            "status": closed.status,
            "record": msgspec.to_builtins(record),
        }
        await self._session.execute(insert(CloseRow).values(row).on_conflict_do_nothing())
        own = pl.col("period") == closed.period
        lines = settlement.lines.filter(own)
        numbered = lines.with_columns(pl.int_range(pl.len()).over("account_id").alias("line"))
        for table, frame in (
            (InvoiceRow, settlement.invoices.filter(own)),
            (InvoiceLineRow, numbered),
            (PayoutRow, settlement.payouts.filter(own)),
        ):
            await merge(self._session, table, frame=frame.select(list(table.model_fields)))

    async def advices(self, period: int) -> list[PayoutAdvice]:
        """What providers are owed for a closed period, by provider and currency."""
        named = select(PayoutRow, ProviderRow, CloseRow).join(ProviderRow, col(ProviderRow.id) == col(PayoutRow.provider_id))
        named = named.join(CloseRow, col(CloseRow.period) == col(PayoutRow.period)).where(col(PayoutRow.period) == period)
        rows = await self._session.execute(named.order_by(col(PayoutRow.provider_id), col(PayoutRow.currency)))
        return [
            PayoutAdvice(**row.model_dump(), provider_name=provider.name, month_start=close.month_start, month_end=close.month_end)
            for row, provider, close in rows
        ]

    async def invoices(self, period: int) -> list[Invoice]:
        """The invoices of a period as exports know them, by account."""
        months = {each.period: each.month for each in await self.closed()}
        accounts = {row.id: row for row in await self._session.scalars(select(AccountRow))}
        return [_invoice(each, accounts[each.account_id], months=months) for each in await self.statements(period=period)]

    async def statements(self, *, account_id: str | None = None, period: int | None = None) -> list[StatementView]:
        """Invoices by account and period, each with its lines in order."""
        invoices = select(InvoiceRow, AccountRow, CloseRow)
        invoices = invoices.join(AccountRow, col(AccountRow.id) == col(InvoiceRow.account_id))
        invoices = invoices.join(CloseRow, col(CloseRow.period) == col(InvoiceRow.period))
        lines = select(InvoiceLineRow).order_by(col(InvoiceLineRow.line))
        if account_id is not None:
            invoices = invoices.where(col(InvoiceRow.account_id) == account_id)
            lines = lines.where(col(InvoiceLineRow.account_id) == account_id)
        if period is not None:
            invoices = invoices.where(col(InvoiceRow.period) == period)
            lines = lines.where(col(InvoiceLineRow.period) == period)
        by_invoice: dict[tuple[str, int], list[StatementLine]] = {}
        for line in await self._session.scalars(lines):
            facts = {name: getattr(line, name) for name in StatementLine.__struct_fields__}
            by_invoice.setdefault((line.account_id, line.period), []).append(StatementLine(**facts))
        rows = await self._session.execute(invoices.order_by(col(InvoiceRow.account_id), col(InvoiceRow.period)))
        return [
            _statement(invoice, account, close=close, lines=by_invoice.get((invoice.account_id, invoice.period), []))
            for invoice, account, close in rows
        ]


def _leased_by(account_id: str | None, lease_id: Mapped[str], *, also: Sequence[str] = ()) -> list[ColumnElement[bool]]:
    """That a lease is the account's, or one of some more; nothing for all accounts."""
    if account_id is None:
        return []
    own = lease_id.in_(select_columns(col(LeaseRow.id)).where(col(LeaseRow.account_id) == account_id))
    return [own | lease_id.in_(list(also)) if also else own]


def _known_accounts(until: datetime) -> SelectOfScalar[AccountRow]:
    """The accounts that had been opened by a moment."""
    return select(AccountRow).where(or_(col(AccountRow.opened_at).is_(None), col(AccountRow.opened_at) < until))


def _rated(usage: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    """Usage by settlement leases: each record on the rate of the slot it began in."""
    slots = rated.select("lease_id", "slot_start", "rated_id").sort("slot_start")
    found = usage.sort("start").join_asof(slots, left_on="start", right_on="slot_start", by="lease_id", check_sortedness=False)
    return in_total_order(found.with_columns(pl.col("rated_id").alias("lease_id")))


def _invoice(found: StatementView, account: AccountRow, *, months: dict[int, Period]) -> Invoice:
    lines = tuple(
        InvoiceLine(
            kind=line.kind,
            month_start=months[line.month].start,
            hardware=line.hardware,
            quantity_seconds=line.quantity_seconds,
            amount_micros=line.amount_micros,
            amount_cents=line.amount_cents,
        )
        for line in found.lines
    )
    same = {name: getattr(found, name) for name in Invoice.__struct_fields__ if name in StatementView.__struct_fields__}
    own = {"id": f"{found.account_id}:{found.period}", "plan_id": account.plan_id, "tax_bps": account.tax_bps, "lines": lines}
    return Invoice(**(same | own))


def _statement(invoice: InvoiceRow, account: AccountRow, *, close: CloseRow, lines: list[StatementLine]) -> StatementView:
    own = StatementView.__struct_fields__
    facts = {name: value for name, value in invoice.model_dump().items() if name in own}
    return StatementView(account_name=account.name, month_start=close.month_start, month_end=close.month_end, lines=lines, **facts)


def _frame(rows: list[dict[str, Any]], table: Table) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in table.schema} for row in rows], schema=table.schema)
