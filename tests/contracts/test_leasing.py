"""From awards to leases, what is left of a bid, what a simulated grid does, what is held."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.holds import Hold
from contracts.journal import totals
from contracts.leasing import Place, after_award, ended, leases_of, reopened
from contracts.terms.accounts import Account
from contracts.terms.bids import Bid, BidRequest
from contracts.terms.clearing import Cycle
from contracts.terms.leases import Lease
from contracts.terms.tables import AWARDS
from pricing.simulation.delivery import Reliability, fate, meter

START = datetime(2027, 1, 1, tzinfo=UTC)
CYCLE = Cycle(id="cyc_1", number=1, gate_at=START - timedelta(minutes=15), start=START, slots=4, slot_seconds=3600)
PLACES = {"ofr_a": Place("prv_a", "de-1", "H100-SXM"), "ofr_b": Place("prv_b", "fr-1", "L4")}
REQUEST = BidRequest(
    width=8, hours=16.0, window_start=START, window_end=START + timedelta(hours=4), hardware={"L4": 1.0}, limit_spot_micros=3_000_000
)
BID = Bid(id="bid_1", account_id="acct_a", entered_at=START - timedelta(hours=1), request=REQUEST, hours_left=16.0)
ACCOUNT = Account(
    id="acct_a", name="A", country="DE", parent_country="DE", plan_id="metered", currency="EUR", tax_bps=0, take_bps=0,
    credit_limit_micros=10**9,
)  # fmt: skip


def leases(*rows: tuple[str, str, int, str, int, int]) -> list[Lease]:
    """Leases of awards given as (bid, offer, slot, tier, quantity, rate)."""
    awards = pl.DataFrame([(*row, row[4] * row[5]) for row in rows], schema=AWARDS.schema, orient="row")
    return leases_of(CYCLE, awards, places=PLACES, holders={"bid_1": "acct_a", "bid_2": "acct_b"})


def test_one_lease_per_bid_offer_and_tier():
    made = leases(
        ("bid_1", "ofr_a", 0, "spot", 4, 10), ("bid_1", "ofr_a", 2, "spot", 2, 12), ("bid_1", "ofr_a", 0, "standard", 1, 15),
        ("bid_2", "ofr_b", 3, "spot", 8, 9),
    )  # fmt: skip
    assert [(lease.bid_id, lease.tier, lease.account_id, lease.provider_id, len(lease.slots)) for lease in made] == [
        ("bid_1", "spot", "acct_a", "prv_a", 2),
        ("bid_1", "standard", "acct_a", "prv_a", 1),
        ("bid_2", "spot", "acct_b", "prv_b", 1),
    ]
    assert [(slot.start - START, slot.quantity, slot.rate_micros) for slot in made[0].slots] == [
        (timedelta(0), 4, 10),
        (timedelta(hours=2), 2, 12),
    ]


def test_the_order_of_awards_changes_nothing():
    rows = [("bid_1", "ofr_a", slot, "spot", 4, 10) for slot in range(4)]
    assert leases(*rows) == leases(*reversed(rows))


@given(st.lists(st.floats(0.25, 8.0), max_size=6))
def test_hours_left_and_hours_awarded_add_up(awarded: list[float]):
    bid = BID
    for hours in awarded:
        if bid.status == "open" and hours <= bid.hours_left:
            bid = after_award(bid, hours)
        elif hours > bid.hours_left + 1e-6:
            with pytest.raises(ValueError, match="were left"):
                after_award(bid, hours)
    assert 0 <= bid.hours_left <= 16
    assert (bid.status == "filled") == (bid.hours_left <= 1e-9)


def test_a_bid_ends_partial_with_hours_and_expired_without():
    assert ended(after_award(BID, 4.0)).status == "partial"
    assert ended(BID).status == "expired"
    assert reopened(after_award(BID, 16.0), 4.0).hours_left == 4.0


@given(st.integers(0, 2**32), st.integers(0, 500_000), st.integers(0, 500_000))
def test_a_meter_accounts_for_every_second_and_never_more(seed: int, interrupted: int, failed: int):
    reliability = Reliability(seed=seed, interrupted=interrupted, failed=failed)
    lease = leases(("bid_1", "ofr_a", 1, "spot", 3, 10))[0]
    slot = lease.slots[0]
    records = meter(reliability, lease, slot=slot, received_at=slot.end)
    assert sum(record.accelerator_seconds for record in records) == 3 * 3600
    assert all(record.accelerator_seconds <= slot.quantity * (record.end - record.start).total_seconds() for record in records)
    good = sum(record.accelerator_seconds for record in records if record.status == "delivered")
    assert good == {"delivered": 10800, "interrupted": 5400, "failed": 0}[fate(reliability, lease, slot=slot)]


def test_a_hold_balances_and_nothing_holds_nothing():
    hold = Hold(kind="bid_hold", bid_id="bid_1", event="entered", amount_micros=REQUEST.worst_case_micros(16.0))
    (entry,) = hold.entries(ACCOUNT, START)
    assert (entry.state, totals(entry.postings)) == ("pending", {"EUR": 0})
    assert [posting.amount_micros for posting in entry.postings if posting.account == "hold"] == [48_000_000]
    assert Hold(kind="bid_hold", bid_id="bid_1", event="entered", amount_micros=0).entries(ACCOUNT, START) == []
