"""Collection and payouts through the real SDK: worked examples."""

import asyncio
from datetime import timedelta

import pytest

from broker.payments.decisions import Payout
from broker.payments.fake import money
from broker.payments.port import Refund
from contracts.terms.errors import Conflict, NotPermitted, NotSupported, ProcessorFailed
from tests.broker.payments.market import START, Market, a_statement

CENT = 10_000


def collect(market, *statements):
    market.settle(*statements)
    return [asyncio.run(market.collector.collect(each)) for each in statements]


def deliver(market):
    return [asyncio.run(market.collector.on_event(*each)) for each in market.fake.deliveries()]


def test_a_statement_is_charged_to_the_cent_and_booked_once():
    """100.00 + 20.00 and 22.80 tax: 142.80; the processor keeps 1.5 % and 0.25, that is 2.39."""
    market = Market()
    (state,) = collect(market, a_statement([10_000, 2_000], tax=2_280))
    assert (state.status, state.paid_cents) == ("paid", 14_280)
    assert sorted(each["amount"] for each in market.fake.account.all("invoiceitem")) == [2_000, 2_280, 10_000]
    assert sum(deliver(market)) == 1
    assert market.ledger.balance("receivable", "acct_1") == 0
    assert market.ledger.balance("processor") == (14_280 - 239) * CENT
    assert market.ledger.balance("processor_fees") == 239 * CENT
    assert market.ledger.trial() == 0


def test_collecting_again_a_month_later_changes_nothing():
    """Keys are forgotten after a day; what is there is not."""
    market = Market()
    statement = a_statement([5_000])
    first = collect(market, statement)
    market.clock.advance(timedelta(days=30))
    assert collect(market, statement) == first
    assert [len(market.fake.account.all(kind)) for kind in ("customer", "invoice", "invoiceitem", "charge")] == [1, 1, 1, 1]


def test_a_declined_card_leaves_the_invoice_open_and_is_tried_when_asked_again():
    market = Market()
    statement = a_statement([5_000])
    collect(market, a_statement([100], account="acct_1", period=2))
    market.customer("acct_1")["_card"] = "declines"
    assert collect(market, statement)[0].status == "open"
    assert collect(market, statement)[0].status == "open"
    assert [each["attempt_count"] for each in market.invoices()] == [1, 2]
    market.customer("acct_1")["_card"] = "works"
    assert collect(market, statement)[0].status == "paid"


def test_a_buyer_without_means_of_payment_owes_an_open_invoice():
    market = Market()
    collect(market, a_statement([100]))
    market.customer("acct_1")["invoice_settings"]["default_payment_method"] = None
    assert collect(market, a_statement([5_000], period=2))[0].status == "open"
    assert market.invoices()[1]["attempt_count"] == 0
    market.customer("acct_1")["invoice_settings"]["default_payment_method"] = "pm_1"
    assert collect(market, a_statement([5_000], period=2))[0].status == "paid"


def test_an_event_of_an_account_we_pay_to_is_not_ours():
    market = Market()
    collect(market, a_statement([5_000]))
    charged = next(event for event in market.fake.account.events if event["type"] == "charge.succeeded")
    assert asyncio.run(market.collector.on_event(*market.fake.signed(charged | {"account": "acct_x"}))) == 0
    assert asyncio.run(market.collector.on_event(*market.fake.signed(charged))) == 1


def test_a_credit_note_is_given_against_what_was_paid_and_pays_the_next_invoice():
    """Paid 50.00, then credited 20.00: of the next 70.00 the buyer pays 50.00."""
    market = Market()
    states = collect(market, a_statement([5_000]), a_statement([-2_000], period=2), a_statement([7_000], period=3))
    assert [(each.status, each.paid_cents) for each in states] == [("paid", 5_000), ("credited", 0), ("paid", 5_000)]
    deliver(market)
    assert market.ledger.balance("receivable") == 0
    (note,) = market.fake.account.all("credit_note")
    assert (note["amount"], market.fake.account.get("invoice", note["invoice"])["metadata"]) == (2_000, {"statement_id": "acct_1:1"})


def test_a_credit_beyond_all_invoices_goes_to_the_balance():
    market = Market()
    collect(market, a_statement([5_000]), a_statement([-6_000], period=2), a_statement([-6_000], period=2))
    assert market.customer("acct_1")["balance"] == -6_000


def test_too_little_to_charge_is_charged_with_the_next():
    """0.30 is less than the processor charges; the next 10.00 bring 10.30."""
    market = Market()
    states = collect(market, a_statement([30]), a_statement([1_000], period=2))
    assert [(each.status, each.paid_cents) for each in states] == [("paid", 0), ("paid", 1_030)]
    deliver(market)
    assert market.ledger.balance("receivable") == 0


def test_what_cannot_be_held_is_refused_before_anything_is_asked():
    market = Market()
    for statement in (a_statement([1_000], currency="JPY"), a_statement([60_000_000, 60_000_000])):
        with pytest.raises(NotSupported, match="a bank transfer would do"):
            collect(market, statement)
    assert not market.fake.account.things
    assert collect(market, a_statement([0]))[0].status == "nothing"


def test_a_statement_that_says_something_else_than_its_invoice_is_a_conflict():
    market = Market()
    collect(market, a_statement([5_000]))
    with pytest.raises(Conflict, match="asks for 5000 cents, the statement for 6000"):
        collect(market, a_statement([6_000]))


def test_more_lines_than_an_invoice_holds_are_added_up_in_the_last():
    market = Market()
    (state,) = collect(market, a_statement([100] * 300, tax=5_700))
    assert state.paid_cents == 35_700
    assert len(market.fake.account.all("invoiceitem")) == 250


def test_a_refund_and_a_lost_dispute_make_the_buyer_owe_again():
    """Two payments of 50.00: 12.00 refunded of one, the other lost with the bank's fee of 20.00."""
    market = Market()
    first, _ = collect(market, a_statement([5_000]), a_statement([5_000], period=2))
    for _ in range(2):
        asyncio.run(market.collector.refund(Refund(id="refund_1", invoice_id=first.invoice_id, cents=1_200)))
    found = money.dispute(market.fake.account, market.fake.account.all("charge")[1]["id"])
    deliver(market)
    assert market.ledger.balance("receivable", "acct_1") == 6_200 * CENT
    assert market.ledger.balance("receivable") == market.owed_at_the_processor("acct_1") * CENT
    market.clock.advance(timedelta(days=9))
    money.decide(market.fake.account, found["id"], won=True)
    deliver(market)
    assert market.ledger.balance("receivable") == 1_200 * CENT
    assert market.ledger.balance("processor") == market.fake.account.held["eur"] * CENT


def test_a_refund_of_what_was_never_paid_is_refused():
    market = Market()
    collect(market, a_statement([1_000]))
    market.customer("acct_1")["_card"] = "declines"
    (state,) = collect(market, a_statement([5_000], period=2))
    with pytest.raises(ProcessorFailed, match="nothing was paid"):
        asyncio.run(market.collector.refund(Refund(id="refund_1", invoice_id=state.invoice_id, cents=1)))


def test_a_provider_is_paid_once_it_may_be_and_there_is_money():
    """It first shows its papers, then waits until a buyer has paid; the transfer is taken back for 3.00 later."""
    market = Market()
    payout = Payout(provider_id="prv_1", run=1, currency="EUR", cents=4_000)
    pay = lambda: asyncio.run(market.collector.pay_out(payout, "DE"))  # noqa: E731
    assert pay() == "waiting"
    (receiver,) = market.fake.account.all("account")
    receiver["capabilities"]["transfers"] = "active"
    assert pay() == "waiting"
    collect(market, a_statement([5_000]))
    assert [pay(), pay()] == ["paid", "paid"]
    deliver(market)
    (transfer,) = market.fake.account.all("transfer")
    assert (transfer["amount"], market.ledger.balance("provider_payable", "prv_1")) == (4_000, 4_000 * CENT)
    market.client.v1.transfers.reversals.create(transfer["id"], {"amount": 300})
    deliver(market)
    assert market.ledger.balance("provider_payable", "prv_1") == 3_700 * CENT


def test_money_sent_to_the_bank_is_cash():
    market = Market()
    collect(market, a_statement([5_000]))
    market.client.v1.payouts.create({"amount": 4_000, "currency": "eur"})
    deliver(market)
    assert (market.ledger.balance("cash"), market.ledger.balance("processor")) == (4_000 * CENT, (1_000 - 100) * CENT)


def test_events_that_never_came_are_caught_up_with():
    market = Market()
    first, _ = collect(market, a_statement([5_000]), a_statement([700], account="acct_2"))
    asyncio.run(market.collector.refund(Refund(id="r", invoice_id=first.invoice_id, cents=100)))
    assert asyncio.run(market.collector.catch_up(START)) == 3
    assert sum(deliver(market)) == 0
    assert asyncio.run(market.collector.catch_up(START + timedelta(seconds=1))) == 0
    assert market.ledger.balance("receivable", "acct_1") == 100 * CENT


def test_an_event_counts_only_with_a_fresh_signature_of_ours():
    market = Market()
    collect(market, a_statement([5_000]))
    payload, signature = market.fake.deliveries()[-1]
    for wrong in (payload.replace(b"acct_1", b"acct_2") + b" ", b"\xff"):
        with pytest.raises(NotPermitted, match="does not hold"):
            asyncio.run(market.collector.on_event(wrong, signature))
    with pytest.raises(NotPermitted, match="does not hold"):
        asyncio.run(market.collector.on_event(payload, ""))
    market.clock.advance(timedelta(seconds=301))
    with pytest.raises(NotPermitted, match="signed 301 seconds ago"):
        asyncio.run(market.collector.on_event(payload, signature))
    assert not [each for each in market.ledger.entries if each.startswith("processor:")]
