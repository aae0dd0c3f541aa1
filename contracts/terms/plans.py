"""Plans: what a buyer signs, as data. How a plan prices a month is `contracts.rating`.

Units are TFLOP·s (accelerator-seconds × TFLOP/s); prices of units are micros per PF-day
(86,400,000 units). A plan's fee, commit or grant holds for each account on it separately.
"""

import itertools
from collections.abc import Sequence

import msgspec


class PlanTier(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a tiered tariff: units above `lo_units` up to `hi_units` (None: no end) at one price."""

    lo_units: int
    hi_units: int | None
    unit_price_micros: int


class MeteredTiers(msgspec.Struct, frozen=True, kw_only=True, tag="metered_tiers"):
    """Pay for the units of the month at stepped prices.

    graduated   every step is charged at its own price; otherwise (volume) all units at the price of the step they reach
    """

    tiers: tuple[PlanTier, ...]
    graduated: bool = True

    def __post_init__(self) -> None:
        fault = tiers_fault(self.tiers)
        if fault:
            raise ValueError(fault)


class MeteredCleared(msgspec.Struct, frozen=True, kw_only=True, tag="metered_cleared"):
    """Pay the cleared or quoted rate of each lease for its seconds, plus the broker's take."""


class FlatRate(msgspec.Struct, frozen=True, kw_only=True, tag="flat_rate"):
    """Pay a monthly fee for units up to fair use.

    charge_overage   units beyond fair use cost `unit_price_micros`; otherwise they are throttled and cost nothing
    """

    fee_micros: int
    fair_use_units: int
    unit_price_micros: int
    charge_overage: bool = True


class Committed(msgspec.Struct, frozen=True, kw_only=True, tag="committed"):
    """Pay for units at one price, and over the months never less than `commit_micros` a month."""

    unit_price_micros: int
    commit_micros: int


class Grant(msgspec.Struct, frozen=True, kw_only=True, tag="grant"):
    """The first `grant_units` over all months are given; what comes after costs `unit_price_micros`."""

    unit_price_micros: int
    grant_units: int


Plan = MeteredTiers | MeteredCleared | FlatRate | Committed | Grant


class PlanFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the public table `plans`; None where the kind of plan has no such figure (it counts as 0)."""

    plan_id: str
    kind: str
    tiering: str | None = None
    unit_price_micros: int | None = None
    fee_micros: int | None = None
    fair_use_units: int | None = None
    overage: str | None = None
    commit_micros: int | None = None
    grant_units: int | None = None


def plan_of(figures: PlanFigures, tiers: Sequence[PlanTier] = ()) -> Plan:
    """The plan that a row of `plans` and its rows of `plan_tiers` stand for.

    Without a tiering a tariff is graduated, without an overage it is charged. Raises ValueError for an
    unknown kind and for tiers that leave a gap.
    """
    price = figures.unit_price_micros or 0
    match figures.kind:
        case "metered_tiers":
            return MeteredTiers(tiers=tuple(sorted(tiers, key=lambda tier: tier.lo_units)), graduated=figures.tiering != "volume")
        case "metered_cleared":
            return MeteredCleared()
        case "flat_rate":
            return FlatRate(
                fee_micros=figures.fee_micros or 0,
                fair_use_units=figures.fair_use_units or 0,
                unit_price_micros=price,
                charge_overage=figures.overage != "throttle",
            )
        case "committed":
            return Committed(unit_price_micros=price, commit_micros=figures.commit_micros or 0)
        case "grant":
            return Grant(unit_price_micros=price, grant_units=figures.grant_units or 0)
    raise ValueError(f"plan {figures.plan_id}: kind was {figures.kind!r}")


def tiers_fault(tiers: Sequence[PlanTier]) -> str | None:
    """What is wrong with the steps of a tariff, or None: they start at 0, leave no gap and end open."""
    if not tiers or tiers[0].lo_units != 0:
        return "tiers must start at 0 units"
    for tier, following in itertools.pairwise(tiers):
        if tier.hi_units != following.lo_units:
            return f"tiers must join: one ends at {tier.hi_units}, the next starts at {following.lo_units}"
    if tiers[-1].hi_units is not None:
        return f"the last tier must have no end, was {tiers[-1].hi_units}"
    return None
