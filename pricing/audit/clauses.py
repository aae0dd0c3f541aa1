"""The slow reading of every standing clause, done once for each pair of different demands and different facts.

Bids share what they ask and offers what they are, so a table of a few hundred answers, each given by the readable clause
itself, says of any bid and any offer whether the one may use the other, and which clause is in the way.
"""

from collections.abc import Hashable, Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec
import numpy as np

from pricing.audit.whole import Bools, Ints
from pricing.policy import READS, STANDING_CLAUSES, meets
from pricing.policy_facts import Bid, Facts, Offer

Order = TypeVar("Order", Bid, Offer)


class Ruling(msgspec.Struct, frozen=True, eq=False):
    """One clause, answered for N different demands and M different facts.

    met       (N, M)
    of_kind   (D,) the row of each kind of bid
    of_offer  (O,) the column of each offer
    """

    name: str
    met: Bools
    of_kind: Ints
    of_offer: Ints


def read_clauses(kinds: list[Bid], offers: list[Offer], *, facts: Facts) -> list[Ruling]:
    """Every standing clause for every kind of bid (D) and offer (O)."""
    return [_read(clause, kinds, offers=offers, facts=facts) for clause in STANDING_CLAUSES]


def admitted(rulings: list[Ruling], offers: Ints) -> Bools:
    """Whether each kind of bid meets every clause at some offers, by row (n,): (D, n)."""
    open_ = np.ones((len(rulings[0].of_kind), len(offers)), dtype=np.bool_)
    for ruling in rulings:
        if not ruling.met.all():
            open_ &= ruling.met[ruling.of_kind][:, ruling.of_offer[offers]]
    return open_


def _read(clause: str, kinds: list[Bid], *, offers: list[Offer], facts: Facts) -> Ruling:
    asked, known = READS[clause]
    askers, of_kind = _different(kinds, asked)
    holders, of_offer = _different(offers, known)
    met = np.array([[meets(clause, bid, offer=offer, facts=facts) for offer in holders] for bid in askers], dtype=np.bool_)
    return Ruling(clause, met.reshape(len(askers), len(holders)), of_kind, of_offer)


def _different(orders: Sequence[Order], names: tuple[str, ...]) -> tuple[list[Order], Ints]:
    """One order for each different value of some fields, and which of them each order is like."""
    number: dict[Hashable, int] = {}
    firsts: list[Order] = []
    likeness = []
    columns = (map(hashable, map(attrgetter(name), orders)) for name in names)
    for order, value in zip(orders, zip(*columns, strict=True), strict=True):
        place = number.setdefault(value, len(firsts))
        if place == len(firsts):
            firsts.append(order)
        likeness.append(place)
    return firsts, np.array(likeness, dtype=np.int64)


def hashable(value: Hashable | dict[str, object]) -> Hashable:
    """A field of an order as a value that equal fields share."""
    return frozenset(value.items()) if isinstance(value, dict) else value
