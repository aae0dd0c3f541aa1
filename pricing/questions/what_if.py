"""The counterfactual of a bid: the same market, cleared again with one bid asking otherwise.

The whole book clears again, so the price the changed bid meets is the one it would itself have made.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from contracts.terms.errors import BadInput, NotFound
from contracts.terms.money import MICROS
from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS, TIERS
from pricing.questions.tally import Progress, Run, Tally, amount, change, run, tally

LIMITS = tuple(f"limit_{tier}_micros" for tier in TIERS)
LATER = (6, 12)
GREENER_MICROS_PER_KG = MICROS // 10
Cell = Any  # one cell of a bids row: text, number, time, list or nothing


class Otherwise(msgspec.Struct, frozen=True, kw_only=True):
    """What a bid would ask instead; what is None stays as it is.

    later                 slots by which both ends of its window move; negative is earlier
    tier                  the only tier it wants, at the limit it gave there, or the greatest it gave anywhere
    countries             of the site, in place of those it named; none at all is anywhere
    hardware              the only class of those it named
    carbon_micros_per_kg  what it would pay to avoid a kilogram
    width                 accelerators at once
    """

    later: int = 0
    tier: str | None = None
    countries: tuple[str, ...] | None = None
    hardware: str | None = None
    carbon_micros_per_kg: int | None = None
    width: int | None = None

    @property
    def words(self) -> str:
        """What is different, in words."""
        told = []
        if self.later:
            told.append(f"{abs(self.later)} slot{'s' * (abs(self.later) != 1)} {'later' if self.later > 0 else 'earlier'}")
        if self.tier is not None:
            told.append(f"{self.tier} only")
        if self.countries is not None:
            told.append(f"in {', '.join(self.countries)}" if self.countries else "in any country")
        if self.hardware is not None:
            told.append(f"on {self.hardware} only")
        if self.carbon_micros_per_kg is not None:
            told.append(f"{amount(self.carbon_micros_per_kg)} a kilogram to avoid carbon")
        if self.width is not None:
            told.append(f"{self.width} at once")
        return ", ".join(told) or "as it is"


class Counterfactual(msgspec.Struct, frozen=True, kw_only=True):
    """One bid, had it asked otherwise: what becomes of it, and of the market around it."""

    words: str
    status: str
    after: Tally
    market_welfare_micros: int


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """A bid as it is, and otherwise."""

    bid_id: str
    currency: str
    status: str
    before: Tally
    market_welfare_micros: int
    otherwise: tuple[Counterfactual, ...]

    @property
    def text(self) -> str:
        """A sentence for every way."""
        return "\n".join(_sentence(self, found) for found in self.otherwise)


def what_if(base: Run, bid_id: str, *, otherwise: tuple[Otherwise, ...], progress: Progress | None = None) -> WhatIf:
    """Clear the book of a run again, once for every other way in which a bid could ask.

    Raises NotFound for a bid the book does not have, BadInput for a way that makes no bid of it; and as `clear`.
    """
    if bid_id not in base.book.bids["bid_id"]:
        raise NotFound(f"no bid of the book has the id {bid_id}", bid=bid_id)
    found = []
    for number, way in enumerate(otherwise, start=1):
        if progress:
            progress(f"{number} of {len(otherwise)}: {way.words}")
        after = run(changed(base.book, bid_id, way=way))
        mine = tally(after, [bid_id])
        found.append(
            Counterfactual(words=way.words, status=_status(after, bid_id), after=mine, market_welfare_micros=tally(after).welfare_micros)
        )
    return WhatIf(
        bid_id=bid_id,
        currency=base.book.rules.currency,
        status=_status(base, bid_id),
        before=tally(base, [bid_id]),
        market_welfare_micros=tally(base).welfare_micros,
        otherwise=tuple(found),
    )


def usual_ways(book: MarketBook, bid_id: str) -> tuple[Otherwise, ...]:
    """What is worth asking of any bid: later, at each tier alone, in any country, on each of its classes, greener."""
    if bid_id not in book.bids["bid_id"]:
        raise NotFound(f"no bid of the book has the id {bid_id}", bid=bid_id)
    row = _row(book, bid_id)
    ways = [Otherwise(later=slots) for slots in LATER if _window(row, slots, book=book) is not None]
    given = [tier for tier, limit in zip(TIERS, LIMITS, strict=True) if row[limit] is not None]
    ways += [Otherwise(tier=tier) for tier in TIERS if given != [tier]]
    if row["countries"]:
        ways.append(Otherwise(countries=()))
    classes = [name.rpartition(":")[0] for name in row["hardware"]]
    ways += [Otherwise(hardware=name) for name in classes if len(classes) > 1]
    ways.append(Otherwise(carbon_micros_per_kg=0 if row["carbon_micros_per_kg"] else GREENER_MICROS_PER_KG))
    return tuple(ways)


def changed(book: MarketBook, bid_id: str, *, way: Otherwise) -> MarketBook:
    """The book with one bid asking otherwise. Raises BadInput where that leaves no bid."""
    row = _row(book, bid_id)
    new: dict[str, Cell] = {}
    if way.later:
        window = _window(row, way.later, book=book)
        if window is None:
            raise BadInput("moved so far, the bid's window leaves the market's slots", found=way.later, would_do="fewer slots")
        new["slot_first"], new["slot_end"] = window
    if way.tier is not None:
        greatest = max(row[limit] for limit in LIMITS if row[limit] is not None)
        own = row[f"limit_{way.tier}_micros"]
        new |= dict.fromkeys(LIMITS) | {f"limit_{way.tier}_micros": own if own is not None else greatest}
    if way.countries is not None:
        new["countries"] = sorted(way.countries)
    if way.hardware is not None:
        kept = [name for name in row["hardware"] if name.rpartition(":")[0] == way.hardware]
        if not kept:
            raise BadInput(
                "the bid names no such hardware, and so no factor for it", found=way.hardware, would_do=", ".join(row["hardware"])
            )
        new["hardware"] = kept
    if way.carbon_micros_per_kg is not None:
        new["carbon_micros_per_kg"] = way.carbon_micros_per_kg
    if way.width is not None:
        new["width"] = way.width
    return with_cells(book, {bid_id: new})


def with_cells(book: MarketBook, cells: Mapping[str, Mapping[str, Cell]]) -> MarketBook:
    """The book with some cells of some of its bids replaced: bid id → column → value."""
    rows = [{**row, **cells[row["bid_id"]]} for row in book.bids.filter(pl.col("bid_id").is_in(list(cells))).iter_rows(named=True)]
    others = book.bids.filter(~pl.col("bid_id").is_in(list(cells)))
    bids = pl.concat([others, pl.DataFrame(rows, schema=BIDS.schema, orient="row")])
    return msgspec.structs.replace(book, bids=bids.sort("bid_id"))


def _row(book: MarketBook, bid_id: str) -> dict[str, Cell]:
    return book.bids.filter(pl.col("bid_id") == bid_id).row(0, named=True)


def _window(row: Mapping[str, Cell], later: int, *, book: MarketBook) -> tuple[int, int] | None:
    """The bid's window moved, as far as the market has slots; None when nothing of it is left."""
    first, end = max(0, int(row["slot_first"]) + later), min(book.rules.slots, int(row["slot_end"]) + later)
    return (first, end) if first < end else None


def _status(found: Run, bid_id: str) -> str:
    return str(found.clearing.outcomes.filter(pl.col("bid_id") == bid_id)["status"][0])


def _sentence(found: WhatIf, way: Counterfactual) -> str:
    before, after = found.before, way.after
    if not after.served:
        return f"{way.words}: it finds nothing."
    moved = change(before.all_in_micros, after.all_in_micros)
    price = f"{amount(before.all_in_micros, places=4)} to " if before.served else ""
    kilos = f", {after.carbon_kg:,.1f} kg of carbon in place of {before.carbon_kg:,.1f}" if before.carbon_kg or after.carbon_kg else ""
    return (
        f"{way.words}: {moved + ', ' if moved else ''}{price}{amount(after.all_in_micros, places=4)} {found.currency} "
        f"all-in per reference hour, {after.hours:,g} hours in place of {before.hours:,g}{kilos}."
    )
