"""Charts as Vega-Lite specifications, drawn by the same code in the browser and on the server.

Colours are roles (`role:supply`): the browser puts in the custom properties of the page, the server a palette,
so a chart follows the reader's light or dark and the stylesheet stays the one place that knows a colour.
Colour is never alone: supply is solid, demand dashed, what did not trade is hollow.
"""

from collections.abc import Mapping, Sequence

import vl_convert

from broker.services.market_past import SlotLoad
from broker.services.market_views import Curve, CurveStep, RegionPrice, SlotPrice
from broker.services.price_history import PricePoint
from contracts.terms.money import MICROS
from web.formats import quantity, rate, word
from web.i18n import gettext

Spec = dict[str, object]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
PALETTES = {
    "light": {
        "supply": "#0f6b62", "demand": "#a8480f", "ink": "#15181e", "muted": "#59606c", "rule": "#e3e3dd", "card": "#ffffff",
    },
    "dark": {
        "supply": "#5cc7b8", "demand": "#f0a267", "ink": "#eceef1", "muted": "#a2a9b5", "rule": "#2c313a", "card": "#171a20",
    },
}  # fmt: skip
TIER_LINES = {"spot": ("supply", [1, 0]), "standard": ("ink", [6, 3]), "guaranteed": ("muted", [2, 3])}
LABEL_GAP = 0.08


def curve_chart(curve: Curve, currency: str) -> Spec:
    """Supply rising, demand falling, the clearing point labelled. x accelerators, y currency per accelerator-hour."""
    top = _rate_in_sight(curve) * 1.08 / MICROS
    supplied = max((step.quantity_to for step in curve.steps if step.side == "supply"), default=1)
    lines = [{**point, "side": side} for side in ("supply", "demand") for point in _staircase(curve.steps, side)]
    x = axis_of("quantity", gettext("accelerators"), top=max(supplied, curve.clearing_quantity) * 1.02)
    y = axis_of("rate", gettext("%(currency)s per accelerator-hour", currency=currency), top=top)
    layers: list[Spec] = [
        {
            "data": {"values": lines},
            "transform": [{"filter": f"datum.side == '{side}'"}],
            "mark": {"type": "line", "clip": True, "strokeWidth": 2, "color": f"role:{side}", "strokeDash": dash, "strokeJoin": "miter"},
            "encoding": {"x": x, "y": y, "order": {"field": "order"}},
        }
        for side, dash in (("supply", [1, 0]), ("demand", [6, 4]))
    ]
    layers += [_line_label(curve.steps, side, x=x, y=y, top=top) for side in ("supply", "demand")]
    if curve.clearing_rate_micros is not None:
        layers += [*_tie_range(curve, x=x, y=y), *_clearing_point(curve, x=x, y=y)]
    return framed(layers, height=300)


def _rate_in_sight(curve: Curve) -> int:
    """The highest rate worth drawing: a few bids far above the price would press everything else flat."""
    rates = [step.rate_micros for step in curve.steps]
    if curve.clearing_rate_micros is None:
        return max((step.rate_micros for step in curve.steps if step.side == "supply"), default=MICROS)
    return min(max(rates, default=MICROS), 5 * curve.clearing_rate_micros // 2)


def region_chart(regions: Sequence[RegionPrice], currency: str, *, names: Mapping[str, str]) -> Spec:
    """One bar a country, cheapest first; hollow where nothing traded."""
    top = max((region.rate_micros for region in regions), default=MICROS) * 1.5 / MICROS
    values: list[Spec] = [
        {
            "country": names.get(region.country or "", region.country or gettext("unknown")),
            "rate": region.rate_micros / MICROS,
            "label": f"{region.rate_micros / MICROS:.3f}" + ("" if region.traded else "  " + gettext("no trade")),
            "traded": region.traded,
            "sold": region.sold_hours,
        }
        for region in regions
    ]
    y = {
        "field": "country",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"ticks": False, "domain": False, "labelPadding": 8, "labelLimit": 130, "grid": False},
    }
    x = axis_of("rate", gettext("%(currency)s per accelerator-hour", currency=currency), top=top)
    hollow = {"test": "!datum.traded", "value": "transparent"}
    bars: Spec = {
        "mark": {"type": "bar", "height": {"band": 0.56}, "stroke": "role:supply", "strokeWidth": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": {"condition": hollow, "value": "role:supply"},
            "tooltip": told(country=gettext("country"), label=gettext("rate"), sold=gettext("sold, acc-h")),
        },
    }
    labels: Spec = {
        "mark": {"type": "text", "align": "left", "dx": 6, "color": "role:ink"},
        "encoding": {"x": x, "y": y, "text": {"field": "label"}},
    }
    return framed([bars, labels], height=30 * len(values) + 20, values=values)


def slot_chart(slots: Sequence[SlotPrice], currency: str) -> Spec:
    """The price through the day, one step line a tier, each dashed its own way and named at its end."""
    values: list[Spec] = [
        {"start": slot.slot_start.isoformat(), "tier": slot.tier, "rate": slot.rate_micros / MICROS, "sold": slot.sold} for slot in slots
    ]
    top = max((slot.rate_micros for slot in slots), default=MICROS) * 1.12 / MICROS
    x = {
        "field": "start",
        "type": "temporal",
        "timeUnit": "utcyearmonthdatehoursminutes",
        "title": gettext("slot, UTC"),
        "axis": {"format": "%H:%M", "tickCount": 8, "grid": False},
    }
    y = axis_of("rate", gettext("%(currency)s per accelerator-hour", currency=currency), top=top)
    layers: list[Spec] = []
    ends = {tier: mine[-1] for tier in TIER_LINES if (mine := [value for value in values if value["tier"] == tier])}
    for tier, (role, dash) in TIER_LINES.items():
        mine = [value for value in values if value["tier"] == tier]
        line: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 2, "strokeDash": dash, "color": f"role:{role}"}
        layers.append({"data": {"values": mine}, "mark": line, "encoding": {"x": x, "y": y}})
    touch: Spec = {"type": "point", "size": 260, "opacity": 0, "filled": True}
    seen = told(tier=gettext("tier"), rate=gettext("rate"), sold=gettext("sold, accelerators"))
    layers.append({"data": {"values": values}, "mark": touch, "encoding": {"x": x, "y": y, "tooltip": seen}})
    name: Spec = {"type": "text", "align": "left", "dx": 6, "fontWeight": 500}
    for tier, height in _apart({tier: slot.rate_micros / MICROS for tier, slot in _last(slots).items()}, top * LABEL_GAP).items():
        role = TIER_LINES[tier][0]
        value = {**ends[tier], "at": height}
        place = {"x": x, "y": {**y, "field": "at"}, "text": {"value": word(tier)}}
        layers.append({"data": {"values": [value]}, "mark": {**name, "color": f"role:{role}"}, "encoding": place})
    return framed(layers, height=220) | {"padding": {"left": 2, "top": 6, "bottom": 2, "right": 76}}


def load_chart(loads: Sequence[SlotLoad]) -> Spec:
    """How full a class was by hour and day: the fuller a slot, the larger its square, so that it can be read without its colour."""
    values: list[Spec] = [
        {
            "day": f"{load.slot_start:%Y-%m-%d}",
            "hour": load.slot_start.hour,
            "share": load.sold / load.offered if load.offered else 0.0,
            "sold": load.sold,
            "offered": load.offered,
        }
        for load in loads
    ]
    days = len({value["day"] for value in values})
    x = {"field": "hour", "type": "ordinal", "title": gettext("hour, UTC"), "axis": {"labelAngle": 0, "grid": False, "labelOverlap": True}}
    y = {"field": "day", "type": "ordinal", "title": None, "axis": {"grid": False, "ticks": False, "domain": False}}
    size = {"field": "share", "type": "quantitative", "scale": {"domain": [0, 1], "range": [6, 190]}, "legend": None}
    seen = told(day=gettext("day"), hour=gettext("hour, UTC"), sold=gettext("sold, accelerators"), offered=gettext("offered, accelerators"))
    squares: Spec = {
        "mark": {"type": "square", "color": "role:supply", "opacity": 1},
        "encoding": {"x": x, "y": y, "size": size, "tooltip": seen},
    }
    return framed([squares], height=24 * max(1, days) + 40, values=values)


def history_chart(points: Sequence[PricePoint], currency: str) -> Spec:
    """What was asked over time, its middle as a line in the band of its 10th to 90th percentile, and what was paid, dashed."""
    values: list[Spec] = [
        {
            "hour": point.hour.isoformat(),
            "rate": point.rate_p50_micros / MICROS,
            "low": point.rate_p10_micros / MICROS,
            "high": point.rate_p90_micros / MICROS,
            "paid": None if point.cleared_micros is None else point.cleared_micros / MICROS,
        }
        for point in points
    ]
    top = max((max(point.rate_p90_micros, point.cleared_micros or 0) for point in points), default=MICROS) * 1.08 / MICROS
    x = {"field": "hour", "type": "temporal", "timeUnit": "utcyearmonthdatehours", "title": gettext("hour, UTC"), "axis": {"grid": False}}
    y = axis_of("rate", gettext("%(currency)s per accelerator-hour", currency=currency), top=top)
    seen = told(rate=gettext("asked, middle"), low=gettext("10th percentile"), high=gettext("90th percentile"), paid=gettext("paid"))
    lines: list[Spec] = [
        {
            "mark": {"type": "area", "color": "role:supply", "opacity": 0.18},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {"mark": {"type": "line", "color": "role:supply", "strokeWidth": 2}, "encoding": {"x": x, "y": y}},
        {
            "mark": {"type": "line", "color": "role:demand", "strokeWidth": 2, "strokeDash": [6, 4]},
            "encoding": {"x": x, "y": {**y, "field": "paid"}},
        },
        {"mark": {"type": "point", "size": 260, "opacity": 0, "filled": True}, "encoding": {"x": x, "y": y, "tooltip": seen}},
    ]
    return framed(lines, height=220, values=values)


def svg(spec: Spec, theme: str, *, width: int = 720) -> str:
    """A chart as SVG, for readers without scripts. `theme` is light or dark; raises KeyError for another."""
    painted = painted_with(spec, PALETTES[theme])
    assert isinstance(painted, dict)
    return str(vl_convert.vegalite_to_svg(painted | {"width": width, "background": PALETTES[theme]["card"]}))


def painted_with(part: object, palette: Mapping[str, str]) -> object:
    """A specification with its colour roles replaced by colours."""
    if isinstance(part, dict):
        return {name: painted_with(value, palette) for name, value in part.items()}
    if isinstance(part, list):
        return [painted_with(value, palette) for value in part]
    return palette[part.removeprefix("role:")] if isinstance(part, str) and part.startswith("role:") else part


def _last(slots: Sequence[SlotPrice]) -> dict[str, SlotPrice]:
    """The last slot of each tier."""
    return {slot.tier: slot for slot in sorted(slots, key=lambda slot: slot.slot_start)}


def _apart(heights: Mapping[str, float], gap: float) -> dict[str, float]:
    """The same heights, lowest first, pushed up where names would cover each other."""
    placed: dict[str, float] = {}
    floor = 0.0
    for name, height in sorted(heights.items(), key=lambda each: each[1]):
        placed[name] = max(height, floor)
        floor = placed[name] + gap
    return placed


def told(*fields: str, **named: str) -> list[Spec]:
    """What a chart tells the pointer: fields by their own name, or by the one given."""
    return [{"field": field, "title": named.get(field, field)} for field in (*fields, *named)]


def _staircase(steps: Sequence[CurveStep], side: str) -> list[Spec]:
    """Both ends of every step in order: joined up they make the stairs."""
    ends = [(end, step.rate_micros) for step in steps if step.side == side for end in (step.quantity_from, step.quantity_to)]
    return [{"order": order, "quantity": quantity, "rate": micros / MICROS} for order, (quantity, micros) in enumerate(ends)]


def _line_label(steps: Sequence[CurveStep], side: str, *, x: Spec, y: Spec, top: float) -> Spec:
    """The line's name: supply beside its last step in sight, demand above its first."""
    mine = [step for step in steps if step.side == side and step.rate_micros <= top * MICROS * 0.95]
    if not mine:
        return {"data": {"values": []}, "mark": "text"}
    step = mine[-1] if side == "supply" else mine[0]
    quantity = step.quantity_to if side == "supply" else step.quantity_from
    value = {"quantity": quantity, "rate": step.rate_micros / MICROS, "name": word(side)}
    mark = {
        "type": "text",
        "align": "right" if side == "supply" else "left",
        "dx": -4 if side == "supply" else 8,
        "dy": -9,
        "color": f"role:{side}",
        "fontWeight": 600,
    }
    return {"data": {"values": [value]}, "mark": mark, "encoding": {"x": x, "y": y, "text": {"field": "name"}}}


def _tie_range(curve: Curve, *, x: Spec, y: Spec) -> list[Spec]:
    """The prices that would have cleared as well, as a thick stroke at the clearing point; nothing where there is but one."""
    if curve.range_low_micros is None or curve.range_high_micros is None or curve.range_low_micros == curve.range_high_micros:
        return []
    ends = {"quantity": curve.clearing_quantity, "rate": curve.range_low_micros / MICROS, "high": curve.range_high_micros / MICROS}
    stroke: Spec = {"type": "rule", "color": "role:ink", "strokeWidth": 7, "opacity": 0.35, "clip": True}
    return [{"data": {"values": [ends]}, "mark": stroke, "encoding": {"x": x, "y": y, "y2": {"field": "high"}}}]


def _clearing_point(curve: Curve, *, x: Spec, y: Spec) -> list[Spec]:
    clearing = (curve.clearing_rate_micros or 0) / MICROS
    text = gettext("cleared %(count)s at %(rate)s", count=quantity(curve.clearing_quantity), rate=rate(curve.clearing_rate_micros))
    data = {"values": [{"quantity": curve.clearing_quantity, "rate": clearing, "name": text}]}
    rule = {"type": "rule", "color": "role:muted", "strokeWidth": 1, "strokeDash": [1, 3]}
    far = curve.clearing_quantity > 0.6 * max((step.quantity_to for step in curve.steps), default=0)
    label = {
        "type": "text",
        "align": "right" if far else "left",
        "dx": -12 if far else 12,
        "dy": 18,
        "color": "role:ink",
        "fontWeight": 600,
    }
    words = {"x": x, "y": y, "text": {"field": "name"}}
    return [
        {"data": data, "mark": rule, "encoding": {"x": {"datum": 0}, "x2": x, "y": y}},
        {"data": data, "mark": rule, "encoding": {"x": x, "y": {"datum": 0}, "y2": y}},
        {
            "data": data,
            "mark": {"type": "point", "size": 90, "filled": True, "color": "role:ink", "opacity": 1},
            "encoding": {"x": x, "y": y},
        },
        # The halo keeps the words readable where a line runs behind them.
        {"data": data, "mark": {**label, "stroke": "role:card", "strokeWidth": 5, "strokeJoin": "round"}, "encoding": words},
        {"data": data, "mark": label, "encoding": words},
    ]


def axis_of(field: str, title: str, *, top: float) -> Spec:
    """A figure along an axis from 0 to `top`, with its title."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"domain": [0, top], "nice": False}}


def framed(layers: list[Spec], *, height: int, values: list[Spec] | None = None) -> Spec:
    """Layers in the house frame: no box, hairline grid, labels in the page's type."""
    frame: Spec = {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "padding": 2,
        "layer": layers,
        "config": {
            "font": "Geist, system-ui, sans-serif",
            "view": {"stroke": None},
            "text": {"fontSize": 12},
            "axis": {
                "labelColor": "role:muted",
                "titleColor": "role:muted",
                "titleFontWeight": 400,
                "titleFontSize": 12,
                "labelFontSize": 12,
                "gridColor": "role:rule",
                "domainColor": "role:rule",
                "tickColor": "role:rule",
                "titlePadding": 8,
                "tickCount": 6,
            },
        },
    }
    return frame | ({"data": {"values": values}} if values is not None else {})
