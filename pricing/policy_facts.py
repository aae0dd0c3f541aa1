"""Bids, offers and the facts around them as the slow reading of the rules sees them: plain, exact, one row a struct.

Decimals of a file (`72.5` watts, `1.24` PUE) are kept as the fractions they are written as, so that no
binary rounding enters a price. Nothing here is shared with the code that clears.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
import polars as pl

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS


class Bid(msgspec.Struct, frozen=True, kw_only=True):
    """What one buyer asks for.

    hours, data_tb   accelerator-hours in all (reference hours, where `semantics` is work), terabytes; exact
    limits           tier → micros per reference hour, all-in; a tier not wanted is absent
    factors          hardware class → reference hours per accelerator-hour
    """

    id: str
    kind: str
    entered_at: datetime
    buyer_country: str | None
    buyer_parent_country: str | None
    width: int
    hours: Fraction
    slot_first: int
    slot_end: int
    limits: dict[str, int]
    factors: dict[str, Fraction]
    memory_gb_min: float | None
    uptime_min: float | None
    countries: frozenset[str]
    subdivisions: frozenset[str]
    operator_countries: frozenset[str]
    countries_denied: frozenset[str]
    certifications: frozenset[str]
    chip_origins_denied: frozenset[str]
    trust_min: str | None
    place: str | None
    rtt_ms_max: float | None
    latitude: float | None
    longitude: float | None
    distance_km_max: float | None
    data_tb: Fraction
    data_country: str | None
    carbon_micros_per_kg: int
    semantics: str = "hours"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider promises; `rate_micros` is per accelerator-hour before energy."""

    id: str
    site: str
    country: str | None
    subdivision: str | None
    operator_country: str | None
    parent_country: str | None
    trust: str | None
    hardware: str
    chip_origin: str | None
    memory_gb: float | None
    quantity: int
    node_size: int
    rate_micros: int
    firm: bool
    uptime: float | None
    slot_first: int
    slot_end: int
    latitude: float | None
    longitude: float | None
    zone: str | None
    watts: Fraction
    pue: Fraction
    energy_indexed: bool
    certifications: frozenset[str]
    open_to: frozenset[str]
    closed_to: frozenset[str]

    @property
    def likeness(self) -> tuple[object, ...]:
        """Everything a bid can test: offers equal in it are one pool."""
        return _tested(self)


_NOT_TESTED = frozenset({"id", "quantity", "node_size", "rate_micros", "slot_first", "slot_end", "energy_indexed"})
_tested: Callable[[Offer], tuple[object, ...]] = attrgetter(*(name for name in Offer.__struct_fields__ if name not in _NOT_TESTED))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds the orders.

    slot_hours     h, exact
    transfer       (from, to) → micros per terabyte and Gb/s; None when the book has no such table
    rtt_ms         (place, site) → measured round trip
    energy_micros  (zone, slot) → micros per MWh
    carbon_grams   (zone, slot) → grams per kWh
    overrides      (offer, slot) → quantity and rate that replace the offer's own
    """

    slot_hours: Fraction
    slots: int
    fee_bps: int
    transfer: dict[tuple[str, str], tuple[int, Fraction]] | None
    rtt_ms: dict[tuple[str, str], float]
    energy_micros: dict[tuple[str, int], int]
    carbon_grams: dict[tuple[str, int], Fraction]
    overrides: dict[tuple[str, int], tuple[int, int]]


@lru_cache(maxsize=4096)
def exact(number: float) -> Fraction:
    """The decimal a float is written as: 0.1 is a tenth, not its nearest binary neighbour."""
    return Fraction(repr(number))


def bids_of(book: MarketBook) -> list[Bid]:
    """The bids of a book, in its order."""
    return read_bids(book.bids)


def read_bids(rows: pl.DataFrame) -> list[Bid]:
    """Rows of a bids table, in their order."""
    return [_bid(row) for row in rows.iter_rows(named=True)]


def offers_of(book: MarketBook) -> list[Offer]:
    """The offers of a book, in its order."""
    return [_offer(row) for row in book.offers.iter_rows(named=True)]


def facts_of(book: MarketBook) -> Facts:
    """Everything a book says beside its orders."""
    zones = book.zones.rows(named=True)
    return Facts(
        slot_hours=book.rules.hours,
        slots=book.rules.slots,
        fee_bps=book.rules.fee_bps,
        transfer=_transfer(book),
        rtt_ms={(place, site): rtt for place, site, rtt in book.latency.select("place", "site", "rtt_ms").iter_rows()},
        energy_micros={(row["zone"], row["slot"]): row["price_micros_per_mwh"] for row in zones if row["price_micros_per_mwh"] is not None},
        carbon_grams={(row["zone"], row["slot"]): exact(row["carbon_g_per_kwh"]) for row in zones if row["carbon_g_per_kwh"] is not None},
        overrides={
            (offer, slot): (quantity, rate)
            for offer, slot, quantity, rate in book.offer_slots.select("offer_id", "slot", "quantity", "rate_micros").iter_rows()
        },
    )


def _transfer(book: MarketBook) -> dict[tuple[str, str], tuple[int, Fraction]] | None:
    if book.transfer is None:
        return None
    rows = book.transfer.select("from_country", "to_country", "micros_per_tb", "gbps").iter_rows()
    return {(origin, target): (micros, exact(gbps)) for origin, target, micros, gbps in rows}


def _bid(row: Mapping[str, Any]) -> Bid:
    """One row of the bids table, converted field by field; a row of another shape is a bug and raises."""
    fields = dict(row)
    fields["id"] = fields.pop("bid_id")
    fields["limits"] = {tier: row[f"limit_{tier}_micros"] for tier in TIERS if row[f"limit_{tier}_micros"] is not None}
    fields["factors"] = dict(_factor(str(text)) for text in row["hardware"] or [])
    fields["hours"] = exact(row["hours"])
    fields["data_tb"] = exact(row["data_tb"])
    return msgspec.convert(_with_sets(fields), Bid)


def _offer(row: Mapping[str, Any]) -> Offer:
    fields = dict(row)
    fields["id"] = fields.pop("offer_id")
    fields["watts"] = exact(row["watts"])
    fields["pue"] = exact(row["pue"])
    return msgspec.convert(_with_sets(fields), Offer)


def _factor(text: str) -> tuple[str, Fraction]:
    name, _, value = text.rpartition(":")
    return name, Fraction(value)


def _with_sets(fields: dict[str, object]) -> dict[str, object]:
    """Lists become sets; unknown certifications are none, since either fails a demand."""
    sets = {name: frozenset(cell) for name, cell in fields.items() if isinstance(cell, list)}
    return fields | sets | ({"certifications": frozenset()} if fields["certifications"] is None else {})
