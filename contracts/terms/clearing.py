"""What a clearing decides, and what it must show to be believed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec
import polars as pl

from contracts.terms.time import SlotGrid, seconds_grid

CycleStatus = Literal["open", "clearing", "applied", "failed"]


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the market from gate closure to published prices.

    gate_at  when the book closed
    start    first instant of the first slot
    token    rises with every run; only the holder of the latest may apply
    """

    id: str
    number: int
    gate_at: datetime
    start: datetime
    slots: int
    slot_seconds: int
    status: CycleStatus = "open"
    token: int = 0

    @property
    def grid(self) -> SlotGrid:
        """The slots it clears."""
        return seconds_grid(self.start, slot_seconds=self.slot_seconds, slots=self.slots)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a certificate: what was checked, whether it holds, and the figures behind it."""

    name: str
    holds: bool
    finding: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that comes with every clearing; anyone who has the book can re-compute it without a solver.

    welfare_micros               Σ h·(worth − rate)·x over the awards
    bound_micros                 an upper bound on welfare from the published prices alone
    gap                          (bound − welfare) ÷ bound; 0 when the bound is 0
    lost_opportunity_micros      bound − welfare where blocks make it unavoidable, else 0
    bound_integer_micros         the solver's claim for a book with blocks, else None
    paid, received, uplift       micros; paid = received, uplift apart
    hashes                       table name → SHA-256 of its canonical text
    merkle_root                  over one leaf a bid, its terms, outcome and awards: what a buyer's own extract is held to
    """

    rules: str
    path: str
    approximate: bool
    welfare_micros: int
    bound_micros: int
    gap: float
    lost_opportunity_micros: int
    bound_integer_micros: int | None
    paid_micros: int
    received_micros: int
    uplift_micros: int
    fee_micros: int
    transfer_micros: int
    checks: tuple[Check, ...]
    hashes: dict[str, str]
    merkle_root: str = ""

    @property
    def holds(self) -> bool:
        """Whether every check holds: only then may the clearing be applied."""
        return all(check.holds for check in self.checks)


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one clearing, as the published tables (see `tables.py`).

    awards     who gets what, where, when, at which tier, rate and charge
    prices     per pool, slot and tier, with both ends of the tie range
    outcomes   one row a bid: filled, partial, rejected or paradoxical, and why
    receipts   one row an offer and slot that sold or stood by for a premium

    path                   how it was found: convex, auction or exact
    approximate            whether the prices are indicative, so that a gap to the bound may remain
    bound_integer_micros   with blocks: the most welfare any clearing of the book could have, as branch and bound claims
    """

    awards: pl.DataFrame
    prices: pl.DataFrame
    outcomes: pl.DataFrame
    receipts: pl.DataFrame
    path: str = "convex"
    approximate: bool = False
    bound_integer_micros: int | None = None

    def tables(self) -> dict[str, pl.DataFrame]:
        """The four frames by table name, in published order."""
        return {"awards": self.awards, "prices": self.prices, "outcomes": self.outcomes, "receipts": self.receipts}


def clearing_of(frames: Mapping[str, pl.DataFrame]) -> Clearing:
    """A clearing from its published tables by name. Raises KeyError when one is missing."""
    return Clearing(awards=frames["awards"], prices=frames["prices"], outcomes=frames["outcomes"], receipts=frames["receipts"])
