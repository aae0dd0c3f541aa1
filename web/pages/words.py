"""The sentences of the portal: findings of charts, reasons of exclusions."""

from collections.abc import Iterable, Mapping, Sequence

from broker.services.market_views import ClassPrice, Curve, RegionPrice, SlotPrice
from contracts.terms.money import BASIS_POINTS, half_up
from web.formats import change, moment, quantity, rate

REASONS: dict[str, str] = {
    "hardware": "another class of accelerator",
    "conversion": "no throughput on record, so no fair comparison",
    "quantity": "too few accelerators at one place",
    "tier": "may be interrupted",
    "countries": "in a country you did not name",
    "operator_countries": "run from, or owned in, a country you did not name",
    "certifications": "without a certification you need",
    "trust": "operator not trusted enough",
    "memory": "too little memory, or unknown",
    "uptime": "uptime too low, or unknown",
    "latency": "too far away, or not measured",
    "transfer": "your data cannot be moved there",
    "deadline": "not ready in time",
    "budget": "above your budget",
    "text": "does not match the words",
}
REASON_FIELDS: dict[str, tuple[str, ...]] = {
    "hardware": ("hardware",),
    "quantity": ("quantity",),
    "tier": ("tier",),
    "countries": ("countries",),
    "operator_countries": ("operator_countries",),
    "certifications": ("certifications",),
    "trust": ("trust_min",),
    "memory": ("memory_gb_min",),
    "uptime": ("uptime_min",),
    "latency": ("rtt_ms_max",),
    "transfer": ("data_tb", "data_country"),
    "deadline": ("ready_by",),
    "budget": ("budget",),
    "text": ("text",),
}


def busiest(prices: Iterable[ClassPrice]) -> ClassPrice | None:
    """The tier that sold most; None when none sold."""
    return max((price for price in prices if price.traded), key=lambda each: each.sold_hours, default=None)


def headline(hardware: str, price: ClassPrice | None, *, currency: str, cheapest: tuple[str, int] | None) -> str:
    """What a class costs now, whether that is rising, and where it is cheapest."""
    if price is None:
        return f"No {hardware} changed hands in the last cycle; the rates shown are what providers would accept."
    trend = ""
    if price.change_bps is not None:
        moved = "unchanged from" if price.change_bps == 0 else f"{change(price.change_bps)} on"
        trend = f", {moved} the cycle before"
    where = f" Cheapest in {cheapest[0]}, at {rate(cheapest[1])}." if cheapest else ""
    return f"An hour of {hardware} cleared at {rate(price.rate_micros)} {currency} on average, {price.tier} tier{trend}.{where}"


def curve_finding(curve: Curve) -> str:
    """What the curve shows, in one sentence."""
    span = f"Between {moment(curve.slot_start, 'clock')} and {moment(curve.slot_end, 'clock')} UTC"
    offered = max((step.quantity_to for step in curve.steps if step.side == "supply"), default=0)
    if curve.clearing_rate_micros is None:
        return f"{span} nothing traded: no bid met any of the {quantity(offered)} accelerators on offer."
    sold = f"{quantity(curve.clearing_quantity)} of {quantity(offered)} accelerators"
    return f"{span}, {sold} sold at {rate(curve.clearing_rate_micros)} on average."


def region_finding(regions: Sequence[RegionPrice], names: Mapping[str, str]) -> str:
    """Cheapest and dearest country that traded, and how far apart they are."""
    traded = [region for region in regions if region.traded]
    if not traded:
        return "Nothing traded in any country; the rates shown are what providers would accept."
    low, high = traded[0], traded[-1]
    if low is high:
        return f"Only {country(low.country, names)} traded, at {rate(low.rate_micros)}."
    spread = half_up((high.rate_micros - low.rate_micros) * BASIS_POINTS, low.rate_micros) if low.rate_micros else 0
    return (
        f"{country(low.country, names)} was cheapest at {rate(low.rate_micros)}; "
        f"{country(high.country, names)} cleared {change(spread).removeprefix('+')} higher."
    )


def slot_finding(slots: Sequence[SlotPrice]) -> str:
    """When the tier that traded most was cheapest and dearest."""
    traded = [slot for slot in slots if slot.traded]
    if not traded:
        return "Nothing traded in any slot of this cycle."
    sold = {tier: sum(slot.sold for slot in traded if slot.tier == tier) for tier in {slot.tier for slot in traded}}
    most = min(sold, key=lambda tier: (-sold[tier], tier))
    mine = [slot for slot in traded if slot.tier == most]
    low, high = min(mine, key=lambda slot: slot.rate_micros), max(mine, key=lambda slot: slot.rate_micros)
    if low.rate_micros == high.rate_micros:
        return f"The {most} tier cleared at {rate(low.rate_micros)} in every slot that traded."
    return (
        f"The {most} tier was cheapest at {moment(low.slot_start, 'clock')} ({rate(low.rate_micros)}) "
        f"and dearest at {moment(high.slot_start, 'clock')} ({rate(high.rate_micros)}) UTC."
    )


def country(code: str | None, names: Mapping[str, str]) -> str:
    """A country by name; its code where we know no name."""
    return "an unknown country" if code is None else names.get(code, code)
