"""The facts a price is made of, by code: what `contracts.billing` multiplies, and which accounts it has room for.

Changes of seconds by lease become changes of seconds, units and rated seconds by account and hardware, and by account and
provider. Codes are row numbers of tables in order of their ids.
"""

import polars as pl

from contracts.billing import EVENT, WIDE, Ledger
from contracts.settlement_book import SettlementBook
from contracts.terms.hardware import TFLOP_SECONDS_PER_PF_DAY

ROOM = 2.0**118
HOUR = 3600.0
FIGURES = ("unit_price_micros", "fee_micros", "fair_use_units", "commit_micros", "grant_units")


def numbered_leases(book: SettlementBook) -> pl.DataFrame:
    """Every lease by code: lease, account, hardware, provider, tflops, rate_micros, credit_bps."""
    names = {
        "account": book.accounts.select("account_id").with_row_index("account"),
        "hardware": book.hardware.select("hardware", "tflops").with_row_index("hardware_code"),
        "provider": providers(book).to_frame().with_row_index("provider"),
    }
    rows = book.leases.with_row_index("lease").join(names["account"], on="account_id").join(names["hardware"], on="hardware")
    rows = rows.join(names["provider"], on="provider_id")
    rows = rows.drop("hardware").join(book.sla, on="tier", how="left").with_columns(pl.col("credit_bps").fill_null(0))
    return rows.select(
        "lease",
        pl.col("account", "hardware_code", "provider").cast(pl.Int64).name.replace("_code", ""),
        "tflops",
        "rate_micros",
        "credit_bps",
    )


def providers(book: SettlementBook) -> pl.Series:
    """The providers of all leases, in order: a provider's code is its place."""
    return book.leases["provider_id"].unique().sort()


def plan_terms(book: SettlementBook) -> pl.DataFrame:
    """What each account has signed: `terms` of a `Ledger`, with account_id and currency."""
    plans = book.plans.with_columns(pl.col(FIGURES).fill_null(0).cast(WIDE))
    rows = book.accounts.with_row_index("account").join(plans, on="plan_id", maintain_order="left")
    return rows.select(
        pl.col("account").cast(pl.Int64),
        "account_id",
        "currency",
        "plan_id",
        "kind",
        pl.col("tax_bps", "take_bps").cast(WIDE),
        *FIGURES,
        volume=(pl.col("tiering") == "volume").fill_null(value=False),
        charged=(pl.col("overage") != "throttle").fill_null(value=True),
    )


def ledger_of(changes: pl.DataFrame, book: SettlementBook, *, periods: int, billed: int = 0) -> Ledger:
    """The facts of the accounts that 128 bits have room for; the others are left out, also of `terms`. `billed` as in `Ledger`."""
    terms, leases = plan_terms(book), numbered_leases(book)
    moved = changes.join(leases, on="lease").drop("lease")
    sizes = changes.group_by("lease").agg(pl.col("seconds").cast(pl.Float64).abs().sum()).join(leases, on="lease")
    roomy = _roomy(sizes, terms.join(_dearest(book), on="plan_id", how="left"), periods=periods)
    terms = terms.join(roomy, on="account", how="semi", maintain_order="left")
    rows = moved.join(roomy, on="account", how="semi").with_columns(pl.col("seconds", "tflops", "rate_micros", "credit_bps").cast(WIDE))
    rated = pl.col("seconds") * pl.col("rate_micros")
    billable = rows.filter(~pl.col("failed"))
    return Ledger(
        terms=terms,
        tiers=book.plan_tiers.cast({"unit_price_micros": WIDE}),
        hardware=billable.group_by(*EVENT, "hardware").agg(
            pl.col("seconds").sum(), units=(pl.col("seconds") * pl.col("tflops")).sum(), rated=rated.sum()
        ),
        providers=rows.group_by(*EVENT, "provider").agg(
            rated=rated.filter(~pl.col("failed")).sum(), failed=(rated * pl.col("credit_bps")).filter("failed").sum()
        ),
        periods=periods,
        billed=billed,
    )


def _dearest(book: SettlementBook) -> pl.DataFrame:
    return book.plan_tiers.group_by("plan_id").agg(pl.col("unit_price_micros").max().alias("dearest"))


def _roomy(sizes: pl.DataFrame, terms: pl.DataFrame, *, periods: int) -> pl.DataFrame:
    """The accounts none of whose products can leave 128 bits: bounds from above, in floats, far from the edge.

    sizes   a row a lease, its seconds all that ever moved
    """
    sizes = sizes.cast({name: pl.Float64() for name in ("tflops", "rate_micros", "credit_bps")})
    rated = pl.col("seconds") * pl.col("rate_micros")
    sums = sizes.group_by("account").agg(
        units=(pl.col("seconds") * pl.col("tflops")).sum(), rated=rated.sum(), failed=(rated * pl.col("credit_bps")).sum()
    )
    figures = terms.cast({name: pl.Float64() for name in (*FIGURES, "tax_bps", "take_bps", "dearest")})
    rows = figures.join(sums, on="account", how="left").with_columns(pl.col("units", "rated", "failed", "dearest").fill_null(0.0))
    price = pl.max_horizontal("unit_price_micros", "dearest") + 1
    fees = (pl.col("fee_micros") + pl.col("commit_micros") + 2) * periods
    amount = pl.col("units") * price / TFLOP_SECONDS_PER_PF_DAY + pl.col("rated") / HOUR * (2 + pl.col("take_bps")) + fees
    weight = pl.max_horizontal("units", "rated", "failed") + pl.col("tax_bps") + 1
    most = pl.max_horizontal(amount * weight, pl.col("units") * price, (weight + amount) * (periods * periods * max(1, terms.height)))
    return rows.filter(most < ROOM).select("account")
