"""The book a clearing starts from: the rules in force, the offers, the bids and the facts around them.

The columns are those of `tables.py`; a `MarketBook` holds them as Polars frames, every default filled
in and every row sorted by its key, so that the same book is the same bytes whatever file it came from.
"""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import polars as pl

from contracts.terms.tables import BIDS, COMMITMENTS, LATENCY, MARKET_TABLES, OFFER_SLOTS, OFFERS, TRANSFER, ZONES
from contracts.terms.time import SlotGrid

RULES_VERSION = "1"


class MarketRules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one market (`market.toml`).

    currency             ISO 4217, one per market
    start                first instant of slot 0, UTC
    slot_hours           length of a slot, hours
    slots                number of slots, T
    headroom_standard    share of a pool's callable quantity held back from standard
    headroom_guaranteed  the same for guaranteed (never less than one node)
    call_ceiling         an offer is callable at up to this multiple of its pool's lowest rate
    fee_bps              broker's fee, basis points of what is paid
    uplift_fund_micros   what the fund can pay; None is unbounded
    rules                version of the rules
    """

    currency: str
    start: datetime
    slots: int
    slot_hours: Decimal = Decimal("1")
    headroom_standard: Decimal = Decimal("0.05")
    headroom_guaranteed: Decimal = Decimal("0.20")
    call_ceiling: Decimal = Decimal("3")
    fee_bps: int = 0
    uplift_fund_micros: int | None = None
    rules: str = RULES_VERSION

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots must be at least 1, was {self.slots}")
        if self.slot_hours <= 0:
            raise ValueError(f"slot_hours must be positive, was {self.slot_hours}")
        if not 0 <= self.fee_bps <= 10_000:
            raise ValueError(f"fee_bps must be in 0..10000, was {self.fee_bps}")
        for name in ("headroom_standard", "headroom_guaranteed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, was {getattr(self, name)}")
        if self.call_ceiling < 1:
            raise ValueError(f"call_ceiling must be at least 1, was {self.call_ceiling}")

    @property
    def hours(self) -> Fraction:
        """Length of a slot in hours, exact: the h of every formula."""
        return Fraction(self.slot_hours)

    @property
    def grid(self) -> SlotGrid:
        """The slots as spans of time."""
        return SlotGrid(self.start, self.hours, self.slots)


class MarketBook(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one clearing may look at: rules and tables, canonical (defaults filled, rows by key).

    transfer   None when the book has no such table: moving data is then free and at once
    """

    rules: MarketRules
    offers: pl.DataFrame
    bids: pl.DataFrame
    offer_slots: pl.DataFrame = OFFER_SLOTS.empty()
    commitments: pl.DataFrame = COMMITMENTS.empty()
    zones: pl.DataFrame = ZONES.empty()
    transfer: pl.DataFrame | None = None
    latency: pl.DataFrame = LATENCY.empty()

    def tables(self) -> dict[str, pl.DataFrame]:
        """The frames that are there, by table name, in published order."""
        found = {table.name: getattr(self, table.name) for table in MARKET_TABLES}
        return {name: frame for name, frame in found.items() if frame is not None}


def canonical_book(rules: MarketRules, frames: dict[str, pl.DataFrame]) -> MarketBook:
    """A book from frames that already have the published columns: rows sorted by key, columns in order."""
    sorted_frames = {
        table.name: frames[table.name].select(list(table.schema)).cast(table.schema).sort(table.key)  # type: ignore[arg-type]
        for table in (OFFERS, BIDS, OFFER_SLOTS, COMMITMENTS, ZONES, TRANSFER, LATENCY)
        if table.name in frames
    }
    return MarketBook(rules=rules, **sorted_frames)
