"""The tables behind the market's charts: exact units, headings that say them."""

from datetime import datetime

import msgspec

from broker.app import Services
from broker.services.price_history import HistoryQuery
from contracts.terms.errors import NotFound
from web.formats import moment
from web.i18n import gettext, later

RATE = later("rate, micros per accelerator-hour")
Cell = str | int | float | bool | datetime | None


class DataTable(msgspec.Struct, frozen=True, kw_only=True):
    """The rows behind a chart: headings with their units, cells in exact units (micros, UTC)."""

    title: str
    headings: list[str]
    rows: list[list[Cell]]


async def data_table(name: str, services: Services, *, hardware: str, slot: datetime | None) -> DataTable:
    """The table of a chart by name. Raises NotFound."""
    match name:
        case "curve":
            curve = await services.market.curve(hardware, slot)
            return DataTable(
                title=gettext(
                    "Supply and demand of %(hardware)s, slot of %(slot)s UTC", hardware=hardware, slot=moment(curve.slot_start, "day")
                ),
                headings=[later("side"), RATE, later("from, accelerators"), later("to, accelerators")],
                rows=[[step.side, step.rate_micros, step.quantity_from, step.quantity_to] for step in curve.steps],
            )
        case "regions":
            return DataTable(
                title=gettext("Price of %(hardware)s by country", hardware=hardware),
                headings=[
                    later("country"),
                    RATE,
                    later("traded"),
                    later("sold, accelerator-hours"),
                    later("offered, accelerator-hours"),
                    later("sites"),
                ],
                rows=[
                    [region.country, region.rate_micros, region.traded, region.sold_hours, region.offered_hours, region.sites]
                    for region in await services.market.regions(hardware)
                ],
            )
        case "slots":
            return DataTable(
                title=gettext("Price of %(hardware)s by slot and tier", hardware=hardware),
                headings=[
                    later("slot, UTC"),
                    later("tier"),
                    RATE,
                    later("traded"),
                    later("sold, accelerators"),
                    later("offered, accelerators"),
                ],
                rows=[
                    [each.slot_start, each.tier, each.rate_micros, each.traded, each.sold, each.offered]
                    for each in await services.market.slots(hardware)
                ],
            )
        case "loads":
            return DataTable(
                title=gettext("How full %(hardware)s was, by slot", hardware=hardware),
                headings=[later("slot, UTC"), later("sold, accelerators"), later("offered, accelerators")],
                rows=[[load.slot_start, load.sold, load.offered] for load in await services.market.loads(hardware)],
            )
        case "history":
            return await _history(services, hardware)
    raise NotFound(f"there is no table {name}; there are curve, regions, slots, loads and history", table=name)


async def _history(services: Services, hardware: str) -> DataTable:
    """What was asked and paid, by the hour."""
    points = (await services.prices.history(HistoryQuery(hardware=hardware))).points
    return DataTable(
        title=gettext("What was asked and paid for %(hardware)s, by hour", hardware=hardware),
        headings=[
            later("hour, UTC"),
            later("offers"),
            later("asked, 10th percentile, micros"),
            later("asked, middle, micros"),
            later("asked, 90th percentile, micros"),
            later("paid, micros"),
        ],
        rows=[
            [
                each.hour,
                each.offers,
                each.rate_p10_micros,
                each.rate_p50_micros,
                each.rate_p90_micros,
                each.cleared_micros,
            ]
            for each in points
        ],
    )
