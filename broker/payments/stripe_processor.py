"""Stripe, through Stripe's own SDK: the only file that knows its calls.

Every object we make carries our name of it as metadata, so that it can be looked for; see `sending` for how a write
happens once. With a real key this talks to Stripe, with `fake.FakeStripe` as the SDK's HTTP client to the fake.
"""

import itertools
from datetime import datetime

import msgspec
import stripe

from broker.clock import Clock
from broker.payments.decisions import Credit, InvoiceView, Item, Movement, PaymentState, Payout
from broker.payments.port import Notice, Refund, TopUp
from broker.payments.sending import Sender
from broker.payments.stripe_money import MoneyReader
from broker.payments.stripe_shapes import (
    Kept,
    StripeBalance,
    StripeCapable,
    StripeCredit,
    StripeCustomer,
    StripeInvoice,
    StripeItem,
    StripePaid,
    shaped,
)
from broker.payments.stripe_standing import StandingReader
from contracts.terms.errors import NotPermitted, ProcessorFailed

PAGE = 100
TOLERANCE_SECONDS = 300
LATEST_SECONDS = 600
WAITS = {"balance_insufficient", "insufficient_capabilities_for_transfer"}


class StripeProcessor:
    """A `Processor` on Stripe's API. `secret` signs its events, `clock` says how old one is."""

    def __init__(self, client: stripe.StripeClient, sender: Sender, *, secret: str, clock: Clock) -> None:
        self._api = client.v1
        self._sender = sender
        self._secret = secret
        self._clock = clock
        self._money = MoneyReader(client, sender)
        self._standing = StandingReader(client, sender, clock=clock)

    def customer(self, account_id: str, name: str) -> str:
        """The customer of an account. The search lags by a minute: after a failed attempt the latest customers are read as well."""
        quoted = account_id.replace("\\", "\\\\").replace("'", "\\'")
        query = f"metadata['account_id']:'{quoted}'"
        looks = itertools.count()

        def _look() -> str | None:
            found = list(self._api.customers.search({"query": query}).data)
            if next(looks) and not found:
                since = int(self._clock.now().timestamp()) - LATEST_SECONDS
                found = list(self._api.customers.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter())
            return min((each.id for each in found if shaped(each, Kept).told("account_id") == account_id), default=None)

        def _make(key: str) -> str:
            return self._api.customers.create({"name": name, "metadata": {"account_id": account_id}}, {"idempotency_key": key}).id

        return self._sender.write(f"customer:{account_id}", look=_look, make=_make)

    def invoices_of(self, customer: str) -> list[InvoiceView]:
        """The customer's invoices that carry a statement's id; items are read for drafts alone, later they cannot change."""
        found = self._sender.read(
            lambda: [
                shaped(each, StripeInvoice) for each in self._api.invoices.list({"customer": customer, "limit": PAGE}).auto_paging_iter()
            ]
        )
        return [self._view(each) for each in found if each.told("statement_id")]

    def draft(self, customer: str, statement_id: str, *, currency: str) -> InvoiceView:
        """A draft that Stripe neither finalises by itself nor fills with what else it knows of the customer."""

        def _look() -> InvoiceView | None:
            return next((each for each in self.invoices_of(customer) if each.statement_id == statement_id), None)

        def _make(key: str) -> InvoiceView:
            made = self._api.invoices.create(
                {
                    "customer": customer,
                    "currency": currency.lower(),
                    "auto_advance": False,
                    "collection_method": "charge_automatically",
                    "pending_invoice_items_behavior": "exclude",
                    "metadata": {"statement_id": statement_id},
                },
                {"idempotency_key": key},
            )
            return self._view(shaped(made, StripeInvoice))

        return self._sender.write(f"draft:{statement_id}", look=_look, make=_make)

    def fill(self, customer: str, invoice: InvoiceView, *, items: tuple[Item, ...], currency: str) -> InvoiceView:
        """The draft with each item once."""
        for item in items:
            if item.id not in invoice.items:
                self._put(customer, invoice, item=item, currency=currency)
        return self._now(invoice)

    def finalise(self, invoice: InvoiceView) -> InvoiceView:
        """The invoice as owed: its number given, its items fixed."""

        def _look() -> InvoiceView | None:
            now = self._now(invoice)
            return None if now.status == "draft" else now

        def _make(key: str) -> InvoiceView:
            made = self._api.invoices.finalize_invoice(invoice.id, {"auto_advance": False}, {"idempotency_key": key})
            return self._view(shaped(made, StripeInvoice))

        return self._sender.write(f"finalise:{invoice.id}", look=_look, make=_make)

    def charge(self, customer: str, invoice: InvoiceView) -> InvoiceView:
        """One attempt to charge; the number of attempts before it is part of its name. Declined, the invoice stays as it is."""
        if not self._sender.read(lambda: shaped(self._api.customers.retrieve(customer), StripeCustomer)).can_be_charged:
            return invoice

        def _look() -> InvoiceView | None:
            now = self._now(invoice)
            return now if now.status != "open" or now.attempts > invoice.attempts else None

        def _make(key: str) -> InvoiceView:
            return self._view(shaped(self._api.invoices.pay(invoice.id, {}, {"idempotency_key": key}), StripeInvoice))

        try:
            return self._sender.write(f"charge:{invoice.id}:{invoice.attempts}", look=_look, make=_make)
        except ProcessorFailed as failed:
            if failed.facts["answered"] != 402:
                raise
            return self._now(invoice)

    def credited(self, customer: str, statement_id: str) -> int:
        """Cents given for a credit note, as notes against invoices and to the balance."""
        notes, balance = self._credits(customer)
        given = sum(each.amount for each in notes if each.told("statement_id") == statement_id)
        return given - sum(each.amount for each in balance if each.told("statement_id") == statement_id)

    def credit(self, customer: str, credit: Credit, *, statement_id: str, currency: str) -> None:
        """A note against an invoice (what was paid of it goes to the balance), or a balance transaction."""

        def _look() -> StripeCredit | None:
            notes, balance = self._credits(customer)
            return next(
                (
                    each
                    for each in [*notes, *balance]
                    if each.told("statement_id") == statement_id and each.told("invoice_id") == credit.invoice_id
                ),
                None,
            )

        def _make(key: str) -> StripeCredit:
            named = {"statement_id": statement_id, "invoice_id": credit.invoice_id}
            if not credit.invoice_id:
                return shaped(
                    self._api.customers.balance_transactions.create(
                        customer,
                        {"amount": -credit.cents, "currency": currency.lower(), "metadata": {"statement_id": statement_id}},
                        {"idempotency_key": key},
                    ),
                    StripeCredit,
                )
            settled: dict[str, int] = {"credit_amount": credit.cents} if credit.settled else {}
            made = self._api.credit_notes.create(
                {"invoice": credit.invoice_id, "amount": credit.cents, "metadata": named, **settled},  # type: ignore[typeddict-item]
                {"idempotency_key": key},
            )
            return shaped(made, StripeCredit)

        self._sender.write(f"credit:{statement_id}:{credit.invoice_id}:{credit.cents}", look=_look, make=_make)

    def refund(self, refund: Refund) -> None:
        """A refund of the payment behind an invoice. Raises ProcessorFailed where nothing was paid for it."""
        paid = self._sender.read(
            lambda: [
                shaped(each, StripePaid) for each in self._api.invoice_payments.list({"invoice": refund.invoice_id, "status": "paid"}).data
            ]
        )
        intents = [intent for each in paid if (intent := each.payment.get("payment_intent"))]
        if not intents:
            raise ProcessorFailed(f"nothing was paid for invoice {refund.invoice_id}", reason="nothing_paid", answered=None)

        def _look() -> Kept | None:
            found = self._api.refunds.list({"payment_intent": intents[0], "limit": PAGE}).auto_paging_iter()
            return next((each for each in (shaped(one, Kept) for one in found) if each.told("refund_id") == refund.id), None)

        def _make(key: str) -> Kept:
            made = self._api.refunds.create(
                {"payment_intent": intents[0], "amount": refund.cents, "metadata": {"refund_id": refund.id}}, {"idempotency_key": key}
            )
            return shaped(made, Kept)

        self._sender.write(f"refund:{refund.id}", look=_look, make=_make)

    def payment(self, account_id: str, statement_id: str) -> PaymentState:
        """What became of a statement's invoice and its payments."""
        return self._standing.payment(account_id, statement_id)

    def destination(self, provider_id: str, country: str) -> str:
        """The provider's connected account: Stripe asks it for its papers and answers for them."""

        def _look() -> str | None:
            found = self._api.accounts.list({"limit": PAGE}).auto_paging_iter()
            return next(
                (each.id for each in (shaped(one, StripeCapable) for one in found) if each.told("provider_id") == provider_id), None
            )

        def _make(key: str) -> str:
            made = self._api.accounts.create(
                {
                    "country": country,
                    "controller": {
                        "fees": {"payer": "application"},
                        "losses": {"payments": "application"},
                        "requirement_collection": "stripe",
                        "stripe_dashboard": {"type": "express"},
                    },
                    "capabilities": {"transfers": {"requested": True}},
                    "metadata": {"provider_id": provider_id},
                },
                {"idempotency_key": key},
            )
            return made.id

        return self._sender.write(f"destination:{provider_id}", look=_look, make=_make)

    def transfer(self, payout: Payout, destination: str) -> str:
        """A transfer in a group named after the payout, in which there is never a second."""

        def _look() -> str | None:
            found = self._api.transfers.list({"transfer_group": payout.id, "limit": 1}).data
            return found[0].id if found else None

        def _make(key: str) -> str:
            return self._api.transfers.create(
                {
                    "amount": payout.cents,
                    "currency": payout.currency.lower(),
                    "destination": destination,
                    "transfer_group": payout.id,
                    "metadata": {"provider_id": payout.provider_id},
                },
                {"idempotency_key": key},
            ).id

        try:
            return self._sender.write(payout.id, look=_look, make=_make)
        except ProcessorFailed as failed:
            if failed.facts["reason"] in WAITS:
                return ""
            raise

    def checkout(self, top_up: TopUp, customer: str) -> str:
        """A page of Stripe's for one payment in advance, open for a day; where it is paid already, the page that comes after."""
        named = {"purpose": "prepaid", "account_id": top_up.account_id, "top_up_id": top_up.id}
        price = {"currency": top_up.currency.lower(), "unit_amount": top_up.cents, "product_data": {"name": "Prepaid balance"}}
        wanted = {
            "mode": "payment",
            "customer": customer,
            "client_reference_id": top_up.id,
            "line_items": [{"price_data": price, "quantity": 1}],
            "payment_intent_data": {"metadata": named},
            "metadata": named,
            "success_url": top_up.success_url,
            "cancel_url": top_up.cancel_url,
        }

        def _look() -> str | None:
            found = self._api.checkout.sessions.list({"customer": customer, "limit": PAGE}).auto_paging_iter()
            for each in found:
                if shaped(each, Kept).told("top_up_id") == top_up.id and each.status != "expired":
                    return each.url if each.status == "open" else top_up.success_url
            return None

        def _make(key: str) -> str:
            return self._api.checkout.sessions.create(wanted, {"idempotency_key": key}).url or ""  # type: ignore[arg-type]

        return self._sender.write(f"checkout:{top_up.id}", look=_look, make=_make)

    def held(self) -> dict[str, int]:
        """Stripe's balance, available and on its way together."""
        found = self._sender.read(lambda: shaped(self._api.balance.retrieve(), StripeBalance))
        sums: dict[str, int] = {}
        for each in (*found.available, *found.pending):
            currency = each.currency.upper()
            sums[currency] = sums.get(currency, 0) + each.amount
        return sums

    def notice(self, payload: bytes, signature: str) -> Notice:
        """The event, if Stripe signed it within five minutes of our clock. Raises NotPermitted."""
        try:
            stripe.WebhookSignature.verify_header(payload, signature, self._secret)
        except (stripe.SignatureVerificationError, UnicodeDecodeError) as error:
            raise NotPermitted("the event's signature does not hold; the endpoint's signing secret would do") from error
        signed = int(dict(part.split("=", 1) for part in signature.split(","))["t"])
        age = self._clock.now().timestamp() - signed
        if age > TOLERANCE_SECONDS:
            raise NotPermitted(f"the event was signed {age:.0f} seconds ago, at most {TOLERANCE_SECONDS} would do", age_seconds=int(age))
        event = msgspec.json.decode(payload, type=_Event)
        return Notice(id=event.id, about="" if event.account else event.data.object.object, subject=event.data.object.id)

    def movements_of(self, notice: Notice) -> list[Movement]:
        """The movements behind an event, none where its kind moves no money."""
        return self._money.movements_of(notice)

    def movements_since(self, moment: datetime) -> list[Movement]:
        """Every balance transaction from a moment on."""
        return self._money.movements_since(moment)

    def _put(self, customer: str, invoice: InvoiceView, *, item: Item, currency: str) -> None:
        def _look() -> StripeItem | None:
            return next((each for each in self._items(invoice.id) if each.told("item_id") == item.id), None)

        def _make(key: str) -> StripeItem:
            made = self._api.invoice_items.create(
                {
                    "customer": customer,
                    "invoice": invoice.id,
                    "amount": item.cents,
                    "currency": currency.lower(),
                    "description": item.words,
                    "metadata": {"item_id": item.id},
                },
                {"idempotency_key": key},
            )
            return shaped(made, StripeItem)

        self._sender.write(f"item:{invoice.id}:{item.id}", look=_look, make=_make)

    def _items(self, invoice_id: str) -> list[StripeItem]:
        return [
            shaped(each, StripeItem) for each in self._api.invoice_items.list({"invoice": invoice_id, "limit": PAGE}).auto_paging_iter()
        ]

    def _credits(self, customer: str) -> tuple[list[StripeCredit], list[StripeCredit]]:
        def _call() -> tuple[list[StripeCredit], list[StripeCredit]]:
            notes = self._api.credit_notes.list({"customer": customer, "limit": PAGE}).auto_paging_iter()
            balance = self._api.customers.balance_transactions.list(customer, {"limit": PAGE}).auto_paging_iter()
            return [shaped(each, StripeCredit) for each in notes], [shaped(each, StripeCredit) for each in balance]

        return self._sender.read(_call)

    def _now(self, invoice: InvoiceView) -> InvoiceView:
        return self._view(self._sender.read(lambda: shaped(self._api.invoices.retrieve(invoice.id), StripeInvoice)))

    def _view(self, found: StripeInvoice) -> InvoiceView:
        items = self._sender.read(lambda: self._items(found.id)) if found.status == "draft" else []
        return InvoiceView(
            id=found.id,
            statement_id=found.told("statement_id"),
            status=found.status,  # type: ignore[arg-type]
            total=found.total,
            due=found.amount_due,
            paid=found.amount_paid,
            remaining=found.amount_remaining,
            credited=found.pre_payment_credit_notes_amount + found.post_payment_credit_notes_amount,
            attempts=found.attempt_count,
            items={each.told("item_id") or each.id: each.amount for each in items},
        )


class _About(msgspec.Struct, frozen=True):
    id: str
    object: str


class _Data(msgspec.Struct, frozen=True):
    object: _About


class _Event(msgspec.Struct, frozen=True):
    id: str
    data: _Data
    account: str | None = None
