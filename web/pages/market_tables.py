"""The tables behind the market's charts: exact units, headings that say them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from broker.app import Services
from broker.services.price_history import HistoryQuery
from contracts.terms.errors import NotFound
from web.formats import moment
from web.i18n import gettext, later
from web.pages import market_words

RATE = later("rate, micros per accelerator-hour")
Cell = str | int | float | bool | datetime | None


class DataTable(msgspec.Struct, frozen=True, kw_only=True):
    """The rows behind a chart: headings with their units, cells in exact units (micros, UTC)."""

    title: str
    headings: list[str]
    rows: list[list[Cell]]

    @property
    def texts(self) -> list[bool]:
        """Of each column, whether it holds words: figures and times stand to the right."""
        return [any(isinstance(row[place], str) for row in self.rows) for place in range(len(self.headings))]


async def data_table(name: str, services: Services, *, hardware: str, slot: datetime | None) -> DataTable:
    """The table of a chart by name. Raises NotFound."""
    if name == "curve":
        return await _curve(services, hardware, slot=slot)
    if name not in TABLES:
        raise NotFound(f"there is no table {name}; there are curve, {', '.join(TABLES)}", table=name)
    return await TABLES[name](services, hardware)


async def _curve(services: Services, hardware: str, *, slot: datetime | None) -> DataTable:
    """Supply and demand, step by step."""
    curve = await services.market.curve(hardware, slot)
    return DataTable(
        title=gettext("Supply and demand of %(hardware)s, slot of %(slot)s UTC", hardware=hardware, slot=moment(curve.slot_start, "day")),
        headings=[later("side"), RATE, later("from, accelerators"), later("to, accelerators")],
        rows=[[step.side, step.rate_micros, step.quantity_from, step.quantity_to] for step in curve.steps],
    )


async def _regions(services: Services, hardware: str) -> DataTable:
    """What it costs where."""
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


async def _slots(services: Services, hardware: str) -> DataTable:
    """What it costs when."""
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


async def _loads(services: Services, hardware: str) -> DataTable:
    """When it was how full."""
    return DataTable(
        title=gettext("How full %(hardware)s was, by slot", hardware=hardware),
        headings=[later("slot, UTC"), later("sold, accelerators"), later("offered, accelerators")],
        rows=[[load.slot_start, load.sold, load.offered] for load in await services.market.loads(hardware)],
    )


async def _split(services: Services, hardware: str) -> DataTable:
    """What the price of each tier is made of."""
    return DataTable(
        title=gettext("What the price of %(hardware)s is made of, by tier", hardware=hardware),
        headings=[
            later("tier"),
            later("sold, accelerator-slots"),
            later("power, micros"),
            later("the machine, micros"),
            later("scarcity, micros"),
            later("headroom, micros"),
            RATE,
        ],
        rows=[
            [
                each.tier,
                each.sold,
                each.power_micros,
                each.machine_micros,
                each.scarcity_micros,
                each.headroom_micros,
                each.rate_micros,
            ]
            for each in await services.figures.split(hardware)
        ],
    )


async def _carbon(services: Services, hardware: str) -> DataTable:
    """What was emitted where."""
    return DataTable(
        title=gettext("Carbon of the %(hardware)s that was bought, by country", hardware=hardware),
        headings=[
            later("country"),
            later("grams of CO2 per reference hour"),
            later("reference hours of known carbon"),
            later("reference hours of unknown carbon"),
        ],
        rows=[[each.country, each.grams, each.reference_hours, each.hours_unknown] for each in await services.figures.carbon(hardware)],
    )


async def _indication(services: Services, _: str) -> DataTable:
    """What the next gate would clear at, every class."""
    indication = services.market.indication()
    return DataTable(
        title=gettext("If the gate closed now: indicative prices, nobody is bound by them"),
        headings=[later("class"), later("tier"), RATE, later("worked out at, UTC"), later("gate, UTC")],
        rows=[[each.hardware, each.tier, each.rate_micros, indication.worked_out_at, indication.gate_at] for each in indication.prices],
    )


async def _messages(services: Services, _: str) -> DataTable:
    """What changes what can be bought."""
    return DataTable(
        title=gettext("Messages of the last day, and maintenance ahead"),
        headings=[later("at, UTC"), later("until, UTC"), later("provider"), later("site"), later("class"), later("message")],
        rows=[
            [each.at, each.until, each.provider, each.site, each.hardware, market_words.message_words(each)]
            for each in await services.figures.messages()
        ],
    )


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


TABLES: Mapping[str, Callable[[Services, str], Awaitable[DataTable]]] = {
    "regions": _regions,
    "map": _regions,
    "slots": _slots,
    "loads": _loads,
    "split": _split,
    "carbon": _carbon,
    "history": _history,
    "indication": _indication,
    "messages": _messages,
}
