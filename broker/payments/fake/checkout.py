"""Checkout: a page of Stripe's on which a customer pays once."""

from broker.payments.fake.account import FakeAccount, fee_on
from broker.payments.fake.wire import Refused, Thing, check, whole

CENTS_MIN = 50
SECONDS_OPEN = 24 * 3600


def create_session(account: FakeAccount, params: Thing) -> Thing:
    """A page for one payment; it closes after a day."""
    check(params, "mode* customer client_reference_id line_items* payment_intent_data metadata success_url* cancel_url")
    if params["mode"] != "payment":
        raise Refused("The fake takes single payments only.", "parameter_unknown")
    account.get("customer", params["customer"])
    items = list(params["line_items"].values())
    amount = sum(whole(item["price_data"], "unit_amount") * whole(item, "quantity") for item in items)
    currencies = {item["price_data"]["currency"] for item in items}
    if len(currencies) != 1:
        raise Refused("All line items must have the same currency.")
    if amount < CENTS_MIN:
        raise Refused("The Checkout Session's total amount due must add up to at least 50 cents.", "amount_too_small")
    made = account.make(
        "cs",
        "checkout.session",
        customer=params["customer"],
        amount_total=amount,
        currency=currencies.pop(),
        status="open",
        payment_status="unpaid",
        client_reference_id=params.get("client_reference_id"),
        metadata=params.get("metadata", {}),
        expires_at=account.moment() + SECONDS_OPEN,
        _payment_metadata=params.get("payment_intent_data", {}).get("metadata", {}),
    )
    made["url"] = f"https://checkout.stripe.com/c/pay/{made['id']}"
    return made


def complete(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """The customer pays on the page."""
    check(params, "")
    session = account.get("checkout.session", id)
    if session["status"] != "open" or session["expires_at"] <= account.moment():
        raise Refused("This Checkout Session is no longer open.")
    facts = {"amount": session["amount_total"], "currency": session["currency"], "customer": session["customer"]}
    intent = account.make("pi", "payment_intent", **facts, status="succeeded", metadata=session["_payment_metadata"])
    charge = account.make("ch", "charge", **facts, amount_refunded=0, disputed=False, metadata=intent["metadata"])
    moved = account.move("charge", charge, amount=facts["amount"], fee=fee_on(facts["amount"]))
    charge.update(payment_intent=intent["id"], balance_transaction=moved["id"])
    intent["latest_charge"] = charge["id"]
    session.update(status="complete", payment_status="paid", payment_intent=intent["id"], url=None)
    account.emit("charge.succeeded", charge)
    account.emit("checkout.session.completed", session)
    return session
