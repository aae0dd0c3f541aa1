"""A slot that changes hands is nobody's twice, is delivered once and is settled at both rates; what it fetches makes nothing."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.ledger_tables import PAYOUTS, USAGE
from contracts.resale import (
    Resale,
    ResaleRequest,
    bought_of,
    given_up,
    handed_over,
    offered_slots,
    proceeds_entries,
    reseller,
    sales_of,
    sold_by_holders,
    still_offered,
    with_resold,
    with_sold,
)
from contracts.terms.leases import Lease, LeaseSlot

START = datetime(2027, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
SALES = {"lease_id": pl.String, "of_lease_id": pl.String, "account_id": pl.String}


def slots(*quantities: int, rate_micros: int = 5) -> tuple[LeaseSlot, ...]:
    """A slot an hour from the start on."""
    return tuple(
        LeaseSlot(start=START + hour * HOUR, end=START + (hour + 1) * HOUR, quantity=quantity, rate_micros=rate_micros)
        for hour, quantity in enumerate(quantities)
    )


def a_lease(*quantities: int, lease_id: str = "lse_a") -> Lease:
    return Lease(
        id=lease_id, cycle_id=None, bid_id="bid", account_id="acct_a", provider_id="prv", offer_id="ofr", site="s", hardware="H",
        tier="spot", state="active", slots=slots(*quantities),
    )  # fmt: skip


def sales(*chain: tuple[str, str, str]) -> pl.DataFrame:
    """Buyer's lease, the lease it was bought of, the account of that."""
    return pl.DataFrame(list(chain), schema=SALES, orient="row")


def usage(*rows: tuple[str, int, str, int]) -> pl.DataFrame:
    """usage_id, rev, lease_id, accelerator-seconds: an hour from the start, received after it."""
    facts = [
        {
            "usage_id": usage_id, "rev": rev, "lease_id": lease_id, "start": START, "end": START + HOUR, "accelerator_seconds": seconds,
            "status": "delivered", "received_at": START + HOUR,
        }
        for usage_id, rev, lease_id, seconds in rows
    ]  # fmt: skip
    return pl.DataFrame(facts, schema=USAGE.schema)


def latest(frame: pl.DataFrame) -> dict[str, int]:
    """Seconds by lease, of the highest revision of each record."""
    rows = frame.sort("usage_id", "rev").unique("usage_id", keep="last")
    return {lease: seconds for lease, seconds in rows.group_by("lease_id").agg(pl.col("accelerator_seconds").sum()).iter_rows() if seconds}


def test_what_has_begun_or_was_not_named_is_not_offered():
    """Eight for four hours; half past one, six of them until four: two slots of six."""
    request = ResaleRequest(rate_micros=7, accelerators=6, end=START + 4 * HOUR)
    found = offered_slots(a_lease(8, 8, 8, 4, 8), request, now=START + 1.5 * HOUR)
    assert [(slot.start, slot.quantity, slot.rate_micros) for slot in found] == [(START + 2 * HOUR, 6, 7), (START + 3 * HOUR, 4, 7)]


def test_a_released_lease_leaves_what_has_not_begun_at_its_own_rate():
    rest = given_up(a_lease(8, 8, 0, 8), now=START + HOUR / 2)
    assert (rest.state, rest.continues, [(slot.start, slot.quantity, slot.rate_micros) for slot in rest.slots]) == (
        "released", "lse_a", [(START + HOUR, 8, 5), (START + 3 * HOUR, 8, 5)],
    )  # fmt: skip
    assert given_up(a_lease(8), now=START + HOUR / 2) is None


WIDTHS = st.lists(st.integers(0, 9), min_size=1, max_size=6)


@given(WIDTHS, WIDTHS)
def test_what_changes_hands_is_taken_from_its_holder_and_never_more_than_there_is(held, bought):
    """Accelerators of every slot add up to what they were before; where that cannot be, nothing changes hands."""
    mine, wanted = slots(*held), slots(*bought)
    left = handed_over(mine, wanted)
    padded = [*bought, *[0] * len(held)]
    if left is None:
        assert any(want > (held[n] if n < len(held) else 0) for n, want in enumerate(bought))
    else:
        assert [slot.quantity + want for slot, want in zip(left, padded, strict=False)] == held
        assert all(slot.quantity >= 0 for slot in left)
        resale = still_offered(Resale(id="ofr~1", lease_id="lse_a", offer_id="ofr", slots=mine), wanted)
        assert [slot.quantity for slot in resale.slots] == [slot.quantity for slot in left]
        buyer = a_lease(*bought, lease_id="lse_b")
        sold = sales_of(buyer, resale, held=mine)
        assert sum(sale.quantity for sale in sold) == sum(bought)
        assert {sale.rate_micros for sale in sold} <= {5}


def test_a_second_sold_on_is_delivered_once_and_settled_on_both_leases():
    """B bought of A, C of B: C's seconds are B's and A's too; a record of nobody's resale is only its own."""
    chain = sales(("lse_b", "lse_a", "acct_a"), ("lse_c", "lse_b", "acct_b"))
    found = with_resold(usage(("u1", 0, "lse_a", 10), ("u2", 0, "lse_b", 20), ("u3", 0, "lse_c", 30), ("u4", 0, "lse_z", 40)), chain)
    assert latest(found) == {"lse_a": 60, "lse_b": 50, "lse_c": 30, "lse_z": 40}
    assert found.select("usage_id", "rev").is_duplicated().any() is False
    assert bought_of(chain.filter(pl.col("account_id") == "acct_a"), chain) == ["lse_b", "lse_c"]
    assert bought_of(chain.filter(pl.col("account_id") == "acct_b"), chain) == ["lse_c"]


def test_a_correction_moves_the_holders_seconds_along():
    """Fewer seconds, none, and the record of another lease after all: the holder's follow; and back again."""
    chain = sales(("lse_b", "lse_a", "acct_a"))
    first = ("u", 0, "lse_b", 20)
    assert latest(with_resold(usage(first, ("u", 1, "lse_b", 15)), chain)) == {"lse_a": 15, "lse_b": 15}
    assert latest(with_resold(usage(first, ("u", 1, "lse_b", 0)), chain)) == {}
    assert latest(with_resold(usage(first, ("u", 1, "lse_z", 20)), chain)) == {"lse_z": 20}
    assert latest(with_resold(usage(first, ("u", 1, "lse_z", 20), ("u", 2, "lse_b", 9)), chain)) == {"lse_a": 9, "lse_b": 9}


@given(st.lists(st.tuples(st.sampled_from("abcz"), st.integers(0, 100)), max_size=8))
def test_the_provider_is_due_what_it_would_be_without_resales(rows):
    """Each second costs 2 on A's lease, 3 on B's, 5 on C's: what C and B pay goes to B and A, and A's 2 to the provider."""
    rates = {"lse_a": 2, "lse_b": 3, "lse_c": 5, "lse_z": 7}
    sellers = {"lse_a": "prv", "lse_b": "acct_a", "lse_c": "acct_b", "lse_z": "prv"}
    records = usage(*((f"u{n}", 0, f"lse_{name}", seconds) for n, (name, seconds) in enumerate(rows)))
    chain = sales(("lse_b", "lse_a", "acct_a"), ("lse_c", "lse_b", "acct_b"))
    paid: dict[str, int] = {}
    received: dict[str, int] = {}
    for lease, seconds in latest(with_resold(records, chain)).items():
        paid[lease] = seconds * rates[lease]
        received[sellers[lease]] = received.get(sellers[lease], 0) + paid[lease]
    direct = sum(seconds * (7 if name == "z" else 2) for name, seconds in rows)
    assert received.get("prv", 0) == direct
    assert sum(paid.values()) == sum(received.values())


def test_the_holder_pays_for_slots_it_sold_also_when_its_own_were_dropped():
    """Two left of eight in the first hour; the second was dropped with the lease: eight and six are settled."""
    own = pl.DataFrame({"lease_id": ["lse_a"], "slot_start": [START], "rate_micros": [5], "quantity": [2]})
    sold = pl.DataFrame({"of_lease_id": ["lse_a"] * 2, "slot_start": [START, START + HOUR], "rate_micros": [5, 5], "quantity": [6, 6]})
    found = with_sold(own, sold).sort("slot_start")
    assert found.select("rate_micros", "quantity").rows() == [(5, 8), (5, 6)]


def test_a_holder_sells_as_a_party_of_its_own():
    leases = pl.DataFrame({"lease_id": ["lse_a@1", "lse_b@1", "lse_b@12"], "provider_id": ["prv"] * 3})
    found = sold_by_holders(leases, sales(("lse_b", "lse_a", "acct_a")))
    assert found["provider_id"].to_list() == ["prv", "resale:acct_a", "resale:acct_a"]
    assert sold_by_holders(leases, sales()).equals(leases)


MICROS = st.integers(-(10**15), 10**15)


@given(st.lists(st.tuples(st.sampled_from(["prv", reseller("a"), reseller("b")]), st.integers(1, 2), MICROS), max_size=8))
def test_proceeds_become_prepaid_balance_to_the_micro_and_make_nothing(rows):
    facts = [
        {"provider_id": p, "period": k, "currency": "USD", "gross_micros": n, "adjustments_micros": 0, "net_micros": n} for p, k, n in rows
    ]
    payouts = pl.DataFrame(facts, schema=PAYOUTS.schema).unique(["provider_id", "period"], keep="first", maintain_order=True)
    entries = proceeds_entries(payouts, period=2, at=START)
    assert all(sum(posting.amount_micros for posting in entry.postings) == 0 for entry in entries)
    moved = {posting.party: -posting.amount_micros for entry in entries for posting in entry.postings if posting.account == "prepaid"}
    due = {p: n for p, k, n in payouts.select("provider_id", "period", "net_micros").iter_rows() if k == 2 and n and p != "prv"}
    assert {reseller(party): micros for party, micros in moved.items()} == due
