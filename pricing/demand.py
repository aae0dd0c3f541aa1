"""The demand side: bids gathered into groups of equals, in accelerator-slots.

Bids equal in all but id, buyer and entry time want the same thing, so the clearing sees one group of n
of them with n times the width and n times the hours; `choice.py` shares the group's lot by entry time.
Splitting back always works in whole accelerators, and the supporting prices are the same either way.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec
import numpy as np
import polars as pl

from contracts.terms.errors import BadInput, NotSupported
from contracts.terms.orders import MarketBook
from pricing.arrays import NEVER, Bools, Ints
from pricing.distinct import distinct, numbered_sets
from pricing.energy import exact

PERSONAL = ("bid_id", "buyer", "entered_at")
PLACES = 1_000_000


class Demand(msgspec.Struct, frozen=True, eq=False):
    """What is wanted. B bids in order of id, G groups of equal bids in order of their first member.

    terms       one row a group: every column of the bids but the personal ones; `hardware` as class names
    recipes     (R) class → reference hours per accelerator-hour, in millionths: the distinct ones
    recipe_of   (G,)
    bid_ids     (B,)
    start       (G + 1,) the bids of group g are ordered[start[g] : start[g + 1]]
    ordered     (B,) rows of the bids, group by group, each by (entered_at, bid_id)
    group_of    (B,)
    turn        (B,) place of each bid by (entered_at, bid_id) among all
    count       (G,) bids in the group
    width       (G,) accelerators at once, each bid
    units       (G,) accelerator-slots in all, each bid: ⌊hours ÷ h⌋; by work reference hours, so divided, in millionths
    whole       (G,) whether those are all its hours
    run         (G,) slots a block runs: units ÷ width; 0 for flexible bids
    work        (G,) whether its hours are reference hours; such a group is of one bid
    """

    terms: pl.DataFrame
    recipes: list[dict[str, int]]
    recipe_of: Ints
    bid_ids: pl.Series
    start: Ints
    ordered: Ints
    group_of: Ints
    turn: Ints
    count: Ints
    width: Ints
    units: Ints
    whole: Bools
    run: Ints
    work: Bools

    @property
    def has_blocks(self) -> bool:
        """Whether any bid is all or nothing."""
        return bool(self.run.any())

    @property
    def has_work(self) -> bool:
        """Whether any bid is by work."""
        return bool(self.work.any())

    @property
    def lumpy(self) -> bool:
        """Whether any bid is a block or by work, so that the book is no network."""
        return self.has_blocks or self.has_work


def gather_bids(book: MarketBook) -> Demand:
    """Build the demand side. Raises NotSupported for a bid this release cannot clear, BadInput for one it cannot read."""
    bids = book.bids.sort("bid_id")
    _refuse_unsupported(bids)
    recipes, recipe_of_bid = _recipes(bids)
    asked = numbered_sets(bids.drop(*PERSONAL, "hardware")).with_columns(hardware=pl.Series(recipe_of_bid))
    by_work = bids["semantics"] == "work"
    if by_work.any():
        asked = asked.with_columns(alone=pl.when(by_work).then(pl.int_range(bids.height)))
    kinds, group_of = distinct(asked)
    groups, hours = kinds.height, book.rules.hours
    by_entry = np.argsort(bids["entered_at"].to_physical().to_numpy(), kind="stable")
    turn = np.empty(bids.height, dtype=np.int64)
    turn[by_entry] = np.arange(bids.height)
    ordered = by_entry[np.argsort(group_of[by_entry], kind="stable")]
    firsts = np.full(groups, bids.height, dtype=np.int64)
    np.minimum.at(firsts, group_of, np.arange(bids.height))
    count = np.bincount(group_of, minlength=groups).astype(np.int64)
    recipe_of = recipe_of_bid[firsts]
    classes = pl.Series("hardware", [sorted(recipe) for recipe in recipes], dtype=pl.List(pl.String))
    terms = bids[firsts].drop(PERSONAL).with_columns(classes.gather(recipe_of))
    work = by_work.to_numpy()[firsts]
    units, whole = _units(terms["hours"], hours, parts=np.where(work, PLACES, 1))
    return Demand(
        terms=terms,
        recipes=recipes,
        recipe_of=recipe_of,
        bid_ids=bids["bid_id"],
        start=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        ordered=ordered,
        group_of=group_of,
        turn=turn,
        count=count,
        width=terms["width"].to_numpy().astype(np.int64),
        units=units,
        whole=whole,
        run=_runs(bids[firsts].with_columns(row=pl.Series(firsts + 1)), hours),
        work=work,
    )


def _refuse_unsupported(bids: pl.DataFrame) -> None:
    """Blocks by work and virtual clusters are not in this release: say which bid and what would do."""
    no_work, one_site = (pl.col("semantics") == "work") & (pl.col("kind") == "block"), pl.col("sites_max") != 1
    for column, allowed, refused in (("semantics", "hours", no_work), ("sites_max", 1, one_site)):
        others = bids.with_row_index("row", offset=1).filter(refused)
        if others.height:
            row, bid, found = others.select("row", "bid_id", column).row(0)
            raise NotSupported(
                f"bid {bid} has {column} {found}, which this release does not clear; {column} {allowed} would do",
                file="bids",
                row=row,
                column=column,
                found=found,
                would_do=str(allowed),
            )


def _units(hours: pl.Series, slot_hours: Fraction, *, parts: Ints) -> tuple[Ints, Bools]:
    """Whole accelerator-slots in so many hours (G,), or as many parts of one, and whether nothing is left over."""
    kinds, number = distinct(hours.to_frame().with_columns(parts=parts))
    slots = [exact(wanted) / slot_hours * each for wanted, each in kinds.iter_rows()]
    units = np.array([min(int(each), NEVER) for each in slots], dtype=np.int64)
    whole = np.array([each.denominator == 1 for each in slots], dtype=bool)
    return units[number], whole[number]


def _runs(firsts: pl.DataFrame, slot_hours: Fraction) -> Ints:
    """The slots each block runs, hours ÷ width ÷ h; 0 for a flexible bid. The first bid of each group, with its row."""
    runs = np.zeros(firsts.height, dtype=np.int64)
    blocks = firsts.with_row_index("group").filter(pl.col("kind") == "block")
    for group, row, bid, width, hours in blocks.select("group", "row", "bid_id", "width", "hours").iter_rows():
        run = exact(hours) / width / slot_hours
        if run.denominator != 1 or run < 1:
            raise BadInput(
                f"block {bid} runs hours ÷ width ÷ slot_hours slots, which is {run} here",
                file="bids",
                row=row,
                column="hours",
                found=hours,
                would_do=f"a multiple of {float(width * slot_hours)}",
            )
        runs[group] = int(run)
    return runs


def _recipes(bids: pl.DataFrame) -> tuple[list[dict[str, int]], Ints]:
    """The distinct maps of class to factor in millionths, and which one each bid names: factors are compared as numbers."""
    kinds, number = distinct(bids.select("hardware"))
    first_row = np.full(kinds.height, bids.height, dtype=np.int64)
    np.minimum.at(first_row, number, np.arange(bids.height))
    recipes: dict[tuple[tuple[str, int], ...], int] = {}
    of_kind = np.empty(kinds.height, dtype=np.int64)
    for kind, entries in enumerate(kinds["hardware"].to_list()):
        recipe = tuple(sorted(_factors(entries, int(first_row[kind])).items()))
        of_kind[kind] = recipes.setdefault(recipe, len(recipes))
    return [dict(recipe) for recipe in recipes], of_kind[number]


def _factors(entries: list[str], row: int) -> dict[str, int]:
    """`CLASS:factor` entries as millionths by class."""
    factors: dict[str, int] = {}
    for entry in entries:
        name, _, text = entry.rpartition(":")
        try:
            millionths = Fraction(Decimal(text)) * PLACES
        except (InvalidOperation, ValueError, OverflowError):
            millionths = Fraction(-1)
        if not name or name in factors or millionths < 0 or millionths.denominator != 1:
            raise BadInput(
                "hardware is a list of classes, each once, with its factor",
                file="bids",
                row=row + 1,
                column="hardware",
                found=entry,
                would_do="H100-SXM:1.0, six decimals at most",
            )
        factors[name] = int(millionths)
    return factors
