"""The broker's own finance: closing months, collecting, paying out, correcting, reconciling. For keys of the finance team."""

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter

from broker.api.orders import KEY
from broker.app import Services
from broker.collecting import Collected
from broker.files.given_out import GivenOut
from broker.services.corrections import CorrectionView, TrancheView
from broker.services.disputes import Decision, DisputeView
from broker.services.finance_views import (
    ClearanceRequest,
    Done,
    FreezeRequest,
    PayoutRequest,
    PayoutRunView,
    PeriodView,
    PreviewView,
    RefundRequest,
    ReviewRequest,
)
from broker.services.receivables import ReconciliationView
from broker.services.replies import RequestKey
from broker.services.views import Caller, Page, StatementView
from contracts.ageing import Ageing, Notice, OpenDebt
from contracts.close import CloseRecord
from contracts.events import Correction
from contracts.metering import MeterDifference
from contracts.statements import PayoutAdvice
from contracts.tracing import Trace

PeriodNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="number of a period, from 1")]
RunNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="number of a payout run of its currency, from 1")]
LineNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="number of a line of an invoice, from 1")]
CurrencyCode = Annotated[str, PathParameter(pattern="^[A-Z]{3}$", description="ISO 4217")]


class PeriodController(Controller):
    """Periods, from open to exported."""

    path = "/v1/finance/periods"
    tags = ("close",)
    security = KEY

    @get("/", operation_id="ListPeriods", summary="Periods")
    async def periods(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[PeriodView]:
        """Every period from the first month the ledger knows to the present one, with who did what to it."""
        return Page(items=await services.treasury.periods(caller))

    @get("/{period:int}", operation_id="GetPeriod", summary="One period")
    async def period(self, period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> PeriodView:
        """Where a period stands, and what lies outside its safety bounds."""
        return await services.treasury.period(period, caller)

    @post("/{period:int}/preview", operation_id="PreviewPeriod", summary="What would be billed", status_code=200)
    async def preview(
        self,
        period: PeriodNumber,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PreviewView:
        """What the period would bill now, account by account, and how that differs from the preview before. Decides nothing."""
        return await services.replies.once(lambda: services.treasury.preview(period, caller), PreviewView, request=request_key)

    @post("/{period:int}/freeze", operation_id="FreezePeriod", summary="Freeze", status_code=200)
    async def freeze(
        self,
        period: PeriodNumber,
        data: JSONBody[FreezeRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PeriodView:
        """Fix what is known: what arrives from then on belongs to the next period. There is no way back."""
        return await services.replies.once(lambda: services.treasury.freeze(period, data, caller=caller), PeriodView, request=request_key)

    @post("/{period:int}/rate", operation_id="RatePeriod", summary="Rate", status_code=200)
    async def rate(
        self,
        period: PeriodNumber,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PeriodView:
        """Settle what was frozen and keep its record; nothing is billed yet. Who rates neither reviews nor finalises."""
        return await services.replies.once(lambda: services.treasury.rate(period, caller), PeriodView, request=request_key)

    @post("/{period:int}/review", operation_id="ReviewPeriod", summary="Review", status_code=200)
    async def review(
        self,
        period: PeriodNumber,
        data: JSONBody[ReviewRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PeriodView:
        """Accept what was rated, or send it back; outliers need a note."""
        return await services.replies.once(lambda: services.treasury.review(period, data, caller=caller), PeriodView, request=request_key)

    @post("/{period:int}/finalise", operation_id="FinalisePeriod", summary="Finalise", status_code=200)
    async def finalise(
        self,
        period: PeriodNumber,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PeriodView:
        """Write invoices, payouts and entries, once: exactly what was rated and reviewed."""
        return await services.replies.once(lambda: services.treasury.finalise(period, caller), PeriodView, request=request_key)

    @post("/{period:int}/collect", operation_id="CollectPeriod", summary="Collect", status_code=200)
    async def collect(
        self,
        period: PeriodNumber,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Page[Collected]:
        """Bring every statement of a finalised period to its buyer through the payment processor, once; what failed may be tried again."""
        return Page(
            items=await services.replies.once(lambda: services.treasury.collect(period, caller), list[Collected], request=request_key)
        )

    @post("/{period:int}/refunds", operation_id="RefundPayment", summary="Refund", status_code=200)
    async def refund(
        self,
        period: PeriodNumber,
        data: JSONBody[RefundRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Done:
        """Give back part of what an account paid for a period; the same key once."""
        return await services.replies.once(lambda: services.treasury.refund(period, data, caller=caller), Done, request=request_key)

    @get("/{period:int}/record", operation_id="GetCloseRecord", summary="Its sums")
    async def record(
        self, period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]
    ) -> CloseRecord | None:
        """What rating a period came to: hashes, counts, and every sum that must agree; null before it is rated."""
        return await services.treasury.record(period, caller)

    @get("/{period:int}/invoices", operation_id="ListInvoices", summary="Invoices")
    async def invoices(
        self, period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]
    ) -> Page[StatementView]:
        """Every account's invoice or credit note of a period; none before it is finalised."""
        return Page(items=await services.finance.issued(period, caller))

    @get("/{period:int}/invoices/{account_id:str}/lines/{line:int}", operation_id="TraceLine", summary="Trace a line")
    async def trace(
        self,
        period: PeriodNumber,
        account_id: FromPath[str],
        *,
        line: LineNumber,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
    ) -> Trace:
        """The usage records behind a line of an invoice, the leases they were metered on, and the rule that made its amount."""
        return await services.treasury.trace(period, account_id, line=line, caller=caller)

    @get("/{period:int}/payouts", operation_id="ListPayoutsDue", summary="What providers are owed")
    async def advices(
        self, period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]
    ) -> Page[PayoutAdvice]:
        """What each provider is owed for a period; none before it is finalised."""
        return Page(items=await services.finance.advices(period, caller))

    @post("/{period:int}/exports/{format:str}", operation_id="ExportPeriod", summary="Export", status_code=200)
    async def export(
        self,
        period: PeriodNumber,
        format: FromPath[str],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Response[bytes]:
        """A finalised period as focus, beancount, hledger, statements, pain001, ubl or close: one file, or a ZIP of several.

        What was given out is noted with its SHA-256.
        """
        given = await services.replies.once(lambda: services.treasury.export(period, format, caller=caller), GivenOut, request=request_key)
        disposition = f'attachment; filename="{given.name}"'
        return Response(given.content, media_type=given.media_type, headers={"Content-Disposition": disposition})

    @get("/{period:int}/meters", operation_id="CompareMeters", summary="Two meters compared")
    async def meters(
        self, period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]
    ) -> Page[MeterDifference]:
        """Where buyers' own meters saw something else than providers reported in a period, the greatest difference first."""
        return Page(items=await services.meters.differences(await services.treasury.month(period), caller))


class PayoutController(Controller):
    """Payout runs: proposed by one person, approved by another."""

    path = "/v1/finance/payouts"
    tags = ("payouts",)
    security = KEY

    @get("/", operation_id="ListPayoutRuns", summary="Payout runs")
    async def runs(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[PayoutRunView]:
        """Every payout run, by currency and number."""
        return Page(items=await services.treasury.runs(caller))

    @post("/", operation_id="ProposePayouts", summary="Propose a payout run")
    async def propose(
        self,
        data: JSONBody[PayoutRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PayoutRunView:
        """A run that pays providers what the ledger owes them now, with what is kept back, carried forward or blocked, and why."""
        return await services.replies.once(lambda: services.treasury.propose(data.currency, caller), PayoutRunView, request=request_key)

    @post("/{currency:str}/{number:int}/approve", operation_id="ApprovePayouts", summary="Approve", status_code=200)
    async def approve(
        self,
        currency: CurrencyCode,
        number: RunNumber,
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PayoutRunView:
        """Let a run be paid. Not for who proposed it."""
        return await services.replies.once(
            lambda: services.treasury.approve(currency, number, caller=caller), PayoutRunView, request=request_key
        )

    @post("/{currency:str}/{number:int}/reject", operation_id="RejectPayouts", summary="Reject", status_code=200)
    async def reject(
        self,
        currency: CurrencyCode,
        number: RunNumber,
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PayoutRunView:
        """Let a proposed run go."""
        return await services.replies.once(
            lambda: services.treasury.reject(currency, number, caller=caller), PayoutRunView, request=request_key
        )

    @post("/{currency:str}/{number:int}/pay", operation_id="PayPayouts", summary="Pay", status_code=200)
    async def pay(
        self,
        currency: CurrencyCode,
        number: RunNumber,
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PayoutRunView:
        """Pay every line that is not paid, each once. May be asked again until the run has ended."""
        return await services.replies.once(
            lambda: services.treasury.pay(currency, number, caller=caller), PayoutRunView, request=request_key
        )

    @post("/{currency:str}/{number:int}/end", operation_id="EndPayouts", summary="End", status_code=200)
    async def end(
        self,
        currency: CurrencyCode,
        number: RunNumber,
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> PayoutRunView:
        """End a run whose last lines wait for papers or money: they stay owed, and are in the next run."""
        return await services.replies.once(
            lambda: services.treasury.end(currency, number, caller=caller), PayoutRunView, request=request_key
        )

    @post("/clearances", operation_id="ClearAffiliates", summary="Clear affiliates", status_code=200)
    async def clear(
        self,
        data: JSONBody[ClearanceRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Done:
        """Note that what an account paid a provider of its own parent was looked at; the provider may be paid then."""
        return await services.replies.once(lambda: services.treasury.clear(data, caller), Done, request=request_key)


class BooksController(Controller):
    """Corrections, disputes, receivables, reconciliation."""

    path = "/v1/finance"
    tags = ("books",)
    security = KEY

    @get("/corrections", operation_id="ListCorrections", summary="Corrections")
    async def corrections(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[CorrectionView]:
        """Every correction of the books, with who proposed and who decided it."""
        return Page(items=await services.corrections.corrections(caller))

    @post("/corrections", operation_id="ProposeCorrection", summary="Propose a correction")
    async def propose(
        self,
        data: JSONBody[Correction],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> CorrectionView:
        """Enter a write-off, credit note, SLA credit, grant tranche or conversion as pending; another person's approval makes it count."""
        return await services.replies.once(lambda: services.corrections.propose(data, caller), CorrectionView, request=request_key)

    @post("/corrections/{entry_id:str}/approve", operation_id="ApproveCorrection", summary="Approve a correction", status_code=200)
    async def approve(
        self,
        entry_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> CorrectionView:
        """Let a correction count. Not for who proposed it."""
        return await services.replies.once(lambda: services.corrections.approve(entry_id, caller), CorrectionView, request=request_key)

    @post("/corrections/{entry_id:str}/reject", operation_id="RejectCorrection", summary="Reject a correction", status_code=200)
    async def reject(
        self,
        entry_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> CorrectionView:
        """Void a correction."""
        return await services.replies.once(lambda: services.corrections.reject(entry_id, caller), CorrectionView, request=request_key)

    @post("/disputes/{dispute_id:str}/decide", operation_id="DecideDispute", summary="Decide a dispute", status_code=200)
    async def decide(
        self,
        dispute_id: FromPath[str],
        data: JSONBody[Decision],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> DisputeView:
        """Uphold or dismiss a buyer's dispute. Upheld, a credit note is proposed, which somebody else approves."""
        return await services.replies.once(
            lambda: services.disputes.decide(dispute_id, data, caller=caller), DisputeView, request=request_key
        )

    @get("/grants", operation_id="ListGrants", summary="Grant tranches")
    async def grants(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[TrancheView]:
        """Your grant tranches, everybody's for finance: what each was given with, what is used, expired and left, as of the last close."""
        return Page(items=await services.corrections.tranches(caller))

    @get("/receivables", operation_id="ListReceivables", summary="Who owes since when")
    async def receivables(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[Ageing]:
        """What every account owes, by age: up to 30, 60, 90 days, and longer."""
        return Page(items=await services.receivables.ageing(caller))

    @get("/debts", operation_id="ListDebts", summary="Open invoices")
    async def debts(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[OpenDebt]:
        """What is still open of each invoice after all that was paid, and since when."""
        return Page(items=await services.receivables.debts(caller))

    @post("/dunning", operation_id="RunDunning", summary="Dun", status_code=200)
    async def dun(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], request_key: NamedDependency[RequestKey | None]
    ) -> Page[Notice]:
        """Take the next step with everybody who owes too long, each step once; the answer is the notices to send."""
        return Page(items=await services.replies.once(lambda: services.receivables.dun(caller), list[Notice], request=request_key))

    @get("/reconciliation", operation_id="Reconcile", summary="Do the books agree?")
    async def reconcile(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> ReconciliationView:
        """Every sum that must agree with another, and by how much it does not; the processor's own balance among them."""
        return await services.reconciliation.reconcile(await services.treasury.held(caller))
