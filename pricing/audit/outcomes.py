"""What each bid is due: its status, hours, charges, fee, transfer, uplift, and the reason where it has nothing."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import polars as pl

from contracts.terms.money import BASIS_POINTS
from contracts.terms.tables import OUTCOMES
from pricing.audit.examination import Audit
from pricing.audit.lumps import best_runs
from pricing.audit.whole import Bools, Ints, gathered, halves_up, ratios, times

AMOUNTS = ("hours", "reference_hours", "paid_micros", "fee_micros", "transfer_micros", "uplift_micros")
STATUSES = ("rejected", "partial", "filled", "paradoxical")
REJECTED, PARTIAL, FILLED, PARADOXICAL = range(len(STATUSES))
REASONS = ("", "priced out", "no eligible pool")


def odd_outcomes(audit: Audit) -> Iterator[str]:
    """Outcomes that their awards do not call for, and bids without one."""
    told, rows = audit.clearing.outcomes, audit.layout.named.told
    due = _due_outcomes(audit)
    both = pl.concat([told, due[rows].select(pl.all().name.suffix("_due"))], how="horizontal")
    odd_amounts = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_due") for name in AMOUNTS)
    odd = both.filter(odd_amounts | (pl.col("status") != pl.col("status_due")) | (pl.col("reason") != pl.col("reason_due")))
    for row in odd.iter_rows(named=True):
        if row["status"] != row["status_due"]:
            yield f"bid {row['bid_id']} is called {row['status']}, but is {row['status_due']}"
        given, expected = ([row[f"{name}{suffix}"] for name in AMOUNTS] for suffix in ("", "_due"))
        if given != expected:
            yield f"bid {row['bid_id']} has hours, reference hours, paid, fee, transfer, uplift {given}, due {expected}"
        if row["reason"] != row["reason_due"]:
            yield f"bid {row['bid_id']} is told {row['reason']!r}, the reason is {row['reason_due']!r}"
    silent = np.ones(due.height, dtype=np.bool_)
    silent[rows] = False
    for bid in np.flatnonzero(silent):
        yield f"bid {audit.demand.ids[bid]} has no outcome"


def _due_outcomes(audit: Audit) -> pl.DataFrame:
    """The rows the awards call for, in the order of the book."""
    demand, layout, h = audit.demand, audit.layout, audit.slot_hours
    bids = len(demand.ids)
    hardware = audit.terms.hardware[audit.award_pool]
    reference = times(layout.quantity, demand.factors[demand.kind[layout.bid], hardware])
    referenced = gathered(np.asarray(reference, dtype=np.int64), layout.bid, size=bids)
    paid = gathered(layout.charge, layout.bid, size=bids)
    lost = times(layout.rate - audit.award_worth, layout.quantity)
    served = audit.taken.sum(axis=1) > 0
    return pl.DataFrame(
        {
            "bid_id": audit.book.bids["bid_id"],
            "status": _statuses(audit, served),
            "hours": ratios(audit.taken.sum(axis=1), 1, times_by=h),
            "reference_hours": ratios(referenced, demand.factor_unit, times_by=h),
            "paid_micros": paid,
            "fee_micros": halves_up(times(paid, audit.book.rules.fee_bps), Fraction(1, BASIS_POINTS)),
            "transfer_micros": gathered(audit.money(audit.award_transfer, layout.quantity), layout.bid, size=bids),
            "uplift_micros": halves_up(np.maximum(0, gathered(np.asarray(lost, dtype=np.int64), layout.bid, size=bids)), h),
            "reason": pl.Series(REASONS).gather(np.where(served, 0, np.where(audit.reach.welcome, 1, 2))),
        },
        schema=OUTCOMES.schema,
    )


def _statuses(audit: Audit, served: Bools) -> pl.Series:
    """Filled where the hours are had to the last, partial with some of them, paradoxical where a refused block would have gained."""
    status = np.where(served, np.where(_has_all(audit), FILLED, PARTIAL), REJECTED)
    if audit.demand.block.any():
        status[~served & (best_runs(audit, audit.layout.rates) > 0)] = PARADOXICAL
    return pl.Series(STATUSES).gather(status)


def _has_all(audit: Audit) -> Bools:
    """Whether what a bid has, accelerator-hours or of work reference hours, is exactly what it asked for."""
    demand, h = audit.demand, audit.slot_hours
    unit: Ints = np.where(demand.work, demand.factor_unit, 1)
    had = times(audit.used, h.numerator * demand.hours_unit)
    wanted = times(times(demand.hours, h.denominator), unit)
    found: Bools = np.asarray(had == wanted, dtype=np.bool_)
    return found
