"""Shared by the column, every bid gets what the readable second writing gives it, whatever flow and prices a path found."""

from collections import defaultdict
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.errors import ClearingFailed
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing.arrays import GUARANTEED, SPOT, STANDARD, Ints
from pricing.choice import grant_flow
from pricing.network import Flow
from pricing.problem import CompiledBook, compile_book
from tests.builders import Row, a_bid, an_offer, book
from tests.oracles.sharing import Grant, members, move_up, share_group
from tests.strategies_market import market_books


@st.composite
def crowds(draw: st.DrawFn) -> MarketBook:
    """A few wide pools over three slots, and groups of equal bids that may pay as much for any tier."""
    offers = [an_offer(name, site=name, quantity=draw(st.integers(1, 8)), rate_micros=1) for name in ("a", "b")]
    bids: list[Row] = []
    indifferent = draw(st.booleans())
    for kind in range(draw(st.integers(1, 3))):
        width, limit = draw(st.integers(1, 3)), 10 + kind
        row = a_bid(width=width, hours=float(draw(st.integers(1, 3 * width))), slot_end=3, limit_spot_micros=limit)
        others = (limit,) if indifferent else (None, limit, limit + 1)
        row |= {f"limit_{tier}_micros": draw(st.sampled_from(others)) for tier in TIERS[:2]}
        entries = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
        moments = [a_bid(entered=entry)["entered_at"] for entry in entries]
        bids += [row | {"bid_id": f"b{kind}-{number}", "entered_at": moment} for number, moment in enumerate(moments)]
    return book(offers=offers, bids=bids, slots=3, headroom_guaranteed=Decimal("0.5"), headroom_standard=Decimal("0.25"))


@st.composite
def settled(draw: st.DrawFn) -> tuple[CompiledBook, Flow, Ints]:
    """A book, a flow that fits it, and tier prices that never fall with the tier."""
    compiled = compile_book(draw(market_books(offers_max=6, bids_max=8) | crowds()))
    network, rows = compiled.network, []
    room = network.limits.copy()
    in_slot = np.repeat((network.width * network.size)[:, None], compiled.slots, axis=1)
    in_all = network.units * network.size
    tiers = draw(st.sampled_from(((SPOT,), (GUARANTEED, STANDARD, SPOT))))
    places = [(pair, slot, tier) for pair in range(len(network.group)) for slot in range(compiled.slots) for tier in tiers]
    for pair, slot, tier in draw(st.permutations(places)) if len(places) < 60 else places:
        group, pool = int(network.group[pair]), int(network.pool[pair])
        if not network.first[pair] <= slot < network.end[group] or network.worth[pair, tier] < network.cheapest[pool, slot]:
            continue
        most = int(min(room[pool, slot, tier:].min(), in_slot[group, slot], in_all[group])) * bool(network.limits[pool, slot, tier])
        quantity = draw(st.sampled_from((0, most // 2, most, most)))
        if quantity:
            room[pool, slot, tier:] -= quantity
            in_slot[group, slot] -= quantity
            in_all[group] -= quantity
            rows.append((pair, slot, tier, quantity))
    flow = Flow(*np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T)
    prices = 3 * compiled.pools * compiled.slots
    steps = draw(st.just([0] * prices) | st.lists(st.integers(0, 1), min_size=prices, max_size=prices))
    premiums = np.array(steps, dtype=np.int64).reshape(3, compiled.pools, compiled.slots)
    return compiled, flow, np.cumsum(premiums[::-1], axis=0)[::-1]


def slow_grants(compiled: CompiledBook, flow: Flow, *, price: Ints | None) -> dict[Grant, int]:
    """Accelerators by bid, pool, slot and tier, group by group."""
    lots: dict[int, dict[tuple[int, int, int], int]] = defaultdict(dict)
    for pair, slot, tier, quantity in zip(*(column.tolist() for column in (flow.pair, flow.slot, flow.tier, flow.quantity)), strict=True):
        lots[int(compiled.network.group[pair])][slot, tier, int(compiled.network.pool[pair])] = quantity
    demand = compiled.demand
    found: dict[Grant, int] = {}
    for group, lot in lots.items():
        shared = share_group(members(demand)[group], lot, width=int(demand.width[group]), units=int(demand.units[group]))
        found |= {(bid, pool, slot, tier): quantity for (bid, (slot, tier, pool)), quantity in shared.items() if quantity}
    return found if price is None else move_up(compiled, found, price=price)


@settings(max_examples=200)
@given(settled(), st.booleans())
def test_grants_are_those_of_the_readable_sharing(drawn: tuple[CompiledBook, Flow, Ints], upgraded: bool):
    compiled, flow, prices = drawn
    price = prices if upgraded else None
    grants = grant_flow(compiled, flow, price=price)
    columns = (grants.bid, grants.pool, grants.slot, grants.tier)
    keys = list(zip(*(column.tolist() for column in columns), strict=True))
    assert keys == sorted(set(keys))
    assert dict(zip(keys, grants.quantity.tolist(), strict=True)) == slow_grants(compiled, flow, price=price)


def test_a_lot_its_members_cannot_use_is_the_paths_failure():
    """Two equal bids of width 1 cannot use three accelerators in one slot."""
    bids = [a_bid(name, limit_spot_micros=2) for name in ("a", "b")]
    compiled = compile_book(book(offers=[an_offer(quantity=3, firm=False, rate_micros=1)], bids=bids))
    one = np.array([0])
    with pytest.raises(ClearingFailed, match="more than its members can use"):
        grant_flow(compiled, Flow(pair=one, slot=one, tier=one + 2, quantity=one + 3), price=None)
