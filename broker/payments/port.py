"""What the collector needs: a payment processor and a ledger. Whoever answers these may stand in for Stripe."""

from datetime import datetime
from typing import Literal, Protocol

import msgspec

from broker.payments.decisions import Credit, InvoiceView, Item, Movement, PaymentState, Payout
from contracts.journal import JournalEntry

Standing = Literal["paid", "waiting"]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a signed event says. A hint to look, not a fact.

    about    what sort of object it is about; empty where that is somebody else's, an account we pay to
    subject  the object's id
    """

    id: str
    about: str
    subject: str


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A payment given back in part: `id` is ours, and pays once; cents are at most what was paid."""

    id: str
    invoice_id: str
    cents: int


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """A payment in advance: `id` is ours, and is paid once.

    success_url, cancel_url  where the buyer goes from the processor's page
    """

    id: str
    account_id: str
    currency: str
    cents: int
    success_url: str
    cancel_url: str


class Processor(Protocol):
    """A payment processor. Every write happens once for its facts, however often it is asked for.

    All raise ProcessorFailed where the processor does not answer or refuses.
    """

    def customer(self, account_id: str, name: str) -> str:
        """The processor's name of an account, made known if it is not."""
        ...

    def invoices_of(self, customer: str) -> list[InvoiceView]:
        """The invoices that are ours, of a customer."""
        ...

    def draft(self, customer: str, statement_id: str, *, currency: str) -> InvoiceView:
        """An empty draft for a statement."""
        ...

    def fill(self, customer: str, invoice: InvoiceView, *, items: tuple[Item, ...], currency: str) -> InvoiceView:
        """A draft with these items, each once."""
        ...

    def finalise(self, invoice: InvoiceView) -> InvoiceView:
        """The draft as an invoice that is owed."""
        ...

    def charge(self, customer: str, invoice: InvoiceView) -> InvoiceView:
        """The invoice after one attempt to charge the buyer's means of payment; open where that was declined, or there is none."""
        ...

    def credited(self, customer: str, statement_id: str) -> int:
        """Cents given so far for a statement that is a credit note."""
        ...

    def credit(self, customer: str, credit: Credit, *, statement_id: str, currency: str) -> None:
        """Give a credit, against its invoice or to the buyer's balance."""
        ...

    def refund(self, refund: Refund) -> None:
        """Give back part of what was paid for an invoice."""
        ...

    def payment(self, account_id: str, statement_id: str) -> PaymentState:
        """What became of a statement; only looks, and makes nothing known."""
        ...

    def destination(self, provider_id: str, country: str) -> str:
        """The account at the processor that a provider is paid to, opened if there is none."""
        ...

    def transfer(self, payout: Payout, destination: str) -> str:
        """Pay a provider; the processor's name of the transfer, or none while what we hold, or what the provider proved, forbids it."""
        ...

    def checkout(self, top_up: TopUp, customer: str) -> str:
        """The address of a page on which a buyer pays in advance, once."""
        ...

    def held(self) -> dict[str, int]:
        """What the processor holds for us, cents by currency."""
        ...

    def notice(self, payload: bytes, signature: str) -> Notice:
        """A signed event. Raises NotPermitted for a signature that is not the processor's, or is too old."""
        ...

    def movements_of(self, notice: Notice) -> list[Movement]:
        """The movements behind an event, as they are now."""
        ...

    def movements_since(self, moment: datetime) -> list[Movement]:
        """Every movement from a moment on."""
        ...


class Ledger(Protocol):
    """Where entries go."""

    async def write(self, entries: list[JournalEntry]) -> int:
        """Write entries, each once, in one transaction; returns how many were new."""
        ...
