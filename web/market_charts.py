"""Charts of what a price is made of, where it is how dear, and what was emitted: Vega-Lite, in the house frame of `web.charts`."""

from collections.abc import Mapping, Sequence

from broker.services.market_figures import CountryCarbon, PriceSplit
from broker.services.market_views import RegionPrice
from contracts.terms.money import MICROS
from web.charts import Spec, axis_of, framed, told
from web.formats import quantity, rate
from web.i18n import gettext, later
from web.tiles import COLUMNS, ROWS, TILES, places

PARTS = (
    ("power_micros", later("power")),
    ("machine_micros", later("the machine")),
    ("scarcity_micros", later("scarcity")),
    ("headroom_micros", later("headroom")),
)
GAP = 0.06
# Of the deepest shade, so that words on it can be read in either theme.
SHADE_MIN, SHADE_MAX = 0.12, 0.5


def split_chart(split: PriceSplit, currency: str) -> Spec:
    """A price from its parts to its whole, a bar each, every one beginning where the one before ends."""
    values: list[Spec] = []
    reached = 0
    for name, word in PARTS:
        micros = getattr(split, name)
        values.append(_bar(gettext(word), low=reached, high=reached + micros, label=rate(micros)))
        reached += micros
    values.append(_bar(gettext("the price"), low=0, high=split.rate_micros, label=rate(split.rate_micros)) | {"whole": True})
    top = max(split.rate_micros, 1000) * 1.25 / MICROS
    x = axis_of("low", gettext("%(currency)s per accelerator-hour", currency=currency), top=top)
    y: Spec = {"field": "part", "type": "nominal", "sort": None, "title": None, "axis": _names_axis()}
    paint = {"condition": {"test": "datum.whole", "value": "role:ink"}, "value": "role:supply"}
    bars: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.56}},
        "encoding": {"x": x, "x2": {"field": "high"}, "y": y, "color": paint, "tooltip": told(part=gettext("part"), label=gettext("rate"))},
    }
    labels: Spec = {
        "mark": {"type": "text", "align": "left", "dx": 6, "color": "role:ink"},
        "encoding": {"x": {**x, "field": "high"}, "y": y, "text": {"field": "label"}},
    }
    return framed([bars, labels], height=30 * len(values) + 20, values=values)


def carbon_chart(found: Sequence[CountryCarbon], *, names: Mapping[str, str]) -> Spec:
    """One bar a country, the cleanest first: grams of CO2 a reference hour."""
    values: list[Spec] = [
        {
            "country": names.get(each.country or "", each.country or gettext("unknown")),
            "grams": each.grams,
            "label": f"{quantity(each.grams)} g",
            "hours": quantity(each.reference_hours),
        }
        for each in found
        if each.grams is not None
    ]
    top = max((each.grams for each in found if each.grams is not None), default=1.0) * 1.3
    x = axis_of("grams", gettext("grams of CO2 per reference hour"), top=top)
    y = {"field": "country", "type": "nominal", "sort": None, "title": None, "axis": _names_axis()}
    seen = told(country=gettext("country"), label=gettext("CO2 per reference hour"), hours=gettext("reference hours"))
    bars: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.56}, "color": "role:muted"},
        "encoding": {"x": x, "y": y, "tooltip": seen},
    }
    labels: Spec = {
        "mark": {"type": "text", "align": "left", "dx": 6, "color": "role:ink"},
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    return framed([bars, labels], height=26 * max(1, len(values)) + 40, values=values)


def map_chart(regions: Sequence[RegionPrice], *, names: Mapping[str, str]) -> Spec:
    """A tile a country, about where it lies, its price written on it: the dearer the stronger its colour, hollow where nothing traded."""
    known = [region for region in regions if region.country]
    at = places([str(region.country) for region in known])
    traded = [region.rate_micros for region in known if region.traded]
    values: list[Spec] = [
        _tile(*at[str(region.country)])
        | {
            "code": region.country,
            "country": names.get(str(region.country), str(region.country)),
            "rate": f"{region.rate_micros / MICROS:.2f}",
            "shade": _shade(region.rate_micros, traded) if region.traded else 0.0,
        }
        for region in known
    ]
    ground = [_tile(*place) for code, place in TILES.items() if code not in at]
    rows = max([ROWS, *(row + 1 for _, row in at.values())])
    x: Spec = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, COLUMNS], "nice": False}}
    y: Spec = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [rows, 0], "nice": False}}
    area: Spec = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"field": "y2"}}
    middle: Spec = {"x": {**x, "field": "mx"}, "y": {**y, "field": "my"}}
    seen = told(country=gettext("country"), rate=gettext("rate"))
    layers: list[Spec] = [
        {"data": {"values": ground}, "mark": {"type": "rect", "color": "role:rule", "opacity": 0.5}, "encoding": area},
        {
            "mark": {"type": "rect", "stroke": "role:supply", "strokeWidth": 1, "fill": "role:supply"},
            "encoding": {**area, "fillOpacity": {"field": "shade", "type": "quantitative", "scale": None}, "tooltip": seen},
        },
        _written("code", middle, dy=-6, weight=600),
        _written("rate", middle, dy=7, weight=400),
    ]
    return framed(layers, height=30 * rows, values=values)


def _bar(part: str, *, low: int, high: int, label: str) -> Spec:
    return {"part": part, "low": low / MICROS, "high": high / MICROS, "label": label, "whole": False}


def _tile(column: int, row: int) -> Spec:
    return {"x": column + GAP, "x2": column + 1 - GAP, "y": row + GAP, "y2": row + 1 - GAP, "mx": column + 0.5, "my": row + 0.5}


def _shade(micros: int, traded: Sequence[int]) -> float:
    """How dark: from the cheapest that traded to the dearest."""
    low, high = min(traded), max(traded)
    return SHADE_MIN + (SHADE_MAX - SHADE_MIN) * ((micros - low) / (high - low) if high > low else 0.5)


def _written(field: str, place: Spec, *, dy: int, weight: int) -> Spec:
    mark = {"type": "text", "color": "role:ink", "fontSize": 10, "dy": dy, "fontWeight": weight}
    return {"mark": mark, "encoding": {**place, "text": {"field": field}}}


def _names_axis() -> Spec:
    return {"ticks": False, "domain": False, "labelPadding": 8, "labelLimit": 130, "grid": False}
