"""The sentences of the portal: findings of charts, reasons of exclusions."""

from collections.abc import Iterable, Mapping, Sequence

from broker.services.market_views import ClassPrice, Curve, RegionPrice, SlotPrice
from contracts.terms.bids import BidRequest
from contracts.terms.money import BASIS_POINTS, half_up
from web.formats import change, moment, money, quantity, rate

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

DEMAND_LABELS: dict[str, str] = {
    "stack": "code written for",
    "countries": "site in",
    "operator_countries": "operator and owner from",
    "certifications": "certified",
    "trust_min": "operator at least",
    "memory_gb_min": "memory each, GB, at least",
    "uptime_min": "uptime, %, at least",
    "place": "close to",
    "rtt_ms_max": "within, ms",
    "data_tb": "data to move, TB",
    "data_country": "data in",
}
REFUSED: dict[str, str] = {
    "credit_exceeded": "The bid was not entered: its worst case is more than the account has left. Lower the hours or the limit, "
    "or withdraw another bid.",
    "window_closed": "The bid was not entered: its window has passed. Choose a later end.",
    "key_reused": "This form has entered a bid already, and this is another one. Enter it again if you want both.",
    "not_permitted": "The bid was not entered: this key may not bid, or the form was opened under another key.",
}


def bid_sentence(request: BidRequest, worst_case_micros: int, *, currency: str) -> str:
    """The worst case of a bid in one line: quantity, period, rate and the most it can cost."""
    classes = " or ".join(sorted(request.hardware))
    accelerators = "accelerator" if request.width == 1 else "accelerators"
    return (
        f"Up to {quantity(request.width)} {accelerators} of {classes} between {moment(request.window_start)} and "
        f"{moment(request.window_end)}, {quantity(request.hours)} accelerator-hours in all, "
        f"at no more than {rate(request.limit_micros_max)} {currency} per reference hour: "
        f"the most you can pay is {money(worst_case_micros)} {currency} before tax."
    )


def demand_words(values: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The demands that go with a bid, each with its label; countries by name."""
    return [
        (label, ", ".join(country(value, names) if "countr" in name else value for value in values[name]))
        for name, label in DEMAND_LABELS.items()
        if values.get(name)
    ]


def refused_words(code: str | None) -> str | None:
    """Why a bid was not entered, by the code of its refusal."""
    return None if code is None else REFUSED.get(code, "The bid was not entered; nothing was promised. Look it over and try again.")


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
