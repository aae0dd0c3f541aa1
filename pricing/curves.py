"""Supply and demand of one hardware class in one slot, as steps: what the chart behind a price shows.

The curves put every offer of the class and every bid that accepts it in two lines, by rate. Where they
cross is not the clearing point by law: sovereignty, distance and tiers keep some orders from meeting, and a
bid that accepts several classes stands in the curve of each.
"""

import polars as pl

from contracts.terms.money import BASIS_POINTS
from contracts.terms.orders import MarketBook
from pricing.demand import PLACES
from pricing.energy import exact, power_costs
from pricing.exactly import product_floor

STEPS = {"side": pl.String(), "price_micros": pl.Int64(), "quantity_from": pl.Int64(), "quantity_to": pl.Int64()}


def curve_steps(book: MarketBook, hardware: str, *, slot: int) -> pl.DataFrame:
    """Steps (side, price_micros, quantity_from, quantity_to): supply rising, demand falling, accelerators from 0.

    Supply is what leases leave, at the offer's rate in the slot, energy included. Demand is each bid's width at
    its greatest limit, turned from reference hours into hours of this class, the broker's fee taken off; moving
    data and avoiding carbon are left out, as they depend on the site. Equal prices make one step.
    """
    return pl.concat([_stacked("supply", supply(book, hardware, slot=slot)), _stacked("demand", demand(book, hardware, slot=slot))])


def supply(book: MarketBook, hardware: str, *, slot: int) -> pl.DataFrame:
    """What the class's offers have left in the slot: price_micros, quantity; one row an offer, by price and offer."""
    override = book.offer_slots.filter(pl.col("slot") == slot).select("offer_id", slot_quantity="quantity", slot_rate="rate_micros")
    taken = book.commitments.filter(pl.col("slot") == slot).group_by("offer_id").agg(taken=pl.col("quantity").sum())
    offers = book.offers.filter(pl.col("hardware") == hardware, pl.col("slot_first") <= slot, pl.col("slot_end") > slot)
    energy, _ = power_costs(offers, book.zones, slots=book.rules.slots)
    return (
        offers.with_columns(energy=pl.Series(energy[:, slot], dtype=pl.Int64))
        .join(override, on="offer_id", how="left")
        .join(taken, on="offer_id", how="left")
        .select(
            "offer_id",
            price_micros=pl.coalesce("slot_rate", "rate_micros") + pl.when("energy_indexed").then("energy").otherwise(0),
            quantity=pl.coalesce("slot_quantity", "quantity") - pl.col("taken").fill_null(0),
        )
        .filter(pl.col("quantity") > 0)
        .sort("price_micros", "offer_id")
        .select("price_micros", "quantity")
    )


def demand(book: MarketBook, hardware: str, *, slot: int) -> pl.DataFrame:
    """What bids would pay for an hour of the class: price_micros, quantity; one row a bid, by price falling, then bid."""
    limit = pl.max_horizontal("limit_guaranteed_micros", "limit_standard_micros", "limit_spot_micros")
    named = (
        book.bids.filter(pl.col("slot_first") <= slot, pl.col("slot_end") > slot)
        .select("bid_id", "hardware", quantity="width", limit=limit)
        .explode("hardware")
        .filter(pl.col("hardware").str.starts_with(f"{hardware}:"), pl.col("limit").is_not_null())
        .unique("bid_id", keep="last", maintain_order=True)
    )
    written = named["hardware"].unique()
    parts = pl.Series([int(exact(float(entry.rpartition(":")[2])) * PLACES) for entry in written], dtype=pl.Int64)
    factor = named["hardware"].replace_strict(written, parts, return_dtype=pl.Int64)
    fee = PLACES // BASIS_POINTS * (BASIS_POINTS + book.rules.fee_bps)
    worth = product_floor(named["limit"].to_numpy(), factor.to_numpy(), divisor=fee)
    return (
        named.with_columns(price_micros=pl.Series(worth, dtype=pl.Int64))
        .sort("price_micros", "bid_id", descending=[True, False])
        .select("price_micros", "quantity")
    )


def _stacked(side: str, orders: pl.DataFrame) -> pl.DataFrame:
    steps = orders.group_by("price_micros", maintain_order=True).agg(pl.col("quantity").sum())
    upto = pl.col("quantity").cum_sum()
    return steps.select(side=pl.lit(side), price_micros="price_micros", quantity_from=upto - pl.col("quantity"), quantity_to=upto).cast(
        STEPS  # type: ignore[arg-type]
    )
