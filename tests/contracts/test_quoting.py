"""Quotes in numbers: what one costs, and what it becomes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.leasing import Failover, continued, in_turn
from contracts.leasing import Place as At
from contracts.quoting import bid_of, changed_facts, lease_of, worst_case_line
from contracts.terms.leases import Lease, LeaseSlot
from contracts.terms.quotes import Quote, QuotePolicy, QuoteRequest

START = datetime(2027, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_quote(accelerators: int = 8, hours: int = 2, rate_micros: int = 1_020_000, *, fee_bps: int = 0) -> Quote:
    cost = accelerators * hours * rate_micros
    return Quote(
        id="quo_1", account_id="acct_a", offer_id="ofr_a", offer_version=1, provider_id="prv_a", site="de-1", hardware="H100-SXM",
        tier="spot",
        accelerators=accelerators, rate_micros=rate_micros, fee_micros=cost * fee_bps // 10_000, currency="USD", starts_at=START,
        ends_at=START + hours * HOUR, slot_seconds=3600, state="open", created_at=START - HOUR, expires_at=START,
        request=QuoteRequest(accelerators=accelerators, hours=float(hours), hardware=["H100-SXM"], countries=["DE"]),
    )  # fmt: skip


def test_eight_for_two_hours_at_1_02_are_16_32():
    quote = a_quote()
    assert quote.worst_case_micros == 16_320_000
    assert worst_case_line(quote).endswith("at most 16.32 USD")


@given(st.integers(1, 512), st.integers(1, 48), st.integers(1, 10**9), st.integers(0, 2000))
def test_a_lease_of_a_quote_costs_its_worst_case_less_the_fee_and_its_bid_would_be_worth_it(accelerators, hours, rate, fee_bps):
    quote = a_quote(accelerators, hours, rate, fee_bps=fee_bps)
    lease, bid = lease_of(quote), bid_of(quote)
    assert sum(slot.quantity * slot.rate_micros for slot in lease.slots) == quote.worst_case_micros - quote.fee_micros
    assert (bid.id, bid.status, bid.hours_left) == (lease.bid_id, "filled", 0.0)
    assert bid.request.limits["spot"] >= rate
    assert (bid.request.countries, bid.request.width, bid.request.hours) == (["DE"], accelerators, accelerators * hours)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 5000))
def test_a_quote_is_never_under_rate_or_price_and_its_spread_never_lost(rate, last, spread):
    quoted, floor = QuotePolicy(spread_bps=spread).rate_micros(rate, last), max(rate, last)
    assert floor <= quoted <= floor * (10_000 + spread) / 10_000 + 1
    assert quoted * 10_000 >= floor * (10_000 + spread)


def test_what_changed_is_named():
    assert changed_facts({"rate": 1, "site": "a"}, {"rate": 2, "site": "a"}) == ["rate"]
    assert changed_facts({"rate": 1}, None) == ["withdrawn"]


def a_failover(lease_id: str, tier: str, first: int) -> Failover:
    slots = tuple(LeaseSlot(start=START + n * HOUR, end=START + (n + 1) * HOUR, quantity=4, rate_micros=n) for n in (first, first + 1))
    lease = Lease(
        id=lease_id, cycle_id=None, bid_id="bid", account_id="a", provider_id="p", offer_id="o", site="s", hardware="h", tier=tier,
        state="failed", slots=slots,
    )  # fmt: skip
    return Failover(lease=lease, rest=slots)


@given(st.permutations([("c", "guaranteed", 3), ("b", "standard", 1), ("a", "spot", 0), ("d", "spot", 0), ("e", "guaranteed", 1)]))
def test_better_tiers_go_first_then_the_earlier_then_the_id(owed):
    assert [each.lease.id for each in in_turn([a_failover(*one) for one in owed])] == ["e", "c", "b", "a", "d"]


def test_a_part_is_its_provider_s_lease_and_its_holder_s_old_one():
    owed = a_failover("lse_a", "spot", 1)
    part = continued(owed, "ofr_c", place=At("prv_c", "fr-1", "h"), rate_micros=owed.cap_micros)
    again = continued(Failover(lease=part, rest=part.slots[1:]), "ofr_d", place=At("prv_d", "it-1", "h"), rate_micros=1)
    assert (part.continues, again.continues, len({"lse_a", part.id, again.id})) == ("lse_a", "lse_a", 3)
    assert {slot.rate_micros for slot in part.slots} == {2}
    assert owed.still_ahead(START + 2 * HOUR).rest == owed.rest[1:]
    assert owed.still_ahead(START + 3 * HOUR) is None


def test_a_version_without_an_offer_is_refused():
    with pytest.raises(ValueError, match="offer_version"):
        QuoteRequest(accelerators=1, hours=1.0, hardware=["L4"], offer_version=1)
