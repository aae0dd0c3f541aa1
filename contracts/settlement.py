"""Settlement: from usage, leases and plans to invoices, postings and payouts, for every period up to a close.

Frames in, frames out, and nothing but their contents matters: neither the order of rows nor the time of day.
Sums over usage and all prices are taken in 128 bits; an account for which that might be too little is priced with Python's
integers; what leaves fits 64 bits or is refused by name.
"""

from datetime import datetime

import msgspec
import polars as pl

from contracts.billing import Billed, bill_all
from contracts.journal import JournalEntry, Posting
from contracts.ledger_tables import INVOICES, LINES, PAYOUTS, POSTINGS
from contracts.month_facts import ledger_of
from contracts.published import published_tables
from contracts.settlement_book import SettlementBook, settlement_book
from contracts.terms.errors import BadInput
from contracts.usage import Reading, read_usage
from contracts.wide_bills import bill_wide

__all__ = ["Published", "Settlement", "SettlementBook", "periods_until", "settle", "settle_reading", "settlement_book"]

POSTING_ORDER = ("receivable", "rounding", "tax", "fee_income", "provider_payable", "plan_margin", "grant")


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of an earlier close of periods 1…`as_of`, as a close of all would find them again."""

    as_of: int = 0
    tables: dict[str, pl.DataFrame] = msgspec.field(default_factory=dict)


NOTHING_PUBLISHED = Published()


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """Periods 1…`as_of`, settled: the published tables and what the usage came to.

    closes            when each period was closed
    published         up to this period the tables are those of an earlier close, as they were
    seconds_settled   accelerator-seconds of all months settled, failed ones included, as known at the last close
    """

    as_of: int
    invoices: pl.DataFrame
    lines: pl.DataFrame
    postings: pl.DataFrame
    payouts: pl.DataFrame
    conflicts: pl.DataFrame
    closes: tuple[datetime, ...]
    reading: Reading
    seconds_settled: int
    published: int = 0

    def tables(self) -> dict[str, pl.DataFrame]:
        """The published frames by name, in published order."""
        return {name: getattr(self, name) for name in ("invoices", "lines", "postings", "payouts", "conflicts")}

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """The postings as journal entries, by account and period; made anew at each call. Raises ValueError for one that is off."""
        order = pl.col("account").replace_strict(list(POSTING_ORDER), list(range(len(POSTING_ORDER))), return_dtype=pl.Int64)
        rows = self.postings.sort("account_id", "period", order, "party")
        found: dict[str, list[Posting]] = {}
        heads: dict[str, tuple[str, int, str]] = {}
        for entry, account_id, period, currency, account, party, amount, reason in rows.iter_rows():
            heads[entry] = (account_id, period, reason)
            posting = Posting(account=account, party=party or "", amount_micros=amount, currency=currency)
            found.setdefault(entry, []).append(posting)
        return tuple(
            JournalEntry(
                id=entry,
                kind="settlement",
                state="posted",
                at=self.closes[period - 1],
                reason=reason,
                postings=tuple(found[entry]),
                subject=f"{account_id}:{period}",
            )
            for entry, (account_id, period, reason) in heads.items()
        )


def settle(month: SettlementBook, *, as_of: int | None = None) -> Settlement:
    """Settle periods 1…as_of (all, by default) of a checked book.

    Raises BadInput when `as_of` is no period, or when a result does not fit 64 bits.
    """
    periods = periods_until(month.periods, as_of)
    return settle_reading(read_usage(month.usage, leases=month.leases, periods=periods), month, periods=periods)


def periods_until(periods: pl.DataFrame, as_of: int | None) -> pl.DataFrame:
    """The periods 1…as_of, all by default. Raises BadInput when there is no such period."""
    last = periods.height if as_of is None else as_of
    if not 1 <= last <= periods.height:
        raise BadInput("there is no such period to settle", file="periods", found=last, would_do=f"1 to {periods.height}")
    return periods.sort("period").head(last)


def settle_reading(
    reading: Reading, month: SettlementBook, *, periods: pl.DataFrame, published: Published = NOTHING_PUBLISHED
) -> Settlement:
    """Settle what the usage came to, however it was read; `month.usage` is not looked at.

    published   periods that need not be billed again, of the same book: up to there the reading must not differ from what they
                were billed from
    Raises BadInput when a result does not fit 64 bits.
    """
    assert published.as_of <= reading.standing, "what is published was billed from another reading"
    billed = _billed(reading.changes, month, periods=range(published.as_of + 1, periods.height + 1))
    tables = _after(published, published_tables(billed, month))
    return Settlement(
        as_of=periods.height,
        invoices=tables[INVOICES.name],
        lines=tables[LINES.name],
        postings=tables[POSTINGS.name],
        payouts=tables[PAYOUTS.name],
        conflicts=reading.conflicts,
        closes=tuple(periods["closes_at"]),
        reading=reading,
        seconds_settled=int(reading.changes["seconds"].cast(pl.Int128).sum() or 0),
        published=published.as_of,
    )


def _after(published: Published, tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Tables of later periods after those of earlier ones, in published order."""
    if not published.as_of:
        return tables
    both = {table: pl.concat([published.tables[table.name], tables[table.name]]) for table in (INVOICES, LINES, POSTINGS, PAYOUTS)}
    return {table.name: frame.sort(table.key) for table, frame in both.items()}


def _billed(changes: pl.DataFrame, month: SettlementBook, *, periods: range) -> Billed:
    """The bills of some periods; what changed before them changed in the one before them."""
    before = periods.start - 1
    changes = changes.with_columns(pl.max_horizontal("period", pl.lit(before, pl.Int64)))
    ledger = ledger_of(changes, month, periods=periods.stop - 1, billed=before)
    billed = bill_all(ledger)
    wide = set(month.accounts["account_id"]) - set(ledger.terms["account_id"])
    if not wide:
        return billed
    others = bill_wide(changes, month, accounts=wide, periods=periods)
    parts = {
        name: pl.concat([getattr(billed, name), getattr(others, name).select(getattr(billed, name).columns)])
        for name in billed.__struct_fields__
    }
    return Billed(**parts)
