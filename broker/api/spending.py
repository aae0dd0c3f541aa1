"""What an account spends."""

from litestar import Controller, get
from litestar.di import NamedDependency

from broker.api.orders import KEY
from broker.app import Services
from broker.services.spend_views import SpendView
from broker.services.views import Caller


class SpendController(Controller):
    """The account's months, this month to its end, and what other plans would have cost."""

    path = "/v1/spend"
    tags = ("statements",)
    security = KEY

    @get("/", operation_id="GetSpend", summary="Your spend, its forecast, and plans compared on it")
    async def spend(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> SpendView:
        """Before tax. The forecast is the month at the pace so far; plans are compared on the same months, settled again by each."""
        return await services.spending.spend(caller)
