"""Whatever times out, fails, repeats or comes in the wrong order: one effect, to the cent."""

import asyncio
import collections
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.payments.decisions import Payout
from broker.payments.port import Refund
from contracts.terms.errors import ProcessorFailed
from tests.broker.payments.market import START, Died, Market, a_statement, dying

CENT = 10_000
FAULTS = st.lists(st.sampled_from([None, None, "lost", "answer_lost", "busy", "in_use", "broken", "broken_after"]), max_size=60)
CENTS = st.integers(-30_000, 50_000)
STATEMENTS = st.lists(st.lists(CENTS, min_size=1, max_size=3), min_size=1, max_size=4)
PAYOUT = Payout(provider_id="prv_1", run=1, currency="EUR", cents=1_500)


def until_done(act):
    """Ask again until the processor has done it, as a run that is started again does."""
    for _ in range(40):
        try:
            return asyncio.run(act())
        except ProcessorFailed:
            continue
    raise AssertionError("it never ends")


@settings(max_examples=60, deadline=None)
@given(FAULTS, STATEMENTS, st.randoms(use_true_random=False), st.booleans())
def test_faults_change_nothing_that_anybody_pays(faults, months, random, catches_up):
    market = Market(faults)
    statements = [a_statement(cents, period=period) for period, cents in enumerate(months, 1)]
    market.settle(*statements)
    for statement in statements:
        until_done(lambda statement=statement: market.collector.collect(statement))
    events = market.fake.deliveries()
    events += random.sample(events, len(events) // 2)
    random.shuffle(events)
    for event in events[: len(events) // 2] if catches_up else events:
        until_done(lambda event=event: market.collector.on_event(*event))
    if catches_up:
        until_done(lambda: market.collector.catch_up(START))
    _everything_agrees(market, statements)


def _everything_agrees(market, statements):
    totals = {each["metadata"]["statement_id"]: each["total"] for each in market.invoices()}
    assert totals == {each.id: each.payable_cents for each in statements if each.payable_cents > 0}
    assert len(totals) == len(market.invoices())
    items: collections.Counter[str] = collections.Counter()
    for item in market.fake.account.all("invoiceitem"):
        items[item["invoice"]] += item["amount"]
    assert items == {each["id"]: each["total"] for each in market.invoices()}
    if market.fake.account.all("customer"):
        assert market.ledger.balance("receivable", "acct_1") == market.owed_at_the_processor("acct_1") * CENT
    assert market.ledger.balance("receivable", "acct_1") + _paid(market) == sum(each.payable_cents for each in statements) * CENT
    assert market.ledger.balance("processor") == market.fake.account.held.get("eur", 0) * CENT
    assert market.ledger.trial() == 0


def _paid(market):
    return sum(each["amount"] for each in market.fake.account.all("charge")) * CENT


@settings(max_examples=40, deadline=None)
@given(FAULTS)
def test_faults_pay_a_provider_once_and_refund_once(faults):
    market = Market()
    state = until_done(lambda: market.collector.collect(a_statement([5_000])))
    market.fake.faults = iter(faults)
    until_done(lambda: market.collector.pay_out(PAYOUT, "DE"))
    market.fake.account.all("account")[0]["capabilities"]["transfers"] = "active"
    for _ in range(2):
        assert until_done(lambda: market.collector.pay_out(PAYOUT, "DE")) == "paid"
        until_done(lambda: market.collector.refund(Refund(id="refund_1", invoice_id=state.invoice_id, cents=700)))
    until_done(lambda: market.collector.catch_up(START))
    assert [each["amount"] for each in market.fake.account.all("transfer")] == [1_500]
    assert [each["amount"] for each in market.fake.account.all("refund")] == [700]
    assert len(market.fake.account.all("account")) == 1
    assert market.ledger.balance("provider_payable", "prv_1") == 1_500 * CENT
    assert market.ledger.balance("processor") == market.fake.account.held["eur"] * CENT


async def _a_run(market):
    """Two accounts: an invoice, a credit note larger than it, an invoice; a payout; everything booked."""
    collector = market.collector
    for statement in RUN:
        await collector.collect(statement)
    await collector.pay_out(PAYOUT, "DE")
    market.fake.account.all("account")[0]["capabilities"]["transfers"] = "active"
    await collector.pay_out(PAYOUT, "DE")
    await collector.catch_up(START)


RUN = [
    a_statement([3_000, 500], tax=665),
    a_statement([-5_000], period=2),
    a_statement([9_000], period=3),
    a_statement([800], account="acct_2"),
]


def _effects(market):
    account = market.fake.account
    counts = collections.Counter(each["object"] for each in account.things.values())
    return counts, account.held, sorted(each["balance"] for each in account.all("customer")), market.ledger.balance("processor")


def test_a_run_that_dies_at_any_step_is_finished_by_the_next():
    """At every request, before it leaves or after it was done; the next run comes at once, or two days later when keys are forgotten."""
    whole = dying(0, after=False)
    asyncio.run(_a_run(whole))
    steps = whole.fake.asked  # type: ignore[attr-defined]
    assert steps > 40
    for step in range(1, steps + 1):
        for after, days in ((False, 2), (True, 0), (True, 2)):
            market = dying(step, after=after)
            with pytest.raises(Died):
                asyncio.run(_a_run(market))
            market.clock.advance(timedelta(days=days))
            asyncio.run(_a_run(market))
            assert _effects(market) == _effects(whole), f"died at request {step}, {'after' if after else 'before'} it, {days} days"


def test_a_processor_that_stays_away_is_named():
    market = Market(["lost"] * 8)
    with pytest.raises(ProcessorFailed, match="the request timed out") as caught:
        asyncio.run(market.collector.collect(a_statement([5_000])))
    assert caught.value.facts == {"reason": "APIConnectionError", "answered": None}
    assert not market.fake.account.things
