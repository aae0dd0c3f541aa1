"""Prices by the hour."""

import re
from typing import Annotated

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from broker.app import Services
from broker.services.price_history import HOURS_MAX, HistoryQuery, PriceHistory, as_csv

Hardware = Annotated[str | None, QueryParameter(min_length=1, max_length=100, description="class of accelerator, e.g. `H100-SXM`")]
OfferId = Annotated[str | None, QueryParameter(min_length=1, max_length=100, description="one offer, in place of a class")]
Hours = Annotated[int, QueryParameter(ge=1, le=HOURS_MAX, description="hours up to the present one")]


class PriceHistoryController(Controller):
    """What it has cost."""

    path = "/v1/prices"
    tags = ("market",)

    @get("/history", operation_id="GetPriceHistory", summary="Prices by the hour")
    async def history(
        self, services: NamedDependency[Services], hardware: Hardware = None, *, offer_id: OfferId = None, hours: Hours = 168
    ) -> PriceHistory:
        """What was asked for a class each hour, at the 10th, 50th and 90th percentile of its offers, and what was paid.

        Or, with `offer_id`, what one offer asked.
        """
        return await services.prices.history(HistoryQuery(hardware=hardware, offer_id=offer_id, hours=hours))

    @get("/history.csv", operation_id="GetPriceHistoryCsv", summary="Prices by the hour, as CSV", media_type="text/csv")
    async def table(
        self, services: NamedDependency[Services], hardware: Hardware = None, *, offer_id: OfferId = None, hours: Hours = 168
    ) -> Response[str]:
        """The same, one line an hour."""
        found = await services.prices.history(HistoryQuery(hardware=hardware, offer_id=offer_id, hours=hours))
        # A header says ASCII only, and the name is the caller's.
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"gridfare-prices-{hardware or offer_id}.csv")
        return Response(as_csv(found), media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})
