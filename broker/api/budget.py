"""The most an account, or one of its projects, may agree to in a month."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from broker.api.orders import KEY
from broker.app import Services
from broker.services.budgets import BudgetRequest, BudgetView
from broker.services.replies import RequestKey
from broker.services.views import Caller

OfProject = Annotated[str | None, QueryParameter(max_length=200, description="whose budget, by id or name; the account's own without it")]


class BudgetController(Controller):
    """The account's ceilings."""

    path = "/v1/budget"
    tags = ("statements",)
    security = KEY

    @get("/", operation_id="GetBudget", summary="Your budget, and how the month stands against it")
    async def budget(
        self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, project: OfProject = None
    ) -> BudgetView:
        """What leases of this month come to at their rates, what open bids hold, and what is left of the budget."""
        return await services.budgets.budget(caller, project)

    @post("/", operation_id="SetBudget", summary="Set a budget, or take it away", status_code=200)
    async def set_budget(
        self,
        data: JSONBody[BudgetRequest],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> BudgetView:
        """From now on no bid or quote is taken that could lead past it (402 `budget_exceeded`). What is agreed already stays."""
        return await services.replies.once(lambda: services.budgets.put(data, caller), BudgetView, request=request_key)
