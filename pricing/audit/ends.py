"""Whether the published ends of a tie are the least and the greatest prices that support the awards.

Supporting prices are those that satisfy, with u_b ≥ 0 what a further hour is worth to bid b and v_bt ≥ 0 what a
further accelerator in slot t is worth to it, and writing c_b = −u_b, a_bt = −u_b − v_bt:

    price ≥ a + worth   on every arc, with equality where it is used      a ≤ c ≤ 0
    a = c where the width is not reached in t                            c = 0 where the hours are not
    rate sold ≤ spot ≤ rate left     spot ≤ standard ≤ guaranteed, equal where the better tier has room

Each is a difference of two unknowns, or of one and zero: an edge u → v of weight w says value(v) ≤ value(u) + w.
Values that satisfy all edges are the greatest exactly when every one is reached from zero along edges that hold with
equality, and the least exactly when zero is reached from every one (the shortest-path certificate). So the ends are
checked without being computed again; only the c and a, which are not published, follow from the prices in closed form.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from contracts.terms.clearing import Check
from contracts.terms.tables import TIERS
from pricing.audit.bound import arc_groups
from pricing.audit.examination import Audit, verdict
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD, Bools, Ints

FAR = 2**60
ZERO = 0


class Edges(msgspec.Struct, frozen=True, eq=False):
    """value(head) ≤ value(tail) + weight, each (E,)."""

    tail: Ints
    head: Ints
    weight: Ints


class EndsOfTies:
    """The edges of one audit, and the two questions asked of them.

    Nodes: zero, then a price for each (pool, slot, tier), then c for each bid, then a for each (bid, slot).
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._bids, self._slots = audit.taken.shape
        self._prices = 1 + np.arange(audit.stock.limits.size).reshape(audit.stock.limits.shape)
        self._c = 1 + self._prices.size + np.arange(self._bids)
        self._a = 1 + self._prices.size + self._bids + np.arange(self._bids * self._slots).reshape(self._bids, self._slots)
        self._nodes = 1 + self._prices.size + self._bids + self._a.size
        widths = np.array([bid.width for bid in audit.bids])
        units = np.array([audit.units(number) for number in range(self._bids)])
        self._has_width = audit.taken < widths[:, None]
        self._has_hours = audit.taken.sum(axis=1) < units
        self._arcs = np.flatnonzero(units[audit.arcs.bid] > 0)
        self._begins, self._places = arc_groups(audit)
        self._edges = self._all_edges()

    def check(self) -> list[Check]:
        """The verdicts on the low and on the high ends."""
        lows, highs = self._audit.layout.lows, self._audit.layout.highs
        return [
            verdict("low ends", list(self._faults(lows, greatest=False)), finding="each is the least that supports the awards"),
            verdict("high ends", list(self._faults(highs, greatest=True)), finding="each is the greatest that supports the awards"),
        ]

    def _faults(self, prices: Ints, *, greatest: bool) -> Iterator[str]:
        """Prices that do not support the awards, then prices that could go on to a further end."""
        values = self._values(prices, greatest=greatest)
        edges = self._edges
        slack = values[edges.tail] + edges.weight - values[edges.head]
        broken = slack < 0
        if broken.any():
            for edge in np.flatnonzero(broken)[:3]:
                yield f"{self._name(edges.tail[edge])} and {self._name(edges.head[edge])} are too far apart by {-slack[edge]} micros"
            return
        tight = slack == 0
        tail, head = edges.tail[tight], edges.head[tight]
        if not greatest:
            tail, head = head, tail
        graph = coo_array((np.ones(len(tail), dtype=np.int32), (tail, head)), shape=(self._nodes, self._nodes)).tocsr()
        reached = np.zeros(self._nodes, dtype=np.bool_)
        reached[breadth_first_order(graph, ZERO, return_predecessors=False)] = True
        stray = self._audit.stock.on_sale & ~reached[self._prices]
        if not greatest:
            stray &= self._audit.traded[:, :, None]
        for place in np.argwhere(stray):
            yield f"{self._price_name(place)} could be {'higher' if greatest else 'lower'}"

    def _values(self, prices: Ints, *, greatest: bool) -> Ints:
        """Every node's value: the prices as published, and the c and a that go with them."""
        values = np.zeros(self._nodes, dtype=np.int64)
        values[self._prices] = prices
        c, a = self._greatest_gains(prices) if greatest else self._least_gains(prices)
        values[self._c], values[self._a] = c, a
        return values

    def _greatest_gains(self, prices: Ints) -> tuple[Ints, Ints]:
        """The greatest c (B,) and a (B, T) that the prices of all arcs allow."""
        arcs = self._audit.arcs
        cap = np.full((self._bids, self._slots), FAR, dtype=np.int64)
        if len(self._begins):
            cap.reshape(-1)[self._places] = np.minimum.reduceat(prices[arcs.pool, arcs.slot, arcs.tier] - arcs.worth, self._begins)
        c = np.minimum(0, np.where(self._has_width, cap, FAR).min(axis=1, initial=FAR))
        return c, np.where(self._has_width, c[:, None], np.minimum(c[:, None], cap))

    def _least_gains(self, prices: Ints) -> tuple[Ints, Ints]:
        """The least c (B,) and a (B, T) that the prices of the used arcs allow."""
        audit, layout = self._audit, self._audit.layout
        floor = np.full((self._bids, self._slots), -FAR, dtype=np.int64)
        pool = audit.stock.pool_of[layout.offer]
        np.maximum.at(floor, (layout.bid, layout.slot), prices[pool, layout.slot, layout.tier] - audit.award_worth)
        c = np.maximum(np.where(self._has_hours, 0, -FAR), floor.max(axis=1, initial=-FAR))
        return c, np.where(self._has_width, c[:, None], floor)

    def _all_edges(self) -> Edges:
        parts = [*self._offer_edges(), *self._tier_edges(), *self._bid_edges()]
        tail, head, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return Edges(tail, head, weight)

    def _offer_edges(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """spot ≤ every rate left, spot ≥ every rate sold."""
        stock = self._audit.stock
        sold = self._audit.sold_by_offer.sum(axis=2)
        spot = self._prices[stock.pool_of, :, SPOT]
        unsold = sold < stock.left
        yield np.zeros(int(unsold.sum()), dtype=np.int64), spot[unsold], stock.rates[unsold]
        yield spot[sold > 0], np.zeros(int((sold > 0).sum()), dtype=np.int64), -stock.rates[sold > 0]

    def _tier_edges(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """A better tier costs no less, and no more while it has room."""
        stock = self._audit.stock
        better_sold = np.cumsum(self._audit.sold_by_pool, axis=2)
        for tier in (GUARANTEED, STANDARD):
            there = stock.on_sale[:, :, tier]
            room = there & (better_sold[:, :, tier] < stock.limits[:, :, tier])
            better, worse = self._prices[:, :, tier], self._prices[:, :, tier + 1]
            yield better[there], worse[there], np.zeros(int(there.sum()), dtype=np.int64)
            yield worse[room], better[room], np.zeros(int(room.sum()), dtype=np.int64)

    def _bid_edges(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        audit, layout = self._audit, self._audit.layout
        arcs, kept = audit.arcs, self._arcs
        seen = self._prices[arcs.pool[kept], arcs.slot[kept], arcs.tier[kept]]
        yield seen, self._a[arcs.bid[kept], arcs.slot[kept]], -arcs.worth[kept]
        used = self._prices[audit.stock.pool_of[layout.offer], layout.slot, layout.tier]
        yield self._a[layout.bid, layout.slot], used, audit.award_worth
        c = np.broadcast_to(self._c[:, None], self._a.shape)
        live = np.broadcast_to(self._live()[:, None], self._a.shape)
        yield c[live], self._a[live], np.zeros(int(live.sum()), dtype=np.int64)
        roomy = live & self._has_width
        yield self._a[roomy], c[roomy], np.zeros(int(roomy.sum()), dtype=np.int64)
        yield _from_zero(self._c[self._live()])
        tail, head, weight = _from_zero(self._c[self._live() & self._has_hours])
        yield head, tail, weight

    def _live(self) -> Bools:
        """Bids with an arc or an award: only they bear on a price."""
        live: Bools = self._audit.taken.sum(axis=1) > 0
        live[self._audit.arcs.bid[self._arcs]] = True
        return live

    def _name(self, node: int) -> str:
        if node == ZERO:
            return "a rate or limit"
        if node < self._c[0]:
            return self._price_name(np.argwhere(self._prices == node)[0])
        bid = int(node - self._c[0]) if node < self._a.min() else int(node - self._a.min()) // self._slots
        return f"what bid {self._audit.bids[bid].id} gains"

    def _price_name(self, place: Ints) -> str:
        pool, slot, tier = (int(axis) for axis in place)
        return f"pool {self._audit.stock.names[pool]}, slot {slot}, {TIERS[tier]}"


def _from_zero(nodes: Ints) -> tuple[Ints, Ints, Ints]:
    """Edges that say: no more than nothing."""
    return np.full(len(nodes), ZERO, dtype=np.int64), nodes, np.zeros(len(nodes), dtype=np.int64)
