"""Every arc of a book, found again by the slow reading of the policy: who could buy what, when, and what it is worth.

A bid's standing clauses are read once for each pool; bids that ask the same share the reading.
"""

from collections.abc import Hashable

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.terms.tables import TIERS
from pricing.audit.supply import Bools, Ints, Stock
from pricing.policy import fits_tier, standing_refusals
from pricing.policy_facts import Bid, Facts
from pricing.policy_worth import MILLION, earliest_slot, gross_worth, transfer_rate

Small = npt.NDArray[np.int32]

_BESIDE_POLICY = frozenset({"id", "kind", "entered_at", "width", "hours", "slot_first", "slot_end", "limits", "carbon_micros_per_kg"})
NEVER_WORTH = -(2**60)


class Arcs(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All A arcs of the flexible bids, ordered by bid, slot, pool and tier; worth in micros per accelerator-hour.

    welcome   (B,) whether some pool meets the bid's standing clauses and could carry a tier it names, whatever slot and price
    """

    bid: Small
    slot: Small
    pool: Small
    tier: Small
    worth: Ints
    welcome: Bools


class Reader:
    """Reads the policy for each bid against each pool, once for bids that ask the same."""

    def __init__(self, stock: Stock, facts: Facts) -> None:
        self._stock = stock
        self._facts = facts
        self._admitted: dict[Hashable, Ints] = {}
        self._on_sale = stock.on_sale

    def admitted(self, bid: Bid) -> Ints:
        """The pools, by number, whose standing clauses the bid meets."""
        demanded = demands(bid, apart_from=_BESIDE_POLICY)
        if demanded not in self._admitted:
            stock = self._stock
            met = [k for k, rows in enumerate(stock.pools) if not standing_refusals(bid, stock.offers[rows[0]], facts=self._facts)]
            self._admitted[demanded] = np.array(met, dtype=np.int64)
        return self._admitted[demanded]

    def worths(self, bid: Bid) -> tuple[Ints, Ints, Bools]:
        """The pools open to a bid (n,), its worth there (n, T, 3), and where slot and tier fit and something is on sale."""
        pools = self.admitted(bid)
        stock, facts = self._stock, self._facts
        worth = np.full((len(pools), facts.slots, len(TIERS)), NEVER_WORTH, dtype=np.int64)
        fits = np.zeros(worth.shape, dtype=np.bool_)
        for place, pool in enumerate(pools):
            offer = stock.offers[stock.pools[pool][0]]
            first = earliest_slot(bid, offer, facts=facts)
            carbon = -(-bid.carbon_micros_per_kg * stock.carbon[pool] // MILLION)
            spent = transfer_rate(bid, offer, facts=facts) + carbon
            for tier, name in enumerate(TIERS):
                if fits_tier(bid, offer, tier=name):
                    worth[place, :, tier] = gross_worth(bid.limits[name], bid.factors[offer.hardware], fee_bps=facts.fee_bps) - spent
                    fits[place, first : bid.slot_end, tier] = True
        return pools, worth, fits & self._on_sale[pools]


def demands(bid: Bid, *, apart_from: frozenset[str]) -> Hashable:
    """What a bid asks, as a value that equal bids share."""
    values = (getattr(bid, name) for name in bid.__struct_fields__ if name not in apart_from)
    return tuple(frozenset(value.items()) if isinstance(value, dict) else value for value in values)


def find_arcs(bids: list[Bid], stock: Stock, *, reader: Reader) -> Arcs:
    """Every arc worth its cost, of the flexible bids that can take a whole accelerator for a slot."""
    found: list[tuple[Ints, ...]] = []
    welcome = np.zeros(len(bids), dtype=np.bool_)
    for number, bid in enumerate(bids):
        pools, worth, fits = reader.worths(bid)
        welcome[number] = (worth > NEVER_WORTH).any()
        if bid.kind != "flexible":
            continue
        fits &= worth >= stock.lowest[pools][:, :, None]
        slot, place, tier = np.nonzero(fits.transpose(1, 0, 2))
        found.append((np.full(len(slot), number), slot, pools[place], tier, worth[place, slot, tier]))
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)] if found else [np.empty(0, dtype=np.int64)] * 5
    small = [column.astype(np.int32) for column in columns[:4]]
    return Arcs(bid=small[0], slot=small[1], pool=small[2], tier=small[3], worth=columns[4], welcome=welcome)
