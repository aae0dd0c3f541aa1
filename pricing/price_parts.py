"""What a cleared price is made of, and what was emitted for the hours it bought.

Of each accelerator-hour sold, at rate r of its offer, spot price p of its pool and price q of its tier, q is the sum of

    power     min(r, watts·pue·price of the zone)
    machine   r − power
    scarcity  p − r
    headroom  q − p

*Power* is what the zone's energy costs there and then, whether the offer says so or not, *machine* what else its provider wanted,
*scarcity* what more was paid since there was not enough at that rate, *headroom* the premium of the tier. Only the third may be
negative: under a block whose offer the uplift makes whole.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.money import half_up
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import Ints
from pricing.energy import exact, power_costs
from pricing.pools import gather

PARTS = ("power", "machine", "scarcity", "headroom")
SPLIT = {"tier": pl.String(), "sold": pl.Int64(), "rate_micros": pl.Int64(), **{f"{part}_micros": pl.Int64() for part in PARTS}}
CARBON = {"country": pl.String(), "reference_hours": pl.Float64(), "grams": pl.Float64(), "hours_unknown": pl.Float64()}


def price_parts(book: MarketBook, *, prices: pl.DataFrame, awarded: pl.DataFrame, hardware: str) -> pl.DataFrame:
    """The mean price of a class by tier, the best tier first, and its parts: tier, sold, rate_micros, and micros of each part.

    prices   pool, slot, tier, rate_micros of the class
    awarded  offer_id, slot, tier, quantity, rate_micros

    Parts add up to the rate to the micro: what rounding leaves is the machine's.
    """
    mine = only(book, hardware)
    supply = gather(mine)
    row_of = {offer: row for row, offer in enumerate(supply.offer_ids)}
    names = supply.pools["pool"].to_list()
    spot = {
        (pool, slot): rate
        for pool, slot, tier, rate in prices.select("pool", "slot", "tier", "rate_micros").iter_rows()
        if tier == TIERS[-1]
    }
    energy = _energy(mine)
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (2 + len(PARTS)))
    for offer, slot, tier, quantity, paid in awarded.select("offer_id", "slot", "tier", "quantity", "rate_micros").iter_rows():
        if (row := row_of.get(offer)) is None:
            continue
        rate = int(supply.rates[row, slot])
        power, shared = min(rate, int(energy[row, slot])), spot.get((names[supply.pool_of[row]], slot), paid)
        for place, figure in enumerate((1, paid, power, rate - power, shared - rate, paid - shared)):
            sums[tier][place] += quantity * figure
    return pl.DataFrame([_rounded(tier, sums[tier]) for tier in TIERS if tier in sums], schema=SPLIT, orient="row")


def carbon_bought(book: MarketBook, *, awarded: pl.DataFrame, factors: Mapping[str, Decimal]) -> pl.DataFrame:
    """By country, in order of its code: reference hours bought of known carbon, the grams of CO2 they take, and hours of unknown.

    awarded  offer_id, slot, quantity
    factors  reference hours an accelerator-hour of each class is worth; classes without one are left out
    """
    offers = {row["offer_id"]: row for row in book.offers.iter_rows(named=True)}
    zones = {(zone, slot): grams for zone, slot, grams in book.zones.select("zone", "slot", "carbon_g_per_kwh").iter_rows()}
    sums: defaultdict[str | None, list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 3)
    slot_hours = Fraction(book.rules.slot_hours)
    for offer_id, slot, quantity in awarded.select("offer_id", "slot", "quantity").iter_rows():
        offer = offers.get(offer_id)
        if offer is None or offer["hardware"] not in factors:
            continue
        hours, grams = quantity * slot_hours, zones.get((offer["zone"], slot))
        mine = sums[offer["country"]]
        if grams is None:
            mine[2] += hours * Fraction(factors[offer["hardware"]])
            continue
        mine[0] += hours * Fraction(factors[offer["hardware"]])
        mine[1] += hours * exact(offer["watts"]) * exact(offer["pue"]) * exact(grams) / 1000
    rows = [(country, *map(float, sums[country])) for country in sorted(sums, key=lambda code: code or "")]
    return pl.DataFrame(rows, schema=CARBON, orient="row")


def only(book: MarketBook, hardware: str) -> MarketBook:
    """The book's supply of one class, without bids."""
    offers = book.offers.filter(pl.col("hardware") == hardware)
    kept = {name: getattr(book, name).join(offers.select("offer_id"), on="offer_id", how="semi") for name in ("offer_slots", "commitments")}
    return msgspec.structs.replace(book, offers=offers, bids=book.bids.clear(), **kept)


def _energy(book: MarketBook) -> Ints:
    """What power costs (O, T) in micros per accelerator-hour, offers by id."""
    energy, _ = power_costs(book.offers.sort("offer_id"), book.zones, slots=book.rules.slots)
    return np.maximum(0, energy)


def _rounded(tier: str, sums: list[int]) -> tuple[str | int, ...]:
    sold, paid, *parts = sums
    rate = half_up(paid, sold)
    power, _, scarcity, headroom = (half_up(part, sold) for part in parts)
    return tier, sold, rate, power, rate - power - scarcity - headroom, scarcity, headroom
