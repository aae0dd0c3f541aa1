"""One book as arrays: the supply, the demand, and the arcs between them.

    maximise    Σ worth·x − Σ rate·z
    such that   Σ x into (pool, slot)                   ≤ Σ z of its offers     price p
                Σ x at standard or better there         ≤ its limit             premium μs
                Σ x at guaranteed there                 ≤ its limit             premium μg
                Σ x of a group in a slot                ≤ count · width         v
                Σ x of a group                          ≤ count · units         u

x ≥ 0 accelerators on an arc, 0 ≤ z ≤ what leases left of an offer. Rows on x are two nested families
(bid ⊃ bid in slot; pool ⊃ standard ⊃ guaranteed), so the matrix is that of a network: its corners are
whole accelerators, its duals whole micros. h, the slot's hours, multiplies everything and is left out.
"""

import msgspec
import numpy as np

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arcs import Arcs, find_arcs
from pricing.arrays import Bools, Ints
from pricing.blocks import Columns, find_columns
from pricing.compiling import compile_network, find_reachable
from pricing.demand import Demand, gather_bids
from pricing.eligibility import Eligibility, compile_clauses
from pricing.network import Network
from pricing.pools import Supply, gather
from pricing.worth import Worth, value


class CompiledBook(msgspec.Struct, frozen=True, eq=False):
    """A book as arrays, arcs implicit: what a large clearing works on, and what the tables of a result are made from.

    reachable   (G,) whether some pool passes every timeless clause and could carry a wanted tier
    """

    supply: Supply
    demand: Demand
    eligibility: Eligibility
    worth: Worth
    network: Network
    reachable: Bools

    @property
    def pools(self) -> int:
        """How many pools, P."""
        return self.supply.pools.height

    @property
    def slots(self) -> int:
        """How many slots, T."""
        return int(self.supply.offered.shape[1])

    @property
    def groups(self) -> int:
        """How many groups of equal bids, G."""
        return self.demand.terms.height


class MarketProblem(CompiledBook, frozen=True, eq=False):
    """The same with every arc spelt out, for the convex path and small tools.

    arcs      of the flexible bids
    columns   of the blocks: without any, the matrix is that of a network
    cell      (N,) group·T + slot of each arc, ascending
    node      (N,) (tier·P + pool)·T + slot of each arc
    """

    arcs: Arcs
    columns: Columns
    cell: Ints
    node: Ints

    def on_arcs(self, kept: Bools) -> "MarketProblem":
        """The same with only some of its arcs: a mask (N,)."""
        arcs = self.arcs
        fewer = Arcs(arcs.group[kept], arcs.slot[kept], arcs.pool[kept], arcs.tier[kept], arcs.worth[kept])
        return msgspec.structs.replace(self, arcs=fewer, cell=self.cell[kept], node=self.node[kept])

    def by_node(self, quantity: Ints) -> Ints:
        """Accelerators on arcs (N,) summed by (tier, pool, slot): (3, P, T)."""
        total = np.zeros(len(TIERS) * self.pools * self.slots, dtype=np.int64)
        np.add.at(total, self.node, quantity)
        return total.reshape(len(TIERS), self.pools, self.slots)

    def by_cell(self, quantity: Ints) -> Ints:
        """Accelerators on arcs (N,) summed by group and slot: (G, T)."""
        total = np.zeros(self.groups * self.slots, dtype=np.int64)
        np.add.at(total, self.cell, quantity)
        return total.reshape(self.groups, self.slots)


def compile_book(book: MarketBook) -> CompiledBook:
    """Turn a book into arrays, arcs implicit. Raises NotSupported and BadInput as its parts do."""
    supply, demand = gather(book), gather_bids(book)
    eligibility = compile_clauses(demand.terms, supply.pools, transfer=book.transfer, latency=book.latency)
    worth = value(book, supply=supply, demand=demand)
    return CompiledBook(
        supply=supply,
        demand=demand,
        eligibility=eligibility,
        worth=worth,
        network=compile_network(supply, demand, worth=worth, eligibility=eligibility),
        reachable=find_reachable(supply, worth, eligibility=eligibility),
    )


def spell_out(compiled: CompiledBook) -> MarketProblem:
    """Every arc of a compiled book, and every column of its blocks: for a book of some million arcs at most."""
    supply, demand = compiled.supply, compiled.demand
    arcs = find_arcs(compiled.network)
    slots = compiled.slots
    return MarketProblem(
        supply=supply,
        demand=demand,
        eligibility=compiled.eligibility,
        worth=compiled.worth,
        network=compiled.network,
        reachable=compiled.reachable,
        arcs=arcs,
        columns=find_columns(compiled.network),
        cell=arcs.group * slots + arcs.slot,
        node=(arcs.tier * supply.pools.height + arcs.pool) * slots + arcs.slot,
    )


def build(book: MarketBook) -> MarketProblem:
    """Turn a small book into arrays, arcs spelt out. Raises NotSupported and BadInput as `compile_book`."""
    return spell_out(compile_book(book))
