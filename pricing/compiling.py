"""From a book's tables to a `Network`: the pairs of a group and a pool that could trade at all.

Every group brings its policy's row of bits, one a pool; the rows are unpacked a few million pairs at a time and a pair is
kept when at some tier its worth reaches the pool's lowest rate in some slot of its window. That reduction is exact: what
is left out has no arc. Of a tier kept this may promise too much where avoiding carbon is worth something (the
pool's cleanest slot is taken), never too little: an arc is tested again, slot by slot, where it is looked at.
"""

from collections.abc import Iterator

import msgspec
import numpy as np

from contracts.terms.tables import TIERS
from pricing.arcs import served
from pricing.arrays import NEVER, SPOT, Bools, Ints
from pricing.demand import Demand
from pricing.eligibility import Eligibility
from pricing.network import Network, Small
from pricing.pools import Supply
from pricing.worth import Worth, carbon_cost

PAIRS_AT_ONCE = 1 << 18


class Least(msgspec.Struct, frozen=True, eq=False):
    """The lowest rate of a pool over any run of slots: `table[k]` (P, T) holds it over 2^k slots from each, NEVER where nothing is left."""

    table: Ints

    def over(self, pool: Ints, first: Ints, *, end: Ints) -> Ints:
        """The lowest rate (n,) of pools over first ≤ t < end; NEVER where the window is empty. Two runs of 2^k slots cover a window."""
        _, pools, slots = self.table.shape
        level = np.frexp(np.arange(slots + 1).astype(np.float64))[1].astype(np.int64) - 1
        level = level.take(np.maximum(end - first, 1))
        run = (level * pools + pool) * slots
        early = self.table.take(run + np.minimum(first, slots - 1))
        late = self.table.take(run + np.maximum(end - (1 << level), 0))
        return np.where(first < end, np.minimum(early, late), NEVER)


def compile_network(supply: Supply, demand: Demand, *, worth: Worth, eligibility: Eligibility) -> Network:
    """The network of a book, blocks' pairs included."""
    chunks = list(_pairs(supply, worth, eligibility=eligibility))
    group, pool, first, tiers = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    start = np.zeros(len(demand.count) + 1, dtype=np.int64)
    np.cumsum(np.bincount(group, minlength=len(demand.count)), out=start[1:])
    step, rate, quantity = _steps(supply)
    return Network(
        start=start,
        group=group,
        pool=pool,
        first=first,
        worth=tiers,
        end=worth.end,
        width=demand.width,
        units=np.where(demand.work, 0, demand.units),
        size=demand.count,
        run=demand.run,
        carbon=worth.carbon,
        grams=supply.carbon,
        cheapest=supply.cheapest,
        limits=_limits(supply),
        step=step,
        rate=rate,
        quantity=quantity,
    )


def with_supply(network: Network, supply: Supply) -> Network:
    """The same pairs before what is left of the supply: pairs that can no longer trade stay, and have no arc."""
    step, rate, quantity = _steps(supply)
    return network._replace(cheapest=supply.cheapest, limits=_limits(supply), step=step, rate=rate, quantity=quantity)


def find_reachable(supply: Supply, worth: Worth, *, eligibility: Eligibility) -> Bools:
    """(G,) whether some pool passes every timeless clause and could carry a tier the group wants."""
    wanted: Bools = np.any(worth.by_class > -NEVER, axis=1)
    firm = np.packbits(supply.pools["firm"].to_numpy().astype(bool))
    some: Bools = np.any(eligibility.bits, axis=1)
    some_firm: Bools = np.any(eligibility.bits & firm, axis=1)
    policy = eligibility.policy_of
    reachable: Bools = (wanted[:, SPOT] & some[policy]) | (np.any(wanted[:, :SPOT], axis=1) & some_firm[policy])
    return reachable


def _pairs(supply: Supply, worth: Worth, *, eligibility: Eligibility) -> Iterator[tuple[Small, Small, Small, Ints]]:
    """Columns group, pool, first and worth by tier of the pairs kept, some groups at a time, groups and pools ascending."""
    policies, classes = eligibility.policy_of, worth.by_class.shape[1]
    admitted = np.bitwise_count(eligibility.bits).sum(axis=1, dtype=np.int64)[policies]
    before = np.concatenate([[0], np.cumsum(admitted)])
    least, highest = lowest_rates(supply.cheapest), worth.by_class.max(axis=2, initial=-NEVER)
    floor, cleanest = least.table[-1].min(axis=1, initial=NEVER), supply.carbon.min(axis=1, initial=NEVER)
    by_tier = np.ascontiguousarray(worth.by_class.transpose(2, 0, 1)).reshape(len(TIERS), -1)
    carries = np.ascontiguousarray(served(supply.limits).any(axis=1).T)
    start = 0
    yield _none()
    while start < len(policies):
        end = max(start + 1, int(np.searchsorted(before, before[start] + PAIRS_AT_ONCE, side="right")) - 1)
        group, pool = _unpack(eligibility, policies[start:end])
        group += start
        kind = group * classes + worth.class_of.take(pool)
        kept = np.flatnonzero(highest.take(kind) >= floor.take(pool))
        group, pool, kind = group.take(kept), pool.take(kept), kind.take(kept)
        first, more = worth.first_at(group, pool), worth.transfer_at(group, pool)
        lowest = least.over(pool, first, end=worth.end.take(group)) + carbon_cost(worth.carbon.take(group), cleanest.take(pool)) + more
        kept = np.flatnonzero(highest.take(kind) >= lowest)
        group, pool, kind, first, more, lowest = (column.take(kept) for column in (group, pool, kind, first, more, lowest))
        tiers = np.empty((len(kept), len(TIERS)), dtype=np.int64)
        some = np.zeros(len(kept), dtype=bool)
        for tier in range(len(TIERS)):
            gross = by_tier[tier].take(kind)
            pays = (gross >= lowest) & carries[tier].take(pool)
            tiers[:, tier] = np.where(pays, gross - more, -NEVER)
            some |= pays
        yield group[some].astype(np.int32), pool[some].astype(np.int32), first[some].astype(np.int32), tiers[some]
        start = end


def _none() -> tuple[Small, Small, Small, Ints]:
    nothing = np.empty(0, dtype=np.int32)
    return nothing, nothing, nothing, np.empty((0, len(TIERS)), dtype=np.int64)


def _unpack(eligibility: Eligibility, policies: Ints) -> tuple[Ints, Ints]:
    """Place in `policies` (n,) and pool of every pair they admit, ascending."""
    kinds, kind_of = np.unique(policies, return_inverse=True)
    kind, pool = np.nonzero(eligibility.of_policies(kinds))
    count = np.bincount(kind, minlength=len(kinds))
    begins = np.cumsum(count) - count
    many = count[kind_of]
    place = np.repeat(np.arange(len(policies)), many)
    within = np.arange(len(place)) - np.repeat(np.cumsum(many) - many - begins[kind_of], many)
    return place, pool[within]


def lowest_rates(cheapest: Ints) -> Least:
    """The doubling table of the lowest rates (P, T)."""
    levels = [cheapest]
    span = 1
    while 2 * span <= cheapest.shape[1]:
        wider = levels[-1].copy()
        wider[:, :-span] = np.minimum(wider[:, :-span], levels[-1][:, span:])
        levels.append(wider)
        span *= 2
    return Least(np.stack(levels))


def _limits(supply: Supply) -> Ints:
    """Tier limits (P, T, 3), 0 where a tier cannot be served or nothing is left."""
    return np.where(served(supply.limits) & (supply.offered > 0)[..., None], supply.limits, 0)


def _steps(supply: Supply) -> tuple[Ints, Ints, Ints]:
    """Where each pool and slot's steps begin (P·T + 1,), their rates and quantities (K,): offers of one rate are one step."""
    slots = supply.offered.shape[1]
    offer, slot = np.nonzero(supply.left)
    place, rate = supply.pool_of[offer] * slots + slot, supply.rates[offer, slot]
    order = np.lexsort((rate, place))
    place, rate, left = place[order], rate[order], supply.left[offer, slot][order]
    new = np.ones(len(place), dtype=bool)
    new[1:] = (place[1:] != place[:-1]) | (rate[1:] != rate[:-1])
    starts = np.flatnonzero(new)
    quantity = np.add.reduceat(left, starts) if len(starts) else left
    step = np.searchsorted(place[starts], np.arange(supply.offered.size + 1))
    return step, rate[starts], quantity
