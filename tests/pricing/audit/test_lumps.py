"""Bids that take lumps, by hand and against a linear programme: work in reference hours, and a block's columns."""

from fractions import Fraction

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from contracts.terms.clearing import Clearing
from contracts.terms.errors import NotSupported
from contracts.terms.orders import MarketBook
from pricing.audit.bound import bound
from pricing.audit.examination import count
from pricing.audit.own import check_extract
from pricing.audit.response import Arc, best_response
from pricing.audit.supply import take_stock
from pricing.certificate import certify
from pricing.extract import make_extract
from pricing.policy_facts import bids_of, facts_of
from tests.audits import audit_of
from tests.builders import a_bid, an_offer, book
from tests.oracles.arcs import all_arcs
from tests.oracles.results import flat, result
from tests.pricing.test_certificate import changed, failing
from tests.strategies_policy import policy_books

M = 1_000_000


def workshop(**bid: object) -> MarketBook:
    """Six GPU at 1.00 and six TPU at 0.30, half as fast; work of 3 reference hours, 4 accelerators wide, at 2.00."""
    wants = {"semantics": "work", "width": 4, "hours": 3.0, "limit_spot_micros": 2 * M, "hardware": ["GPU:1", "TPU:0.5"], **bid}
    offers = [an_offer("g", quantity=6, rate_micros=M), an_offer("t", quantity=6, rate_micros=300_000, hardware="TPU")]
    return book(offers=offers, bids=[a_bid("w", **wants)])


def worked(market: MarketBook, *, gpu: int = 2, tpu: int = 2, status: str = "filled", factor: float = 0.5) -> Clearing:
    awards = [("w", name, 0, "spot", number) for name, number in (("g", gpu), ("t", tpu)) if number]
    outcome = {"bid_id": "w", "status": status, "hours": float(gpu + tpu), "reference_hours": gpu + tpu * factor, "reason": ""}
    return result(market, awards=awards, rates=flat(market, rates={"g": M, "t": 300_000}), outcomes=[outcome])


def test_work_is_counted_in_reference_hours():
    """Two of each: 4 accelerators, 2 + 2 × 0.5 = 3 reference hours. Gain 2 × 1.00 + 2 × 0.70 = 3.40.

    A reference hour at 0.60 leaves 0.40 an accelerator of either kind: 3 × 0.60 + 4 × 0.40 = 3.40 is all there is.
    """
    certificate = certify(workshop(), worked(workshop()), path="convex")
    assert failing(certificate) == set()
    assert (certificate.welfare_micros, certificate.bound_micros) == (3_400_000, 3_400_000)
    assert certificate.lost_opportunity_micros == 0


def uneven() -> tuple[MarketBook, Clearing]:
    """TPU at three quarters of a GPU: 2 reference hours are 2⅔ TPU, for 3.20; two whole ones gain 2.40, and leave half an hour."""
    market = workshop(hours=2.0, hardware=["GPU:1", "TPU:0.75"])
    return market, worked(market, gpu=0, tpu=2, status="partial", factor=0.75)


def test_what_whole_accelerators_lose_is_stated():
    market, clearing = uneven()
    certificate = certify(market, clearing, path="convex")
    assert failing(certificate) == set()
    assert (certificate.welfare_micros, certificate.lost_opportunity_micros) == (2_400_000, 800_000)


def test_hours_that_no_whole_accelerators_reach_are_not_counted():
    """Factors of 1 and a half make only halves of an hour: of 3.25 reference hours the bound sees 3."""
    market = workshop(hours=3.25)
    certificate = certify(market, worked(market, status="partial"), path="convex")
    assert failing(certificate) == set()
    assert (certificate.welfare_micros, certificate.lost_opportunity_micros) == (3_400_000, 0)


@pytest.mark.parametrize(
    ("bid", "counts", "named"),
    [
        ({"hours": 2.9}, {}, {"bids", "outcomes"}),
        ({"width": 3}, {}, {"bids"}),
        ({"hours": 3.5}, {}, {"outcomes"}),
        ({}, {"gpu": 3, "tpu": 1}, {"bids"}),
        ({}, {"status": "partial"}, {"outcomes"}),
        ({"hardware": ["GPU:1"]}, {}, {"eligibility"}),
    ],
)
def test_work_that_is_too_much_or_elsewhere_is_named(bid: dict[str, object], counts: dict[str, int], named: set[str]):
    market = workshop(**bid)
    assert named <= failing(certify(market, worked(market, **counts), path="convex"))


def test_work_must_keep_its_turn():
    """Twice the same work, half a reference hour each: the later has the one TPU that the earlier could still use."""
    bids = [
        a_bid(name, entered=when, semantics="work", hours=0.5, limit_spot_micros=2 * M, hardware=["TPU:0.5"])
        for name, when in (("v", 1), ("w", 0))
    ]
    market = book(offers=[an_offer("t", hardware="TPU", rate_micros=M // 2)], bids=bids)
    rates = flat(market, rates={"t": M})
    served = {"status": "filled", "hours": 1.0, "reference_hours": 0.5, "reason": ""}
    refused = {"status": "rejected", "hours": 0.0, "reference_hours": 0.0, "reason": "priced out"}
    for winner, loser, named in (("w", "v", set()), ("v", "w", {"choice"})):
        outcomes = [{"bid_id": winner, **served}, {"bid_id": loser, **refused}]
        outcome = result(market, awards=[(winner, "t", 0, "spot", 1)], rates=rates, outcomes=outcomes)
        assert failing(certify(market, outcome, path="convex")) == named


def test_a_block_by_work_is_refused():
    with pytest.raises(NotSupported):
        count(workshop(kind="block", width=1, hours=1.0))


def test_a_buyer_of_work_checks_her_part():
    market, clearing = uneven()
    certificate = certify(market, clearing, path="convex")
    checks = check_extract(make_extract(market, clearing, certificate=certificate, bid_id="w"), root=certificate.merkle_root)
    assert [check.name for check in checks if not check.holds] == []
    assert checks[-1].finding == "the awards gain 2400000 micros, the best response 3200000: blocks or work leave such"
    assert not certify(market, changed(clearing, "awards", row=0, by={"quantity": 1}), path="convex").holds


def by_programme(market: MarketBook, number: int, *, rate: int, hours: float) -> float:
    """The most a bid for work gains in fractions of accelerators when everything costs the same; its hours in slots. A linear programme."""
    bid, facts = bids_of(market)[number], facts_of(market)
    heads = take_stock(market, facts).heads
    arcs = [(arc, value) for arc, value in all_arcs(market, even_below_cost=True).items() if arc[0] == number]
    if not arcs:
        return 0.0
    gain = np.array([value - rate for _, value in arcs], dtype=float)
    reference = [float(bid.factors[heads[pool].hardware]) for (_, pool, _, _), _ in arcs]
    in_slot = [[float(slot == t) for (_, _, slot, _), _ in arcs] for t in range(facts.slots)]
    limits = [hours, *([float(bid.width)] * facts.slots)]
    found = linprog(-gain, A_ub=np.array([reference, *in_slot]), b_ub=limits)
    return float(-found.fun)


@settings(max_examples=40, deadline=None)
@given(policy_books(), st.integers(0, 400_000))
def test_the_bound_of_work_is_the_best_in_fractions(market: MarketBook, rate: int):
    """Rents apart, at one rate for everything: at least the linear programme of each bid, and no more than a hair above."""
    market = msgspec.structs.replace(market, bids=market.bids.with_columns(semantics=pl.lit("work")))
    counted = count(market)
    empty = result(market, awards=[], rates={}, outcomes=[])
    grid = np.full(counted.stock.limits.shape, rate)
    rents = int((np.maximum(0, rate - counted.stock.rates) * counted.stock.left).sum())
    hours = counted.demand.most / counted.demand.factor_unit
    best = sum(by_programme(market, number, rate=rate, hours=float(hours[number])) for number in range(market.bids.height))
    found = float(bound(audit_of(market, empty), grid) / market.rules.hours) - rents
    assert best - 1e-3 <= found <= best + 30 * market.bids.height


@settings(max_examples=40, deadline=None)
@given(policy_books(bids_max=1), st.integers(0, 400_000))
def test_a_buyers_own_reading_of_work_is_the_linear_programme(market: MarketBook, rate: int):
    market = msgspec.structs.replace(market, bids=market.bids.with_columns(semantics=pl.lit("work")))
    bid, facts = bids_of(market)[0], facts_of(market)
    stock = take_stock(market, facts)
    arcs = {
        (stock.names[pool], slot, str(tier)): Arc(gain=value - rate, factor=bid.factors[stock.heads[pool].hardware])
        for (_, pool, slot, tier), value in all_arcs(market, even_below_cost=True).items()
    }
    found = best_response(bid, arcs, slot_hours=facts.slot_hours)
    assert float(found / facts.slot_hours) == pytest.approx(
        by_programme(market, 0, rate=rate, hours=float(bid.hours / facts.slot_hours)), abs=1e-3
    )


def test_a_block_takes_its_best_column():
    """Three slots at 5, 1, 4 in one pool, 3, 3, 9 in another: two in a row cost 5 (slots 1 and 2 of the first)."""
    block = a_bid("k", kind="block", width=2, hours=4.0, limit_spot_micros=10)
    market = book(offers=[an_offer("a", rate_micros=1), an_offer("b", rate_micros=1, site="south")], bids=[block], slots=3)
    bid = bids_of(market)[0]
    prices = {"a": (5, 1, 4), "b": (3, 3, 9)}
    arcs = {
        (pool, slot, "spot"): Arc(gain=10 - price, factor=Fraction(1)) for pool, row in prices.items() for slot, price in enumerate(row)
    }
    assert best_response(bid, arcs, slot_hours=Fraction(1)) == 2 * (20 - 5)
    grid = np.array([prices["a"], prices["b"]], dtype=np.int64)[:, :, None].repeat(3, axis=2)
    quiet = result(market, awards=[], rates={}, outcomes=[])
    rents = 4 + 0 + 3 + 2 + 2 + 8
    assert bound(audit_of(market, quiet), grid) == 30 + rents
