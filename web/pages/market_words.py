"""The sentences of what the market page works out: parts of a price, carbon, the next gate, and messages."""

from collections.abc import Mapping, Sequence

import msgspec

from broker.services.indication import Indication
from broker.services.market_figures import CountryCarbon, MarketMessage, PriceSplit
from broker.services.market_views import ClassPrice, RegionPrice
from contracts.terms.money import BASIS_POINTS, half_up
from contracts.terms.tables import TIERS
from web.formats import moment, quantity, rate, word
from web.i18n import gettext, later, ngettext
from web.pages import words

# By what a message is about; a fact that is missing is filled in as a word.
MESSAGES: dict[str, str] = {
    "outage": later("Leases of %(hardware)s at %(site)s (%(provider)s) broke off."),
    "reclaimed": later("%(provider)s called back leases of %(hardware)s at %(site)s."),
    "silent": later("%(provider)s is silent: its offers are not sold until it is heard again."),
    "quarantined": later("%(count)s %(hardware)s at %(site)s (%(provider)s) are not sold: what was announced of them is not believed."),
    "withdrawn": later("%(provider)s took %(count)s %(hardware)s at %(site)s off the market."),
    "maintenance": later("%(provider)s: maintenance until %(until)s; what it covers cannot be booked meanwhile."),
    "cycle_failed": later("A gate could not be cleared; the prices before it stand."),
}


class NextPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A class at a tier: what the next gate would clear at, how far that is from the last, and what the last sold of it."""

    tier: str
    rate_micros: int
    change_bps: int | None
    sold_hours: float


def next_prices(indication: Indication, prices: Sequence[ClassPrice], *, hardware: str) -> list[NextPrice]:
    """The indicative prices of a class beside the last cleared ones, the best tier last as in the price table."""
    last = {price.tier: price for price in prices if price.hardware == hardware and price.traded}
    rates = {price.tier: price.rate_micros for price in indication.of(hardware)}
    return [
        NextPrice(
            tier=tier,
            rate_micros=rates[tier],
            change_bps=_moved(rates[tier], last[tier].rate_micros) if tier in last else None,
            sold_hours=last[tier].sold_hours if tier in last else 0.0,
        )
        for tier in TIERS[::-1]
        if tier in rates
    ]


def next_finding(indication: Indication, shown: Sequence[NextPrice], *, hardware: str) -> str:
    """What a class would cost, in one sentence; why that is not said, where it is not."""
    if indication.gate_at is None or indication.worked_out_at is None:
        return gettext("What the next gate would clear at has not been worked out yet.")
    if not shown:
        return gettext("Fewer than three buyers would win %(hardware)s just now: a price would give their bids away.", hardware=hardware)
    main = max(shown, key=lambda each: each.sold_hours)
    return gettext(
        "Had the gate closed at %(at)s UTC, %(hardware)s would have cleared at %(rate)s %(currency)s, %(tier)s tier.",
        at=moment(indication.worked_out_at, "clock"),
        hardware=hardware,
        rate=rate(main.rate_micros),
        currency=indication.currency,
        tier=word(main.tier),
    )


def main_split(splits: Sequence[PriceSplit]) -> PriceSplit | None:
    """The tier that sold most, whose price is taken apart; None where nothing sold."""
    return max(splits, key=lambda each: each.sold, default=None)


def split_finding(split: PriceSplit) -> str:
    """The parts of a price in one sentence."""
    return gettext(
        "Of %(rate)s at the %(tier)s tier, power took %(power)s and the machine %(machine)s; scarcity added %(scarcity)s, headroom "
        "%(headroom)s.",
        rate=rate(split.rate_micros),
        tier=word(split.tier),
        power=rate(split.power_micros),
        machine=rate(split.machine_micros),
        scarcity=rate(split.scarcity_micros),
        headroom=rate(split.headroom_micros),
    )


def carbon_finding(found: Sequence[CountryCarbon], names: Mapping[str, str]) -> str:
    """The cleanest and the dirtiest country, and the mean of all hours."""
    known = [each for each in found if each.grams is not None]
    if not known:
        return gettext("Nobody knows the carbon of what was bought.")
    hours = sum(each.reference_hours for each in known)
    mean = sum((each.grams or 0.0) * each.reference_hours for each in known) / hours
    return gettext(
        "A reference hour emitted %(low)s g of CO2 in %(clean)s and %(high)s g in %(dirty)s; %(mean)s g on average.",
        low=quantity(known[0].grams),
        clean=words.country(known[0].country, names),
        high=quantity(known[-1].grams),
        dirty=words.country(known[-1].country, names),
        mean=quantity(mean),
    )


def map_finding(regions: Sequence[RegionPrice]) -> str:
    """In how many countries a class is offered, and in how many of them it traded."""
    traded = sum(region.traded for region in regions)
    return ngettext(
        "On offer in one country; traded in %(traded)s.",
        "On offer in %(num)s countries; traded in %(traded)s of them.",
        num=len(regions),
        traded=traded,
    )


def message_words(message: MarketMessage) -> str:
    """A message in one sentence."""
    unknown = gettext("unknown")
    return gettext(
        MESSAGES[message.kind],
        provider=message.provider or unknown,
        site=message.site or unknown,
        hardware=message.hardware or unknown,
        count=quantity(message.accelerators),
        until=moment(message.until),
    )


def _moved(now: int, before: int) -> int | None:
    return half_up((now - before) * BASIS_POINTS, before) if before else None
