"""The compiled network against the slow reading of the same policy, and what compiling may not depend on."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing import compiling, policy, policy_worth
from pricing.arrays import NEVER, Ints
from pricing.network import Network
from pricing.policy_facts import bids_of, facts_of, offers_of
from pricing.problem import CompiledBook, compile_book
from pricing.worth import carbon_cost
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import block_books, market_books
from tests.strategies_policy import policy_books
from tests.strategies_worlds import dear_worlds, worlds

Arc = tuple[int, int, int, int]


def arcs_of(network: Network) -> dict[Arc, int]:
    """Worth by group, pool, slot and tier, read off the definition of an implicit arc."""
    found = {}
    for pair, (group, pool, first) in enumerate(zip(network.group.tolist(), network.pool.tolist(), network.first.tolist(), strict=True)):
        for slot in range(first, int(network.end[group])):
            net = network.worth[pair] - carbon_cost(network.carbon[group], network.grams[pool, slot])
            for tier in range(len(TIERS)):
                if network.limits[pool, slot, tier] > 0 and net[tier] >= network.cheapest[pool, slot]:
                    found[group, pool, slot, tier] = int(net[tier])
    return found


def slow_arcs(market: MarketBook, compiled: CompiledBook) -> dict[Arc, int]:
    """The same from the readable policy, bid by bid and offer by offer; limits are the compiled ones."""
    facts, found = facts_of(market), {}
    limits = compiled.network.limits
    for bid, group in zip(bids_of(market), compiled.demand.group_of.tolist(), strict=True):
        for offer, pool in zip(offers_of(market), compiled.supply.pool_of.tolist(), strict=True):
            for slot in range(facts.slots):
                for tier, name in enumerate(TIERS):
                    if limits[pool, slot, tier] and not policy.refusals(bid, offer, facts=facts, slot=slot, tier=name):
                        found[group, pool, slot, tier] = policy_worth.worth(bid, offer, facts=facts, slot=slot, tier=name)
    return found


@settings(max_examples=200)
@given(dear_worlds() | worlds() | policy_books() | market_books())
def test_arcs_are_what_the_slow_reading_allows_at_the_same_worth(market: MarketBook):
    compiled = compile_book(market)
    cheapest = compiled.supply.cheapest
    dear = {arc: worth for arc, worth in slow_arcs(market, compiled).items() if worth >= cheapest[arc[1], arc[2]]}
    assert arcs_of(compiled.network) == dear


@settings(max_examples=60)
@given(worlds() | block_books(), st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(market: MarketBook, seed: int):
    frames = {name: frame.sample(fraction=1, shuffle=True, seed=seed) for name, frame in market.tables().items()}
    shuffled = MarketBook(rules=market.rules, **frames)
    assert _same(compile_book(market).network, compile_book(shuffled).network)


@settings(max_examples=60)
@given(worlds() | block_books())
def test_how_many_pairs_are_read_at_once_changes_nothing(market: MarketBook):
    whole = compile_book(market).network
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "PAIRS_AT_ONCE", 1)
        assert _same(compile_book(market).network, whole)


@settings(max_examples=60)
@given(market_books())
def test_a_pair_that_can_trade_at_no_tier_is_left_out(market: MarketBook):
    """Every tier a pair keeps is worth the lowest rate of some slot of its window, and is served in some slot."""
    network = compile_book(market).network
    for pair, (group, pool) in enumerate(zip(network.group, network.pool, strict=True)):
        lowest = network.cheapest[pool, network.first[pair] : network.end[group]].min(initial=NEVER)
        kept = network.worth[pair] > -NEVER
        assert kept.any()
        assert (network.worth[pair][kept] >= lowest).all()
        assert network.limits[pool].any(axis=0)[kept].all()


@settings(max_examples=60)
@given(market_books())
def test_steps_hold_what_is_left_by_rate(market: MarketBook):
    compiled = compile_book(market)
    network, supply = compiled.network, compiled.supply
    for pool in range(compiled.pools):
        for slot in range(compiled.slots):
            place = pool * compiled.slots + slot
            mine = slice(network.step[place], network.step[place + 1])
            offers = supply.pool_of == pool
            left: dict[int, int] = {}
            for rate, quantity in zip(supply.rates[offers, slot].tolist(), supply.left[offers, slot].tolist(), strict=True):
                left[rate] = left.get(rate, 0) + quantity
            steps = dict(zip(network.rate[mine].tolist(), network.quantity[mine].tolist(), strict=True))
            assert steps == {rate: quantity for rate, quantity in left.items() if quantity}
            assert list(steps) == sorted(steps)


@given(st.lists(st.lists(st.integers(0, 9), min_size=5, max_size=5), min_size=1, max_size=3), st.integers(0, 5), st.integers(0, 5))
def test_the_lowest_rate_over_a_window_is_the_lowest_of_its_slots(rates: list[list[int]], first: int, end: int):
    cheapest: Ints = np.array(rates, dtype=np.int64)
    pools = np.arange(len(rates))
    window = np.full(len(rates), first), np.full(len(rates), end)
    found = compiling.lowest_rates(cheapest).over(pools, window[0], end=window[1])
    assert found.tolist() == cheapest[:, first:end].min(axis=1, initial=NEVER).tolist()


def test_supply_taken_away_leaves_the_pairs():
    """Two offers of one each; with the cheaper one gone the pair stays, and its step is the dearer."""
    offers = [an_offer("a", rate_micros=1), an_offer("b", rate_micros=2)]
    compiled = compile_book(book(offers=offers, bids=[a_bid(limit_spot_micros=5)]))
    left = np.array([[0], [1]])
    after = msgspec.structs.replace(compiled.supply, left=left, offered=np.array([[1]]), cheapest=np.array([[2]]))
    fewer = compiling.with_supply(compiled.network, after)
    assert (fewer.rate.tolist(), fewer.quantity.tolist(), fewer.group.tolist()) == ([2], [1], compiled.network.group.tolist())


def test_bids_of_one_policy_share_its_bits():
    bids = [a_bid("a", limit_spot_micros=3, countries=["FR"]), a_bid("b", limit_spot_micros=4, countries=["FR"]), a_bid("c")]
    compiled = compile_book(book(offers=[an_offer(), an_offer("o2", country="DE")], bids=bids))
    assert compiled.eligibility.policy_of.tolist() == [0, 0, 1]
    assert compiled.eligibility.of(np.arange(3)).tolist() == [[True, False], [True, False], [True, True]]


def _same(one: Network, other: Network) -> bool:
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))
