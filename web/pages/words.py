"""The sentences of the portal: findings of charts, reasons of exclusions."""

from collections.abc import Iterable, Mapping, Sequence

from broker.services.market_past import Chance, SlotLoad
from broker.services.market_views import ClassPrice, Curve, RegionPrice, SlotPrice
from broker.services.price_history import PricePoint
from broker.services.quotes import QuoteView
from contracts.terms.bids import BidRequest
from contracts.terms.money import BASIS_POINTS, half_up
from web.formats import change, moment, money, quantity, rate, word
from web.i18n import ENGLISH, gettext, language, later, locale, locale_of, ngettext

# Words of the market's vocabulary that pages show as they come: tiers, trust, the states of bids, leases and slots.
VOCABULARY = (
    later("spot"), later("standard"), later("guaranteed"), later("community"), later("verified"), later("certified"),
    later("open"), later("filled"), later("expired"), later("withdrawn"), later("accepted"), later("awarded"), later("active"),
    later("completed"), later("failed"), later("released"), later("reclaimed"), later("preparing"), later("provisioning"),
    later("supply"), later("demand"),
)  # fmt: skip
REASONS: dict[str, str] = {
    "hardware": later("another class of accelerator"),
    "conversion": later("no throughput on record, so no fair comparison"),
    "quantity": later("too few accelerators at one place"),
    "tier": later("may be interrupted"),
    "countries": later("in a country you did not name"),
    "operator_countries": later("run from, or owned in, a country you did not name"),
    "certifications": later("without a certification you need"),
    "trust": later("operator not trusted enough"),
    "memory": later("too little memory, or unknown"),
    "uptime": later("uptime too low, or unknown"),
    "latency": later("too far away, or not measured"),
    "transfer": later("your data cannot be moved there"),
    "deadline": later("not ready in time"),
    "budget": later("above your budget"),
    "text": later("does not match the words"),
    "state": later("not to be booked just now"),
    "carbon": later("more carbon than you allow, or unknown"),
    "availability": later("not free in those hours"),
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
    "carbon": ("carbon_g_max",),
    "availability": ("free_from", "free_hours"),
}

DEMAND_LABELS: dict[str, str] = {
    "stack": later("code written for"),
    "countries": later("site in"),
    "operator_countries": later("operator and owner from"),
    "certifications": later("certified"),
    "trust_min": later("operator at least"),
    "memory_gb_min": later("memory each, GB, at least"),
    "uptime_min": later("uptime, %, at least"),
    "place": later("close to"),
    "rtt_ms_max": later("within, ms"),
    "data_tb": later("data to move, TB"),
    "data_country": later("data in"),
}
REFUSED: dict[str, str] = {
    "credit_exceeded": later(
        "The bid was not entered: its worst case is more than the account has left. Lower the hours or the limit, or withdraw another bid."
    ),
    "budget_exceeded": later(
        "The bid was not entered: its worst case is more than this month's budget has left. Lower the hours or the limit."
    ),
    "grant_exceeded": later(
        "The bid was not entered: it could take more computing than the project's grant has left for its window. Lower the hours, or "
        "narrow the window."
    ),
    "window_closed": later("The bid was not entered: its window has passed. Choose a later end."),
    "key_reused": later("This form has entered a bid already, and this is another one. Enter it again if you want both."),
    "not_permitted": later("The bid was not entered: this key may not bid, or the form was opened under another key."),
}


def bid_sentence(request: BidRequest, worst_case_micros: int, *, currency: str) -> str:
    """The worst case of a bid in one line: quantity, period, rate and the most it can cost."""
    return ngettext(
        "Up to %(count)s accelerator of %(classes)s between %(start)s and %(end)s, %(hours)s accelerator-hours in all, at no more than "
        "%(rate)s %(currency)s per reference hour: the most you can pay is %(most)s %(currency)s before tax.",
        "Up to %(count)s accelerators of %(classes)s between %(start)s and %(end)s, %(hours)s accelerator-hours in all, at no more than "
        "%(rate)s %(currency)s per reference hour: the most you can pay is %(most)s %(currency)s before tax.",
        num=request.width,
        count=quantity(request.width),
        classes=gettext(" or ").join(sorted(request.hardware)),
        start=moment(request.window_start),
        end=moment(request.window_end),
        hours=quantity(request.hours),
        rate=rate(request.limit_micros_max),
        currency=currency,
        most=money(worst_case_micros),
    )


def demand_words(values: Mapping[str, Sequence[str]], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The demands that go with a bid, each with its label; countries by name."""
    return [
        (gettext(label), ", ".join(country(value, names) if "countr" in name else word(value) for value in values[name]))
        for name, label in DEMAND_LABELS.items()
        if values.get(name)
    ]


QUOTE_REFUSED: dict[str, str] = {
    "not_found": later("The offer does not have so many accelerators free for the whole time, or is gone."),
    "quote_moved": later("What the quote rested on has changed since, so it was not taken."),
    "window_closed": later("The market is clearing these hours just now. Ask again when its prices are published."),
    "credit_exceeded": later("The most it can cost is more than the account has left."),
    "budget_exceeded": later("The most it can cost is more than this month's budget has left."),
    "grant_exceeded": later("It takes more computing than the project's grant has left for that time."),
    "conflict": later("The account holds as many open quotes as it may. Take or leave one first."),
    "bad_input": later("A quote reaches only so far ahead. For longer work enter a bid for the next gates."),
    "wrong_state": later("The quote is not open any more."),
    "not_permitted": later("This key may not order, or the form was opened under another key."),
    "key_reused": later("This form was sent already, for something else. Open the page again."),
}


def quote_sentence(quote: QuoteView) -> str:
    """The worst case of a quote in one line: quantity, period, rate and the most it can cost."""
    return ngettext(
        "%(count)s accelerator of %(hardware)s at %(site)s, %(tier)s tier, from %(start)s to %(end)s, at %(rate)s %(currency)s per "
        "accelerator-hour: the most you can pay is %(most)s %(currency)s before tax.",
        "%(count)s accelerators of %(hardware)s at %(site)s, %(tier)s tier, from %(start)s to %(end)s, at %(rate)s %(currency)s per "
        "accelerator-hour: the most you can pay is %(most)s %(currency)s before tax.",
        num=quote.accelerators,
        count=quantity(quote.accelerators),
        hardware=quote.hardware,
        site=quote.site,
        tier=word(quote.tier),
        start=moment(quote.starts_at),
        end=moment(quote.ends_at),
        rate=rate(quote.rate_micros),
        currency=quote.currency,
        most=money(quote.worst_case_micros),
    )


def quote_refused_words(code: str) -> str:
    """Why a quote was not held or not taken, by the code of its refusal."""
    return gettext(QUOTE_REFUSED.get(code, later("It was not taken; nothing was promised.")))


def refused_words(code: str | None) -> str | None:
    """Why a bid was not entered, by the code of its refusal."""
    unknown = later("The bid was not entered; nothing was promised. Look it over and try again.")
    return None if code is None else gettext(REFUSED.get(code, unknown))


def busiest(prices: Iterable[ClassPrice]) -> ClassPrice | None:
    """The tier that sold most; None when none sold."""
    return max((price for price in prices if price.traded), key=lambda each: each.sold_hours, default=None)


def headline(hardware: str, price: ClassPrice | None, *, currency: str, cheapest: tuple[str, int] | None) -> str:
    """What a class costs now, whether that is rising, and where it is cheapest."""
    if price is None:
        return gettext(
            "No %(hardware)s changed hands in the last cycle; the rates shown are what providers would accept.", hardware=hardware
        )
    facts = {"hardware": hardware, "rate": rate(price.rate_micros), "currency": currency, "tier": word(price.tier)}
    if price.change_bps is None:
        said = gettext("An hour of %(hardware)s cleared at %(rate)s %(currency)s on average, %(tier)s tier.", **facts)
    elif price.change_bps == 0:
        said = gettext(
            "An hour of %(hardware)s cleared at %(rate)s %(currency)s on average, %(tier)s tier, unchanged from the cycle before.", **facts
        )
    else:
        said = gettext(
            "An hour of %(hardware)s cleared at %(rate)s %(currency)s on average, %(tier)s tier, %(change)s on the cycle before.",
            change=change(price.change_bps),
            **facts,
        )
    where = gettext("Cheapest in %(country)s, at %(rate)s.", country=cheapest[0], rate=rate(cheapest[1])) if cheapest else ""
    return f"{said} {where}".rstrip()


def curve_finding(curve: Curve) -> str:
    """What the curve shows, in one sentence."""
    offered = max((step.quantity_to for step in curve.steps if step.side == "supply"), default=0)
    span = {"start": moment(curve.slot_start, "clock"), "end": moment(curve.slot_end, "clock"), "offered": quantity(offered)}
    if curve.clearing_rate_micros is None:
        return gettext("Between %(start)s and %(end)s UTC nothing traded: no bid met any of the %(offered)s accelerators on offer.", **span)
    return gettext(
        "Between %(start)s and %(end)s UTC, %(sold)s of %(offered)s accelerators sold at %(rate)s on average.",
        sold=quantity(curve.clearing_quantity),
        rate=rate(curve.clearing_rate_micros),
        **span,
    )


def range_note(curve: Curve) -> str:
    """The prices that would have cleared as well, where there are several; empty where there is but one."""
    if curve.range_low_micros is None or curve.range_high_micros is None or curve.range_low_micros == curve.range_high_micros:
        return ""
    return gettext(
        "Where most was sold, any price from %(low)s to %(high)s would have cleared the same; the rule takes one of them.",
        low=rate(curve.range_low_micros),
        high=rate(curve.range_high_micros),
    )


def load_finding(loads: Sequence[SlotLoad]) -> str:
    """The fullest and the emptiest hour of the day, over all the days looked at."""
    hours = {load.slot_start.hour for load in loads if load.offered}
    if not hours:
        return gettext("Nothing was on offer in the last seven days.")
    share = {
        hour: half_up(
            BASIS_POINTS * sum(load.sold for load in loads if load.slot_start.hour == hour),
            sum(load.offered for load in loads if load.slot_start.hour == hour),
        )
        for hour in hours
    }
    full, empty = max(sorted(share), key=lambda hour: share[hour]), min(sorted(share), key=lambda hour: share[hour])
    return gettext(
        "The hour from %(full)s UTC was fullest, %(full_share)s sold; the one from %(empty)s was emptiest, %(empty_share)s sold.",
        full=f"{full:02}:00",
        full_share=change(share[full]).removeprefix("+"),
        empty=f"{empty:02}:00",
        empty_share=change(share[empty]).removeprefix("+"),
    )


def history_finding(points: Sequence[PricePoint]) -> str:
    """What was asked and paid last, against a week ago or whenever the record begins."""
    if not points:
        return gettext("Nothing is on record yet.")
    first, last = points[0], points[-1]
    moved = half_up((last.rate_p50_micros - first.rate_p50_micros) * BASIS_POINTS, first.rate_p50_micros) if first.rate_p50_micros else 0
    facts = {"asked": rate(last.rate_p50_micros), "change": change(moved), "start": moment(first.hour)}
    if last.cleared_micros is None:
        return gettext("The middle offer asks %(asked)s, %(change)s since %(start)s; nothing was sold in the last hour.", **facts)
    return gettext(
        "The middle offer asks %(asked)s, %(change)s since %(start)s; %(paid)s was paid in the last hour.",
        paid=rate(last.cleared_micros),
        **facts,
    )


def chance_words(chance: Chance, limit_micros: int) -> str:
    """How often a limit would have been enough, in one sentence."""
    if not chance.needed:
        return gettext("Nothing of the kind was sold in the last auctions, so nobody can say how likely this is to clear.")
    slots, enough = len(chance.needed), chance.enough(limit_micros)
    return ngettext(
        "In the last auction this limit was enough in %(share)s of the hours that sold: %(enough)s of %(slots)s.",
        "In the last %(num)s auctions this limit was enough in %(share)s of the hours that sold: %(enough)s of %(slots)s.",
        num=chance.cycles,
        share=change(half_up(enough * BASIS_POINTS, slots)).removeprefix("+"),
        enough=quantity(enough),
        slots=quantity(slots),
    )


def region_finding(regions: Sequence[RegionPrice], names: Mapping[str, str]) -> str:
    """Cheapest and dearest country that traded, and how far apart they are."""
    traded = [region for region in regions if region.traded]
    if not traded:
        return gettext("Nothing traded in any country; the rates shown are what providers would accept.")
    low, high = traded[0], traded[-1]
    if low is high:
        return gettext("Only %(country)s traded, at %(rate)s.", country=country(low.country, names), rate=rate(low.rate_micros))
    spread = half_up((high.rate_micros - low.rate_micros) * BASIS_POINTS, low.rate_micros) if low.rate_micros else 0
    return gettext(
        "%(low)s was cheapest at %(rate)s; %(high)s cleared %(spread)s higher.",
        low=country(low.country, names),
        rate=rate(low.rate_micros),
        high=country(high.country, names),
        spread=change(spread).removeprefix("+"),
    )


def slot_finding(slots: Sequence[SlotPrice]) -> str:
    """When the tier that traded most was cheapest and dearest."""
    traded = [slot for slot in slots if slot.traded]
    if not traded:
        return gettext("Nothing traded in any slot of this cycle.")
    sold = {tier: sum(slot.sold for slot in traded if slot.tier == tier) for tier in {slot.tier for slot in traded}}
    most = min(sold, key=lambda tier: (-sold[tier], tier))
    mine = [slot for slot in traded if slot.tier == most]
    low, high = min(mine, key=lambda slot: slot.rate_micros), max(mine, key=lambda slot: slot.rate_micros)
    if low.rate_micros == high.rate_micros:
        return gettext("The %(tier)s tier cleared at %(rate)s in every slot that traded.", tier=word(most), rate=rate(low.rate_micros))
    return gettext(
        "The %(tier)s tier was cheapest at %(low)s (%(low_rate)s) and dearest at %(high)s (%(high_rate)s) UTC.",
        tier=word(most),
        low=moment(low.slot_start, "clock"),
        low_rate=rate(low.rate_micros),
        high=moment(high.slot_start, "clock"),
        high_rate=rate(high.rate_micros),
    )


def country(code: str | None, names: Mapping[str, str]) -> str:
    """A country by name in the reader's language; its code where we know no name."""
    return gettext("an unknown country") if code is None else country_names(names).get(code, code)


def country_names(names: Mapping[str, str]) -> Mapping[str, str]:
    """Countries by code in the reader's language; English ones as the catalogue of the world has them."""
    return names if language() == ENGLISH else {code: str(locale_of(locale()).territories.get(code, name)) for code, name in names.items()}
