"""A ceiling kept in memory; nothing is ever agreed or held."""

from typing import Any

from broker.services.budgets import BudgetService
from contracts.terms.accounts import Account


class FakeBudgets:
    """The store of ceilings."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def budget(self, account_id):
        return self.kept.get(account_id)

    async def put(self, budget):
        self.kept[budget.account_id] = budget

    async def drop(self, account_id):
        self.kept.pop(account_id, None)

    async def agreed(self, account_id, span, *, now):
        return 0

    async def held(self, account_id):
        return 0


class Anybody:
    """Every account there could be, in dollars."""

    async def account(self, account_id):
        facts = {"country": "FR", "parent_country": "FR", "plan_id": "metered", "currency": "USD", "tax_bps": 0, "take_bps": 0}
        return Account(id=account_id, name=account_id, credit_limit_micros=0, **facts)

    lock = account


def fake_budgets(clock) -> BudgetService:
    """The service on it."""
    return BudgetService(FakeBudgets(), Anybody(), clock=clock)
