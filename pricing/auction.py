"""The auction path: awards and prices of a large book, close to the best and certified to be.

Prices rise from below as bids outbid each other by ε, first in large steps, then in smaller ones. Every round starts from
the prices of the one before, a little lower, so that most of the way is gone in large steps; its awards are within
ε per accelerator of the best, and the last ε is chosen for the gap that is asked for. What comes out is *indicative*.
"""

from math import ceil, log

import msgspec
import numpy as np

from pricing.arrays import NEVER, Ints
from pricing.auction_bids import hold_round, line_up
from pricing.auction_gaps import close_gaps, find_gaps
from pricing.auction_proof import read_flow, shown_price, welfare_bound, welfare_of
from pricing.auction_state import Auction, clear_out, open_auction, stand_by_rates
from pricing.convex import Progress
from pricing.network import Flow, Network

# Shares of the median worth: the first ε; the last, per unit of gap. A round's ε is at most SHRINK times smaller than the one before,
# and starts DROP times that one's ε below its prices: less leaves accelerators unsold above their rate, more bids the same again.
FIRST = 0.25
LAST_BY_GAP = 2.0
SHRINK = 6.0
DROP = 2.0
AGAIN = 4.0
EXTRA_ROUNDS = 12
# Moves to idle supply after a round; few gain anything after that.
MOVES = 20_000


class Indication(msgspec.Struct, frozen=True, eq=False):
    """What an auction found: awards that fit, prices (3, P, T) nobody loses at, and how good they are, micros per slot-hour.

    welfare ≤ the most there is ≤ bound
    """

    flow: Flow
    price: Ints
    welfare: int
    bound: int

    @property
    def gap(self) -> float:
        """(bound − welfare) ÷ bound; 0 when there is nothing to gain."""
        return (self.bound - self.welfare) / self.bound if self.bound else 0.0


def hold_auction(network: Network, *, gap: float, progress: Progress) -> Indication:
    """Awards and prices within `gap` of the best; where so many rounds do not reach it, the nearest that any of them came.

    The same network gives the same answer. Blocks are left out.
    """
    auction, order = open_auction(network), bidding_order(network)
    typical, last = typical_worth(network), float(last_step(network, gap))
    rounds = max(1, ceil(log(max(1.0, typical * FIRST / last), SHRINK)))
    shrink = max(1.0, typical * FIRST / last) ** (1 / rounds)
    epsilon, drop, drops = last * shrink**rounds, 0.0, DROP
    auction.price[:] = 0
    nearest: Indication | None = None
    for number in range(rounds + 1 + EXTRA_ROUNDS):
        clear_out(network, auction, int(drop))
        bids = hold_round(network, auction, line_up(order, network), int(epsilon))
        progress(f"auction round {number + 1}: {bids} bids at steps of {int(epsilon)} micros")
        if number >= rounds:
            shown = auction.price.copy()
            moved = close_gaps(network, auction, find_gaps(network, auction, moves=MOVES), int(epsilon), MOVES)
            progress(f"auction: {moved} moves to idle supply")
            found = indicate(network, auction)
            progress(f"auction: within {found.gap:.4%} of the best")
            if nearest is None or found.gap < nearest.gap:
                nearest = found
            if found.gap <= gap or epsilon == 1:
                break
            auction.price[:] = shown
            shrink, drops = 2.0, AGAIN
        drop, epsilon = drops * epsilon, max(1.0, epsilon / shrink)
    assert nearest is not None, "the round after the last planned one is proved"
    return nearest


def indicate(network: Network, auction: Auction) -> Indication:
    """Read awards and prices off an auction, no provider paid less than its rate, and prove how good they are."""
    stand_by_rates(network, auction)
    flow, price = read_flow(auction), shown_price(network, auction)
    return Indication(flow=flow, price=price, welfare=welfare_of(network, flow), bound=welfare_bound(network, price))


def last_step(network: Network, gap: float) -> int:
    """The ε, in micros, at which a round's awards should come within a gap of the best."""
    return max(1, int(typical_worth(network) * gap * LAST_BY_GAP))


def bidding_order(network: Network) -> Ints:
    """The flexible groups that have a pool, those that would pay most first, of equals the first: (g,)."""
    some = np.flatnonzero((np.diff(network.start) > 0) & network.flexible)
    highest = network.worth.max(axis=1)
    most = np.maximum.reduceat(highest, network.start[some]) if len(some) else highest[:0]
    order: Ints = some[np.argsort(-most, kind="stable")]
    return order


def typical_worth(network: Network) -> float:
    """The median worth of a pair at a tier that is wanted, micros per accelerator-hour; 1 without any."""
    wanted = network.worth[network.worth > -NEVER]
    return max(1.0, float(np.median(wanted))) if len(wanted) else 1.0
