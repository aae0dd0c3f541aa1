"""Bills as the tables that are published: codes back to names, 128 bits back to 64, or refused by name."""

from typing import NoReturn

import polars as pl

from contracts.billing import BILL, WIDE, Billed
from contracts.ledger_tables import INVOICES, LINES, PAYOUTS, POSTINGS
from contracts.month_facts import plan_terms, providers
from contracts.settlement_book import SettlementBook
from contracts.terms.errors import BadInput
from contracts.terms.money import INT64_MAX, MICROS_PER_CENT
from contracts.terms.tables import Table


def published_tables(billed: Billed, book: SettlementBook) -> dict[str, pl.DataFrame]:
    """Invoices, lines, postings and payouts by name, rows by key. Raises BadInput for an amount that does not fit 64 bits."""
    names = plan_terms(book).select("account", "account_id", "currency")
    bills = billed.bills.join(names, on="account")
    dues = billed.dues.join(names, on="account").with_columns(pl.lit(providers(book)).gather(pl.col("provider")).alias("provider_id"))
    postings = _postings(bills, dues)
    issued = bills.join(postings, on=["account_id", "period"], how="semi")
    invoices = pl.concat([issued, bills.filter(pl.col("lines") > 0).join(issued, on=BILL, how="anti")])
    tables = (
        (LINES, _lines(billed.lines, book)),
        (INVOICES, _invoices(invoices)),
        (POSTINGS, postings),
        (PAYOUTS, _payouts(dues)),
    )
    return {table.name: _published(table, frame) for table, frame in tables}


def _lines(lines: pl.DataFrame, book: SettlementBook) -> pl.DataFrame:
    hardware = pl.when(pl.col("hardware") >= 0).then(pl.col("hardware"))
    return lines.with_columns(
        pl.lit(book.accounts["account_id"]).gather(pl.col("account")).alias("account_id"),
        pl.lit(book.hardware["hardware"]).gather(hardware).alias("hardware"),
    )


def _invoices(bills: pl.DataFrame) -> pl.DataFrame:
    return bills.with_columns(
        total_micros=pl.col("subtotal_micros") + pl.col("tax_micros"), tax_cents=pl.col("payable_cents") - pl.col("subtotal_cents")
    )


def _postings(bills: pl.DataFrame, dues: pl.DataFrame) -> pl.DataFrame:
    """One entry an account and period.

    The buyer owes whole cents and the rest is rounding; providers are owed cost less credit; what is left, either
    way, is the plan's margin, or what the grant has paid.
    """
    receivable = pl.col("payable_cents") * pl.lit(MICROS_PER_CENT, WIDE)
    nobody = pl.lit(None, pl.String)
    parts = [
        (pl.lit("receivable"), pl.col("account_id"), receivable),
        (pl.lit("rounding"), nobody, pl.col("subtotal_micros") + pl.col("tax_micros") - receivable),
        (pl.lit("tax"), nobody, 0 - pl.col("tax_micros")),
        (pl.lit("fee_income"), nobody, 0 - pl.col("take_micros")),
        (
            pl.when(pl.col("kind") == "grant").then(pl.lit("grant")).otherwise(pl.lit("plan_margin")),
            nobody,
            pl.col("due_micros") + pl.col("take_micros") - pl.col("subtotal_micros"),
        ),
    ]
    head = ["account_id", "period", "currency"]
    reason = pl.when(pl.col("payable_cents") < 0).then(pl.lit("credit_note")).otherwise(pl.lit("invoice"))
    reasons = bills.select(*head, reason=reason)
    owed = dues.select(*head, account=pl.lit("provider_payable"), party=pl.col("provider_id"), amount_micros=0 - pl.col("due"))
    rows = [bills.select(*head, account=account, party=party, amount_micros=amount) for account, party, amount in parts]
    return (
        pl.concat([*rows, owed])
        .filter(pl.col("amount_micros") != 0)
        .join(reasons, on=head)
        .with_columns(pl.format("settle:{}:{}", "account_id", "period").alias("entry_id"))
    )


def _payouts(dues: pl.DataFrame) -> pl.DataFrame:
    """What each provider earned in a period and currency: this month's cost, and what earlier months and credits change."""
    sums = dues.group_by("provider_id", "period", "currency").agg(gross_micros=pl.col("gross").sum(), net_micros=pl.col("due").sum())
    return sums.filter((pl.col("gross_micros") != 0) | (pl.col("net_micros") != 0)).with_columns(
        adjustments_micros=pl.col("net_micros") - pl.col("gross_micros")
    )


def _published(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    rows = frame.select(list(table.schema)).sort(table.key)
    for name, dtype in rows.schema.items():
        if dtype == WIDE:
            wide = rows.filter(~pl.col(name).is_between(pl.lit(-INT64_MAX - 1, WIDE), pl.lit(INT64_MAX, WIDE)))
            if wide.height:
                _refuse(table, wide.head(1), column=name)
    return rows.cast(table.schema)  # type: ignore[arg-type]


def _refuse(table: Table, row: pl.DataFrame, *, column: str) -> NoReturn:
    place = ", ".join(str(part) for part in row.select(name for name in table.schema if name in table.key).row(0) if part is not None)
    raise BadInput("a result does not fit 64 bits", file=table.name, row=place, column=column, found=str(row[column][0]))
