"""Customers, invoices, credit notes: what Stripe's billing does with them, and what it refuses."""

import re

from broker.payments.fake.account import FakeAccount, fee_on
from broker.payments.fake.wire import Refused, Thing, check, whole

CENTS_MAX = 99_999_999
CENTS_MIN = {"gbp": 30}
CENTS_MIN_ELSEWHERE = 50
ITEMS_MAX = 250
SEARCH_LAG_SECONDS = 60


def create_customer(account: FakeAccount, params: Thing) -> Thing:
    """A customer with a card that works; tests may give it another."""
    check(params, "name email description metadata")
    made = account.make("cus", "customer", name=params.get("name"), balance=0, currency=None, metadata=params.get("metadata", {}))
    made.update(invoice_settings={"default_payment_method": "pm_fake"}, default_source=None, _card="works")
    account.emit("customer.created", made)
    return made


def search_customers(account: FakeAccount, params: Thing) -> list[Thing]:
    """Customers by one metadata field; what was written in the last minute is not found yet."""
    check(params, "query* limit page")
    asked = re.fullmatch(r"metadata\['((?:[^'\\]|\\.)*)'\]:'((?:[^'\\]|\\.)*)'", params["query"])
    if asked is None:
        raise Refused(f"We were unable to parse your search query: {params['query']}")
    name, value = (re.sub(r"\\(.)", r"\1", part) for part in asked.groups())
    old = account.moment() - SEARCH_LAG_SECONDS
    return [each for each in account.all("customer") if each["metadata"].get(name) == value and each["created"] <= old]


def create_invoice(account: FakeAccount, params: Thing) -> Thing:
    """An empty draft."""
    check(params, "customer* currency auto_advance collection_method pending_invoice_items_behavior metadata description")
    account.get("customer", params["customer"])
    made = account.make(
        "in",
        "invoice",
        customer=params["customer"],
        currency=params.get("currency", "usd"),
        status="draft",
        auto_advance=params.get("auto_advance") == "true",
        attempt_count=0,
        metadata=params.get("metadata", {}),
        pre_payment_credit_notes_amount=0,
        post_payment_credit_notes_amount=0,
        starting_balance=0,
        ending_balance=None,
    )
    made.update(total=0, amount_due=0, amount_paid=0, amount_remaining=0)
    account.emit("invoice.created", made)
    return made


def create_item(account: FakeAccount, params: Thing) -> Thing:
    """An item on a draft."""
    check(params, "customer* invoice amount* currency* description metadata")
    account.get("customer", params["customer"])
    amount = whole(params, "amount")
    if abs(amount) > CENTS_MAX:
        raise Refused("Amount must be no more than 99999999", "amount_too_large")
    invoice = account.get("invoice", params["invoice"])
    _require(invoice["status"] == "draft", "You can't modify a finalized invoice; only drafts take items.", code="invoice_not_editable")
    _require(invoice["currency"] == params["currency"], "The currency of an item must be its invoice's.")
    _require(invoice["customer"] == params["customer"], "The item's customer must be its invoice's.")
    _require(len(account.all("invoiceitem", invoice=invoice["id"])) < ITEMS_MAX, "An invoice has at most 250 items.")
    made = account.make(
        "ii",
        "invoiceitem",
        customer=params["customer"],
        invoice=invoice["id"],
        amount=amount,
        currency=params["currency"],
        description=params.get("description"),
        metadata=params.get("metadata", {}),
    )
    invoice["total"] += amount
    invoice["amount_due"] = invoice["amount_remaining"] = max(0, invoice["total"])
    return made


def finalise(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """The draft as owed: the customer's balance is counted in; what is too little to charge goes to that balance."""
    check(params, "auto_advance")
    invoice = account.get("invoice", id)
    _require(invoice["status"] == "draft", "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    _require(bool(account.all("invoiceitem", invoice=id)), "Nothing to invoice for customer", code="invoice_no_customer_line_items")
    customer = account.get("customer", invoice["customer"])
    asked = invoice["total"] + customer["balance"]
    _require(asked <= CENTS_MAX, "Amount must be no more than 99999999", code="amount_too_large")
    least = CENTS_MIN.get(invoice["currency"], CENTS_MIN_ELSEWHERE)
    due = asked if asked >= least else 0
    invoice.update(starting_balance=customer["balance"], ending_balance=asked - due, status="open", amount_due=due, amount_remaining=due)
    customer["balance"] = asked - due
    account.emit("invoice.finalized", invoice)
    if not due:
        _paid(account, invoice)
    return invoice


def pay(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """One attempt on the customer's card."""
    check(params, "payment_method")
    invoice = account.get("invoice", id)
    _require(invoice["status"] != "paid", "Invoice is already paid", code="invoice_already_paid")
    _require(invoice["status"] in {"open", "uncollectible"}, f"An invoice that is {invoice['status']} cannot be paid.")
    customer = account.get("customer", invoice["customer"])
    _require(
        customer["invoice_settings"]["default_payment_method"],
        "This customer has no attached payment source or default payment method.",
        code="missing",
    )
    invoice["attempt_count"] += 1
    if customer["_card"] == "declines":
        account.emit("invoice.payment_failed", invoice)
        raise Refused("Your card was declined.", "card_declined", status=402, type="card_error")
    amount, currency = invoice["amount_remaining"], invoice["currency"]
    intent = account.make("pi", "payment_intent", amount=amount, currency=currency, customer=customer["id"], status="succeeded")
    charge = account.make(
        "ch", "charge", amount=amount, currency=currency, customer=customer["id"], amount_refunded=0, disputed=False, metadata={}
    )
    charge.update(payment_intent=intent["id"], balance_transaction=account.move("charge", charge, amount=amount, fee=fee_on(amount))["id"])
    intent["latest_charge"] = charge["id"]
    account.make(
        "inpay",
        "invoice_payment",
        invoice=id,
        amount_paid=amount,
        currency=currency,
        status="paid",
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
    )
    account.emit("charge.succeeded", charge)
    invoice.update(amount_paid=amount, amount_remaining=0)
    _paid(account, invoice)
    return invoice


def void(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """An open invoice as it never was."""
    check(params, "")
    invoice = account.get("invoice", id)
    _require(
        invoice["status"] in {"open", "uncollectible"}, f"You can only void open or uncollectible invoices, not {invoice['status']} ones."
    )
    invoice.update(status="void", amount_remaining=0)
    account.emit("invoice.voided", invoice)
    return invoice


def give_up(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """An open invoice marked uncollectible."""
    check(params, "")
    invoice = account.get("invoice", id)
    _require(invoice["status"] == "open", f"An invoice that is {invoice['status']} cannot be marked uncollectible.")
    invoice["status"] = "uncollectible"
    account.emit("invoice.marked_uncollectible", invoice)
    return invoice


def create_credit_note(account: FakeAccount, params: Thing) -> Thing:
    """A credit note: off what remains of an open invoice, or, of a paid one, to the customer's balance."""
    check(params, "invoice* amount* credit_amount metadata reason memo")
    invoice = account.get("invoice", params["invoice"])
    amount = whole(params, "amount")
    _require(amount > 0, "Invalid positive integer", code="parameter_invalid_integer")
    _require(invoice["status"] in {"open", "paid"}, f"You cannot create a credit note for an invoice that is {invoice['status']}.")
    given = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    _require(given + amount <= invoice["total"], "The sum of credit notes cannot exceed the total of the invoice.")
    credit = whole(params, "credit_amount") if "credit_amount" in params else 0
    before = invoice["status"] == "open"
    _require(credit == (0 if before else amount), "The sum of credit, refund and out of band amounts must equal the post-payment amount.")
    if before:
        _require(amount <= invoice["amount_remaining"], "The amount is more than what remains of the invoice.")
        invoice["pre_payment_credit_notes_amount"] += amount
        invoice["amount_due"] -= amount
        invoice["amount_remaining"] -= amount
    else:
        invoice["post_payment_credit_notes_amount"] += amount
        _to_balance(account, invoice["customer"], amount=-credit, currency=invoice["currency"])
    made = account.make(
        "cn", "credit_note", invoice=invoice["id"], customer=invoice["customer"], amount=amount, currency=invoice["currency"]
    )
    made.update(status="issued", metadata=params.get("metadata", {}))
    account.emit("credit_note.created", made)
    if before and not invoice["amount_remaining"]:
        _paid(account, invoice)
    return made


def create_balance_transaction(account: FakeAccount, params: Thing, *, id: str) -> Thing:
    """A change of a customer's balance; below zero it is the customer's credit."""
    check(params, "amount* currency* description metadata")
    made = _to_balance(account, id, amount=whole(params, "amount"), currency=params["currency"])
    made["metadata"] = params.get("metadata", {})
    return made


def _to_balance(account: FakeAccount, customer_id: str, *, amount: int, currency: str) -> Thing:
    customer = account.get("customer", customer_id)
    customer["balance"] += amount
    return account.make(
        "cbtxn",
        "customer_balance_transaction",
        customer=customer_id,
        amount=amount,
        currency=currency,
        ending_balance=customer["balance"],
        metadata={},
    )


def _paid(account: FakeAccount, invoice: Thing) -> None:
    invoice["status"] = "paid"
    account.emit("invoice.paid", invoice)


def _require(holds: object, message: str, *, code: str | None = None) -> None:
    if not holds:
        raise Refused(message, code)
