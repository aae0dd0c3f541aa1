"""The demand side: bids gathered into groups of equals, in accelerator-slots.

Bids equal in all but id, buyer and entry time want the same thing, so the clearing sees one group of n
of them with n times the width and n times the hours; `choice.py` shares the group's lot by entry time.
Splitting back always works in whole accelerators, and the supporting prices are the same either way.
"""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import polars as pl

from contracts.terms.errors import BadInput, NotSupported
from contracts.terms.orders import MarketBook
from pricing.arrays import Ints
from pricing.energy import exact

PERSONAL = ("bid_id", "buyer", "entered_at")
PLACES = 1_000_000


class Demand(msgspec.Struct, frozen=True, eq=False):
    """What is wanted. B bids in order of id, G groups of equal bids in order of their first member.

    terms       one row a group: every column of the bids but the personal ones; `hardware` as class names
    factors     (G) class → reference hours per accelerator-hour, in millionths
    bid_ids     (B,)
    members     (G) rows of the bids of each group, by (entered_at, bid_id)
    group_of    (B,)
    turn        (B,) place of each bid by (entered_at, bid_id) among all
    count       (G,) bids in the group
    width       (G,) accelerators at once, each bid
    units       (G,) accelerator-slots in all, each bid: ⌊hours ÷ h⌋
    run         (G,) slots a block runs: units ÷ width; 0 for flexible bids
    """

    terms: pl.DataFrame
    factors: list[dict[str, int]]
    bid_ids: list[str]
    members: list[list[int]]
    group_of: Ints
    turn: Ints
    count: Ints
    width: Ints
    units: Ints
    run: Ints

    @property
    def has_blocks(self) -> bool:
        """Whether any bid is all or nothing."""
        return bool(self.run.any())


def gather_bids(book: MarketBook) -> Demand:
    """Build the demand side. Raises NotSupported for a bid this release cannot clear, BadInput for one it cannot read."""
    bids = book.bids.sort("bid_id")
    _refuse_unsupported(bids)
    order = bids.with_row_index("row").sort("entered_at", "bid_id")["row"].to_list()
    turn = np.empty(bids.height, dtype=np.int64)
    turn[order] = np.arange(bids.height)
    factors = [_factors(entries, row) for row, entries in enumerate(bids["hardware"].to_list())]
    group_of, firsts = _groups(bids, factors)
    members: list[list[int]] = [[] for _ in firsts]
    for row in order:
        members[group_of[row]].append(row)
    terms = bids[firsts].drop(PERSONAL)
    classes = pl.Series("hardware", [sorted(factors[row]) for row in firsts], dtype=pl.List(pl.String))
    hours = book.rules.hours
    units = np.array([int(exact(wanted) / hours) for wanted in terms["hours"]], dtype=np.int64)
    return Demand(
        terms=terms.with_columns(classes),
        factors=[factors[row] for row in firsts],
        bid_ids=bids["bid_id"].to_list(),
        members=members,
        group_of=group_of,
        turn=turn,
        count=np.array([len(rows) for rows in members], dtype=np.int64),
        width=terms["width"].to_numpy().astype(np.int64),
        units=units,
        run=_runs(bids, hours)[firsts],
    )


def _refuse_unsupported(bids: pl.DataFrame) -> None:
    """Work and virtual clusters are in the rules and not in this release: say which bid and what would do."""
    for column, allowed in (("semantics", "hours"), ("sites_max", 1)):
        others = bids.with_row_index("row", offset=1).filter(pl.col(column) != allowed)
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


def _runs(bids: pl.DataFrame, slot_hours: Fraction) -> Ints:
    """The slots each block runs, hours ÷ width ÷ h; 0 for a flexible bid."""
    runs = np.zeros(bids.height, dtype=np.int64)
    for row, (bid, kind, width, hours) in enumerate(bids.select("bid_id", "kind", "width", "hours").iter_rows()):
        if kind != "block":
            continue
        run = exact(hours) / width / slot_hours
        if run.denominator != 1 or run < 1:
            raise BadInput(
                f"block {bid} runs hours ÷ width ÷ slot_hours slots, which is {run} here",
                file="bids",
                row=row + 1,
                column="hours",
                found=hours,
                would_do=f"a multiple of {float(width * slot_hours)}",
            )
        runs[row] = int(run)
    return runs


def _groups(bids: pl.DataFrame, factors: list[dict[str, int]]) -> tuple[Ints, list[int]]:
    """The group of each bid, and the first row of each group. Lists are compared as sets, factors as numbers."""
    number: dict[tuple[Any, ...], int] = {}
    firsts: list[int] = []
    group_of = np.empty(bids.height, dtype=np.int64)
    for row, values in enumerate(bids.drop(*PERSONAL, "hardware").iter_rows()):
        plain = (tuple(sorted(set(value))) if isinstance(value, list) else value for value in values)
        key = (tuple(sorted(factors[row].items())), *plain)
        if key not in number:
            number[key] = len(firsts)
            firsts.append(row)
        group_of[row] = number[key]
    return group_of, firsts


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
