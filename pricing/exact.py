"""The exact finish: from the answer of an auction to awards of greatest welfare and both ends of their prices, gap 0.

Few arcs matter near the best prices, so the finish works on those alone: the auction's awards are put right on the arcs that
nobody would miss by much, then every group answers the prices that proved it, and arcs that are now near come in. When all
awards are among the best answers, both ends of the prices are sought, and every arc of the book is held to them. When
none would gain, the ends support the awards in the whole book, to the micro, and that is the proof.
"""

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed
from pricing.arrays import NEVER, Ints
from pricing.auction import Indication
from pricing.convex import Progress
from pricing.exact_graph import Graph, NearArcs, arcs_of, build_graph, choose, foremost, keep_by_response, read_arcs, traded_places
from pricing.exact_paths import put_right
from pricing.exact_prices import distances
from pricing.network import Flow, Network
from pricing.residual import PriceRange

NEAR = 1e-3  # share of the median worth within which an arc is taken in; twice that where a round moved more than half of the one before
ROUNDS = 100


class _Kept(msgspec.Struct, frozen=True, eq=False):
    """Prices (P, 3, T), and what every group keeps at them: of an accelerator-slot at all (G,), of an accelerator in each slot (G, T)."""

    price: Ints
    hours: Ints
    own: Ints


class _State(msgspec.Struct, frozen=True, eq=False):
    """A circulation on chosen arcs, and the potentials of its nodes in micros."""

    graph: Graph
    potential: Ints


def finish(network: Network, start: Indication, *, progress: Progress) -> tuple[Flow, PriceRange]:
    """Awards of greatest welfare of the flexible bids, and both ends of the prices (3, P, T) that support them.

    Raises ClearingFailed when the arcs do not settle.
    """
    wanted = network.worth[network.worth > -NEVER]
    near = max(1, int(NEAR * np.median(wanted))) if len(wanted) else 1
    arcs, price = arcs_of(start.flow, slots=network.grams.shape[1]), start.price.transpose(1, 0, 2)
    before = NEVER
    for _ in range(ROUNDS):
        kept = _answered(network, price)
        arcs = arcs.with_more(choose(network, kept.price, kept.own, near))
        arcs, price, moved = _put_right(network, arcs, kept=kept, progress=progress)
        if not moved:
            return _with_ends(network, arcs, kept=kept, progress=progress)
        near, before = near if 2 * moved < before else 2 * near, moved
    raise ClearingFailed("the awards would not settle", rounds=ROUNDS)


def _answered(network: Network, price: Ints) -> _Kept:
    """What groups keep at prices (P, 3, T). A tier that nothing bounds from below rises to the price of the next worse one."""
    nested = np.ascontiguousarray(np.maximum.accumulate(price[:, ::-1], axis=1)[:, ::-1])
    return _Kept(nested, *keep_by_response(network, nested))


def _put_right(network: Network, arcs: NearArcs, *, kept: _Kept, progress: Progress) -> tuple[NearArcs, Ints, int]:
    """The best awards on some arcs, prices (P, 3, T) that prove it, and how many accelerators that moved."""
    state = _open(network, arcs, kept=kept)
    moved, ways = put_right(state.graph.edges, state.potential)
    assert ways >= 0, "a circulation has a way for whatever is too much"
    progress(f"exact: {moved} of {int(arcs.quantity.sum())} accelerators put right by {ways} ways, {len(arcs.key)} arcs")
    return read_arcs(state.graph), _valued(network, state, values=state.potential)[0], moved


def _with_ends(network: Network, arcs: NearArcs, *, kept: _Kept, progress: Progress) -> tuple[Flow, PriceRange]:
    """The awards of some arcs, which answer given prices, and both ends of all that they answer in the whole book."""
    for _ in range(ROUNDS):
        state = _open(network, arcs, kept=kept)
        ends = _ends(state)
        missing = _missing_at_ends(network, state, ends=ends)
        more = arcs.with_more(missing)
        progress(f"exact: {len(arcs.key)} arcs, {len(more.key) - len(arcs.key)} more would gain at the ends of the prices")
        if len(more.key) == len(arcs.key):
            return arcs.flow(), _price_range(network, state, ends=ends)
        arcs = more
    raise ClearingFailed("the ends of the prices would not settle", rounds=ROUNDS)


def _open(network: Network, arcs: NearArcs, *, kept: _Kept) -> _State:
    """The circulation at given prices, and what groups keep at them."""
    graph = build_graph(network, arcs)
    shown = np.where(network.limits.transpose(0, 2, 1) > 0, kept.price, 0)
    potential = [np.zeros(1, dtype=np.int64), kept.hours, -shown.transpose(1, 0, 2).ravel(), kept.own.ravel()[graph.cells]]
    return _State(graph, np.concatenate(potential))


def _valued(network: Network, state: _State, *, values: Ints) -> tuple[Ints, Ints]:
    """Prices (P, 3, T), and what every group keeps of an accelerator in each slot (G, T), by the value of every node, micros."""
    pools, slots = network.grams.shape
    groups = len(network.size)
    price = -values[1 + groups : 1 + groups + 3 * pools * slots].reshape(3, pools, slots).transpose(1, 0, 2)
    own = np.repeat(values[1 : 1 + groups], slots)
    own[state.graph.cells] = values[1 + groups + 3 * pools * slots :]
    own = np.maximum(own, 0)
    served = network.limits.transpose(0, 2, 1) > 0
    return np.ascontiguousarray(np.where(served, price, NEVER)), own.reshape(groups, slots)


def _ends(state: _State) -> tuple[Ints, Ints]:
    """The value of every node at the least and the greatest prices, micros, ±NOWHERE where nothing bounds it."""
    graph, found = state.graph, []
    edges, spare = graph.edges, graph.spare
    edges.room[spare] = edges.back[edges.mate[spare]] = 1
    for sign in (1, -1):
        way = distances(edges, state.potential, sign)
        way[np.diff(edges.first) == 0] = 0  # a group that takes no part keeps nothing
        found.append(way)
    edges.room[spare] = edges.back[edges.mate[spare]] = 0
    return found[0], -found[1]


def _missing_at_ends(network: Network, state: _State, *, ends: tuple[Ints, Ints]) -> Ints:
    """The arcs by which some group would gain at the least prices or at the greatest. A pool without trade shows its lowest rate."""
    quiet = ~traded_places(network, state.graph.arcs)[:, None, :]
    found = []
    for values in ends:
        price, own = _valued(network, state, values=values)
        shown = np.where(quiet & (price < NEVER), network.cheapest[:, None, :], price)
        shown = np.ascontiguousarray(shown)
        found.append(foremost(network, choose(network, shown, own, -1), shown, own))
    return np.concatenate(found)


def _price_range(network: Network, state: _State, *, ends: tuple[Ints, Ints]) -> PriceRange:
    """Both ends as tier prices (3, P, T), ±NEVER where nothing bounds them."""
    low, high = (_valued(network, state, values=values)[0].transpose(1, 0, 2) for values in ends)
    return PriceRange(low=np.maximum(low, -NEVER), high=np.minimum(high, NEVER))
