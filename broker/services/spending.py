"""What an account spends, where the month is going, and whether another plan would have been cheaper."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from broker.clock import Clock
from broker.services.ports import Accounts
from broker.services.projects import named, with_default
from broker.services.spend_views import LeaseSpend, MonthSpend, PlanComparison, ProjectSpend, ProjectSpendView, SpendPart, SpendView
from broker.services.views import Caller
from contracts.periods import CLOSED, PeriodStanding
from contracts.plan_comparison import MonthLine, PlanCost, at_pace, costs_by_plan, lines_in, month_total, own_book
from contracts.settlement import settle
from contracts.settlement_book import SettlementBook
from contracts.spend_by_lease import NO_LEASE, LeaseMonth, by_lease
from contracts.terms.accounts import DEFAULT_PROJECT, Account, Project
from contracts.terms.errors import NotFound
from contracts.terms.money import half_up, largest_remainder

MONTHS_SHOWN = 6
# Before so much of a month has passed its pace says nothing of where it goes.
PACE_AFTER = timedelta(days=2)
MICROSECOND = timedelta(microseconds=1)
CLEARED = "metered_cleared"


class Bought(NamedTuple):
    """The lease that a part belongs to, and the project it is for."""

    lease_id: str
    project_id: str


class Known(Protocol):
    """What an account is settled from."""

    async def usage_of(self, account_id: str, periods: Sequence[tuple[PeriodStanding, datetime]]) -> SettlementBook:
        """Its book over these periods, each as known at a moment."""
        ...

    async def plan_names(self) -> dict[str, str]:
        """What plans are called, by id."""
        ...

    async def ahead(self, account_id: str, *, since: datetime, until: datetime) -> dict[str, int]:
        """What its lease slots that begin in a span come to at their rates, micros by project."""
        ...

    async def projects(self, account_id: str) -> list[Project]:
        """Its projects by name, without the default one."""
        ...

    async def leases(self, account_id: str) -> dict[str, Bought]:
        """What each part of its leases was bought for."""
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
        own = await self._own(account, periods, now=now)
        present = periods[-1]
        pace = now - present.month.start >= PACE_AFTER
        lines, leases, costs = await asyncio.to_thread(_settled, own, at_pace(own, now=now) if pace else own, fee_bps=self._fee_bps)
        mine = next(cost for cost in costs if cost.plan_id == account.plan_id)
        spent = month_total(lines, present.period)
        ahead = await self._known.ahead(account.id, since=now, until=present.month.end)
        least = spent + sum(ahead.values()) if mine.kind == CLEARED else spent
        forecast = max(mine.months[present.period], least) if pace else None
        shown = periods[-MONTHS_SHOWN:]
        passed = half_up(100 * int((now - present.month.start).total_seconds()), int(present.month.seconds))
        bought = await self._known.leases(account.id)
        shares = Shares(spent=_by_project(leases, bought), ahead=ahead, months=[each.period for each in shown], passed_percent=passed)
        projects = with_default(account.id, await self._known.projects(account.id))
        return SpendView(
            account_id=account.id,
            currency=account.currency,
            as_of=now,
            plan_id=account.plan_id,
            month_start=present.month.start,
            month_end=present.month.end,
            passed_percent=passed,
            spent_micros=spent,
            ahead_micros=sum(ahead.values()),
            forecast_micros=forecast,
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
                for each in shown
            ],
            plans=_compared(costs, own=account.plan_id, names=await self._known.plan_names(), months=[each.period for each in shown]),
            projects=shares.of(projects, forecast),
        )

    async def project(self, project: str, caller: Caller, *, period: int | None = None) -> ProjectSpendView:
        """One month of a project by id or name, the present one unless said, lease by lease. Raises NotFound."""
        account, now = await self._accounts.account(caller.account_id), self._clock.now()
        wanted = named(project, with_default(account.id, await self._known.projects(account.id)))
        periods = await self._periods.periods()
        month = next((each for each in periods if each.period == period), None) if period is not None else periods[-1]
        if month is None:
            raise NotFound(f"there is no period {period}", period=period)
        own = await self._own(account, periods, now=now)
        found = await asyncio.to_thread(_leases_of, own)
        bought = await self._known.leases(account.id)
        parts = [each for each in found if each.month == month.period and _bought(each, bought).project_id == wanted.id]
        leases: dict[str, LeaseSpend] = {}
        for part in parts:
            lease_id = _bought(part, bought).lease_id
            before = leases.get(lease_id, LeaseSpend(lease_id=lease_id or None, hardware=part.hardware, seconds=0, micros=0))
            leases[lease_id] = msgspec.structs.replace(before, seconds=before.seconds + part.seconds, micros=before.micros + part.micros)
        return ProjectSpendView(
            project_id=wanted.id,
            name=wanted.name,
            currency=account.currency,
            as_of=now,
            period=month.period,
            month_start=month.month.start,
            month_end=month.month.end,
            micros=sum(part.micros for part in parts),
            leases=sorted(
                (each for each in leases.values() if each.micros or each.seconds), key=lambda each: (-each.micros, each.lease_id or "")
            ),
        )

    async def _own(self, account: Account, periods: Sequence[PeriodStanding], *, now: datetime) -> SettlementBook:
        book = await self._known.usage_of(account.id, [(each, self._until(each, now=now)) for each in periods])
        return own_book(book, account.id)

    def _until(self, period: PeriodStanding, *, now: datetime) -> datetime:
        """Until when what arrived counts: until the close, or now; later periods a little later, so that they stay apart."""
        return period.closes_at or now + period.period * MICROSECOND


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """What projects have spent (project → month → seconds and micros) and agreed ahead, in which months, how much of the last is over."""

    spent: Mapping[str, Mapping[int, tuple[int, int]]]
    ahead: Mapping[str, int]
    months: Sequence[int]
    passed_percent: int

    def of(self, projects: Sequence[Project], forecast: int | None) -> list[ProjectSpend]:
        """Each project's part, of the forecast as its own pace would have it, and at least as it has spent and agreed."""
        spent = [self._spent(each.id, self.months[-1])[1] for each in projects]
        ahead = [self.ahead.get(each.id, 0) for each in projects]
        weights = [max(0, one * 100 // max(1, self.passed_percent), one + other) for one, other in zip(spent, ahead, strict=True)]
        forecasts = largest_remainder(forecast, weights) if forecast is not None else [None] * len(projects)
        return [
            ProjectSpend(
                project_id=each.id,
                name=each.name,
                archived=each.archived_at is not None,
                seconds=self._spent(each.id, self.months[-1])[0],
                spent_micros=spent[place],
                ahead_micros=ahead[place],
                forecast_micros=forecasts[place],
                months=[self._spent(each.id, month)[1] for month in self.months],
            )
            for place, each in enumerate(projects)
        ]

    def _spent(self, project_id: str, month: int) -> tuple[int, int]:
        return self.spent.get(project_id, {}).get(month, (0, 0))


def _settled(own: SettlementBook, paced: SettlementBook, *, fee_bps: int) -> tuple[list[MonthLine], list[LeaseMonth], list[PlanCost]]:
    settled = settle(own)
    lines = lines_in(settled)
    return lines, by_lease(own, settled, lines=lines), costs_by_plan(paced, fee_bps=fee_bps)


def _leases_of(own: SettlementBook) -> list[LeaseMonth]:
    settled = settle(own)
    return by_lease(own, settled, lines=lines_in(settled))


def _bought(part: LeaseMonth, bought: Mapping[str, Bought]) -> Bought:
    """What a settlement lease (`lease@rate`) was bought for; the default project bears what no lease brought."""
    return bought.get(part.lease_id.partition("@")[0], Bought(NO_LEASE, DEFAULT_PROJECT))


def _by_project(leases: Sequence[LeaseMonth], bought: Mapping[str, Bought]) -> dict[str, dict[int, tuple[int, int]]]:
    found: dict[str, dict[int, tuple[int, int]]] = {}
    for part in leases:
        months = found.setdefault(_bought(part, bought).project_id, {})
        seconds, micros = months.get(part.month, (0, 0))
        months[part.month] = (seconds + part.seconds, micros + part.micros)
    return found


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
