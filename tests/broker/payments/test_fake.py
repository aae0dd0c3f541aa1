"""The fake refuses what Stripe refuses, in Stripe's own errors."""

from datetime import timedelta

import pytest
import stripe

from broker.clock import SimulatedClock
from broker.payments.fake import money
from broker.payments.fake.server import FakeStripe
from tests.broker.payments.market import START, client_of


@pytest.fixture
def fake():
    return FakeStripe(SimulatedClock(START))


@pytest.fixture
def api(fake):
    return client_of(fake).v1


def an_invoice(api, cents=5_000, **customer):
    buyer = api.customers.create({"name": "Ada", **customer})
    made = api.invoices.create({"customer": buyer.id, "currency": "eur"})
    api.invoice_items.create({"customer": buyer.id, "invoice": made.id, "amount": cents, "currency": "eur"})
    return made.id


def refused(act, *, status=400, code=None):
    with pytest.raises(stripe.StripeError) as caught:
        act()
    assert (caught.value.http_status, caught.value.code) == (status, code), caught.value


def test_a_key_repeats_its_answer_for_a_day_and_takes_no_other_request(api, fake):
    first = api.customers.create({"name": "Ada"}, {"idempotency_key": "k"})
    assert api.customers.create({"name": "Ada"}, {"idempotency_key": "k"}).id == first.id
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        api.customers.create({"name": "Bob"}, {"idempotency_key": "k"})
    fake.account.now.__self__.advance(timedelta(days=1))
    assert api.customers.create({"name": "Bob"}, {"idempotency_key": "k"}).id != first.id


def test_a_failure_is_kept_under_its_key_but_a_misunderstanding_is_not(api, fake):
    fake.faults = iter(["broken"])
    for _ in range(2):
        refused(lambda: api.customers.create({"name": "Ada"}, {"idempotency_key": "k"}), status=500)
    refused(lambda: api.customers.create({"nam": "Ada"}, {"idempotency_key": "m"}), code="parameter_unknown")
    assert api.customers.create({"name": "Ada"}, {"idempotency_key": "m"}).id


def test_a_time_out_may_come_before_or_after_the_effect(api, fake):
    for fault, count in (("lost", 0), ("answer_lost", 1), ("broken_after", 2)):
        fake.faults = iter([fault])
        with pytest.raises(stripe.StripeError):
            api.customers.create({"name": "Ada"})
        assert len(fake.account.all("customer")) == count


def test_what_is_not_there_is_not_found(api):
    refused(lambda: api.invoices.retrieve("in_none"), status=404, code="resource_missing")
    refused(lambda: api.invoices.create({"customer": "cus_none"}), status=404, code="resource_missing")
    refused(api.subscriptions.list, status=404)
    refused(lambda: api.customers.create({"metadata": {"a": "b" * 501}}), code="metadata_too_long")
    refused(lambda: api.transfers.create({"amount": 1, "currency": "eur"}), code="parameter_missing")


def test_no_call_without_a_key(fake):
    client = stripe.StripeClient("pk_test_1", http_client=fake, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError):
        client.v1.invoices.list()


def test_an_invoice_goes_its_way_once(api):
    invoice = an_invoice(api)
    assert api.invoices.finalize_invoice(invoice).status == "open"
    refused(lambda: api.invoices.finalize_invoice(invoice))
    refused(
        lambda: api.invoice_items.create(
            {"customer": api.invoices.retrieve(invoice).customer, "invoice": invoice, "amount": 1, "currency": "eur"}
        ),
        code="invoice_not_editable",
    )
    assert api.invoices.pay(invoice).status == "paid"
    refused(lambda: api.invoices.pay(invoice), code="invoice_already_paid")
    refused(lambda: api.invoices.void_invoice(invoice))


def test_a_void_or_empty_invoice_is_not_paid(api):
    invoice = an_invoice(api)
    refused(lambda: api.invoices.pay(invoice))
    api.invoices.finalize_invoice(invoice)
    api.invoices.mark_uncollectible(invoice)
    assert api.invoices.void_invoice(invoice).status == "void"
    refused(lambda: api.invoices.pay(invoice))
    refused(lambda: api.credit_notes.create({"invoice": invoice, "amount": 1}))
    empty = api.invoices.create({"customer": api.customers.create({}).id})
    refused(lambda: api.invoices.finalize_invoice(empty.id), code="invoice_no_customer_line_items")


def test_amounts_have_limits(api):
    refused(lambda: an_invoice(api, 100_000_000), code="amount_too_large")
    assert api.invoices.finalize_invoice(an_invoice(api, 50)).amount_due == 50
    little = api.invoices.finalize_invoice(an_invoice(api, 49))
    assert (little.status, little.amount_due, little.ending_balance) == ("paid", 0, 49)


def test_credit_notes_and_refunds_stay_within_what_was_paid(api, fake):
    invoice = an_invoice(api)
    api.invoices.finalize_invoice(invoice)
    refused(lambda: api.credit_notes.create({"invoice": invoice, "amount": 5_001}))
    api.credit_notes.create({"invoice": invoice, "amount": 1_000})
    assert api.invoices.pay(invoice).amount_paid == 4_000
    refused(lambda: api.credit_notes.create({"invoice": invoice, "amount": 1_000}))
    api.credit_notes.create({"invoice": invoice, "amount": 1_000, "credit_amount": 1_000})
    (intent,) = fake.account.all("payment_intent")
    refused(lambda: api.refunds.create({"payment_intent": intent["id"], "amount": 4_001}), code="amount_too_large")
    api.refunds.create({"payment_intent": intent["id"], "amount": 4_000})
    refused(lambda: api.refunds.create({"payment_intent": intent["id"]}), code="charge_already_refunded")


def test_a_disputed_payment_is_not_refunded_and_decided_once(api, fake):
    invoice = an_invoice(api)
    api.invoices.finalize_invoice(invoice)
    api.invoices.pay(invoice)
    (charge,) = fake.account.all("charge")
    found = money.dispute(fake.account, charge["id"])
    refused(lambda: api.refunds.create({"payment_intent": charge["payment_intent"]}), code="charge_disputed")
    assert api.disputes.retrieve(found["id"]).status == "needs_response"
    money.decide(fake.account, found["id"], won=False)
    assert fake.account.held["eur"] == -100 - 2_000


def test_a_transfer_needs_papers_and_money(api, fake):
    receiver = api.accounts.create({"country": "DE", "capabilities": {"transfers": {"requested": True}}})
    wanted = {"amount": 100, "currency": "eur", "destination": receiver.id}
    refused(lambda: api.transfers.create(wanted), code="insufficient_capabilities_for_transfer")
    fake.account.get("account", receiver.id)["capabilities"]["transfers"] = "active"
    refused(lambda: api.transfers.create(wanted), code="balance_insufficient")
    refused(lambda: api.payouts.create({"amount": 1, "currency": "eur"}), code="balance_insufficient")


def test_lists_come_in_pages_latest_first(api):
    made = [api.customers.create({"name": str(number)}).id for number in range(23)]
    assert [each.id for each in api.customers.list({"limit": 5}).auto_paging_iter()] == made[::-1]
    refused(lambda: api.customers.list({"limit": 101}), code="parameter_invalid_integer")
    refused(lambda: api.customers.list({"starting_after": "cus_none"}), status=404, code="resource_missing")


def test_events_are_signed_as_stripe_signs_them(api, fake):
    api.customers.create({"name": "Ada"})
    ((payload, signature),) = fake.deliveries()
    assert not fake.deliveries()
    assert stripe.WebhookSignature.verify_header(payload, signature, "whsec_fake")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(payload, signature, "whsec_other")
