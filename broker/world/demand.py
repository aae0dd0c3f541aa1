"""The bids of the shipped world, in the published columns.

The bids name hardware and what bounds their work; the factors are computed here from the catalogue, so that a
better figure for a chip changes every bid that may run on it.
"""

from datetime import datetime
from decimal import Decimal

import polars as pl

from broker.world.catalogue import Portability, WorldModel, accounts, hardware, listed, table
from contracts.terms.hardware import REFERENCE_CLASS, factor
from contracts.terms.tables import BIDS

ANY_STACK = "any"
LISTS = ("countries", "subdivisions", "operator_countries", "countries_denied", "certifications", "chip_origins_denied")
THROUGHPUT = {"compute": "tflops", "bandwidth": "bandwidth_gb_s"}


def told_bids() -> pl.DataFrame:
    """The bids as written down, with `need`: one sentence on what each is for."""
    return table("bids")


def bids(world: WorldModel, *, start: datetime, slots: int) -> pl.DataFrame:
    """Every bid whose window opens within `slots` slots, in the columns of `BIDS`.

    Times of entry lie before `start`. A window is cut at the last slot; the hours stay, so a bid may then be
    served in part.
    """
    catalogue = {row["hardware"]: row for row in hardware().iter_rows(named=True)}
    told = told_bids().filter(pl.col("slot_first") < slots)
    factors = [
        [_priced(entry, row, catalogue=catalogue, portability=world.portability) for entry in _allowed(row["hardware"])]
        for row in told.iter_rows(named=True)
    ]
    buyers = accounts().select(buyer="account_id", buyer_country="country", buyer_parent_country="parent_country")
    entered = pl.lit(start) - pl.duration(minutes="entered_minutes_before")
    return (
        told.with_columns(pl.Series("hardware", factors, dtype=pl.List(pl.String)))
        .join(buyers, on="buyer", validate="m:1")
        .with_columns(
            *(listed(name) for name in LISTS),
            entered_at=entered,
            slot_end=pl.min_horizontal(pl.col("slot_end").fill_null(slots), pl.lit(slots)),
            kind=pl.lit("flexible"),
            sites_max=pl.lit(1),
            semantics=pl.lit("hours"),
        )
        .select(list(BIDS.schema))
        .cast(BIDS.schema)  # type: ignore[arg-type]
    )


def _allowed(text: str) -> list[str]:
    """The hardware a bid names. A bid that names one class thinks in its plain hours: the factor is 1."""
    entries = text.split(";")
    return entries if len(entries) > 1 or ":" in text else [f"{text}:1"]


def _priced(entry: str, bid: dict[str, str], *, catalogue: dict[str, dict[str, object]], portability: Portability) -> str:
    """One `CLASS:factor`: as the bid states it, or throughput against the reference less what translation costs."""
    if ":" in entry:
        return entry
    column = THROUGHPUT[bid["bound"]]
    native = bid["stack"] == ANY_STACK or catalogue[entry]["vendor"] in portability.stacks[bid["stack"]]
    ratio = factor(
        _whole(catalogue[entry][column], entry),
        _whole(catalogue[REFERENCE_CLASS][column], REFERENCE_CLASS),
        portability_loss=Decimal(0) if native else portability.loss,
    )
    return f"{entry}:{ratio.normalize():f}"


def _whole(figure: object, name: str) -> int:
    assert isinstance(figure, int | float), f"the catalogue knows no throughput of {name}"
    return int(figure)
