"""The best response of one bid to published prices, read slowly: what it would take if everything were there for it to take."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations

import msgspec

from pricing.policy_facts import Bid

Place = tuple[str, int, str]


class Arc(msgspec.Struct, frozen=True, kw_only=True):
    """What an accelerator-hour gains at a place, micros, and how many reference hours it is worth."""

    gain: int
    factor: Fraction


def best_response(bid: Bid, arcs: Mapping[Place, Arc], *, slot_hours: Fraction) -> Fraction:
    """The most a bid can gain on arcs by pool, slot and tier, micros.

    A block takes one pool, one tier and its slots in a row; a flexible bid the best slots first. Work is taken in fractions
    of accelerators, which can only be more than whole ones gain.
    """
    if bid.kind == "block":
        return _best_run(bid, arcs, run=int(bid.hours / bid.width / slot_hours)) * slot_hours
    if bid.semantics == "work":
        return _best_work(bid, arcs, hours=bid.hours / slot_hours) * slot_hours
    units, total = int(bid.hours // slot_hours), 0
    best: dict[int, int] = {}
    for (_, slot, _), arc in arcs.items():
        best[slot] = max(best.get(slot, 0), arc.gain)
    for gain in sorted(best.values(), reverse=True):
        take = min(bid.width, units)
        total, units = total + gain * take, units - take
    return total * slot_hours


def _best_run(bid: Bid, arcs: Mapping[Place, Arc], *, run: int) -> int:
    """The best column of a block, at its width; 0 when none gains."""
    best = 0
    for pool, first, tier in arcs:
        column = [arcs.get((pool, slot, tier)) for slot in range(first, first + run)]
        gains = [arc.gain for arc in column if arc is not None]
        if len(gains) == run:
            best = max(best, sum(gains) * bid.width)
    return best


def _best_work(bid: Bid, arcs: Mapping[Place, Arc], *, hours: Fraction) -> Fraction:
    """The least over v ≥ 0 of v · hours + Σ width · max(0, gain − v·factor), v the value of a reference hour.

    By duality that is the most the bid gains in fractions. The sum bends only where an arc stops gaining or another of its
    slot takes over, so v needs to be tried there alone.
    """
    slots: dict[int, dict[Fraction, int]] = {}
    for (_, slot, _), arc in arcs.items():
        if arc.gain > 0:
            best = slots.setdefault(slot, {})
            best[arc.factor] = max(best.get(arc.factor, 0), arc.gain)
    bends = {Fraction(0)}
    for best in slots.values():
        bends |= {gain / factor for factor, gain in best.items()}
        bends |= {Fraction(a - b) / (f - g) for (f, a), (g, b) in combinations(best.items(), 2)}

    def value(v: Fraction) -> Fraction:
        """Of a reference hour's value, what the bid gains at most."""
        return v * hours + bid.width * sum(
            max(Fraction(0), *(gain - v * factor for factor, gain in best.items())) for best in slots.values()
        )

    return min(value(v) for v in bends if v >= 0)
