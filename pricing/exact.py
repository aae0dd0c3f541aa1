"""The exact finish: from the answer of an auction to awards of greatest welfare and both ends of their prices, gap 0.

Few arcs matter near the best prices, so the finish works on those alone: cost scaling on the arcs that nobody would
miss by much, then both ends of the prices; then every arc of the book is held to them, and those that would gain come in.
When none does, the ends support the awards in the whole book, to the micro, and that is the proof.
"""

import msgspec
import numpy as np

from contracts.terms.errors import ClearingFailed, NotSupported
from pricing.arrays import NEVER, Ints
from pricing.auction import Indication
from pricing.convex import Progress, best_of
from pricing.exact_graph import ROOT, Graph, NearArcs, build_graph, choose, keep_by_response, read_arcs, traded_places, with_quantity
from pricing.exact_prices import FAR, distances
from pricing.exact_scaling import refine, worst_edge
from pricing.network import Flow, Network
from pricing.residual import PriceRange

SHRINK = 3  # how much smaller every ε is than the one before
FINEST = 64  # the last ε is a micro divided by this: enough, unless a way round that gains is longer
FINER = 64  # and this many times finer when one is
COST_MAX = 1 << 40  # micros; beyond it sums of scaled costs would not fit
START = 16  # the first ε, in as many times the share of the median worth below
NEAR = 1e-3  # share of the median worth within which an arc is taken in at the start
AGAIN = 1_000  # the first ε when arcs came in at the ends of the prices, micros
MANY = 0.25  # more than this share of the arcs there are: only the best of them come in
ROUNDS = 100


class _State(msgspec.Struct, frozen=True, eq=False):
    """A circulation, the potentials of its nodes in micros ÷ `scale`, and the ε it is optimal at, in the same."""

    graph: Graph
    potential: Ints
    scale: int
    epsilon: int


def finish(network: Network, start: Indication, *, progress: Progress) -> tuple[Flow, PriceRange]:
    """Awards of greatest welfare of the flexible bids, and both ends of the prices (3, P, T) that support them.

    Raises NotSupported for rates or worths beyond 2^40 micros, ClearingFailed when the arcs do not settle.
    """
    slots = network.grams.shape[1]
    wanted = network.worth[network.worth > -NEVER]
    if max(wanted.max(initial=0), network.rate.max(initial=0)) > COST_MAX:
        raise NotSupported("rates or worths above 2^40 micros are beyond the exact finish", would_do="path convex")
    price = np.ascontiguousarray(start.price.transpose(1, 0, 2))
    hours, own = keep_by_response(network, price)
    near = max(1, int(NEAR * np.median(wanted))) if len(wanted) else 1
    arcs = with_quantity(_arcs(*choose(network, price, own, near)[:2]), start.flow, slots=slots)
    state = _open(network, arcs, kept=(price, hours, own), scale=FINEST, epsilon=SHRINK * START * near * FINEST)
    for _ in range(ROUNDS):
        state = _scale(network, state, progress=progress)
        ends = _ends(state)
        if ends is None:
            progress("exact: a way round still gains, finer")
            state = _finer(state)
            continue
        missing = _missing_at_ends(network, state, ends=ends)
        progress(f"exact: {len(state.graph.arcs.pair)} arcs, {len(missing.pair)} more would gain")
        if not len(missing.pair):
            return read_arcs(state.graph).flow(), _price_range(network, state, ends=ends)
        state = _take_in(network, state, missing=missing)
        state = msgspec.structs.replace(state, epsilon=min(AGAIN * state.scale, worst_edge(state.graph.edges, state.potential)))
    raise ClearingFailed("the arcs would not settle", rounds=ROUNDS)


def _arcs(pairs: Ints, places: Ints) -> NearArcs:
    """Chosen arcs, sorted, nothing on them."""
    order = np.lexsort((places, pairs))
    return NearArcs(pair=pairs[order], slot=places[order] // 3, tier=places[order] % 3, quantity=np.zeros(len(pairs), dtype=np.int64))


def _open(network: Network, arcs: NearArcs, *, kept: tuple[Ints, Ints, Ints], scale: int, epsilon: int) -> _State:
    """The circulation at given prices (P, 3, T), and what groups keep at them."""
    price, hours, own = kept
    graph = build_graph(network, arcs, scale=scale)
    taking_part = np.zeros(len(hours), dtype=bool)
    taking_part[network.group[arcs.pair]] = True
    shown = np.where(network.limits.transpose(0, 2, 1) > 0, price, 0)
    potential = np.concatenate([[0], np.where(taking_part, hours, 0), -shown.transpose(1, 0, 2).ravel(), own.ravel()[graph.cells]]) * scale
    return _State(graph, potential, scale=scale, epsilon=epsilon)


def _scale(network: Network, state: _State, *, progress: Progress) -> _State:
    """Divide ε until it is one unit, taking in what would gain more than ε on the way."""
    while True:
        if state.epsilon <= 1:
            return state
        epsilon = max(1, state.epsilon // SHRINK)
        pushes = refine(state.graph.edges, state.potential, epsilon)
        state.potential[:] -= state.potential[ROOT]
        state.potential[np.diff(state.graph.edges.first) == 0] = 0  # groups that take no part keep nothing
        state = msgspec.structs.replace(state, epsilon=epsilon)
        progress(f"exact: {pushes} pushes at steps of {epsilon / state.scale:.3g} micros, {len(state.graph.arcs.pair)} arcs")
        if epsilon >= state.scale:
            price, own = _valued(network, state, values=-(-state.potential // state.scale))
            state = _take_in(network, state, missing=_wanting(network, state, kept=(price, own), slack=-1 - epsilon // state.scale))


def _finer(state: _State) -> _State:
    """The same circulation in smaller units of cost."""
    if state.scale * FINER * COST_MAX > NEVER:
        raise ClearingFailed("a way round that gains was not found", status="not optimal")
    edges = state.graph.edges._replace(cost=state.graph.edges.cost * FINER)
    return _State(
        msgspec.structs.replace(state.graph, edges=edges),
        state.potential * FINER,
        scale=state.scale * FINER,
        epsilon=state.epsilon * FINER,
    )


def _take_in(network: Network, state: _State, *, missing: NearArcs) -> _State:
    """The same circulation with more arcs; a cell that was not in use keeps what its group keeps."""
    slots, kept = network.grams.shape[1], state.potential
    arcs = with_quantity(state.graph.arcs.joined(missing), read_arcs(state.graph).flow(), slots=slots)
    graph = build_graph(network, arcs, scale=state.scale)
    fixed = len(kept) - len(state.graph.cells)
    cells = kept[1 + graph.cells // slots]
    cells[np.searchsorted(graph.cells, state.graph.cells)] = kept[fixed:]
    return msgspec.structs.replace(state, graph=graph, potential=np.concatenate([kept[:fixed], cells]))


def _wanting(network: Network, state: _State, *, kept: tuple[Ints, Ints], slack: int) -> NearArcs:
    """The arcs that would gain at prices (P, 3, T) above what groups keep (G, T); of very many the best of every cell and of every node."""
    slots = network.grams.shape[1]
    pairs, places, gains = choose(network, *kept, slack)
    slot = places // 3
    if len(pairs) > MANY * len(state.graph.arcs.pair):
        cell = network.group[pairs].astype(np.int64) * slots + slot
        node = (network.pool[pairs].astype(np.int64) * slots + slot) * 3 + places % 3
        best = np.union1d(best_of(cell, gains, most=1), best_of(node, gains, most=1))
        pairs, places = pairs[best], places[best]
    found = _arcs(pairs, places)
    return found.some(~np.isin(found.key(slots), state.graph.arcs.key(slots)))


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


def _ends(state: _State) -> tuple[Ints, Ints] | None:
    """The value of every node at the least and the greatest prices, micros, ±FAR where nothing bounds it; None if a way round gains."""
    graph, found = state.graph, []
    graph.edges.room[graph.spare] = 1
    for sign in (1, -1):
        way = distances(graph.edges, state.potential, sign)
        if not len(way):
            break
        way[np.diff(graph.edges.first) == 0] = 0  # a group that takes no part keeps nothing
        found.append(np.where(way == FAR, FAR, way // state.scale))
    graph.edges.room[graph.spare] = 0
    return (found[0], -found[1]) if len(found) == 2 else None


def _missing_at_ends(network: Network, state: _State, *, ends: tuple[Ints, Ints]) -> NearArcs:
    """The arcs by which some group would gain at the least prices or at the greatest. A pool without trade shows its lowest rate."""
    quiet = ~traded_places(network, read_arcs(state.graph))[:, None, :]
    found = []
    for values in ends:
        price, own = _valued(network, state, values=values)
        shown = np.where(quiet & (price < NEVER), network.cheapest[:, None, :], price)
        found.append(_wanting(network, state, kept=(np.ascontiguousarray(shown), own), slack=-1))
    return found[0].joined(found[1])


def _price_range(network: Network, state: _State, *, ends: tuple[Ints, Ints]) -> PriceRange:
    """Both ends as tier prices (3, P, T), ±NEVER where nothing bounds them."""
    low, high = (_valued(network, state, values=values)[0].transpose(1, 0, 2) for values in ends)
    return PriceRange(low=np.maximum(low, -NEVER), high=np.minimum(high, NEVER))
