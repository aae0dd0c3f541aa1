"""A buyer's spend in memory: two months on a metered plan, the second half over, and two other plans to compare."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from broker.clock import Clock
from broker.services.projects import Projects
from broker.services.spending import Bought, SpendService
from contracts.periods import PeriodStanding, standing_of
from contracts.settlement_book import SettlementBook
from contracts.terms.accounts import Account, Project
from contracts.terms.errors import NotFound
from contracts.terms.time import month_of
from tests.contracts.months import book_of

BUYER, USD, HOUR = "acct_buyer", 1_000_000, timedelta(hours=1)
NONE = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
NAMES = {"metered": "Metered", "flat-rate": "Flat rate", "committed": "Committed"}


class FakeKnown:
    """80 accelerator-hours at 2.00 a day of the month before, and of the present one so far; 96.00 agreed ahead.

    All of what is delivered is for the first project there is, what is agreed ahead for none.
    """

    def __init__(self, clock: Clock, projects: Projects) -> None:
        self._now = clock.now()
        self._projects = projects

    async def usage_of(self, account_id: str, periods: Sequence[tuple[PeriodStanding, datetime]]) -> SettlementBook:
        first, days = periods[0][0].month.start, (self._now - periods[0][0].month.start).days
        usage = [
            {"usage_id": f"u{day:03d}", "rev": 0, "lease_id": "l1", "start": first + timedelta(days=day),
             "end": first + timedelta(days=day) + 10 * HOUR, "accelerator_seconds": 80 * 3600, "status": "delivered",
             "received_at": first + timedelta(days=day) + 11 * HOUR}
            for day in range(days)
        ]  # fmt: skip
        lease = {"provider_id": "prv_nebius", "hardware": "H100-SXM", "accelerators": 8, "tier": "standard", "rate_micros": 2 * USD}
        account = {"name": "Atelier Lumière", "plan_id": "metered", "tax_bps": 2000, "take_bps": 100, "currency": "USD", "country": "FR"}
        return book_of(
            {
                "usage": usage,
                "leases": [{"lease_id": "l1", "account_id": account_id, **lease}],
                "accounts": [{"account_id": account_id, **account}],
                "hardware": [{"hardware": "H100-SXM", "tflops": 989}],
                "plans": [
                    {"plan_id": "metered", "kind": "metered_cleared", **NONE},
                    {"plan_id": "flat-rate", "kind": "flat_rate", **NONE, "fee_micros": 3_000 * USD, "fair_use_units": 10**13},
                    {"plan_id": "committed", "kind": "committed", **NONE, "unit_price_micros": 60 * USD, "commit_micros": 6_000 * USD},
                ],
                "periods": [
                    {"period": each.period, "month_start": each.month.start, "month_end": each.month.end, "closes_at": until}
                    for each, until in periods
                ],
                "sla": [],
            }
        )

    async def plan_names(self) -> dict[str, str]:
        return NAMES

    async def ahead(self, account_id: str, *, since: datetime, until: datetime) -> dict[str, int]:
        return {"default": 96 * USD}

    async def projects(self, account_id: str) -> list[Project]:
        return await self._projects.of_account(account_id)

    async def leases(self, account_id: str) -> dict[str, Bought]:
        kept = await self.projects(account_id)
        return {"l1": Bought("lse_running", kept[0].id if kept else "default")}


class TwoPeriods:
    """The month before, closed, and the present one."""

    def __init__(self, clock: Clock) -> None:
        self._present = month_of(clock.now())

    async def periods(self) -> list[PeriodStanding]:
        before = month_of(self._present.start - HOUR)
        closed = standing_of(1, before, history=(), closed_at=before.end + 6 * HOUR)
        return [closed, standing_of(2, self._present, history=(), closed_at=None)]


class OneAccount:
    """The buyer alone."""

    async def account(self, account_id: str) -> Account:
        if account_id != BUYER:
            raise NotFound(f"no account has the id {account_id}", account_id=account_id)
        return Account(
            id=BUYER, name="Atelier Lumière", country="FR", parent_country="FR", plan_id="metered", currency="USD", tax_bps=2000,
            take_bps=100, credit_limit_micros=10**9,
        )  # fmt: skip


def fake_spending(clock: Clock, projects: Projects) -> SpendService:
    """The service on these months, with whatever projects there are."""
    return SpendService(FakeKnown(clock, projects), TwoPeriods(clock), accounts=OneAccount(), clock=clock, fee_bps=100)  # type: ignore[arg-type]
