"""The few fields of Stripe's objects that are read, checked as they come in. Amounts are cents, times Unix seconds."""

from typing import Any, TypeVar

import msgspec
import stripe

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Any object that carries our own names in its metadata."""

    id: str
    metadata: dict[str, str] | None = None

    def told(self, name: str) -> str:
        """One of our names, empty where the object is not ours."""
        return (self.metadata or {}).get(name, "")


class StripeInvoice(Kept, frozen=True, kw_only=True):
    """An invoice; the credit notes' amounts are those before and after it was paid."""

    status: str
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    attempt_count: int
    pre_payment_credit_notes_amount: int
    post_payment_credit_notes_amount: int


class StripeItem(Kept, frozen=True, kw_only=True):
    """An invoice item."""

    amount: int


class StripeCredit(Kept, frozen=True, kw_only=True):
    """A credit note, or a transaction of a customer's balance, where a credit is negative."""

    amount: int


class StripeCustomer(Kept, frozen=True, kw_only=True):
    """A customer, and what it pays with."""

    invoice_settings: dict[str, Any] = {}
    default_source: str | None = None

    @property
    def can_be_charged(self) -> bool:
        """Whether it has left a means of payment."""
        return bool(self.invoice_settings.get("default_payment_method") or self.default_source)


class StripeCapable(Kept, frozen=True, kw_only=True):
    """A connected account."""

    capabilities: dict[str, str] | None = None


class StripeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What a balance transaction is about: a charge, a refund or dispute of one, a transfer or its reversal."""

    id: str
    object: str
    customer: str | None = None
    charge: str | None = None
    transfer: str | None = None
    metadata: dict[str, str] | None = None


class StripeTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A balance transaction: what came in, and what the processor kept of it."""

    id: str
    amount: int
    fee: int
    currency: str
    created: int
    type: str
    source: StripeSource | str | None = None


class StripePaid(msgspec.Struct, frozen=True, kw_only=True):
    """What an invoice was paid with: the id of its payment intent."""

    id: str
    payment: dict[str, str | None]


class StripeTakenBack(Kept, frozen=True, kw_only=True):
    """A refund or a dispute."""

    amount: int
    status: str


class StripeHeld(msgspec.Struct, frozen=True, kw_only=True):
    """One amount of a balance."""

    amount: int
    currency: str


class StripeBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What Stripe holds: to be used now, and on its way."""

    available: tuple[StripeHeld, ...]
    pending: tuple[StripeHeld, ...]


def shaped(found: stripe.StripeObject, shape: type[Shape]) -> Shape:
    """An SDK object as a struct. Raises msgspec.ValidationError where Stripe's answer has another shape."""
    return msgspec.convert(found.to_dict(), shape)
