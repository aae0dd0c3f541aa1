"""What an account spends, where the month is going, and whether another plan would have been cheaper."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from broker.clock import Clock
from broker.services.ports import Accounts
from broker.services.spend_views import MonthSpend, PlanComparison, SpendPart, SpendView
from broker.services.views import Caller
from contracts.periods import CLOSED, PeriodStanding
from contracts.plan_comparison import MonthLine, PlanCost, at_pace, costs_by_plan, lines_of, month_total, own_book
from contracts.settlement_book import SettlementBook
from contracts.terms.money import half_up

MONTHS_SHOWN = 6
# Before so much of a month has passed its pace says nothing of where it goes.
PACE_AFTER = timedelta(days=2)
MICROSECOND = timedelta(microseconds=1)
CLEARED = "metered_cleared"


class Known(Protocol):
    """What an account is settled from."""

    async def usage_of(self, account_id: str, periods: Sequence[tuple[PeriodStanding, datetime]]) -> SettlementBook:
        """Its book over these periods, each as known at a moment."""
        ...

    async def plan_names(self) -> dict[str, str]:
        """What plans are called, by id."""
        ...

    async def ahead(self, account_id: str, *, since: datetime, until: datetime) -> int:
        """What its lease slots that begin in a span come to at their rates, micros."""
        ...


class Periods(Protocol):
    """The months of the market."""

    async def periods(self) -> list[PeriodStanding]:
        """Every month from the first to the present one."""
        ...


class SpendService:
    """Answers an account about its own spend."""

    def __init__(self, known: Known, periods: Periods, *, accounts: Accounts, clock: Clock, fee_bps: int) -> None:
        self._known = known
        self._periods = periods
        self._accounts = accounts
        self._clock = clock
        self._fee_bps = fee_bps

    async def spend(self, caller: Caller) -> SpendView:
        """The months so far, the present one to its end, and every plan on the same months. Raises NotFound for who has no account."""
        account, now = await self._accounts.account(caller.account_id), self._clock.now()
        periods = await self._periods.periods()
        book = await self._known.usage_of(account.id, [(each, self._until(each, now=now)) for each in periods])
        own = own_book(book, account.id)
        present = periods[-1]
        has_pace = now - present.month.start >= PACE_AFTER
        lines, costs = await asyncio.to_thread(_settled, own, at_pace(own, now=now) if has_pace else own, fee_bps=self._fee_bps)
        mine = next(cost for cost in costs if cost.plan_id == account.plan_id)
        spent = month_total(lines, present.period)
        ahead = await self._known.ahead(account.id, since=now, until=present.month.end)
        least = spent + ahead if mine.kind == CLEARED else spent
        shown = [each.period for each in periods[-MONTHS_SHOWN:]]
        return SpendView(
            account_id=account.id,
            currency=account.currency,
            as_of=now,
            plan_id=account.plan_id,
            month_start=present.month.start,
            month_end=present.month.end,
            passed_percent=half_up(100 * int((now - present.month.start).total_seconds()), int(present.month.seconds)),
            spent_micros=spent,
            ahead_micros=ahead,
            forecast_micros=max(mine.months[present.period], least) if has_pace else None,
            parts=[
                SpendPart(kind=line.kind, hardware=line.hardware, seconds=line.seconds, micros=line.micros)
                for line in lines
                if line.month == present.period
            ],
            months=[
                MonthSpend(
                    period=each.period,
                    month_start=each.month.start,
                    micros=month_total(lines, each.period),
                    closed=each.state in CLOSED,
                )
                for each in periods[-MONTHS_SHOWN:]
            ],
            plans=_compared(costs, own=account.plan_id, names=await self._known.plan_names(), months=shown),
        )

    def _until(self, period: PeriodStanding, *, now: datetime) -> datetime:
        """Until when what arrived counts: until the close, or now; later periods a little later, so that they stay apart."""
        return period.closes_at or now + period.period * MICROSECOND


def _settled(own: SettlementBook, paced: SettlementBook, *, fee_bps: int) -> tuple[list[MonthLine], list[PlanCost]]:
    return lines_of(own), costs_by_plan(paced, fee_bps=fee_bps)


def _compared(costs: Sequence[PlanCost], *, own: str, names: dict[str, str], months: Sequence[int]) -> list[PlanComparison]:
    """The plans over some months; the cheapest over these first."""
    sums = {cost.plan_id: sum(cost.months[month] for month in months) for cost in costs}
    found = [
        PlanComparison(
            plan_id=cost.plan_id,
            name=names.get(cost.plan_id, cost.plan_id),
            kind=cost.kind,
            own=cost.plan_id == own,
            months=[cost.months[month] for month in months],
            total_micros=sums[cost.plan_id],
            saves_micros=sums[own] - sums[cost.plan_id],
        )
        for cost in costs
    ]
    return sorted(found, key=lambda each: (each.total_micros, each.plan_id))
