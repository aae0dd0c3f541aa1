"""What anyone may read: offers, prices, curves, cycles and their proofs."""

from datetime import datetime
from typing import Annotated, Literal

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from broker.app import Services
from broker.services.indication import Indication
from broker.services.market import PriceFilter
from broker.services.market_views import (
    CertificateView,
    Curve,
    CycleView,
    MarketNow,
    OfferQuery,
    OfferSearch,
    PriceView,
    RegionPrice,
    SlotPrice,
)
from broker.services.views import Page

Hardware = Annotated[str, QueryParameter(min_length=1, max_length=100, description="class of accelerator, e.g. `H100-SXM`")]
Slot = Annotated[datetime | None, QueryParameter(description="first instant of a slot; without it, the slot that sold most")]
Tier = Annotated[Literal["guaranteed", "standard", "spot"] | None, QueryParameter(description="one QoS tier; without it, all together")]
Before = Annotated[int | None, QueryParameter(name="cursor", ge=1, le=2**31 - 1, description="next_cursor of the page before")]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="how many at most")]
CycleNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 1, description="number of a cycle, from 1")]


class OfferController(Controller):
    """Offers compared."""

    path = "/v1/offers"
    tags = ("offers",)

    @get("/", operation_id="SearchOffers", summary="Find offers")
    async def search(self, services: NamedDependency[Services], offer_query: NamedDependency[OfferQuery]) -> OfferSearch:
        """Offers that meet every demand, compared all-in per reference hour, and why the others do not."""
        return await services.offers.search(offer_query)


class MarketController(Controller):
    """Prices and proofs."""

    path = "/v1/market"
    tags = ("market",)

    @get("/now", operation_id="GetMarketNow", summary="Prices now")
    async def now(self, services: NamedDependency[Services]) -> MarketNow:
        """Headline price of every hardware class and tier, its change, its age, and when the next gate closes."""
        return await services.market.now()

    @get("/indication", operation_id="GetIndication", summary="Indicative prices", sync_to_thread=False)
    def indication(self, services: NamedDependency[Services]) -> Indication:
        """What the next gate would clear at if it closed when this was worked out: prices nobody is bound by, to the cent.

        A class and tier is told where at least three buyers would win some of it, and anew only when the orders of nobody or of at
        least three buyers have changed.
        """
        return services.market.indication()

    @get("/curve", operation_id="GetCurve", summary="Supply and demand")
    async def curve(self, services: NamedDependency[Services], hardware: Hardware, *, slot: Slot = None) -> Curve:
        """Supply and demand of one class in one slot of the last applied cycle, with the clearing point."""
        return await services.market.curve(hardware, slot)

    @get("/regions", operation_id="ListRegions", summary="Prices by country")
    async def regions(self, services: NamedDependency[Services], hardware: Hardware, *, tier: Tier = None) -> Page[RegionPrice]:
        """The price of one class in each country, cheapest first; of one tier, or of all together."""
        return Page(items=await services.market.regions(hardware, tier))

    @get("/slots", operation_id="ListSlots", summary="Prices by slot")
    async def slots(self, services: NamedDependency[Services], hardware: Hardware) -> Page[SlotPrice]:
        """The price of one class in each slot and tier of the last applied cycle."""
        return Page(items=await services.market.slots(hardware))

    @get("/prices", operation_id="ListPrices", summary="Every published price")
    async def prices(self, services: NamedDependency[Services], price_filter: NamedDependency[PriceFilter]) -> Page[PriceView]:
        """Prices by pool, slot and tier with both ends of their tie range, a page at a time."""
        return await services.market.prices(price_filter)

    @get("/cycles", operation_id="ListCycles", summary="Cycles")
    async def cycles(self, services: NamedDependency[Services], before: Before = None, *, limit: Limit = 50) -> Page[CycleView]:
        """Every cycle of the market, newest first."""
        return await services.market.cycles(before=before, limit=limit)

    @get("/cycles/{number:int}/certificate", operation_id="GetCertificate", summary="The proof of a cycle")
    async def certificate(self, number: CycleNumber, services: NamedDependency[Services]) -> CertificateView:
        """The checks, figures and hashes that came with a cycle."""
        return await services.market.certificate(number)
