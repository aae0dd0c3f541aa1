"""A changed book cleared again from tables: as sound as any clearing, and the same where nothing changed."""

from datetime import timedelta

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings

from contracts.terms.errors import BadInput, NotSupported
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.clearing_again import Before, clear_again
from tests.builders import a_bid, an_offer, book
from tests.pricing.test_reclearing import changes
from tests.strategies_market import market_books
from tests.strategies_worlds import worlds


def silent(_: str) -> None:
    """Tell nobody."""


def again(now: MarketBook, was: MarketBook, gap: float = 0.002):
    return clear_again(now, Before(was, clear(was)), gap=gap, progress=silent)


@settings(max_examples=15)
@given(changes(market_books() | worlds()))
def test_whatever_changed_the_certificate_holds_and_the_gap_is_kept(books: tuple[MarketBook, MarketBook]):
    """And it is never better than the best there is, which the bound says."""
    was, now = books
    result = again(now, was)
    certificate = certify(now, result, path=result.path, approximate=result.approximate)
    assert [check for check in certificate.checks if not check.holds] == []
    assert 0 <= certificate.gap <= 0.002
    best = certify(now, clear(now), path="convex", approximate=False)
    assert certificate.welfare_micros <= best.welfare_micros <= certificate.bound_micros


def small(*bids: dict[str, object]) -> MarketBook:
    return book(offers=[an_offer("o1", quantity=16, rate_micros=1_000_000)], bids=list(bids))


def test_a_bid_that_comes_takes_what_is_free_and_nobody_else_moves():
    """The first has 8 of 16 at 1.00; the second, at 3.00, gets the other 8 at the price there was."""
    first = a_bid("b1", width=8, limit_spot_micros=5_000_000)
    second = a_bid("b2", width=8, limit_spot_micros=3_000_000)
    was, now = small(first), small(first, second)
    result = again(now, was)
    assert result.awards.select("bid_id", "quantity", "rate_micros").rows() == [("b1", 8, 1_000_000), ("b2", 8, 1_000_000)]
    assert again(was, was).awards.equals(clear(was).awards)


def test_equal_bids_keep_together_what_each_of_them_held():
    """Two bids of the same terms are one kind: it holds 16, not the 8 of the first."""
    was = small(*(a_bid(name, width=8, limit_spot_micros=5_000_000) for name in ("b1", "b2")))
    assert again(was, was, gap=0.9).awards["quantity"].to_list() == [8, 8]


def test_a_bid_that_goes_leaves_its_place_and_the_rest_stays():
    first, second = (a_bid(name, width=8, limit_spot_micros=5_000_000) for name in ("b1", "b2"))
    result = again(small(second), small(first, second))
    assert result.awards["bid_id"].unique().to_list() == ["b2"]


def test_what_cannot_be_a_change_is_refused():
    was = small(a_bid("b1", limit_spot_micros=5_000_000))
    held = clear(was)
    later = msgspec.structs.replace(was, rules=msgspec.structs.replace(was.rules, start=was.rules.start + timedelta(hours=1)))
    with pytest.raises(BadInput, match="over the same slots"):
        again(later, was)
    foreign = msgspec.structs.replace(held, awards=held.awards.with_columns(bid_id=pl.lit("b9")))
    with pytest.raises(BadInput, match="does not have b9"):
        clear_again(was, Before(was, foreign), progress=silent)
    block = a_bid("b2", kind="block", hours=2.0, limit_spot_micros=5_000_000)
    with pytest.raises(NotSupported, match="from the beginning"):
        again(small(block), was)
