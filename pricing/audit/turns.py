"""Time priority: of bids equal in all but id, buyer and time of entry, a later one gets nothing that an earlier could still use."""

from collections.abc import Iterator

import numpy as np

from pricing.audit.examination import Audit
from pricing.audit.whole import Bools, Ints

NO_ROOM = 0


def out_of_turn(audit: Audit) -> Iterator[str]:
    """A bid served in a slot where an equal one, entered before it, had width and hours left for as much as one accelerator."""
    demand = audit.demand
    members = np.bincount(demand.alike, minlength=1)[demand.alike] > 1 if len(demand.ids) else np.empty(0, dtype=np.bool_)
    rows = np.flatnonzero(members)
    rows = rows[np.lexsort((demand.turn[rows], demand.alike[rows]))]
    if not len(rows):
        return
    need = _least_use(audit)[rows]
    width_left = (audit.taken[rows] < demand.width[rows, None]) | demand.block[rows, None]
    # No more counts than what the greatest need asks, so that the numbers stay small.
    left = np.clip(demand.most[rows] - audit.used[rows], NO_ROOM, need.max(initial=1))
    before, who = _most_before(np.where(width_left, left[:, None], NO_ROOM), group=demand.alike[rows])
    served = audit.taken[rows] > 0
    wrong: Bools = served & (before >= need)
    for place in np.flatnonzero(wrong.any(axis=1)):
        earlier = rows[who[place, int(wrong[place].argmax())]]
        yield f"bid {demand.ids[rows[place]]} is served where {demand.ids[earlier]}, entered before it, still had room"


def _least_use(audit: Audit) -> Ints:
    """What the smallest part of each bid's awards in a slot takes of its hours, (B, T): 1, or for work the least factor."""
    demand, layout = audit.demand, audit.layout
    need = np.ones(audit.taken.shape, dtype=np.int64)
    of_work = np.flatnonzero(demand.work[layout.bid])
    if len(of_work):
        bid, slot = layout.bid[of_work], layout.slot[of_work]
        factor = demand.factors[demand.kind[bid], audit.terms.hardware[audit.award_pool[of_work]]]
        need[bid, slot] = np.iinfo(np.int64).max
        np.minimum.at(need, (bid, slot), np.maximum(factor, 1))
    return need


def _most_before(left: Ints, *, group: Ints) -> tuple[Ints, Ints]:
    """Down the rows (n, T) of each group, in order: the most any row above has left, NO_ROOM at the first; and which row."""
    step = int(left.max()) + 1
    number = np.cumsum(np.r_[0, group[1:] != group[:-1]])[:, None]
    most = np.maximum.accumulate(number * step + left, axis=0)
    row = np.maximum.accumulate(np.where(number * step + left == most, np.arange(len(left))[:, None], 0), axis=0)
    above = np.r_[np.zeros((1, left.shape[1]), dtype=np.int64), most[:-1]] - number * step
    return np.maximum(above, NO_ROOM), np.r_[np.zeros((1, left.shape[1]), dtype=np.int64), row[:-1]]
