"""Statements become payments, and payouts reach providers.

Nothing of a collection is remembered here: each call looks at what the processor has, and does what is missing. A run
that died at any point is finished by running it again. What moved money becomes journal entries, named after the
processor's movements, so that an event that comes twice, late or never changes nothing that `catch_up` would not find.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from broker.payments.decisions import (
    InvoiceView,
    Movement,
    PaymentState,
    Payout,
    check_collectable,
    credits_for,
    entry_of,
    items_of,
    next_step,
)
from broker.payments.port import Ledger, Notice, Processor, Refund, Standing, TopUp
from contracts.statements import Invoice


class CollectionState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the collection of a statement stands.

    status     nothing (no cents), open (declined, or the buyer has left no means of payment), paid, credited, void, uncollectible
    invoice    the processor's invoice; empty for a credit note
    """

    statement_id: str
    status: Literal["nothing", "open", "paid", "credited", "void", "uncollectible", "draft"]
    invoice_id: str = ""
    due_cents: int = 0
    paid_cents: int = 0


class Collector:
    """Collects statements and pays providers through a processor; books what moved."""

    def __init__(self, processor: Processor, ledger: Ledger) -> None:
        self._processor = processor
        self._ledger = ledger

    async def collect(self, statement: Invoice, prepaid_cents: int = 0) -> CollectionState:
        """Bring a statement to the buyer: an invoice charged once, less what its prepaid balance has paid, or a credit note given once.

        A declined invoice stays open; collecting it again charges it again. Raises NotSupported for a statement that the
        processor cannot hold, Conflict where it holds another, ProcessorFailed where it does not do what was asked.
        """
        check_collectable(statement)
        return await asyncio.to_thread(self._collect, statement, prepaid_cents)

    async def payment(self, statement: Invoice) -> PaymentState:
        """What the processor says became of a statement. Changes nothing. Raises ProcessorFailed."""
        return await asyncio.to_thread(self._processor.payment, statement.account_id, statement.id)

    async def refund(self, refund: Refund) -> None:
        """Give back part of a payment: the buyer owes it again, unless a statement says otherwise. Raises ProcessorFailed."""
        await asyncio.to_thread(self._processor.refund, refund)

    async def pay_out(self, payout: Payout, country: str) -> Standing:
        """Pay a provider of a country (ISO 3166-1 alpha-2) once, and book it; `waiting` may be tried again. Raises ProcessorFailed."""
        transfer = await asyncio.to_thread(self._pay_out, payout, country)
        if not transfer:
            return "waiting"
        notice = Notice(id=payout.id, about="transfer", subject=transfer)
        await self._book(await asyncio.to_thread(self._processor.movements_of, notice))
        return "paid"

    async def checkout(self, top_up: TopUp, account_name: str) -> str:
        """The address at which a buyer pays in advance. What was paid comes as an event. Raises ProcessorFailed."""
        customer = await asyncio.to_thread(self._processor.customer, top_up.account_id, account_name)
        return await asyncio.to_thread(self._processor.checkout, top_up, customer)

    async def held(self) -> dict[str, int]:
        """What the processor says it holds for us, cents by currency. Raises ProcessorFailed."""
        return await asyncio.to_thread(self._processor.held)

    async def on_event(self, payload: bytes, signature: str) -> int:
        """Book what is behind an event; returns how many entries were new.

        Raises NotPermitted for a signature that does not hold, ProcessorFailed where the facts cannot be looked up.
        """
        notice = await asyncio.to_thread(self._processor.notice, payload, signature)
        return await self._book(await asyncio.to_thread(self._processor.movements_of, notice))

    async def catch_up(self, since: datetime) -> int:
        """Book every movement from a moment on that no event told of; returns how many entries were new."""
        return await self._book(await asyncio.to_thread(self._processor.movements_since, since))

    async def _book(self, movements: Iterable[Movement]) -> int:
        entries = [entry for entry in map(entry_of, movements) if entry is not None]
        return await self._ledger.write(entries) if entries else 0

    def _collect(self, statement: Invoice, prepaid_cents: int) -> CollectionState:
        if not statement.payable_cents:
            return CollectionState(statement_id=statement.id, status="nothing")
        customer = self._processor.customer(statement.account_id, statement.account_name)
        if statement.payable_cents < 0:
            return self._credit(statement, customer)
        found = [each for each in self._processor.invoices_of(customer) if each.statement_id == statement.id]
        invoice = self._advance((statement, prepaid_cents), customer, invoice=found[0] if found else None)
        return CollectionState(
            statement_id=statement.id,
            status=invoice.status,
            invoice_id=invoice.id,
            due_cents=invoice.due,
            paid_cents=invoice.paid,
        )

    def _advance(self, owed: tuple[Invoice, int], customer: str, *, invoice: InvoiceView | None) -> InvoiceView:
        """Steps until there are none; a charge is tried once. `owed` is a statement, and the cents of it paid in advance."""
        statement, prepaid_cents = owed
        while True:
            step = next_step(statement, invoice, prepaid_cents=prepaid_cents)
            if invoice is None:
                invoice = self._processor.draft(customer, statement.id, currency=statement.currency)
            elif step == "fill":
                invoice = self._processor.fill(customer, invoice, items=items_of(statement, prepaid_cents), currency=statement.currency)
            elif step == "finalise":
                invoice = self._processor.finalise(invoice)
            elif step == "charge":
                return self._processor.charge(customer, invoice)
            else:
                return invoice

    def _credit(self, statement: Invoice, customer: str) -> CollectionState:
        left = -statement.payable_cents - self._processor.credited(customer, statement.id)
        if left > 0:
            for credit in credits_for(left, self._processor.invoices_of(customer)):
                self._processor.credit(customer, credit, statement_id=statement.id, currency=statement.currency)
        return CollectionState(statement_id=statement.id, status="credited")

    def _pay_out(self, payout: Payout, country: str) -> str:
        return self._processor.transfer(payout, self._processor.destination(payout.provider_id, country))
