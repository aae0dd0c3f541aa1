"""A provider's own trade: why its offers sell or not, what another rate would have done, what it earned."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from broker.api.orders import KEY
from broker.app import Services
from broker.services.provider_views import GATES_MAX, IncomeView, RateAskedView, SalesView
from broker.services.views import Caller
from pricing.arrays import PRICE_MAX

Gates = Annotated[int, QueryParameter(ge=1, le=GATES_MAX, description="How many of the last gates to look at.")]
Rate = Annotated[int, QueryParameter(ge=0, le=PRICE_MAX, description="Micros per accelerator-hour, before energy.")]


class ProviderController(Controller):
    """For keys of providers with the scope `provider:read`; everything is of their own offers."""

    path = "/v1/provider"
    tags = ("provider",)
    security = KEY

    @get("/sales", operation_id="GetSales", summary="Why your offers sell or not")
    async def sales(self, services: NamedDependency[Services], caller: NamedDependency[Caller], *, gates: Gates = 7) -> SalesView:
        """Hours offered, leased, sold and left of each offer at the last gates, and what kept buyers from the rest.

        Every hour left has one cause: nobody asked, the buyers' conditions, dearer than they would pay, held back as headroom,
        or bought elsewhere. Nothing names a buyer.
        """
        return await services.providers.sales(caller, gates)

    @get("/offers/{offer_id:str}/at", operation_id="AskAtRate", summary="What another rate would have sold")
    async def at_rate(
        self,
        offer_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        rate_micros: Rate,
        gates: Gates = 7,
    ) -> RateAskedView:
        """The last gates cleared again with one offer of yours at another rate, each by itself; an hour sold more counts once."""
        return await services.providers.at_rate(caller, offer_id, rate_micros=rate_micros, gates=gates)

    @get("/income", operation_id="GetIncome", summary="What you earned, and how reliably you delivered")
    async def income(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> IncomeView:
        """What the ledger owes you and has paid you, your statements, your leases, and what your sites delivered and missed."""
        return await services.providers.income(caller)
