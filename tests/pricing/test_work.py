"""Books with bids by work: whole awards against every allocation, reference hours kept to the millionth, nobody loses."""

from fractions import Fraction
from random import Random

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pricing.integers
from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.orders import MarketBook
from pricing.certificate import certify, verify
from pricing.clearing import clear
from tests.builders import Row, a_bid, an_offer, book, rows_of
from tests.oracles.work import best_by_programme, best_work_by_hand
from tests.strategies_market import block_books, market_books, tiny_books, work_books

M = 1_000_000
some = settings(max_examples=40, deadline=None)
few = settings(max_examples=12, deadline=None)


def certified(market: MarketBook) -> tuple[Clearing, Certificate]:
    result = clear(market)
    certificate = certify(market, result, path="convex")
    assert certificate.holds, [check for check in certificate.checks if not check.holds]
    return result, certificate


def reference_hours(market: MarketBook, result: Clearing) -> dict[str, Fraction]:
    """Bids by work → reference hours they were awarded, from the awards alone."""
    hardware = dict(market.offers.select("offer_id", "hardware").iter_rows())
    asked = {row["bid_id"]: row for row in market.bids.to_dicts() if row["semantics"] == "work"}
    had = dict.fromkeys(asked, Fraction(0))
    for bid, offer, quantity in result.awards.select("bid_id", "offer_id", "quantity").iter_rows():
        if bid in asked:
            factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in asked[bid]["hardware"]}
            had[bid] += factors[hardware[offer]] * quantity * Fraction(market.rules.slot_hours)
    return had


@settings(max_examples=150, deadline=None)
@given(work_books(base=tiny_books()))
def test_no_other_whole_awards_are_better(market: MarketBook):
    best = best_work_by_hand(market)
    if best is None:
        return
    result, certificate = certified(market)
    assert certificate.welfare_micros == pytest.approx(best * float(market.rules.hours), abs=1)
    assert result.bound_integer_micros == pytest.approx(certificate.welfare_micros, abs=1)


@some
@given(work_books(base=block_books()))
def test_beside_blocks_and_flexible_bids_the_awards_are_the_best_there_are(market: MarketBook):
    _, certificate = certified(market)
    assert certificate.welfare_micros == pytest.approx(best_by_programme(market) * float(market.rules.hours), abs=1)


@some
@given(work_books(base=market_books()))
def test_reference_hours_never_exceed_the_hours_asked_for(market: MarketBook):
    result, certificate = certified(market)
    asked = dict(market.bids.select("bid_id", "hours").iter_rows())
    told = dict(result.outcomes.select("bid_id", "reference_hours").iter_rows())
    status = dict(result.outcomes.select("bid_id", "status").iter_rows())
    for bid, had in reference_hours(market, result).items():
        wanted = Fraction(str(asked[bid]))
        assert had <= wanted
        assert told[bid] == float(had)
        assert status[bid] == ("filled" if had == wanted else "partial" if had else "rejected")
    assert verify(market, result, stored=certificate).holds


@few
@given(work_books(base=block_books()))
def test_nobody_loses_after_uplift_and_what_is_paid_is_received(market: MarketBook):
    result, certificate = certified(market)
    hours, fee = market.rules.hours, Fraction(market.rules.fee_bps, 10_000)
    bids, hardware = {row["bid_id"]: row for row in market.bids.to_dicts()}, dict(market.offers.select("offer_id", "hardware").iter_rows())
    left = {bid: Fraction(uplift) for bid, uplift in result.outcomes.select("bid_id", "uplift_micros").iter_rows()}
    for bid, offer, _, tier, quantity, _, charge in result.awards.iter_rows():
        factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in bids[bid]["hardware"]}
        left[bid] += bids[bid][f"limit_{tier}_micros"] * factors[hardware[offer]] / (1 + fee) * quantity * hours - charge
    assert min(left.values()) >= -result.awards.height
    slot_rates = {(row["offer_id"], row["slot"]): row["rate_micros"] for row in market.offer_slots.to_dicts()}
    own_rates = dict(market.offers.select("offer_id", "rate_micros").iter_rows())
    for offer, slot, sold, received, _, more in result.receipts.iter_rows():
        assert received + more >= hours * sold * slot_rates.get((offer, slot), own_rates[offer]) - result.awards.height
    assert certificate.paid_micros == certificate.received_micros


@few
@given(work_books(base=block_books(), fund=st.integers(0, 60)))
def test_uplift_stays_within_the_fund(market: MarketBook):
    _, certificate = certified(market)
    assert market.rules.uplift_fund_micros is not None
    assert certificate.uplift_micros <= market.rules.uplift_fund_micros


@few
@given(work_books(base=market_books()))
def test_rounding_down_holds_and_states_what_it_lost(market: MarketBook):
    """What a large book does: parts of accelerators from the relaxation, rounded down; never better than branch and bound."""
    exactly = certified(market)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pricing.integers, "FEW_ARCS", 0)
        result, rounded = certified(market)
    assert rounded.welfare_micros <= exactly.welfare_micros
    assert result.bound_integer_micros is not None
    assert exactly.welfare_micros <= result.bound_integer_micros
    assert rounded.lost_opportunity_micros >= exactly.welfare_micros - rounded.welfare_micros


@few
@given(work_books(base=block_books()), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_a_replay_changes_anything(market: MarketBook, random: Random):
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame[random.sample(range(frame.height), frame.height)]

    mixed = msgspec.structs.replace(market, **{name: shuffled(frame) for name, frame in market.tables().items()})
    once, again = clear(market), clear(mixed)
    assert all(frame.equals(again.tables()[name]) for name, frame in once.tables().items())


def a_job(bid_id: str = "w", **fields: object) -> Row:
    """Three reference hours on F (factor 1) or S (0.4), three accelerators at once, 3.00 a reference hour."""
    usual: Row = {"width": 3, "hours": 3.0, "hardware": ["F:1", "S:0.4"], "semantics": "work", "limit_spot_micros": 3 * M}
    return a_bid(bid_id, **{**usual, **fields})


def two_classes(bids: list[Row], *, slots: int = 2, **rules: object) -> MarketBook:
    """Two of F at 2.00 and four of S at 0.50, in every slot."""
    fast = an_offer("fast", hardware="F", quantity=2, rate_micros=2 * M, firm=False)
    slow = an_offer("slow", hardware="S", quantity=4, rate_micros=500_000, firm=False)
    return book(offers=[fast, slow], bids=bids, slots=slots, **rules)


def test_a_job_takes_slower_hardware_for_longer():
    """A reference hour costs 1.25 on S, 2.00 on F. Width 3 allows 6 in two slots: five on S are 2.0, one on F is 1.0, together 3.

    Six on S would be 2.4 only. Welfare: 5·(1.20 − 0.50) + (3.00 − 2.00) = 4.50; nobody else wants anything, so rates are the offers'.
    """
    result, certificate = certified(two_classes([a_job()]))
    by_offer = result.awards.group_by("offer_id").agg(pl.col("quantity").sum()).sort("offer_id")
    assert rows_of(by_offer, "offer_id", "quantity") == [("fast", 1), ("slow", 5)]
    assert rows_of(result.outcomes, "status", "hours", "reference_hours", "paid_micros") == [("filled", 6.0, 3.0, 4_500_000)]
    assert (certificate.welfare_micros, certificate.bound_integer_micros, certificate.lost_opportunity_micros) == (4_500_000, 4_500_000, 0)


def test_what_whole_accelerators_lose_is_stated():
    """One reference hour in S alone is two and a half accelerators: two are had, 0.35 is lost, the bid stays partial."""
    slow = an_offer("slow", hardware="S", quantity=4, rate_micros=500_000, firm=False)
    result, certificate = certified(book(offers=[slow], bids=[a_job(hours=1.0)]))
    assert rows_of(result.outcomes, "status", "hours", "reference_hours") == [("partial", 2.0, 0.8)]
    assert (certificate.welfare_micros, certificate.lost_opportunity_micros) == (1_400_000, 350_000)


def test_a_job_that_may_use_one_class_at_factor_one_is_a_bid_by_the_hour():
    """Semantics differ in nothing then: same awards and prices, even where the relaxation's ends are sought another way."""
    terms: Row = {"hardware": ["F:1"], "width": 2, "hours": 3.0}
    rival = a_bid("r", width=1, hardware=["F:1"], limit_spot_micros=2_500_000)
    by_work, by_hour = (certified(two_classes([a_job(semantics=each, **terms), rival]))[0] for each in ("work", "hours"))
    assert by_work.awards["charge_micros"].sum() == by_hour.awards["charge_micros"].sum()
    assert rows_of(by_work.outcomes, "bid_id", "status", "hours") == rows_of(by_hour.outcomes, "bid_id", "status", "hours")
    assert by_work.prices.equals(by_hour.prices)


def test_of_equal_jobs_the_earlier_has_all_it_could_use():
    """Supply for one and a half: the earlier is filled."""
    fast = an_offer("fast", hardware="F", quantity=3, rate_micros=2 * M, firm=False)
    bids = [a_job("late", width=2, hours=2.0, entered=2), a_job("soon", width=2, hours=2.0, entered=1)]
    result, _ = certified(book(offers=[fast], bids=bids))
    assert rows_of(result.outcomes, "bid_id", "status", "reference_hours") == [("late", "partial", 1.0), ("soon", "filled", 2.0)]


def test_a_job_the_fund_cannot_make_whole_is_taken_out():
    """One hour wanted at once by a job, three for 5.00 by a flexible bid: whatever is due, an empty fund pays nothing."""
    fast = an_offer("fast", hardware="S", quantity=3, rate_micros=500_000, firm=False)
    bids = [a_job(hours=1.0), a_bid("r", width=1, hours=1.0, hardware=["S:1"], limit_spot_micros=1_000_000)]
    assert certified(book(offers=[fast], bids=bids, uplift_fund_micros=0))[1].uplift_micros == 0
