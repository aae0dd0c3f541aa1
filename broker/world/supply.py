"""The offers of the shipped world, in the published columns."""

import polars as pl

from broker.world.catalogue import hardware, listed, providers, sites, table
from contracts.terms.tables import OFFER_SLOTS, OFFERS


def listed_offers() -> pl.DataFrame:
    """The offers with where each rate comes from: price_item, source, licence, price_date, confidence, quantity_source."""
    return table("offers")


def offers(slots: int) -> pl.DataFrame:
    """Every offer of the shipped world over `slots` slots, in the columns of `OFFERS`.

    An interruptible offer publishes no uptime: nothing is promised of it.
    """
    chips = hardware().select("hardware", "chip_origin", "memory_gb", pl.col("watts").fill_null(0.0))
    operators = providers().select("provider", "operator_country", "parent_country", "trust", "uptime")
    end = pl.min_horizontal(pl.col("slot_end").fill_null(slots), pl.lit(slots))
    return (
        listed_offers()
        .drop("source")
        .join(sites().drop("source"), on="site", validate="m:1")
        .join(operators, on="provider", validate="m:1")
        .join(chips, on="hardware", validate="m:1")
        .with_columns(
            *(listed(name) for name in ("certifications", "open_to", "closed_to")),
            slot_end=end,
            uptime=pl.when("firm").then("uptime"),
        )
        .filter(pl.col("slot_first") < pl.col("slot_end"))
        .select(list(OFFERS.schema))
    )


def offer_slots(slots: int) -> pl.DataFrame:
    """The slots in which an offer has another quantity or rate: maintenance, own use, evening peaks."""
    return table("offer_slots").filter(pl.col("slot") < slots).select(list(OFFER_SLOTS.schema))
