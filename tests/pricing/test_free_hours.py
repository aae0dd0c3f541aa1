"""Free hours say what a quote would find: neither more nor less, at any tier, over any stretch of slots."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook
from contracts.terms.tables import BIDS, COMMITMENTS, OFFERS, TIERS
from contracts.terms.time import Period
from pricing.free_hours import FreeHours, free_hours
from pricing.quotes import standing_offers
from tests.builders import START, a_bid, an_offer, book, frame_of
from tests.strategies_market import market_books

BOOKS = market_books(bids_max=1)


@st.composite
def spans(draw: st.DrawFn) -> tuple[MarketBook, int, int]:
    """A book, and a first and an end among its slots."""
    market = draw(BOOKS)
    first = draw(st.integers(0, market.rules.slots - 1))
    return market, first, draw(st.integers(first + 1, market.rules.slots))


def over(market: MarketBook, first: int, end: int, *, tier: str, width: int) -> MarketBook:
    """The book of some slots of another, with one bid that any offer admits."""

    def shifted(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(pl.col("slot").is_between(first, end - 1)).with_columns(pl.col("slot") - first)

    rules = msgspec.structs.replace(market.rules, start=market.rules.grid.period(first).start, slots=end - first)
    window = [(pl.col(name) - first).clip(0, end - first) for name in ("slot_first", "slot_end")]
    wish = a_bid(width=width, hours=1000.0, hardware=["GPU:1", "TPU:1"], buyer_country="FR", **{f"limit_{tier}_micros": 10**12})
    return msgspec.structs.replace(
        market,
        rules=rules,
        offers=market.offers.with_columns(window).with_columns(open_to=pl.lit([], dtype=pl.List(pl.String))),
        bids=frame_of(BIDS, [wish], slots=rules.slots),
        offer_slots=shifted(market.offer_slots),
        commitments=shifted(market.commitments),
    )


@settings(max_examples=40)
@given(drawn=spans(), tier=st.sampled_from(TIERS), width=st.integers(1, 4))
def test_an_offer_is_free_where_a_quote_would_be_given(drawn: tuple[MarketBook, int, int], tier: str, width: int):
    market, first, end = drawn
    # Who may buy is not what is asked here.
    market = msgspec.structs.replace(market, offers=market.offers.with_columns(closed_to=pl.lit([], dtype=pl.List(pl.String))))
    found = free_hours(market)
    free = {name for name, least in zip(found.offer_ids, found.least(tier, first=first, count=end - first), strict=True) if least >= width}
    quoted = {each.offer_id for each in standing_offers(over(market, first, end, tier=tier, width=width), tier, last={})}
    assert free == quoted
    assert free == {
        name
        for row, name in enumerate(found.offer_ids)
        if any(begin <= first and end <= until for begin, until in found.runs(row, tier, quantity=width))
    }


@settings(max_examples=40)
@given(market=BOOKS, tier=st.sampled_from(TIERS), draw=st.data())
def test_who_takes_what_is_free_leaves_none_there_and_no_more_anywhere(market: MarketBook, tier: str, draw: st.DataObject):
    before = free_hours(market)
    row = draw.draw(st.integers(0, len(before.offer_ids) - 1))
    slot = draw.draw(st.integers(0, market.rules.slots - 1))
    taken = int(before.least(tier, first=slot, count=1)[row])
    lease = {"lease_id": "fresh", "offer_id": before.offer_ids[row], "slot": slot, "tier": tier, "quantity": taken}
    commitments = pl.concat([market.commitments, frame_of(COMMITMENTS, [lease], slots=market.rules.slots)])
    after = free_hours(msgspec.structs.replace(market, commitments=commitments))
    assert after.room[TIERS.index(tier), slot, row] == 0
    assert (after.room <= before.room).all()
    assert taken >= 0


def test_a_day_of_eight_with_a_lease_at_noon_is_free_before_and_after():
    """Eight in four slots; six are let in slot 1, and one of slot 3 is quoted. Five are free in slots 0 and 2 to 3, eight in 0 and 2."""
    taken = [
        {"lease_id": "a", "offer_id": "o", "slot": 1, "tier": "spot", "quantity": 6},
        {"lease_id": "q", "offer_id": "o", "slot": 3, "tier": "spot", "quantity": 1},
    ]
    found = free_hours(book(offers=[an_offer("o", quantity=8)], bids=[], around={"commitments": taken}, slots=4))
    assert found.room[2, :, 0].tolist() == [8, 2, 8, 7]
    assert found.runs(0, "spot", quantity=5) == [(0, 1), (2, 4)]
    assert found.runs(0, "spot", quantity=8) == [(0, 1), (2, 3)]
    assert found.runs(0, "spot", quantity=9) == []
    assert found.runs(0, "spot", quantity=1) == [(0, 4)]
    assert found.grid.period(1) == Period(START.replace(hour=1), START.replace(hour=2))


def test_what_is_held_back_below_a_tier_is_held_back_from_it():
    """Eight in a pool, two held back from either tier; five are let at standard, so guaranteed has one left and not three."""
    leased = [
        {"lease_id": "a", "offer_id": "a", "slot": 0, "tier": "standard", "quantity": 4},
        {"lease_id": "b", "offer_id": "b", "slot": 0, "tier": "standard", "quantity": 1},
    ]
    offers = [an_offer("a", quantity=4), an_offer("b", quantity=4)]
    headroom = {"headroom_guaranteed": Decimal("0.25"), "headroom_standard": Decimal("0.25")}
    found = free_hours(book(offers=offers, bids=[], around={"commitments": leased}, **headroom))
    assert found.room[:, 0, 1].tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    ("start", "hours", "slots"),
    [(None, 1, (0, 1)), (0, 4, (0, 4)), (60, 2, (1, 2)), (90, 1, (1, 2)), (179, 1, (2, 2)), (180, 1, (3, 1))],
)
def test_hours_are_the_slots_they_touch(start: int | None, hours: int, slots: tuple[int, int]):
    found = free_hours(book(offers=[an_offer("o")], bids=[], slots=4))
    assert found.slots(None if start is None else START + timedelta(minutes=start), hours=hours) == slots


@pytest.mark.parametrize(("minutes", "hours", "why"), [(-1, 1, "has begun"), (0, 5, "4 slots ahead"), (181, 1, "4 slots ahead")])
def test_hours_that_have_passed_or_are_too_far_are_refused(minutes: int, hours: int, why: str):
    found = free_hours(book(offers=[an_offer("o")], bids=[], slots=4))
    with pytest.raises(BadInput, match=why):
        found.slots(START + timedelta(minutes=minutes), hours=hours)


def test_a_book_without_offers_has_no_free_hours():
    found: FreeHours = free_hours(msgspec.structs.replace(book(offers=[], bids=[], slots=2), offers=OFFERS.empty()))
    assert found.offer_ids == []
    assert found.least("spot", first=0, count=2).tolist() == []
