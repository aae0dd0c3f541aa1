"""What an account spends."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from broker.api.orders import KEY
from broker.app import Services
from broker.services.spend_views import ProjectSpendView, SpendView
from broker.services.views import Caller

OfPeriod = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="the number of the month; the present one without it")]


class SpendController(Controller):
    """The account's months, this month to its end, and what other plans would have cost."""

    path = "/v1/spend"
    tags = ("statements",)
    security = KEY

    @get("/", operation_id="GetSpend", summary="Your spend, its forecast, and plans compared on it")
    async def spend(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> SpendView:
        """Before tax. The forecast is the month at the pace so far; plans are compared on the same months, settled again by each."""
        return await services.spending.spend(caller)

    @get("/projects/{project:str}", operation_id="GetProjectSpend", summary="A project's spend in a month, lease by lease")
    async def project(
        self, project: FromPath[str], services: NamedDependency[Services], *, caller: NamedDependency[Caller], period: OfPeriod = None
    ) -> ProjectSpendView:
        """Before tax. Fees, takes and credits are shared among the leases they are for, so that leases add up to the month."""
        return await services.spending.project(project, caller, period=period)
