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

Arcs are never written down: `price ≥ a + worth` on all arcs of a bid and slot says a ≤ −(its best margin), and an arc
holds with equality only at the cheapest price of its cell. So each cell, slot and tier has a node for its cheapest
price, reached from the prices that are the cheapest, and only the arcs that reach the best margin become edges.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from contracts.terms.clearing import Check
from contracts.terms.tables import TIERS
from pricing.audit.examination import Audit, verdict
from pricing.audit.reach import FAR
from pricing.audit.supply import GUARANTEED, SPOT, STANDARD
from pricing.audit.whole import Bools, Ints

ZERO = 0


class Edges(msgspec.Struct, frozen=True, eq=False):
    """value(head) ≤ value(tail) + weight, each (E,)."""

    tail: Ints
    head: Ints
    weight: Ints


class Gains(msgspec.Struct, frozen=True, eq=False):
    """c (B,) and a (B, T) that go with some prices, and a's greatest value on the arcs alone (B, T)."""

    c: Ints
    a: Ints
    cap: Ints


class EndsOfTies:
    """The edges of one audit, and the two questions asked of them.

    Nodes: zero, a price for each (pool, slot, tier), the cheapest price for each (cell, slot, tier), c for each bid, and a
    for each (bid, slot) whose width is reached; elsewhere a is c.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        demand, taken = audit.demand, audit.taken
        self._on_sale = audit.stock.on_sale
        self._prices = 1 + np.arange(self._on_sale.size).reshape(self._on_sale.shape)
        cells = (len(audit.reach.cells.hardware), *self._on_sale.shape[1:])
        self._cheapest = 1 + self._prices.size + np.arange(np.prod(cells)).reshape(cells)
        self._c = 1 + self._prices.size + self._cheapest.size + np.arange(len(demand.ids))
        self._full = (taken >= demand.width[:, None]) & (demand.most > 0)[:, None]
        self._a = np.broadcast_to(self._c[:, None], taken.shape).copy()
        self._a[self._full] = 1 + self._prices.size + self._cheapest.size + len(demand.ids) + np.arange(int(self._full.sum()))
        self._nodes = 1 + self._prices.size + self._cheapest.size + len(demand.ids) + int(self._full.sum())
        self._has_hours = audit.used < demand.most
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
        audit, edges = self._audit, self._edges
        cheapest = audit.reach.cells.cheapest(prices, self._on_sale)
        cap = np.full(audit.taken.shape, FAR, dtype=np.int64)
        for bids, margins in audit.reach.best_margins(cheapest):
            cap[bids] = -margins.T
        cap[audit.demand.most <= 0] = FAR
        gains = Gains(*(self._greatest_gains(cap) if greatest else self._least_gains(prices)), cap)
        values = self._values(prices, gains)
        slack = values[edges.tail] + edges.weight - values[edges.head]
        broken = [self._apart(int(edges.tail[edge]), int(edges.head[edge]), by=-int(slack[edge])) for edge in np.flatnonzero(slack < 0)[:3]]
        broken += self._broken_arcs(gains, cheapest)
        if broken:
            yield from broken[:3]
            return
        tight = slack == 0
        ways = [(edges.tail[tight], edges.head[tight]), self._cheapest_edges(prices, cheapest), *self._tight_arcs(gains, cheapest)]
        tail, head = (np.concatenate(nodes) for nodes in zip(*ways, strict=True))
        if not greatest:
            tail, head = head, tail
        graph = coo_array((np.ones(len(tail), dtype=np.int8), (tail, head)), shape=(self._nodes, self._nodes)).tocsr()
        reached = np.zeros(self._nodes, dtype=np.bool_)
        reached[breadth_first_order(graph, ZERO, return_predecessors=False)] = True
        stray = self._on_sale & ~reached[self._prices]
        if not greatest:
            stray &= audit.traded[:, :, None]
        for place in np.argwhere(stray):
            yield f"{self._price_name(place)} could be {'higher' if greatest else 'lower'}"

    def _values(self, prices: Ints, gains: Gains) -> Ints:
        """Every node's value: the prices as published, and the c and a that go with them. The cheapest are worked out apart."""
        values = np.zeros(self._nodes, dtype=np.int64)
        values[self._prices] = prices
        values[self._c] = gains.c
        values[self._a[self._full]] = gains.a[self._full]
        return values

    def _greatest_gains(self, cap: Ints) -> tuple[Ints, Ints]:
        """The greatest c (B,) and a (B, T) that the prices of all arcs allow."""
        c = np.minimum(0, np.where(self._full, FAR, cap).min(axis=1, initial=FAR))
        return c, np.where(self._full, np.minimum(c[:, None], cap), c[:, None])

    def _least_gains(self, prices: Ints) -> tuple[Ints, Ints]:
        """The least c (B,) and a (B, T) that the prices of the used arcs allow."""
        audit, layout = self._audit, self._audit.layout
        floor = np.full(self._full.shape, -FAR, dtype=np.int64)
        np.maximum.at(floor, (layout.bid, layout.slot), prices[audit.award_pool, layout.slot, layout.tier] - audit.award_worth)
        c = np.maximum(np.where(self._has_hours, 0, -FAR), floor.max(axis=1, initial=-FAR))
        return c, np.where(self._full, floor, c[:, None])

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
        better_sold = np.cumsum(self._audit.sold_by_pool, axis=2)
        for tier in (GUARANTEED, STANDARD):
            there = self._on_sale[:, :, tier]
            room = there & (better_sold[:, :, tier] < self._audit.stock.limits[:, :, tier])
            better, worse = self._prices[:, :, tier], self._prices[:, :, tier + 1]
            yield better[there], worse[there], np.zeros(int(there.sum()), dtype=np.int64)
            yield worse[room], better[room], np.zeros(int(room.sum()), dtype=np.int64)

    def _bid_edges(self) -> Iterator[tuple[Ints, Ints, Ints]]:
        """From what bids gain to the prices of what they use, and between their c, their a and zero."""
        audit, layout = self._audit, self._audit.layout
        used = self._prices[audit.award_pool, layout.slot, layout.tier]
        yield self._a[layout.bid, layout.slot], used, audit.award_worth
        bid, _ = np.nonzero(self._full)
        yield self._c[bid], self._a[self._full], np.zeros(len(bid), dtype=np.int64)
        live = self._live()
        yield _from_zero(self._c[live])
        tail, head, weight = _from_zero(self._c[live & self._has_hours])
        yield head, tail, weight

    def _live(self) -> Bools:
        """Bids with an arc or an award: only they bear on a price."""
        reach = self._audit.reach
        live: Bools = (self._audit.used > 0) | ((reach.row_of[1:] > reach.row_of[:-1]) & (self._audit.demand.most > 0))
        return live

    def _cheapest_edges(self, prices: Ints, cheapest: Ints) -> tuple[Ints, Ints]:
        """From each price to the cheapest of each cell that it is."""
        cells = self._audit.reach.cells
        cell = np.repeat(np.arange(len(cells.hardware)), np.diff(cells.start))
        tails, heads = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for slot in range(prices.shape[1]):
            is_it = (prices[cells.pool, slot] == cheapest[cell, slot]) & self._on_sale[cells.pool, slot]
            row, tier = np.nonzero(is_it)
            tails.append(self._prices[cells.pool[row], slot, tier])
            heads.append(self._cheapest[cell[row], slot, tier])
        return np.concatenate(tails), np.concatenate(heads)

    def _tight_arcs(self, gains: Gains, cheapest: Ints) -> Iterator[tuple[Ints, Ints]]:
        """From the cheapest prices to the a of every bid and slot that they hold down."""
        reach = self._audit.reach
        held = (gains.a == gains.cap) & (gains.cap < FAR // 4)
        for low, high in reach.chunks():
            rows = np.arange(reach.row_of[low], reach.row_of[high])
            rows = rows[held[reach.bid[rows]].any(axis=1)]
            bid, cell = reach.bid[rows], reach.cell[rows]
            is_it = held[bid][:, :, None] & (reach.margins(rows, cheapest) == -gains.a[bid][:, :, None])
            row, slot, tier = np.nonzero(is_it)
            yield self._cheapest[cell[row], slot, tier], self._a[bid[row], slot]

    def _broken_arcs(self, gains: Gains, cheapest: Ints) -> list[str]:
        """Arcs whose price is below a + worth, each at its cheapest pool."""
        found = []
        reach = self._audit.reach
        for bid, slot in np.argwhere(gains.a > gains.cap)[:3].tolist():
            rows = np.arange(reach.row_of[bid], reach.row_of[bid + 1])
            row, tier = np.argwhere(reach.margins(rows, cheapest)[:, slot, :] == -gains.cap[bid, slot])[0].tolist()
            name = f"the cheapest of {self._cell_name(int(reach.cell[rows[row]]))}, slot {slot}, {TIERS[tier]}"
            by = gains.a[bid, slot] - gains.cap[bid, slot]
            found.append(f"{name} and what bid {self._audit.demand.ids[bid]} gains are too far apart by {by} micros")
        return found

    def _cell_name(self, cell: int) -> str:
        cells = self._audit.reach.cells
        pools = cells.pool[cells.start[cell] : cells.start[cell + 1]]
        return f"pool {self._audit.stock.names[pools[0]]}" + (f" and {len(pools) - 1} like it" if len(pools) > 1 else "")

    def _apart(self, tail: int, head: int, *, by: int) -> str:
        return f"{self._name(tail)} and {self._name(head)} are too far apart by {by} micros"

    def _name(self, node: int) -> str:
        if node == ZERO:
            return "a rate or limit"
        if node <= self._prices.size:
            return self._price_name(np.argwhere(self._prices == node)[0])
        bid = int(node - self._c[0]) if node <= self._c[-1] else int(np.argwhere(self._a == node)[0][0])
        return f"what bid {self._audit.demand.ids[bid]} gains"

    def _price_name(self, place: Ints) -> str:
        pool, slot, tier = (int(axis) for axis in place)
        return f"pool {self._audit.stock.names[pool]}, slot {slot}, {TIERS[tier]}"


def _from_zero(nodes: Ints) -> tuple[Ints, Ints, Ints]:
    """Edges that say: no more than nothing."""
    return np.full(len(nodes), ZERO, dtype=np.int64), nodes, np.zeros(len(nodes), dtype=np.int64)
