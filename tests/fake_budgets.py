"""Ceilings and projects kept in memory; nothing is ever agreed or held."""

import os
from typing import Any

import msgspec

from broker.services.budgets import BudgetService
from broker.services.projects import ProjectService
from contracts.terms.accounts import Account


class FakeBudgets:
    """The store of ceilings."""

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}

    async def budgets(self, account_id):
        return sorted((each for each in self.kept.values() if each.account_id == account_id), key=lambda each: each.project_id or "")

    async def put(self, budget):
        self.kept[budget.account_id, budget.project_id] = budget

    async def drop(self, account_id, project_id):
        self.kept.pop((account_id, project_id), None)

    async def agreed(self, account_id, span, *, now):
        return {}

    async def held(self, account_id):
        return {}

    async def tell(self, messages):
        raise AssertionError("nothing is held, so nothing is reached")


class FakeProjects:
    """The store of projects."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def of_account(self, account_id):
        return sorted((each for each in self.kept.values() if each.account_id == account_id), key=lambda each: (each.name, each.id))

    async def put(self, project):
        self.kept[project.id] = msgspec.structs.replace(project)


class Anybody:
    """Every account there could be, in dollars."""

    async def account(self, account_id):
        facts = {"country": "FR", "parent_country": "FR", "plan_id": "metered", "currency": "USD", "tax_bps": 0, "take_bps": 0}
        return Account(id=account_id, name=account_id, credit_limit_micros=0, **facts)

    lock = account


def fake_budgets(clock, members, projects: FakeProjects) -> dict[str, Any]:
    """The services of ceilings and projects on one store."""
    accounts = Anybody()
    return {
        "budgets": BudgetService(FakeBudgets(), accounts, projects=projects, clock=clock),
        "projects": ProjectService(projects, accounts, members=members, clock=clock, entropy=os.urandom),
    }
