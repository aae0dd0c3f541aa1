"""Collecting what closed months are owed, and looking after what the processor says.

Every statement is brought to its buyer once, less what a prepaid balance has paid of it when the month was finalised.
Nothing is remembered here: collecting again does what is missing.
"""

import asyncio
from datetime import datetime

import msgspec

from broker.clock import Clock
from broker.files.statement_pdf import StatementPrinter
from broker.payments.collector import CollectionState, Collector
from broker.payments.decisions import PaymentState
from broker.payments.port import Refund, TopUp
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.statements import Invoice
from contracts.terms.errors import Conflict, MarketError, NotFound, NotSupported, ProcessorFailed, WrongState
from contracts.terms.money import MICROS_PER_CENT


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one statement; `refusal` says why nothing did."""

    statement_id: str
    status: str
    payable_cents: int
    prepaid_cents: int = 0
    paid_cents: int = 0
    refusal: str = ""


class CollectionDesk:
    """Brings statements to the processor and books what it moved. `collector` is None where no processor is set up."""

    def __init__(self, sessions: Sessions, collector: Collector | None, *, clock: Clock) -> None:
        self._sessions = sessions
        self._kept = collector
        self._clock = clock

    @property
    def _collector(self) -> Collector:
        if self._kept is None:
            raise NotSupported("no payment processor is set up; STRIPE_API_KEY would do")
        return self._kept

    async def collect(self, period: int) -> list[Collected]:
        """Collect a finalised period, statement by statement; one that cannot be collected does not keep the others.

        Raises NotFound for a period without statements, NotSupported without a processor.
        """
        collector = self._collector
        statements, prepaid = await self._statements(period)
        found = [await _collected(collector, each, prepaid_cents=prepaid.get(each.id, 0)) for each in statements]
        await collector.catch_up(statements[0].month_start)
        return found

    async def paper(self, period: int, account_id: str) -> bytes:
        """An account's statement of a finalised period as PDF. Raises NotFound."""
        async with unit_of_work(self._sessions) as work:
            settlements = SettlementRepository(work)
            record = await settlements.record(period)
            found = [each for each in await settlements.invoices(period) if each.account_id == account_id]
            seller = await settlements.seller()
        if not found or record is None:
            raise NotFound(f"there is no statement for period {period}; it is written when the month is closed", period=period)
        return await asyncio.to_thread(StatementPrinter(seller).invoice, found[0], record.hash)

    async def advice(self, period: int, provider_id: str, *, currency: str) -> bytes:
        """What a provider is owed for a finalised period, as PDF. Raises NotFound."""
        async with unit_of_work(self._sessions) as work:
            settlements = SettlementRepository(work)
            record = await settlements.record(period)
            found = [each for each in await settlements.advices(period) if (each.provider_id, each.currency) == (provider_id, currency)]
            seller = await settlements.seller()
        if not found or record is None:
            raise NotFound(f"provider {provider_id} has no statement for period {period}", provider_id=provider_id, period=period)
        return await asyncio.to_thread(StatementPrinter(seller).payout, found[0], record.hash)

    async def payment(self, period: int, account_id: str) -> PaymentState:
        """What the processor says became of an account's statement. Raises NotFound, ProcessorFailed, NotSupported."""
        collector = self._collector
        statement, _ = await self._statement(period, account_id)
        return await collector.payment(statement)

    async def refund(self, period: int, account_id: str, *, key: str, cents: int) -> None:
        """Give back part of what an account paid for a period; once a key.

        Raises NotFound, WrongState when nothing was paid through the processor, ProcessorFailed, NotSupported.
        """
        collector = self._collector
        statement, _ = await self._statement(period, account_id)
        state = await collector.payment(statement)
        if not state.invoice_id or not state.paid:
            raise WrongState("nothing was paid for this statement through the processor: nothing can be given back", state=state.status)
        await collector.refund(Refund(id=key, invoice_id=state.invoice_id, cents=cents))
        await collector.catch_up(statement.month_start)

    async def top_up(self, top_up: TopUp) -> str:
        """The page on which an account pays in advance. Raises NotFound, ProcessorFailed, NotSupported."""
        collector = self._collector
        async with unit_of_work(self._sessions) as work:
            account = await AccountRepository(work).account(top_up.account_id)
        return await collector.checkout(msgspec.structs.replace(top_up, currency=account.currency), account.name)

    async def on_event(self, payload: bytes, signature: str) -> int:
        """Book what a signed event is about; how many entries were new. Raises NotPermitted, ProcessorFailed, NotSupported."""
        return await self._collector.on_event(payload, signature)

    async def catch_up(self, since: datetime) -> int:
        """Book what no event told of; how many entries were new."""
        return await self._collector.catch_up(since)

    async def held(self) -> dict[str, int] | None:
        """Cents that the processor says it holds, by currency; None where none is set up."""
        return await self._kept.held() if self._kept else None

    async def _statement(self, period: int, account_id: str) -> tuple[Invoice, int]:
        """An account's statement, and the cents of it that a prepaid balance has paid. Raises NotFound."""
        statements, prepaid = await self._statements(period)
        statement = next((each for each in statements if each.account_id == account_id), None)
        if statement is None:
            raise NotFound(f"account {account_id} has no statement for period {period}", account_id=account_id, period=period)
        return statement, prepaid.get(statement.id, 0)

    async def _statements(self, period: int) -> tuple[list[Invoice], dict[str, int]]:
        """The period's statements by account, and by statement the cents that a prepaid balance has paid."""
        async with unit_of_work(self._sessions) as work:
            statements = await SettlementRepository(work).invoices(period)
            spent = await JournalRepository(work).entries(kind="prepaid_spend")
        if not statements:
            raise NotFound(f"there are no statements for period {period}; they are written when it is finalised", period=period)
        paid = {entry.subject: entry.postings[0].amount_micros // MICROS_PER_CENT for entry in spent}
        return statements, paid


async def _collected(collector: Collector, statement: Invoice, *, prepaid_cents: int) -> Collected:
    plain = Collected(statement_id=statement.id, status="refused", payable_cents=statement.payable_cents, prepaid_cents=prepaid_cents)
    try:
        state: CollectionState = await collector.collect(statement, prepaid_cents)
    except (NotSupported, Conflict, ProcessorFailed) as refusal:
        return msgspec.structs.replace(plain, refusal=_said(refusal))
    return msgspec.structs.replace(plain, status=state.status, paid_cents=state.paid_cents)


def _said(refusal: MarketError) -> str:
    return f"{refusal.code}: {refusal}"
