"""The market as its operator sees it: cycles checked again, providers, what is not believed, what broke, the rules in force."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from broker.api.orders import KEY
from broker.app import Services
from broker.services.operator_views import Incident, Overview, ProviderStanding, Quarantined, RulesView, VerdictView
from broker.services.replies import RequestKey
from broker.services.views import Caller, Page

Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]


class OperatorController(Controller):
    """For keys with the scope `operator`."""

    path = "/v1/operator"
    tags = ("operator",)
    security = KEY

    @get("/overview", operation_id="GetOverview", summary="What there is to look at")
    async def overview(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Overview:
        """Silent feeds, offers in quarantine, leases that wait for a place, and what runs at each tier in the order it would be shed."""
        return await services.operators.overview(caller)

    @post("/cycles/{number:int}/verify", operation_id="VerifyCycle", summary="Check a certificate again", status_code=200)
    async def verify(
        self,
        number: Number,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> VerdictView:
        """Every claim of a cycle's certificate, checked from the book it kept and without a solver; with the CPU time it took."""
        return await services.replies.once(
            lambda: services.operators.check(number, "verify", caller=caller), VerdictView, request=request_key
        )

    @post("/cycles/{number:int}/replay", operation_id="ReplayCycle", summary="Clear a cycle again", status_code=200)
    async def replay(
        self,
        number: Number,
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> VerdictView:
        """The book of a cycle cleared again; every table has to come out as it was stored, to the byte. Nothing is changed."""
        return await services.replies.once(
            lambda: services.operators.check(number, "replay", caller=caller), VerdictView, request=request_key
        )

    @get("/providers", operation_id="ListProviders", summary="How providers stand")
    async def providers(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[ProviderStanding]:
        """Every provider by name: what it offers and holds, how it delivered, how its feed stands."""
        return Page(items=await services.operators.providers(caller))

    @get("/quarantine", operation_id="ListQuarantine", summary="What is not believed")
    async def quarantine(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[Quarantined]:
        """Announced offers that nobody is sold, each with the reason."""
        return Page(items=await services.operators.quarantined(caller))

    @get("/incidents", operation_id="ListIncidents", summary="What went wrong")
    async def incidents(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[Incident]:
        """Leases that broke off or were called back, cycles that failed, feeds that broke their rules; the latest first."""
        return Page(items=await services.operators.incidents(caller))

    @get("/rules", operation_id="GetRules", summary="The rules in force")
    async def rules(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> RulesView:
        """The rules of the last cycle, to whom its offers are open, and the order in which leases would be shed."""
        return await services.operators.rules(caller)
