"""Business events and the entries they become."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import (
    Conversion,
    Correction,
    CreditNote,
    GrantTranche,
    Reserve,
    SlaCredit,
    SlaCreditGiven,
    WriteOff,
    correction_entry,
    premium_shares,
    prepaid_spent,
    reserve_entry,
    uplift_paid,
)
from contracts.journal import Posting

NOW = datetime(2027, 2, 1, tzinfo=UTC)
BUYER = {"account_id": "acct_a", "currency": "USD", "reason": "told"}


def lines(correction: Correction) -> list[tuple[str, str, int, str]]:
    return [(p.account, p.party, p.amount_micros // 10_000, p.currency) for p in correction_entry(correction, NOW).postings]


@pytest.mark.parametrize(
    ("correction", "wanted"),
    [
        (WriteOff(key="1", cents=500, **BUYER), [("write_offs", "", 500, "USD"), ("receivable", "acct_a", -500, "USD")]),
        (
            CreditNote(key="2", cents=100, tax_cents=19, **BUYER),
            [("goodwill", "", 100, "USD"), ("tax", "", 19, "USD"), ("receivable", "acct_a", -119, "USD")],
        ),
        (
            SlaCredit(key="3", provider_id="prv_a", cents=70, **BUYER),
            [("provider_payable", "prv_a", 70, "USD"), ("sla_credits", "acct_a", -70, "USD")],
        ),
        (SlaCreditGiven(key="4", cents=70, **BUYER), [("sla_credits", "acct_a", 70, "USD"), ("receivable", "acct_a", -70, "USD")]),
        (
            Conversion(key="5", currency="USD", cents=110, to_currency="EUR", to_cents=100, reason="told"),
            [("cash", "", -110, "USD"), ("conversion", "", 110, "USD"), ("cash", "", 100, "EUR"), ("conversion", "", -100, "EUR")],
        ),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_correction_is_one_pending_entry(correction, wanted):
    entry = correction_entry(correction, NOW)
    assert (entry.state, lines(correction)) == ("pending", wanted)
    assert correction_entry(correction, NOW).id == entry.id


TRANCHE = {"key": "6", "account_id": "acct_a", "pledged_by": "prv_a", "micro_pf_days": 500_000, "reason": "told"}


def test_a_tranche_is_pledged_and_given_in_pf_days():
    given = GrantTranche(valid_from=NOW, valid_until=NOW.replace(month=4), **TRANCHE)
    entry = correction_entry(given, NOW)
    assert (entry.state, entry.subject) == ("pending", "acct_a")
    assert [(p.account, p.party, p.amount_micros, p.currency) for p in entry.postings] == [
        ("pledged", "prv_a", 500_000, "PFD"),
        ("tranche", "acct_a", -500_000, "PFD"),
    ]


@pytest.mark.parametrize(
    ("begins", "ends", "word"),
    [
        (NOW.replace(day=2), NOW, "whole months"),
        (NOW, NOW.replace(hour=1), "whole months"),
        (NOW, NOW, "after"),
        (NOW, datetime(9999, 12, 1, tzinfo=UTC), "years"),
        (datetime(1, 1, 1, tzinfo=UTC), NOW, "years"),
    ],
)
def test_a_tranche_is_for_whole_months(begins, ends, word):
    with pytest.raises(ValueError, match=word):
        GrantTranche(valid_from=begins, valid_until=ends, **TRANCHE)


def test_the_key_makes_the_entry_and_nothing_else_does():
    first, same, other = (correction_entry(WriteOff(key=key, cents=cents, **BUYER), NOW) for key, cents in (("1", 5), ("1", 6), ("2", 5)))
    assert first.id == same.id != other.id


def test_money_is_not_converted_into_itself():
    with pytest.raises(ValueError, match="between two currencies"):
        Conversion(key="5", currency="USD", cents=1, to_currency="USD", to_cents=1, reason="told")


def test_a_prepaid_balance_pays_a_statement_once():
    paid = Posting(account="prepaid", party="acct_a", amount_micros=50_000, currency="USD")
    entry = prepaid_spent("acct_a:1", paid, at=NOW)
    assert (entry.id, [(p.account, p.amount_micros) for p in entry.postings]) == (
        "prepaid:acct_a:1",
        [("prepaid", 50_000), ("receivable", -50_000)],
    )


def test_a_reserve_is_kept_back_and_let_go():
    kept, gone = (reserve_entry(Reserve(run="USD:1", provider_id="prv_a", currency="USD", micros=micros), NOW) for micros in (7, -7))
    assert [(p.account, p.amount_micros) for p in kept.postings] == [("provider_payable", 7), ("provider_pending", -7)]
    assert [p.amount_micros for p in gone.postings] == [-7, 7]


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(-(10**9), 10**9), min_size=1))
def test_premiums_are_shared_and_none_is_made(gains):
    gains["rest"] = -sum(gains.values())
    entry = premium_shares("cyc_1", gains, period=1, currency="USD", at=NOW)
    if entry is None:
        assert not any(gains.values())
    else:
        assert {p.party: -p.amount_micros for p in entry.postings} == {name: gain for name, gain in gains.items() if gain}


def test_uplift_comes_out_of_the_fund():
    due = {("provider_payable", "prv_a"): 5, ("provider_payable", "prv_b"): 0, ("prepaid", "acct_a"): 2}
    entry = uplift_paid("cyc_1", due, period=1, currency="USD", at=NOW)
    assert [(p.account, p.party, p.amount_micros) for p in entry.postings] == [
        ("uplift_fund", "", 7),
        ("prepaid", "acct_a", -2),
        ("provider_payable", "prv_a", -5),
    ]
    assert uplift_paid("cyc_1", {}, period=1, currency="USD", at=NOW) is None


def test_uplift_that_only_changes_hands_leaves_the_fund_alone():
    entry = uplift_paid("cyc_1", {("prepaid", "a"): 2, ("prepaid", "b"): -2}, period=1, currency="USD", at=NOW)
    assert [(p.party, p.amount_micros) for p in entry.postings] == [("a", -2), ("b", 2)]


def test_each_close_has_an_entry_of_its_own_for_a_cycle():
    gains = {"prv_a": 1, "prv_b": -1}
    ids = [premium_shares(cycle, gains, period=period, currency="USD", at=NOW).id for cycle in ("cyc_1", "cyc_2") for period in (1, 2)]
    assert len(set(ids)) == 4
