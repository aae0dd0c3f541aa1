"""A planted fault for every check: each is named by the check it belongs to, in an exact result and in an approximate one."""

import msgspec
import polars as pl
import pytest

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from contracts.terms.tables import COMMITMENTS
from pricing.certificate import certify
from tests.builders import a_bid, an_offer, book, frame_of
from tests.oracles.results import flat, result
from tests.pricing.test_certificate import by_hand, changed, failing, scarce


def approximate() -> tuple[MarketBook, Clearing]:
    """Two of two at 1.00 to a bid of 2.00 and one of 1.50, at an indicative 1.40: the bound is 0.20 above, for who takes more."""
    bids = [a_bid("b1", limit_spot_micros=2_000_000), a_bid("b2", limit_spot_micros=1_500_000)]
    market = book(offers=[an_offer("o1", quantity=3)], bids=bids)
    done = {"status": "filled", "hours": 1.0, "reference_hours": 1.0, "reason": ""}
    awards = [(bid, "o1", 0, "spot", 1) for bid in ("b1", "b2")]
    outcomes = [{"bid_id": bid, **done} for bid in ("b1", "b2")]
    return market, result(market, awards=awards, rates=flat(market, rates={"o1": 1_400_000}), outcomes=outcomes, approximate=True)


def test_an_approximate_result_need_not_be_the_best():
    """Welfare 1.00 + 0.50; the bound adds the rent of the third accelerator, 0.40."""
    market, clearing = approximate()
    certificate = certify(market, clearing, path="auction", approximate=True)
    assert failing(certificate) == set()
    assert (certificate.welfare_micros, certificate.bound_micros, certificate.lost_opportunity_micros) == (1_500_000, 1_900_000, 0)
    assert "bound" in failing(certify(market, clearing, path="exact"))


@pytest.mark.parametrize(
    ("table", "row", "by", "named"),
    [
        ("prices", 0, {"rate_low_micros": -1}, "prices"),
        ("prices", 0, {"rate_low_micros": -1, "rate_high_micros": 1}, "prices"),
        ("prices", 1, {"rate_low_micros": 1, "rate_micros": 1, "rate_high_micros": 1}, "prices"),
        ("awards", 0, {"quantity": 1, "charge_micros": 1_400_000}, "bids"),
        ("awards", 0, {"quantity": 9, "charge_micros": 9 * 1_400_000}, "capacity"),
        ("outcomes", 0, {"paid_micros": 1}, "outcomes"),
        ("receipts", 0, {"sold": 1}, "receipts"),
    ],
)
def test_lies_of_an_approximate_result_are_named(table: str, row: int, by: dict[str, int], named: str):
    market, clearing = approximate()
    assert named in failing(certify(market, changed(clearing, table, row=row, by=by), path="auction", approximate=True))


@pytest.mark.parametrize(
    ("table", "column", "value", "named"),
    [
        ("bids", "limit_spot_micros", 1_399_999, "winners"),
        ("offers", "rate_micros", 1_400_001, "providers"),
        ("bids", "limit_spot_micros", 999_999, "eligibility"),
        ("bids", "countries", ["SE"], "eligibility"),
        ("bids", "slot_end", 0, "eligibility"),
        ("bids", "hours", 0.5, "bids"),
    ],
)
def test_an_approximate_result_loses_nobody_and_admits_nobody(table: str, column: str, value: object, named: str):
    market, clearing = approximate()
    frame = market.tables()[table].with_columns(pl.lit(value, dtype=market.tables()[table].schema[column]).alias(column))
    other = msgspec.structs.replace(market, **{table: frame})
    assert named in failing(certify(other, clearing, path="auction", approximate=True))


@pytest.mark.parametrize(("offer", "tier", "quantity", "named"), [("o1", "spot", 5, "capacity"), ("o2", "guaranteed", 1, "tier limits")])
def test_a_commitment_that_was_forgotten_is_named(offer: str, tier: str, quantity: int, named: str):
    """`scarce` as worked out by hand, but some of it was under lease all the while."""
    lease = {"lease_id": "l1", "offer_id": offer, "slot": 0, "tier": tier, "quantity": quantity}
    leased = msgspec.structs.replace(scarce(), commitments=frame_of(COMMITMENTS, [lease], slots=1))
    assert named in failing(certify(leased, by_hand(), path="convex"))


def test_a_price_below_the_pools_lowest_rate_is_named():
    """Beside a block prices need not support the awards, but no pool is priced below what its cheapest offer asks."""
    bids = [a_bid("k", kind="block", limit_spot_micros=2_000_000)]
    market = book(offers=[an_offer("o1", rate_micros=1_000_000)], bids=bids)
    done = [{"bid_id": "k", "status": "filled", "hours": 1.0, "reference_hours": 1.0, "reason": ""}]
    found = {}
    for rate in (1_000_000, 999_999):
        clearing = result(market, awards=[("k", "o1", 0, "spot", 1)], rates=flat(market, rates={"o1": rate}), outcomes=done)
        found[rate] = certify(market, clearing, path="convex")
    assert failing(found[1_000_000]) == set()
    assert "the rate of pool o1, slot 0 is below its lowest rate, 1000000" in str(found[999_999].checks)


def test_a_block_against_its_worth_is_named():
    """Worth 0.50 an hour in a pool that asks 1.00: uplift would make it whole, the policy does not let it in."""
    market = book(offers=[an_offer("o1")], bids=[a_bid("k", kind="block", limit_spot_micros=500_000)])
    done = [{"bid_id": "k", "status": "filled", "hours": 1.0, "reference_hours": 1.0, "reason": "", "uplift_micros": 500_000}]
    clearing = result(market, awards=[("k", "o1", 0, "spot", 1)], rates=flat(market, rates={"o1": 1_000_000}), outcomes=done)
    certificate = certify(market, clearing, path="convex")
    assert "bid k is at offer o1 in slot 0 against worth" in str(certificate.checks)


def test_all_who_are_served_out_of_turn_are_named():
    """Three alike; the last to enter has the only accelerator, and a fourth, of other terms, is none of their business."""
    bids = [a_bid(f"b{number}", entered=number, limit_spot_micros=2_000_000) for number in range(3)]
    market = book(offers=[an_offer("o1")], bids=[*bids, a_bid("other", limit_spot_micros=1_900_000)])
    told = {"b2": ("filled", 1.0, "")}
    outcomes = [
        {"bid_id": bid, "status": status, "hours": hours, "reference_hours": hours, "reason": reason}
        for bid in ("b0", "b1", "b2", "other")
        for status, hours, reason in [told.get(bid, ("rejected", 0.0, "priced out"))]
    ]
    clearing = result(market, awards=[("b2", "o1", 0, "spot", 1)], rates=flat(market, rates={"o1": 2_000_000}), outcomes=outcomes)
    certificate = certify(market, clearing, path="convex", approximate=True)
    assert failing(certificate) == {"choice"}
    assert "bid b2 is served where b1, entered before it, still had room" in str(certificate.checks)
