"""Books with blocks: whole awards against every combination, prices against the dual written out, laws on random books."""

from fractions import Fraction
from random import Random
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.terms.clearing import Certificate, Clearing
from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook
from contracts.terms.tables import TIERS
from pricing import relaxation, solver
from pricing.certificate import certify, verify
from pricing.clearing import clear
from pricing.convex import optimum
from pricing.explain import explain
from pricing.integers import choose_columns
from pricing.mixture import mix
from pricing.problem import MarketProblem, build
from pricing.relaxation import column_prices, relax
from pricing.residual import price_range
from pricing.solver import Search, solve_whole
from tests.builders import Row, a_bid, an_offer, book, rows_of
from tests.oracles.blocks import best_with_blocks, combinations, dual_sums, flexible_part
from tests.oracles.blocks import columns as slow_columns
from tests.strategies_market import block_books, market_books

M = 1_000_000
few = settings(max_examples=25, deadline=None)
some = settings(max_examples=60, deadline=None)
# Thousands of books where there is time for them.
many = settings(max_examples=2_000 if settings.get_current_profile_name() == "long" else 100, deadline=None)


def a_block(bid_id: str, *, width: int, run: int = 1, **fields: Any) -> Row:
    """A block of `run` slots of an hour."""
    return a_bid(bid_id, kind="block", width=width, hours=float(width * run), **fields)


def made_whole(**rules: Any) -> MarketBook:
    """Six accelerators at 1.00 and six at 3.00 in one pool; a block of ten, worth 2.20 an hour each."""
    offers = [an_offer("a", quantity=6, rate_micros=1 * M, firm=False), an_offer("b", quantity=6, rate_micros=3 * M, firm=False)]
    return book(offers=offers, bids=[a_block("ten", width=10, limit_spot_micros=2_200_000)], **rules)


def certified(market: MarketBook) -> tuple[Clearing, Certificate]:
    result = clear(market)
    certificate = certify(market, result, path="convex")
    assert certificate.holds, [check for check in certificate.checks if not check.holds]
    return result, certificate


@many
@given(block_books())
def test_no_other_whole_awards_are_better(market: MarketBook):
    oracle = flexible_part(market)
    if combinations(market, oracle) > 80:
        return
    result, certificate = certified(market)
    best = best_with_blocks(market, oracle) * float(market.rules.hours)
    assert certificate.welfare_micros == pytest.approx(best, abs=1)
    assert result.bound_integer_micros == pytest.approx(best, abs=1)


@some
@given(block_books())
def test_the_ends_are_the_supporting_vectors_of_least_and_of_greatest_sum(market: MarketBook):
    problem = build(market)
    ends = column_prices(problem, problem.demand.count)
    there = (problem.supply.limits > 0) & (problem.supply.offered > 0)[..., None]
    there[..., 0] &= there[..., 1]
    both = (ends.low + ends.high).transpose(1, 2, 0)[there].sum()
    _, least, greatest = dual_sums(market, flexible_part(market))
    assert (ends.low <= ends.high).all()
    assert -2 * there.sum() - 0.1 <= both - (least + greatest) <= 0.1


@few
@given(block_books())
def test_the_columns_are_those_of_the_slow_reading(market: MarketBook):
    problem = build(market)
    columns, names = problem.columns, problem.supply.pools["pool"].to_list()
    groups = {bid: int(problem.demand.group_of[row]) for row, bid in enumerate(problem.demand.bid_ids)}
    place = {(site, hardware, firm): names.index(pool) for pool, site, hardware, firm in _pool_facts(problem)}
    slow = slow_columns(market, flexible_part(market))
    expected = {(groups[bid], run[0][1], place[run[0][0]], tier, worth) for bid, _, run, tier, worth in slow}
    found = zip(*(getattr(columns, name).tolist() for name in ("group", "first", "pool", "tier", "worth")), strict=True)
    assert sorted(found) == sorted(expected)


def _pool_facts(problem: MarketProblem) -> list[tuple[Any, ...]]:
    return problem.supply.pools.select("pool", "site", "hardware", "firm").rows()


@few
@given(block_books())
def test_a_relaxation_that_grows_is_the_one_solved_at_once(market: MarketBook):
    """With all arcs and columns at once, and with the best of every bid and more when they would gain: equal value, equal ends."""
    problem = build(market)
    mixture = mix(problem, problem.demand.count)
    assume(mixture.arcs + mixture.columns)
    once, ends = relax(problem, mixture), column_prices(problem, problem.demand.count)
    with pytest.MonkeyPatch.context() as patch:
        for name, least in (("SMALL", 0), ("FIRST", 1), ("MORE", 1)):
            patch.setattr(relaxation, name, least)
        grown, others = relax(problem, mixture), column_prices(problem, problem.demand.count)
    value = mixture.programme.value
    assert value @ grown.quantity == pytest.approx(value @ once.quantity, abs=1e-3)
    assert np.abs((ends.low + ends.high) - (others.low + others.high)).max(initial=0) <= 2


@few
@given(block_books())
def test_a_search_that_stops_at_once_keeps_its_start_and_its_bound(market: MarketBook):
    """Started from the best and given no work, branch and bound answers with the start and claims no less than it."""
    problem = build(market)
    count = problem.demand.count
    fits = problem.columns.fit(problem.network.limits)
    assume(fits.any())
    best, mixture = choose_columns(problem, count), mix(problem, count)
    whole = mixture.arcs + np.arange(mixture.columns)
    most = mixture.programme.most.copy()
    most[whole] = np.where(fits, count[problem.columns.group], 0)
    programme = msgspec.structs.replace(mixture.programme, most=most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "LEAST_LOOKS", 0)
        found = solve_whole(programme, whole, search=Search(work=0, start=best.blocks))
    assert programme.value @ found.quantity == pytest.approx(best.bound, abs=1)
    assert found.bound >= best.bound - 1


@few
@given(market_books())
def test_without_blocks_the_relaxation_has_the_prices_of_the_network(market: MarketBook):
    problem = build(market)
    quantity = optimum(problem, lambda _: None)
    network, relaxed = price_range(problem, quantity), column_prices(problem, problem.demand.count)
    sold = problem.by_node(quantity).sum(axis=0) > 0
    there = (problem.supply.limits > 0).transpose(2, 0, 1) & sold
    there[0] &= there[1]
    assert np.array_equal(network.low[there], relaxed.low[there])
    assert np.array_equal(network.high[there], relaxed.high[there])


@some
@given(block_books())
def test_nobody_loses_after_uplift_and_what_is_paid_is_received(market: MarketBook):
    """A winner's worth and uplift cover what it pays; an offer's receipts and uplift cover its rate."""
    result, certificate = certified(market)
    hours, charges = market.rules.hours, result.awards.group_by("bid_id").agg(pl.col("charge_micros").sum())
    limits = {row["bid_id"]: row for row in market.bids.to_dicts()}
    hardware = dict(market.offers.select("offer_id", "hardware").iter_rows())
    worth: dict[str, Fraction] = {}
    for bid, offer, _, tier, quantity, *_ in result.awards.iter_rows():
        factors = {entry.split(":")[0]: Fraction(entry.split(":")[1]) for entry in limits[bid]["hardware"]}
        all_in = limits[bid][f"limit_{tier}_micros"] * factors[hardware[offer]] / (1 + Fraction(market.rules.fee_bps, 10_000))
        worth[bid] = worth.get(bid, Fraction(0)) + all_in * quantity * hours
    uplift = dict(result.outcomes.select("bid_id", "uplift_micros").iter_rows())
    lines = result.awards.height
    for bid, paid in charges.iter_rows():
        assert worth[bid] + uplift[bid] >= paid - lines
    slot_rates = {(row["offer_id"], row["slot"]): row["rate_micros"] for row in market.offer_slots.to_dicts()}
    own_rates = dict(market.offers.select("offer_id", "rate_micros").iter_rows())
    for offer, slot, sold, received, _, more in result.receipts.iter_rows():
        assert received + more >= hours * sold * slot_rates.get((offer, slot), own_rates[offer]) - lines
    assert certificate.paid_micros == certificate.received_micros


@few
@given(block_books(), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_a_replay_changes_anything(market: MarketBook, random: Random):
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        return frame[random.sample(range(frame.height), frame.height)]

    mixed = msgspec.structs.replace(market, **{name: shuffled(frame) for name, frame in market.tables().items()})
    once, again = clear(market), clear(mixed)
    assert all(frame.equals(again.tables()[name]) for name, frame in once.tables().items())
    assert once.bound_integer_micros == again.bound_integer_micros


@few
@given(block_books(fund=st.integers(0, 60)))
def test_uplift_stays_within_the_fund(market: MarketBook):
    result, certificate = certified(market)
    fund = market.rules.uplift_fund_micros
    assert fund is not None
    assert certificate.uplift_micros <= fund
    free = clear(msgspec.structs.replace(market, rules=msgspec.structs.replace(market.rules, uplift_fund_micros=None)))
    assert result.bound_integer_micros == free.bound_integer_micros


@few
@given(block_books(), st.data())
def test_a_certificate_of_another_result_does_not_verify(market: MarketBook, data: st.DataObject):
    result, certificate = certified(market)
    assert verify(market, result, stored=certificate).holds
    name, column = data.draw(st.sampled_from([("outcomes", "uplift_micros"), ("prices", "rate_micros"), ("receipts", "uplift_micros")]))
    frame = result.tables()[name]
    if frame.is_empty():
        return
    forged = frame.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(pl.col(column) + 1).otherwise(pl.col(column)).alias(column))
    assert not certify(market, msgspec.structs.replace(result, **{name: forged}), path="convex").holds
    lower = msgspec.structs.replace(certificate, lost_opportunity_micros=certificate.lost_opportunity_micros - 1)
    assert not verify(market, result, stored=lower).holds


def test_a_claim_below_the_welfare_reached_is_no_bound():
    market = made_whole()
    assert not certify(market, clear(market), path="convex", bound_integer_micros=4 * M - 1).holds


def test_a_provider_below_its_rate_is_made_whole():
    """The relaxation serves six tenths of the block, so an hour costs what it is worth: 2.20. b is 0.80 short on each of 4."""
    _, certificate = certified(made_whole())
    assert (certificate.welfare_micros, certificate.lost_opportunity_micros, certificate.uplift_micros) == (4 * M, 3_200_000, 3_200_000)
    assert certificate.bound_integer_micros == 4 * M


def test_a_block_the_fund_cannot_carry_is_taken_out():
    """With 3.00 in the fund the 3.20 cannot be paid: nothing trades, and the block is told that its price was met."""
    result, certificate = certified(made_whole(uplift_fund_micros=3 * M))
    assert result.awards.is_empty()
    assert rows_of(result.outcomes, "status", "uplift_micros", "reason") == [("paradoxical", 0, "priced out")]
    assert (certificate.welfare_micros, certificate.bound_integer_micros) == (0, 4 * M)


def test_of_equal_blocks_the_earlier_runs():
    offers = [an_offer("a", quantity=3, firm=False)]
    bids = [a_block("late", width=2, entered=2, limit_spot_micros=2 * M), a_block("soon", width=2, entered=1, limit_spot_micros=2 * M)]
    market = book(offers=offers, bids=bids)
    result, _ = certified(market)
    assert rows_of(result.outcomes, "bid_id", "status") == [("late", "paradoxical" if _admits(result) else "rejected"), ("soon", "filled")]
    swapped = {"late": "soon", "soon": "late"}
    other = msgspec.structs.replace(
        result,
        awards=result.awards.with_columns(pl.col("bid_id").replace(swapped)),
        outcomes=result.outcomes.with_columns(pl.col("bid_id").replace(swapped)).sort("bid_id"),
    )
    assert not certify(market, other, path="convex").holds


def _admits(result: Clearing) -> bool:
    return bool(result.prices["rate_micros"][0] < 2 * M)


def test_a_block_runs_whole_in_one_pool_and_tier():
    """Two slots in a row: north is free in slots 1 and 2 only, south is dearer; a run may split over offers, not over pools."""
    offers = [
        an_offer("n1", quantity=2, slot_first=1, firm=False),
        an_offer("n2", quantity=2, rate_micros=1_100_000, firm=False),
        an_offer("s1", site="south", quantity=4, rate_micros=2 * M, firm=False),
    ]
    result, _ = certified(book(offers=offers, bids=[a_block("k", width=3, run=2, limit_spot_micros=3 * M)], slots=3))
    assert rows_of(result.awards, "offer_id", "slot", "quantity") == [("n1", 1, 2), ("n1", 2, 2), ("n2", 1, 1), ("n2", 2, 1)]


def test_worth_counts_over_the_whole_run():
    """2.00 in one slot and 4.00 in the next cost 6.00 an accelerator; at 3.00 an hour the run is just worth it, at 2.99 not."""
    rates = (2 * M, 4 * M)
    dear_later = [{"offer_id": "a", "slot": slot, "quantity": 2, "rate_micros": rate} for slot, rate in enumerate(rates)]
    offers = [an_offer("a", firm=False)]
    for limit, statuses in ((3 * M + 1, ["filled"]), (2_990_000, ["rejected"])):
        market = book(
            offers=offers, bids=[a_block("k", width=2, run=2, limit_spot_micros=limit)], around={"offer_slots": dear_later}, slots=2
        )
        assert certified(market)[0].outcomes["status"].to_list() == statuses


def test_a_run_that_is_no_whole_number_of_slots_is_refused():
    with pytest.raises(BadInput, match="which is 3/2 here") as refusal:
        clear(book(offers=[an_offer()], bids=[a_bid("k", kind="block", width=2, hours=3.0, limit_spot_micros=1)], slots=2))
    assert (refusal.value.facts["file"], refusal.value.facts["row"], refusal.value.facts["column"]) == ("bids", 1, "hours")


def test_a_refused_block_is_explained():
    """It is told how wide the pools it may use are, and what limit a run would have needed at the prices."""
    offers = [an_offer("a", quantity=3, firm=False)]
    bids = [a_block("wide", width=4, limit_spot_micros=2 * M), a_block("poor", width=2, limit_spot_micros=1_200_000)]
    bids.append(a_bid("rich", width=2, limit_spot_micros=5 * M))
    market = book(offers=offers, bids=bids)
    result = clear(market)
    wide, poor = explain(market, "wide", clearing=result), explain(market, "poor", clearing=result)
    assert wide.widest == 3
    assert "asks for 4 at once; the widest run open to it has 3" in wide.text
    assert [need.tier for need in poor.needs] == ["spot"]
    assert set(result.awards["bid_id"]) == {"rich"}
    assert set(TIERS) > {need.tier for need in poor.needs}
