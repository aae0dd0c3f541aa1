"""*Market now*: what it costs, where it is cheapest, whether it rises; and the tables behind the charts."""

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from jinja2.utils import htmlsafe_json_dumps
from litestar import Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.plugins.htmx import HTMXRequest
from litestar.response import Template
from markupsafe import Markup

from broker.app import Services
from broker.services.market_figures import CountryCarbon, PriceSplit
from broker.services.market_past import Moves, SlotLoad
from broker.services.market_views import ClassPrice, Curve, MarketNow, RegionPrice, SlotPrice
from broker.services.price_history import HistoryQuery, PricePoint
from contracts.terms.errors import NotFound
from contracts.terms.hardware import REFERENCE_CLASS
from contracts.terms.tables import TIERS
from web import charts, market_charts
from web.formats import moment
from web.i18n import gettext, language
from web.pages import market_words, words
from web.pages.kept import Kept
from web.pages.market_live import messages_part, next_part
from web.pages.market_tables import data_table

Hardware = Annotated[str | None, QueryParameter(max_length=100)]
Slot = Annotated[datetime | None, QueryParameter()]
Seen = Annotated[int | None, QueryParameter()]


class ClassRow(msgspec.Struct, frozen=True, kw_only=True):
    """One hardware class of the price table, its tiers side by side."""

    hardware: str
    tiers: dict[str, ClassPrice]
    sold_hours: float
    left_hours: float
    sites: int


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A chart, what it shows in one sentence, and the table it is drawn from."""

    name: str
    title: str
    finding: str
    spec: charts.Spec
    note: str = ""
    remark: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the charts of one class are drawn from."""

    curve: Curve
    regions: list[RegionPrice]
    splits: list[PriceSplit]
    carbon: list[CountryCarbon]
    slots: list[SlotPrice]
    loads: list[SlotLoad]
    history: list[PricePoint]


class ClassPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the page says of one class in one language: a sentence, how it moved, the charts with their data as it is sent."""

    headline: str
    moves: Moves | None
    curve: Curve | None
    figures: list[Figure]
    drawn: dict[str, Markup]


@get("/", include_in_schema=False)
async def market_now(
    request: HTMXRequest, services: NamedDependency[Services], *, hardware: Hardware = None, slot: Slot = None, seen: Seen = None
) -> Template | Response[None]:
    """Prices of the last cycle and the curve behind the chosen one; nothing new for a reader who has seen this cycle."""
    now = await services.market.now()
    if request.htmx and now.cycle is not None and seen == now.cycle.number:
        return Response(None, status_code=204)
    rows = class_rows(now)
    chosen = hardware or _usual(rows)
    part = await _part(services, now, chosen=chosen, slot=slot, state=request.app.state)
    context = {
        **next_part(services, now, hardware=chosen),
        **await messages_part(services),
        "gate": await services.market.gate(),
        "now": now,
        "rows": rows,
        "tiers": TIERS[::-1],
        "chosen": chosen,
        "part": part,
        "curve": part.curve,
        "figures": part.figures,
        "headline": part.headline,
        "moves": part.moves,
        "query": _address(chosen, slot),
        "origin": str(request.base_url).rstrip("/"),
    }
    name = "_market.html" if request.htmx else "market.html"
    return Template(name, context=context, headers={"Vary": "HX-Request", "Cache-Control": "no-cache"})


@get("/market/{name:str}", include_in_schema=False)
async def table(
    name: FromPath[str], services: NamedDependency[Services], *, hardware: Hardware = REFERENCE_CLASS, slot: Slot = None
) -> Template:
    """The table behind a chart."""
    data = await data_table(name, services, hardware=hardware or REFERENCE_CLASS, slot=slot)
    return Template("table.html", context={"name": name, "data": data, "query": _address(hardware, slot)})


@get("/market/{name:str}/csv", include_in_schema=False)
async def table_csv(
    name: FromPath[str], services: NamedDependency[Services], *, hardware: Hardware = REFERENCE_CLASS, slot: Slot = None
) -> Response[bytes]:
    """The same table as CSV."""
    data = await data_table(name, services, hardware=hardware or REFERENCE_CLASS, slot=slot)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(data.headings)
    writer.writerows(
        [["" if cell is None else cell.isoformat() if isinstance(cell, datetime) else cell for cell in row] for row in data.rows]
    )
    disposition = f'attachment; filename="gridfare-{name}.csv"'
    return Response(out.getvalue().encode(), media_type="text/csv", headers={"Content-Disposition": disposition})


@get("/market/{name:str}/svg", include_in_schema=False)
async def chart_svg(
    name: FromPath[str],
    request: HTMXRequest,
    services: NamedDependency[Services],
    *,
    hardware: Hardware = REFERENCE_CLASS,
    slot: Slot = None,
) -> Response[str]:
    """A chart for readers without scripts; `theme` is light or dark."""
    part = await _part(services, await services.market.now(), chosen=hardware or REFERENCE_CLASS, slot=slot, state=request.app.state)
    spec = next((figure.spec for figure in part.figures if figure.name == name), None)
    if spec is None:
        raise NotFound(f"there is no chart {name}", chart=name)
    theme = "dark" if request.query_params.get("theme") == "dark" else "light"
    # Drawing holds the interpreter for some 30 ms, too long for the event loop.
    drawn = await asyncio.to_thread(charts.svg, spec, theme)
    return Response(drawn, media_type="image/svg+xml")


def class_rows(now: MarketNow) -> list[ClassRow]:
    """The price table: what sold most first, then by name."""
    by_class: dict[str, list[ClassPrice]] = {}
    for price in now.prices:
        by_class.setdefault(price.hardware, []).append(price)
    rows = [
        ClassRow(
            hardware=hardware,
            tiers={price.tier: price for price in prices},
            sold_hours=sum(price.sold_hours for price in prices),
            left_hours=max(price.left_hours for price in prices),
            sites=max(price.sites for price in prices),
        )
        for hardware, prices in by_class.items()
    ]
    return sorted(rows, key=lambda row: (-row.sold_hours, row.hardware))


async def _part(services: Services, now: MarketNow, *, chosen: str | None, slot: datetime | None, state: State) -> ClassPart:
    """The part about a class, worked out once a minute for all its readers. Raises NotFound for a class or a slot nobody offers."""

    async def make() -> ClassPart:
        rows = class_rows(now)
        shown = await _shown(services, chosen, slot=slot) if chosen else None
        figures = _figures(shown, now.currency, state=state) if shown else []
        return ClassPart(
            headline=await _headline(rows, chosen, services=services, state=state, currency=now.currency),
            moves=await _moves(rows, chosen, services=services),
            curve=shown.curve if shown else None,
            figures=figures,
            drawn={figure.name: htmlsafe_json_dumps(figure.spec) for figure in figures},
        )

    kept: Kept[ClassPart] = state.kept
    moment = (now.cycle.cycle_id if now.cycle else "", now.as_of.replace(second=0, microsecond=0))
    return await kept.get((chosen, slot, language()), make, moment=moment)


async def _shown(services: Services, hardware: str, *, slot: datetime | None) -> Shown:
    return Shown(
        curve=await services.market.curve(hardware, slot),
        regions=await services.market.regions(hardware),
        splits=await services.figures.split(hardware),
        carbon=await services.figures.carbon(hardware),
        slots=await services.market.slots(hardware),
        loads=await services.market.loads(hardware),
        history=(await services.prices.history(HistoryQuery(hardware=hardware))).points,
    )


def _address(hardware: str | None, slot: datetime | None) -> str:
    """The query string that shows this class and slot again."""
    fields = {"hardware": hardware, "slot": moment(slot, "iso") if slot else None}
    return urlencode({name: value for name, value in fields.items() if value})


def _usual(rows: Sequence[ClassRow]) -> str | None:
    """The class a reader most likely came for: the reference class where it is traded, else the busiest."""
    names = [row.hardware for row in rows]
    return REFERENCE_CLASS if REFERENCE_CLASS in names else (names[0] if names else None)


async def _headline(rows: Sequence[ClassRow], chosen: str | None, *, services: Services, state: State, currency: str) -> str:
    """The chosen class in a sentence: the tier that sold most, and where that tier was cheapest."""
    row = next((row for row in rows if row.hardware == chosen), None)
    busiest = words.busiest(row.tiers.values()) if row else None
    if row is None or busiest is None:
        return words.headline(chosen or "accelerator", None, currency=currency, cheapest=None)
    regions = await services.market.regions(row.hardware, busiest.tier)
    cheapest = next(((words.country(region.country, state.countries), region.rate_micros) for region in regions if region.traded), None)
    return words.headline(row.hardware, busiest, currency=currency, cheapest=cheapest)


async def _moves(rows: Sequence[ClassRow], chosen: str | None, *, services: Services) -> Moves | None:
    """How the chosen class moved, at the tier that sold most."""
    row = next((row for row in rows if row.hardware == chosen), None)
    busiest = words.busiest(row.tiers.values()) if row else None
    return await services.market.moves(busiest.hardware, busiest.tier) if busiest else None


def _figures(shown: Shown, currency: str, *, state: State) -> list[Figure]:
    """The charts of a class; without a record yet there is no history to draw."""
    return [
        *_present(shown, currency, state=state),
        *_worked_out(shown, currency, state=state),
        *_in_time(shown, currency, state=state),
        *_recorded(shown, currency),
    ]


def _present(shown: Shown, currency: str, *, state: State) -> list[Figure]:
    return [
        Figure(
            name="curve",
            title=gettext("Supply and demand"),
            finding=words.curve_finding(shown.curve),
            spec=charts.curve_chart(shown.curve, currency),
            note=gettext(
                "All tiers and places together. Policy, distance and tiers keep some orders from meeting, and a bid that accepts "
                "several classes is counted in each, so lines may cross away from the point."
            ),
            remark=words.range_note(shown.curve),
        ),
        Figure(
            name="regions",
            title=gettext("By country, all tiers"),
            finding=words.region_finding(shown.regions, state.countries),
            spec=charts.region_chart(shown.regions, currency, names=words.country_names(state.countries)),
        ),
    ]


def _worked_out(shown: Shown, currency: str, *, state: State) -> list[Figure]:
    names = words.country_names(state.countries)
    split = market_words.main_split(shown.splits)
    made_of = [
        Figure(
            name="split",
            title=gettext("What the price is made of"),
            finding=market_words.split_finding(split),
            spec=market_charts.split_chart(split, currency),
            note=gettext(
                "Power is what energy cost there and then, the machine what else providers wanted; scarcity is what was paid beyond "
                "that, headroom the premium of the tier."
            ),
        )
        for split in [split]
        if split is not None
    ]
    return [
        *made_of,
        Figure(
            name="map",
            title=gettext("Where it is how dear"),
            finding=market_words.map_finding(shown.regions),
            spec=market_charts.map_chart(shown.regions, names=names),
            note=gettext("A tile a country, about where it lies: the dearer the stronger its colour, hollow where nothing traded."),
        ),
    ]


def _in_time(shown: Shown, currency: str, *, state: State) -> list[Figure]:
    return [
        Figure(
            name="slots",
            title=gettext("Through the day"),
            finding=words.slot_finding(shown.slots),
            spec=charts.slot_chart(shown.slots, currency),
        ),
        Figure(
            name="loads",
            title=gettext("How full, by hour and day"),
            finding=words.load_finding(shown.loads),
            spec=charts.load_chart(shown.loads),
        ),
        *([_carbon(shown, state=state)] if shown.carbon else []),
    ]


def _carbon(shown: Shown, *, state: State) -> Figure:
    return Figure(
        name="carbon",
        title=gettext("Carbon of what was bought"),
        finding=market_words.carbon_finding(shown.carbon, state.countries),
        spec=market_charts.carbon_chart(shown.carbon, names=words.country_names(state.countries)),
    )


def _recorded(shown: Shown, currency: str) -> list[Figure]:
    if not shown.history:
        return []
    return [
        Figure(
            name="history",
            title=gettext("Asked and paid, last seven days"),
            finding=words.history_finding(shown.history),
            spec=charts.history_chart(shown.history, currency),
        ),
    ]
