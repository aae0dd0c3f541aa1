"""What the finance team may do with periods, collections and payouts, each act under the name of who asks.

Whether two acts may be one person's is for the procedures to say; here, whether the key allows the act at all.
"""

import asyncio

from broker.closing import PeriodClose
from broker.collecting import Collected, CollectionDesk
from broker.files.given_out import GivenOut, exported, given_out
from broker.payments.decisions import PaymentState
from broker.payments.port import TopUp
from broker.payouts import PayoutDesk, PayoutRun
from broker.services.accounts import require
from broker.services.finance_views import (
    ClearanceRequest,
    Done,
    FreezeRequest,
    PayoutRunView,
    PeriodView,
    PreviewView,
    RefundRequest,
    ReviewRequest,
    TopUpRequest,
    TopUpView,
    act_views,
    period_view,
    preview_view,
)
from broker.services.providers import provider_of
from broker.services.views import Caller
from contracts.close import CloseRecord
from contracts.periods import CLOSED
from contracts.terms.errors import WrongState
from contracts.terms.time import Period
from contracts.tracing import Trace


class Treasury:
    """The desks of one market, for people with keys."""

    def __init__(self, closing: PeriodClose, collection: CollectionDesk, payouts: PayoutDesk) -> None:
        self.closing = closing
        self.collection = collection
        self.payouts = payouts

    async def periods(self, caller: Caller) -> list[PeriodView]:
        """Every period that has begun."""
        require(caller, "finance:read")
        return [period_view(each) for each in await self.closing.periods()]

    async def period(self, period: int, caller: Caller) -> PeriodView:
        """One period. Raises NotFound."""
        require(caller, "finance:read")
        return period_view(await self.closing.period(period))

    async def month(self, period: int) -> Period:
        """The month of a period. Raises NotFound."""
        return (await self.closing.period(period)).month

    async def preview(self, period: int, caller: Caller) -> PreviewView:
        """What a period would bill now."""
        require(caller, "finance:write")
        return preview_view(await self.closing.preview(period, actor=caller.account_id))

    async def freeze(self, period: int, asked: FreezeRequest, *, caller: Caller) -> PeriodView:
        """Fix what is known."""
        require(caller, "finance:write")
        return period_view(await self.closing.freeze(period, actor=caller.account_id, closes_at=asked.closes_at))

    async def rate(self, period: int, caller: Caller) -> PeriodView:
        """Settle what was frozen."""
        require(caller, "finance:write")
        return period_view(await self.closing.rate(period, actor=caller.account_id))

    async def review(self, period: int, asked: ReviewRequest, *, caller: Caller) -> PeriodView:
        """Accept what was rated, or send it back."""
        require(caller, "finance:approve")
        return period_view(await self.closing.review(period, actor=caller.account_id, note=asked.note, accept=asked.accept))

    async def finalise(self, period: int, caller: Caller) -> PeriodView:
        """Write what was rated and reviewed."""
        require(caller, "finance:approve")
        await self.closing.finalise(period, actor=caller.account_id)
        return period_view(await self.closing.period(period))

    async def collect(self, period: int, caller: Caller) -> list[Collected]:
        """Bring every statement of a period to its buyer."""
        require(caller, "finance:write")
        return await self.collection.collect(period)

    async def payment(self, period: int, account_id: str, *, caller: Caller) -> PaymentState:
        """What the processor says became of an account's statement. Raises NotFound."""
        require(caller, "finance:read")
        return await self.collection.payment(period, account_id)

    async def refund(self, period: int, asked: RefundRequest, *, caller: Caller) -> Done:
        """Give back part of a payment, once a key."""
        require(caller, "finance:approve")
        await self.collection.refund(period, asked.account_id, key=asked.key, cents=asked.cents)
        return Done(new=1)

    async def top_up(self, asked: TopUpRequest, caller: Caller, *, home: str) -> TopUpView:
        """The page on which the caller pays in advance; `home` is where it comes back to."""
        name = f"{caller.account_id}:{asked.key}"
        wanted = TopUp(id=name, account_id=caller.account_id, currency="", cents=asked.cents, success_url=home, cancel_url=home)
        return TopUpView(url=await self.collection.top_up(wanted))

    async def paper(self, period: int, caller: Caller) -> bytes:
        """The caller's statement of a period as PDF. Raises NotFound."""
        return await self.collection.paper(period, caller.account_id)

    async def issued_paper(self, period: int, account_id: str, *, caller: Caller) -> bytes:
        """Any account's statement of a period as PDF. Raises NotFound."""
        require(caller, "finance:read")
        return await self.collection.paper(period, account_id)

    async def advice_paper(self, period: int, provider_id: str, *, currency: str, caller: Caller) -> bytes:
        """What a provider is owed for a period, as PDF. Raises NotFound."""
        require(caller, "finance:read")
        return await self.collection.advice(period, provider_id, currency=currency)

    async def own_advice_paper(self, period: int, caller: Caller, *, currency: str) -> bytes:
        """What the provider who asks is owed for a period, as PDF. Raises NotFound; NotPermitted for anybody but a provider."""
        return await self.collection.advice(period, provider_of(caller), currency=currency)

    async def record(self, period: int, caller: Caller) -> CloseRecord | None:
        """What rating a period came to, sum by sum; None before it is rated. Raises NotFound."""
        require(caller, "finance:read")
        rated = (await self.closing.period(period)).rated
        return rated.record if rated else None

    async def trace(self, period: int, account_id: str, *, line: int, caller: Caller) -> Trace:
        """What the line of so many, from 1, of an invoice was made from. Raises NotFound."""
        require(caller, "finance:read")
        return await self.closing.trace(period, account_id, line=line)

    async def export(self, period: int, format: str, *, caller: Caller) -> GivenOut:
        """A finalised period in one format, noted as given out. Raises WrongState before, BadInput for what it cannot say."""
        require(caller, "finance:write")
        standing = await self.closing.period(period)
        if standing.state not in CLOSED:
            raise WrongState(f"period {period} is {standing.state}; it can be exported when it is finalised", period=period)
        report = await self.closing.finalise(period, actor=caller.account_id)
        files = await asyncio.to_thread(exported, report, format)
        await self.closing.exported(period, files, actor=caller.account_id)
        return given_out(files, name=f"gridfare-{report.closed.month.start:%Y-%m}-{format}")

    async def held(self, caller: Caller) -> dict[str, int] | None:
        """What the processor holds, cents by currency; None where there is none."""
        require(caller, "finance:read")
        return await self.collection.held()

    async def runs(self, caller: Caller) -> list[PayoutRunView]:
        """Every payout run."""
        require(caller, "finance:read")
        return [_run_view(each) for each in await self.payouts.runs()]

    async def propose(self, currency: str, caller: Caller) -> PayoutRunView:
        """A payout run of what is owed now."""
        require(caller, "finance:write")
        return _run_view(await self.payouts.propose(currency, actor=caller.account_id))

    async def approve(self, currency: str, number: int, *, caller: Caller) -> PayoutRunView:
        """Let a run be paid."""
        require(caller, "finance:approve")
        return _run_view(await self.payouts.approve(currency, number, actor=caller.account_id))

    async def reject(self, currency: str, number: int, *, caller: Caller) -> PayoutRunView:
        """Let a proposed run go."""
        require(caller, "finance:approve")
        return _run_view(await self.payouts.reject(currency, number, actor=caller.account_id))

    async def pay(self, currency: str, number: int, *, caller: Caller) -> PayoutRunView:
        """Pay every line that is not paid."""
        require(caller, "finance:write")
        return _run_view(await self.payouts.pay(currency, number, actor=caller.account_id))

    async def end(self, currency: str, number: int, *, caller: Caller) -> PayoutRunView:
        """End a run whose last lines wait."""
        require(caller, "finance:write")
        return _run_view(await self.payouts.end(currency, number, actor=caller.account_id))

    async def clear(self, asked: ClearanceRequest, caller: Caller) -> Done:
        """Note that a buyer and a provider of one parent were looked at."""
        require(caller, "finance:approve")
        await self.payouts.clear(asked.account_id, asked.provider_id, actor=caller.account_id, note=asked.note)
        return Done(new=1)


def _run_view(run: PayoutRun) -> PayoutRunView:
    return PayoutRunView(
        currency=run.currency,
        number=run.number,
        state=run.state,
        cents=sum(line.cents for line in run.lines),
        lines=run.lines,
        paid=run.paid,
        waiting=run.waiting,
        history=act_views(run.history),
    )
