"""Stripe's balance transactions as movements: what came in, what went out, what Stripe kept.

An event is only a hint. What it is about is asked for again, so that events may come twice, late or in any order.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import stripe

from broker.payments.decisions import Movement, MovementKind, Purpose
from broker.payments.port import Notice
from broker.payments.sending import Sender
from broker.payments.stripe_shapes import Kept, StripeSource, StripeTransaction, shaped
from contracts.terms.errors import NotSupported

PAGE = 100
KINDS: dict[str, MovementKind] = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund",
    "payment_failure_refund": "refund",
    "adjustment": "dispute",
    "transfer": "transfer",
    "transfer_cancel": "transfer",
    "transfer_failure": "transfer",
    "transfer_refund": "transfer",
    "payout": "bank",
    "payout_cancel": "bank",
    "payout_failure": "bank",
    "topup": "bank",
    "topup_reversal": "bank",
    "stripe_fee": "fee",
    "tax_fee": "fee",
}
EXPANDED = "balance_transaction"


class MoneyReader:
    """Reads movements from Stripe; remembers whom a charge or transfer was about, which never changes."""

    def __init__(self, client: stripe.StripeClient, sender: Sender) -> None:
        self._api = client.v1
        self._sender = sender
        self._parties: dict[str, str] = {}
        self._purposes: dict[str, Purpose] = {}

    def movements_since(self, moment: datetime) -> list[Movement]:
        """Every balance transaction from a moment on, oldest first. Raises NotSupported for a type nobody has a word for."""

        def _call() -> list[StripeTransaction]:
            found = self._api.balance_transactions.list(
                {"created": {"gte": int(moment.timestamp())}, "limit": PAGE, "expand": ["data.source"]}
            )
            return [shaped(each, StripeTransaction) for each in found.auto_paging_iter()]

        return [self._movement(each) for each in sorted(self._sender.read(_call), key=lambda each: (each.created, each.id))]

    def movements_of(self, notice: Notice) -> list[Movement]:
        """The balance transactions of the object an event is about."""
        calls: dict[str, Callable[[str], stripe.StripeObject]] = {
            "dispute": self._api.disputes.retrieve,
            "charge": lambda id: self._api.charges.retrieve(id, {"expand": [EXPANDED]}),
            "refund": lambda id: self._api.refunds.retrieve(id, {"expand": [EXPANDED]}),
            "transfer": lambda id: self._api.transfers.retrieve(id, {"expand": [EXPANDED, f"reversals.data.{EXPANDED}"]}),
            "payout": lambda id: self._api.payouts.retrieve(id, {"expand": [EXPANDED]}),
            "topup": lambda id: self._api.topups.retrieve(id, {"expand": [EXPANDED]}),
        }
        call = calls.get(notice.about)
        if call is None:
            return []
        found = self._sender.read(lambda: call(notice.subject).to_dict())
        source = msgspec.convert(found, StripeSource)
        transactions = [found.get(EXPANDED), *(found.get("balance_transactions") or ())]
        moved = [(source, each) for each in transactions]
        for reversal in (found.get("reversals") or {}).get("data", ()):
            moved.append((msgspec.convert(reversal, StripeSource), reversal.get(EXPANDED)))
        return [
            self._movement(msgspec.structs.replace(msgspec.convert(each, StripeTransaction), source=about))
            for about, each in moved
            if isinstance(each, dict)
        ]

    def _movement(self, found: StripeTransaction) -> Movement:
        if found.type not in KINDS:
            raise NotSupported(f"the processor moved money as {found.type}, for which the books have no word", movement_id=found.id)
        source = found.source if isinstance(found.source, StripeSource) else None
        kind = KINDS[found.type]
        return Movement(
            id=found.id,
            kind=kind,
            cents=found.amount,
            fee_cents=found.fee,
            currency=found.currency.upper(),
            at=datetime.fromtimestamp(found.created, UTC),
            subject=source.id if source else found.id,
            party=self._party(source) if source and kind in {"payment", "refund", "dispute", "transfer"} else "",
            purpose=self._purpose(source) if source and kind in {"payment", "refund", "dispute"} else "invoice",
        )

    def _purpose(self, source: StripeSource) -> Purpose:
        """What the payment behind a charge, refund or dispute was for: said by the charge, which has it from its payment intent."""
        if source.charge:
            charge = source.charge
            if charge not in self._purposes:
                self._purposes[charge] = self._purpose(self._sender.read(lambda: shaped(self._api.charges.retrieve(charge), StripeSource)))
            return self._purposes[charge]
        return "prepaid" if (source.metadata or {}).get("purpose") == "prepaid" else "invoice"

    def _party(self, source: StripeSource) -> str:
        """The account behind a charge, or the provider behind a transfer; empty where they are not of the market."""
        if source.customer:
            return self._told(source.customer, "account_id", call=self._api.customers.retrieve)
        if source.charge:
            charge = source.charge
            if charge not in self._parties:
                about = self._sender.read(lambda: shaped(self._api.charges.retrieve(charge), StripeSource))
                self._parties[charge] = self._party(msgspec.structs.replace(about, charge=None))
            return self._parties[charge]
        if source.transfer:
            return self._told(source.transfer, "provider_id", call=self._api.transfers.retrieve)
        return (source.metadata or {}).get("provider_id", "")

    def _told(self, id: str, name: str, *, call: Callable[[str], stripe.StripeObject]) -> str:
        if id not in self._parties:
            self._parties[id] = self._sender.read(lambda: shaped(call(id), Kept)).told(name)
        return self._parties[id]
