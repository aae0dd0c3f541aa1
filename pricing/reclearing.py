"""Clearing again after a little has changed: everybody keeps what it holds, at the prices there were, and only what changed moves.

The prices of a large book hardly move when one bid in a hundred does: those of before still prove a bound next to the best. So
they stay, awards are carried over by the ids of bids and offers, whoever wants more finds a place, and what was left vacant finds a
taker, each at the least cost at those prices. The bound is worked out anew over the whole book; nothing rests on the one before.
"""

import msgspec
import numpy as np
import polars as pl

from pricing.arrays import NEVER, SPOT, Bools, Ints
from pricing.auction import Indication, hold_auction
from pricing.auction_proof import welfare_bound, welfare_of
from pricing.auction_state import FREE, STEP
from pricing.compiled import kernel
from pricing.convex import Progress
from pricing.network import Network
from pricing.problem import CompiledBook
from pricing.rearranging import NO_PRICE, Terms, fill_all, find_takers, list_vacancies, open_search, place_all
from pricing.standing import Standing, held_in, margin_of, open_standing, put, read_lots, room_at

# Times all vacancies are offered round: what a taker leaves for one is offered in the next. In a book of so many pairs of group and pool
# nearly all takers leave nothing, and a round costs a hundredth of an auction: once is enough.
PASSES = 4
LARGE = 2_000_000
# Changes at most, for every accelerator that lost its holder or is wanted by a bid that changed; far more are never needed.
CHANGES = 50_000
# In shares of what an accelerator gains on average: what a place left vacant is counted at, at most, since somebody else may come; and
# what it is worth that a place is not left wholly unsold, whose price would fall to its lowest rate, to the envy of many.
BACK = 1.0
PRIZE = 1.0

_Members = tuple[pl.Series | list[str], Ints]  # ids, and the place of each


class Holdings(msgspec.Struct, frozen=True, eq=False):
    """What a clearing left, said of another network: who would hold what there, and what changed.

    rows      (K, 4) pair, place (3·slot + tier), accelerators, 0
    price     (3, P, T); more than anybody pays for a new pool
    wanting   (g,) groups that may want more than they hold, those that would pay most first
    changed   (P, T) whether a pool offers something else than before, or somebody who held some of it is gone
    typical   what an accelerator gained on average, micros
    """

    rows: Ints
    price: Ints
    wanting: Ints
    changed: Bools
    typical: int


def carry_over(book: CompiledBook, *, previous: CompiledBook, found: Indication) -> Holdings:
    """The awards and prices of a previous book over the same slots, said of this one.

    A group of equal bids is where the first of its bids still in the book is, a pool where the first of its offers is; what has
    neither, or no pair between them any more, is left behind.
    """
    assert book.slots == previous.slots, "a book is cleared again over the same slots"
    groups = _whereabouts((previous.demand.bid_ids, previous.demand.group_of), (book.demand.bid_ids, book.demand.group_of))
    pools = _whereabouts((previous.supply.offer_ids, previous.supply.pool_of), (book.supply.offer_ids, book.supply.pool_of))
    flow, before, network, slots = found.flow, previous.network, book.network, book.slots
    pool = pools[before.pool[flow.pair]]
    pair = find_pairs(network, groups[before.group[flow.pair]], pool)
    price = np.full((3, book.pools, slots), NO_PRICE, dtype=np.int64)
    old, new = np.flatnonzero(pools >= 0), pools[pools >= 0]
    price[:, new] = found.price[:, old]
    price = np.where(network.limits.transpose(2, 0, 1) > 0, np.minimum(price, NO_PRICE), NEVER)
    changed = np.ones((book.pools, slots), dtype=bool)
    changed[new] = np.any(_offered(before)[:, old] != _offered(network)[:, new], axis=0)
    gone = (pair < 0) & (pool >= 0)
    changed[pool[gone], flow.slot[gone]] = True
    kept = pair >= 0
    rows = np.stack(
        [pair[kept], 3 * flow.slot[kept] + flow.tier[kept], flow.quantity[kept], np.zeros(int(kept.sum()), dtype=np.int64)], axis=1
    )
    return Holdings(
        rows=rows,
        price=price,
        wanting=_wanting(book, previous, groups=groups),
        changed=changed,
        typical=max(1, found.welfare // max(1, int(flow.quantity.sum()))),
    )


def reclear(network: Network, holdings: Holdings, *, gap: float, progress: Progress) -> Indication:
    """Awards and prices within `gap` of the best, starting from what was held; where nothing changed, what was held.

    Should that not come within the gap, an auction is held from the beginning, and its answer given if it is nearer. Blocks are left out.
    """
    standing = open_standing(network, holdings.price, lots=len(holdings.rows) + 2 * CHANGES)
    changed, lost = holdings.changed.ravel().copy(), np.zeros(len(network.size), dtype=bool)
    kept = take_up(network, standing, holdings.rows, changed, lost)
    wanting = np.concatenate([holdings.wanting, np.setdiff1d(np.flatnonzero(lost), holdings.wanting)])
    progress(f"re-clearing: {kept} accelerators kept, {len(wanting)} kinds of bids may want more")
    terms = Terms(back=int(BACK * holdings.typical), prize=int(PRIZE * holdings.typical))
    changes = place_all(network, standing, open_search(holdings.changed.shape[1]), wanting, CHANGES)
    for _ in range(PASSES if len(network.pool) <= LARGE else 1):
        vacant = np.flatnonzero(changed & (standing.node[:, FREE] > 0))
        if not len(vacant) or changes >= CHANGES:
            break
        vacancies = list_vacancies(network, vacant)
        find_takers(network, standing, vacancies, terms)
        taken = fill_all(network, standing, vacancies, terms, CHANGES - changes)
        changes, changed = changes + taken, vacancies.again
    flow, price = read_lots(standing), _shown(network, standing)
    found = Indication(flow=flow, price=price, welfare=welfare_of(network, flow), bound=welfare_bound(network, price))
    progress(f"re-clearing: {changes} changes, within {found.gap:.4%} of the best")
    if found.gap <= gap:
        return found
    progress("re-clearing: too much has changed, an auction is held from the beginning")
    cold = hold_auction(network, gap=gap, progress=progress)
    return cold if cold.gap < found.gap else found


@kernel
def find_pairs(network: Network, group: Ints, pool: Ints) -> Ints:
    """The pair of each group and pool (n,); −1 where there is none, or one of the two is −1."""
    found = np.full(len(group), -1, dtype=np.int64)
    for row in range(len(group)):
        if group[row] < 0 or pool[row] < 0:
            continue
        low, end = network.start[group[row]], network.start[group[row] + 1]
        high = end
        while low < high:
            middle = (low + high) // 2
            if network.pool[middle] < pool[row]:
                low = middle + 1
            else:
                high = middle
        if low < end and network.pool[low] == pool[row]:
            found[row] = low
    return found


@kernel(bare=True)
def take_up(network: Network, standing: Standing, rows: Ints, changed: Bools, lost: Bools) -> int:
    """Let everybody hold what it held as far as it fits and is worth its price, and no supply be sold below its rate; how many in all.

    Marks nodes (N,) that somebody left, and groups (G,) that lost something.
    """
    slots, kept = network.grams.shape[1], 0
    for row in range(len(rows)):
        pair, place, wanted = rows[row, 0], rows[row, 1], rows[row, 2]
        group, pool, slot, before = network.group[pair], network.pool[pair], place // 3, wanted
        node = pool * slots + slot
        columns = standing.node[node]
        if margin_of(network, standing, pair, place) < 0 or slot < network.first[pair] or slot >= network.end[group]:
            wanted = 0
        wanted = min(wanted, standing.left[group])
        if wanted > 0:
            wanted = min(wanted, network.size[group] * network.width[group] - held_in(standing, group, slot))
            wanted = min(wanted, room_at(network, standing, node, place % 3), network.limits[pool, slot, SPOT] - columns[SPOT])
        left = wanted
        while left > 0 and columns[FREE] > 0 and network.rate[columns[STEP]] <= standing.price[pool, SPOT, slot]:
            part = min(left, columns[FREE])
            put(network, standing, pair, place, part)
            left -= part
        kept += wanted - left
        if wanted - left < before:
            changed[node], lost[group] = True, True
    return kept


def _shown(network: Network, standing: Standing) -> Ints:
    """The prices as an auction shows them (3, P, T): the lowest rate where nothing is sold, NEVER for no tier."""
    slots = network.grams.shape[1]
    price = standing.price.transpose(1, 0, 2)
    quiet = standing.node[:, SPOT].reshape(-1, slots) == 0
    shown: Ints = np.ascontiguousarray(np.where(quiet & (price < NEVER), network.cheapest, price))
    return shown


def _offered(network: Network) -> Ints:
    """What tells one supply from another, by pool and slot: (5, P, T)."""
    pools, slots, _ = network.limits.shape
    begin = np.concatenate([[0], np.cumsum(network.rate * network.quantity)])
    cost = (begin[network.step[1:]] - begin[network.step[:-1]]).reshape(pools, slots)
    return np.concatenate([network.limits.transpose(2, 0, 1), network.cheapest[None], cost[None]])


def _wanting(book: CompiledBook, previous: CompiledBook, *, groups: Ints) -> Ints:
    """The flexible groups that are new or may want more than the group they were: more bids, hours or width, other worths or windows."""
    new, old = _terms(book), _terms(previous)
    same = np.zeros(book.groups, dtype=bool)
    was = np.flatnonzero(groups >= 0)
    alike = np.all(new[groups[was]] == old[was], axis=1)
    same[groups[was[alike]]] = True
    network = book.network
    some = np.flatnonzero(~same & network.flexible & (np.diff(network.start) > 0))
    highest = book.worth.by_class[some].max(axis=(1, 2), initial=-NEVER)
    wanting: Ints = some[np.argsort(-highest, kind="stable")]
    return wanting


def _terms(book: CompiledBook) -> Ints:
    """What a group's wants are told apart by, (G, 7); its worths as their sum, which may wrap, since it is only compared."""
    network, worth = book.network, book.worth
    worths = worth.by_class.sum(axis=(1, 2))
    return np.stack((network.width, network.units, network.size, network.end, network.carbon, worth.asked, worths), axis=1)


def _whereabouts(before: _Members, now: _Members) -> Ints:
    """Where every place (n,) of before is now: where the first of its members that is still there is; −1 without one."""
    was, still = (pl.DataFrame({"id": ids, place: at}) for (ids, at), place in ((before, "was"), (now, "now")))
    both = was.join(still, on="id", how="inner", maintain_order="left").unique("was", keep="first", maintain_order=True)
    found = np.full(int(before[1].max(initial=-1)) + 1, -1, dtype=np.int64)
    found[both["was"].to_numpy()] = both["now"].to_numpy()
    return found
