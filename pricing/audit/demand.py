"""The demand of a book counted again: bids by the column, each of the few kinds of standing demand a bid of the slow reading.

Nothing here is taken from the code that clears. What bids ask whatever the slot and price is read once for each *kind*;
what is a bid's own (size, window, limits) is a column.
"""

from collections.abc import Hashable
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.errors import NotSupported
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.audit.clauses import hashable
from pricing.audit.whole import Bools, Ints, Whole, floored, parts, times
from pricing.policy_facts import Bid, Facts, exact, read_bids

NOT_WANTED = -1
_OWN = (
    "bid_id",
    "buyer",
    "entered_at",
    "kind",
    "width",
    "hours",
    "slot_first",
    "slot_end",
    *(f"limit_{tier}_micros" for tier in TIERS),
    "carbon_micros_per_kg",
    "sites_max",
    "semantics",
)
_TERMS = tuple(name for name in _OWN if name not in ("bid_id", "buyer", "entered_at", "sites_max"))
_OWN_FIELDS = frozenset(
    {"id", "entered_at", "kind", "width", "hours", "slot_first", "slot_end", "limits", "carbon_micros_per_kg", "semantics"}
)


class Demand(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """B bids of D kinds that name H hardware classes.

    ids          (B,) in the order of the book
    kinds        a bid of each kind; its own columns (window, size, limits) are not those of the others of its kind
    kind         (B,)
    alike        (B,) equal for bids equal in all but id, buyer and time of entry
    turn         (B,) the place of each bid by time of entry, then id
    block, work  (B,) whether it is all or nothing; whether its hours are reference hours
    width        (B,) most accelerators in a slot
    first, end   (B,) window
    limits       (B, 3) micros per reference hour, NOT_WANTED where the tier is not
    carbon       (B,) micros the bid would pay to avoid a kilogram
    hours, hours_unit    (B,) hours asked for, in parts of which `hours_unit` are an hour
    factors, factor_unit (D, H + 1) reference hours an accelerator-hour, in parts; 0 where the class is not named, as in the last column
    most         (B,) accelerator-slots a bid may have in all; of work, parts of a reference hour a slot
    hardware     column of each class
    """

    ids: list[str]
    kinds: list[Bid]
    kind: Ints
    alike: Ints
    turn: Ints
    block: Bools
    work: Bools
    width: Ints
    first: Ints
    end: Ints
    limits: Ints
    carbon: Ints
    hours: Whole
    hours_unit: int
    factors: Ints
    factor_unit: int
    most: Ints
    hardware: dict[str, int]

    @property
    def lumpy(self) -> bool:
        """Whether any bid takes lumps, a block or work, so that prices need not support the awards."""
        return bool((self.block | self.work).any())


def take_demand(book: MarketBook, facts: Facts) -> Demand:
    """Count the demand of a book. Raises NotSupported for a block that counts work."""
    bids = book.bids
    block, work = (bids[name].to_numpy() == value for name, value in (("kind", "block"), ("semantics", "work")))
    if (block & work).any():
        bid = bids["bid_id"][int(np.flatnonzero(block & work)[0])]
        raise NotSupported("a block by work cannot be certified", bid=bid, would_do="semantics `hours`")
    kinds, kind = _kinds(bids)
    hardware = {name: column for column, name in enumerate(dict.fromkeys(name for bid in kinds for name in bid.factors))}
    factors, factor_unit = _factors(kinds, hardware)
    hours, hours_unit = _hours(bids)
    most = _most(hours, hours_unit, facts=facts, unit=np.where(work, factor_unit, 1))
    limits = [bids[f"limit_{tier}_micros"].fill_null(NOT_WANTED).to_numpy() for tier in TIERS]
    turn = np.empty(bids.height, dtype=np.int64)
    turn[bids.select(pl.arg_sort_by("entered_at", "bid_id")).to_series().to_numpy()] = np.arange(bids.height)
    return Demand(
        ids=bids["bid_id"].to_list(),
        kinds=kinds,
        kind=kind,
        alike=_keys(bids.select(*_TERMS).with_columns(kind_of_demand=pl.Series(kind)))[1],
        turn=turn,
        block=block,
        work=work,
        width=bids["width"].to_numpy(),
        first=bids["slot_first"].to_numpy(),
        end=np.minimum(bids["slot_end"].to_numpy(), facts.slots),
        limits=np.stack(limits, axis=1),
        carbon=bids["carbon_micros_per_kg"].to_numpy(),
        hours=hours,
        hours_unit=hours_unit,
        factors=factors,
        factor_unit=factor_unit,
        most=most,
        hardware=hardware,
    )


def _keys(frame: pl.DataFrame) -> tuple[Ints, Ints]:
    """The first row of each different row, (n,), and which of them each row is like, (B,)."""
    if frame.is_empty():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    groups = frame.with_row_index("row_of_frame").group_by(frame.columns, maintain_order=True).agg("row_of_frame")["row_of_frame"]
    key = np.empty(frame.height, dtype=np.int64)
    key[groups.explode().to_numpy()] = np.repeat(np.arange(len(groups)), groups.list.len().to_numpy())
    return groups.list.first().to_numpy().astype(np.int64), key


def _kinds(bids: pl.DataFrame) -> tuple[list[Bid], Ints]:
    """A bid of each kind of standing demand, and the kind of each bid; lists are read as sets, decimals as numbers."""
    firsts, written = _keys(bids.select(pl.exclude(*_OWN)))
    number: dict[Hashable, int] = {}
    kinds: list[Bid] = []
    same = np.zeros(len(firsts), dtype=np.int64)
    for place, bid in enumerate(read_bids(bids[firsts])):
        standing = tuple(hashable(getattr(bid, name)) for name in bid.__struct_fields__ if name not in _OWN_FIELDS)
        if standing not in number:
            number[standing] = len(kinds)
            kinds.append(bid)
        same[place] = number[standing]
    return kinds, same[written]


def _factors(kinds: list[Bid], hardware: dict[str, int]) -> tuple[Ints, int]:
    """(D, H) parts of a reference hour, and how many such parts it has."""
    cells = [(row, hardware[name], factor) for row, bid in enumerate(kinds) for name, factor in bid.factors.items()]
    numerators, unit = parts([factor for _, _, factor in cells])
    factors = np.zeros((len(kinds), len(hardware) + 1), dtype=np.int64)
    for (row, column, _), numerator in zip(cells, numerators, strict=True):
        factors[row, column] = numerator
    return factors, unit


def _hours(bids: pl.DataFrame) -> tuple[Whole, int]:
    """(B,) hours asked for in parts, and how many parts an hour has: decimals as they are written."""
    different, place = np.unique(bids["hours"].to_numpy(), return_inverse=True)
    numerators, unit = parts([exact(hours) for hours in different.tolist()])
    return numerators[place], unit


def _most(hours: Whole, hours_unit: int, *, facts: Facts, unit: Ints) -> Ints:
    """⌊hours ÷ h⌋, each times its unit first."""
    slot: Fraction = facts.slot_hours
    return floored(times(times(hours, slot.denominator), unit), hours_unit * slot.numerator)
