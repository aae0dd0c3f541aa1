"""Clearing again keeps what was held and moves only what changed: it fits, nobody loses, and the bound is above the best there is."""

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.orders import MarketBook
from pricing.auction import Indication, hold_auction
from pricing.auction_proof import welfare_bound, welfare_of
from pricing.network import Network
from pricing.problem import CompiledBook, compile_book
from pricing.rearranging import open_search, place_all
from pricing.reclearing import carry_over, reclear
from pricing.standing import open_standing, read_lots
from tests.builders import a_bid, an_offer, book
from tests.oracles.clearing import plain, welfare_by_linear_programme
from tests.pricing.test_auction import auctioned, faults_of, losses_of
from tests.strategies_market import market_books
from tests.strategies_worlds import worlds

ANY_GAP = 1e9


def again(market: CompiledBook, *, before: CompiledBook, found: Indication, gap: float = ANY_GAP) -> tuple[Indication, list[str]]:
    """A book cleared again after another, and what was said on the way."""
    said: list[str] = []
    return reclear(market.network, carry_over(market, previous=before, found=found), gap=gap, progress=said.append), said


def rows_of(found: Indication) -> list[tuple[int, ...]]:
    """Awards as rows, for comparison."""
    flow = found.flow
    return list(zip(*(column.tolist() for column in (flow.pair, flow.slot, flow.tier, flow.quantity)), strict=True))


@st.composite
def changes(draw: st.DrawFn, books: st.SearchStrategy[MarketBook]) -> tuple[MarketBook, MarketBook]:
    """A book before and after: bids and offers gone, come, and of other terms."""
    whole = draw(books)
    bids, offers = whole.bids.sort("bid_id"), whole.offers.sort("offer_id")
    kept = st.lists(st.booleans(), min_size=bids.height, max_size=bids.height)
    had = st.lists(st.booleans(), min_size=offers.height, max_size=offers.height).filter(any)
    more = draw(st.integers(0, 3))
    before = msgspec.structs.replace(whole, bids=bids.filter(pl.Series(draw(kept), dtype=pl.Boolean)))
    sold = offers.filter(pl.Series(draw(had), dtype=pl.Boolean))
    wider = pl.when(pl.col("kind") == "flexible").then(pl.col("width") + more).otherwise(pl.col("width"))
    after = msgspec.structs.replace(
        whole,
        bids=bids.filter(pl.Series(draw(kept), dtype=pl.Boolean)).with_columns(width=wider),
        offers=sold,
        offer_slots=whole.offer_slots.filter(pl.col("offer_id").is_in(sold["offer_id"].to_list())),
        commitments=whole.commitments.filter(pl.col("offer_id").is_in(sold["offer_id"].to_list())),
    )
    return before, after


@settings(max_examples=40)
@given(changes(market_books() | worlds()))
def test_awards_fit_and_nobody_loses_whatever_changed(books: tuple[MarketBook, MarketBook]):
    was, now = (compile_book(market) for market in books)
    found, _ = again(now, before=was, found=auctioned(was.network))
    assert faults_of(now.network, found.flow) == []
    assert losses_of(now.network, found) == []
    assert found.welfare == welfare_of(now.network, found.flow)
    assert found.bound == welfare_bound(now.network, found.price)


@settings(max_examples=40)
@given(market_books() | worlds())
def test_where_nothing_changed_everybody_holds_what_it_held_at_the_same_prices(market: MarketBook):
    compiled = compile_book(market)
    held = auctioned(compiled.network)
    found, _ = again(compiled, before=compiled, found=held)
    assert rows_of(found) == rows_of(held)
    assert (found.welfare, found.bound) == (held.welfare, held.bound)
    assert np.array_equal(found.price, held.price)


@settings(max_examples=20)
@given(changes(market_books()))
def test_the_best_awards_are_worth_no_more_than_the_bound(books: tuple[MarketBook, MarketBook]):
    was, now = (compile_book(market) for market in books)
    found, _ = again(now, before=was, found=auctioned(was.network))
    most = welfare_by_linear_programme(plain(books[1]))
    assert found.welfare <= most + 1e-3
    assert found.bound >= most - 1e-3


@settings(max_examples=20)
@given(changes(market_books() | worlds()))
def test_the_same_change_gives_the_same_answer(books: tuple[MarketBook, MarketBook]):
    was, now = (compile_book(market) for market in books)
    held = auctioned(was.network)
    one, other = (again(now, before=was, found=held)[0] for _ in range(2))
    assert rows_of(one) == rows_of(other)
    assert np.array_equal(one.price, other.price)


@settings(max_examples=20)
@given(changes(market_books() | worlds()))
def test_what_comes_not_near_enough_is_auctioned_from_the_beginning(books: tuple[MarketBook, MarketBook]):
    was, now = (compile_book(market) for market in books)
    kept, _ = again(now, before=was, found=auctioned(was.network))
    found, said = again(now, before=was, found=auctioned(was.network), gap=0.01)
    if kept.gap <= 0.01:
        assert rows_of(found) == rows_of(kept)
    else:
        cold = hold_auction(now.network, gap=0.01, progress=lambda _: None)
        assert found.gap == min(kept.gap, cold.gap)
        assert any("from the beginning" in line for line in said)


def three_bids(*, without: str = "") -> CompiledBook:
    """Two accelerators at 1.00; bids of two each at 5.00, 3.00 and 2.00, one of which may be out."""
    limits = {"a": 5_000_000, "b": 3_000_000, "c": 2_000_000}
    bids = [a_bid(name, width=2, limit_spot_micros=limit) for name, limit in limits.items() if name != without]
    return compile_book(book(offers=[an_offer(quantity=2, rate_micros=1_000_000, firm=False)], bids=bids))


def holders(compiled: CompiledBook, found: Indication) -> dict[str, int]:
    """Accelerators by bid, in a book where no two bids are equal."""
    group = compiled.network.group[found.flow.pair]
    names = [compiled.demand.bid_ids[int(row)] for row in compiled.demand.ordered]
    return {names[at]: int(quantity) for at, quantity in zip(group.tolist(), found.flow.quantity.tolist(), strict=True)}


def test_who_comes_takes_the_place_of_who_would_pay_least():
    before, after = three_bids(without="a"), three_bids()
    found, _ = again(after, before=before, found=auctioned(before.network, 0.01))
    assert holders(after, found) == {"a": 2}


def test_what_is_left_vacant_goes_to_who_gains_most():
    before, after = three_bids(), three_bids(without="a")
    found, said = again(after, before=before, found=auctioned(before.network, 0.01))
    assert holders(after, found) == {"b": 2}
    assert not any("from the beginning" in line for line in said)


def test_who_gives_way_goes_where_there_is_room():
    """One accelerator at each of two sites, 1.00 and 2.00; who holds the first moves on for one that may go nowhere else."""
    offers = [
        an_offer("near", country="DE", quantity=1, rate_micros=1_000_000, firm=False),
        an_offer("far", site="s2", country="FR", quantity=1, rate_micros=2_000_000, firm=False),
    ]
    anywhere = a_bid("anywhere", width=1, limit_spot_micros=9_000_000)
    choosy = a_bid("choosy", width=1, limit_spot_micros=8_000_000, countries=["DE"])
    before, after = (compile_book(book(offers=offers, bids=bids)) for bids in ([anywhere], [anywhere, choosy]))
    found, _ = again(after, before=before, found=auctioned(before.network, 0.01))
    assert holders(after, found) == {"anywhere": 1, "choosy": 1}


def test_a_new_pool_finds_takers():
    offers = [
        an_offer("old", quantity=1, rate_micros=1_000_000, firm=False),
        an_offer("new", site="s2", quantity=1, rate_micros=1_500_000, firm=False),
    ]
    bids = [a_bid("a", width=1, limit_spot_micros=5_000_000), a_bid("b", width=1, limit_spot_micros=3_000_000)]
    before, after = (compile_book(book(offers=some, bids=bids)) for some in (offers[:1], offers))
    found, _ = again(after, before=before, found=auctioned(before.network, 0.01))
    assert holders(after, found) == {"a": 1, "b": 1}
    assert losses_of(after.network, found) == []


def test_a_group_in_search_of_a_place_makes_no_more_changes_than_it_may():
    compiled = three_bids()
    network: Network = compiled.network
    price = np.zeros((3, *network.grams.shape), dtype=np.int64)
    price[:] = network.cheapest
    standing = open_standing(network, price, lots=2)
    assert place_all(network, standing, open_search(network.grams.shape[1]), np.array([0, 1, 2]), 0) == 0
    assert len(read_lots(standing).pair) == 0


def test_books_over_other_slots_are_not_carried_over():
    compiled, longer = three_bids(), compile_book(book(offers=[an_offer()], bids=[a_bid()], slots=2))
    with pytest.raises(AssertionError, match="same slots"):
        carry_over(longer, previous=compiled, found=auctioned(compiled.network))
