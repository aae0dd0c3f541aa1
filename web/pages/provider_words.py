"""What the provider desk says: why hours were left, what kept buyers away, what to try."""

import msgspec

from broker.services.provider_views import OfferSalesView, Sums
from contracts.feed.damping import Damping
from contracts.terms.money import BASIS_POINTS, half_up
from pricing.questions.rate_asked import RateAsked
from web.formats import hours_of, money, percent, rate
from web.i18n import found, gettext, later, ngettext

BAR_WIDTH = 1000
# Each cause of an hour left, and what it means; in the order of the cascade that finds it.
CAUSES = {
    "too_dear": (later("Dearer than they would pay"), later("buyers who may come, and who stop below your rate")),
    "elsewhere": (
        later("Bought elsewhere"),
        later("they may come and would pay your rate, and found better: cheaper all-in, or more in one place"),
    ),
    "kept_away": (later("Kept away by conditions"), later("theirs or yours: place, certification, data, tier")),
    "held_back": (later("Held back as headroom"), later("kept free for leases that must survive a failure; it earns premiums")),
    "unasked": (later("Nobody asked"), later("no bid wanted this class in these hours")),
}
CLAUSES = {
    "memory": later("too little memory for them, or not stated"),
    "uptime": later("uptime below what they need, or not stated"),
    "countries": later("outside the buyer's countries"),
    "operator_countries": later("run or owned from a country they did not name"),
    "countries_denied": later("touches a country they rule out"),
    "subdivisions": later("outside the buyer's region, or not stated"),
    "certifications": later("lacks a certification they need"),
    "trust": later("of a lower trust class than they need"),
    "chip_origin": later("chips of an origin they rule out"),
    "open_to": later("your offer is not open to their country"),
    "closed_to": later("your offer is closed to their country"),
    "distance": later("too far from them"),
    "latency": later("too slow to reach, or never measured"),
    "transfer": later("their data has no way to your site"),
    "window": later("their data would arrive after your free hours"),
    "tier": later("the offer may be interrupted, and they need it firm"),
}
STATES = {
    "live": later("live: may be bought"),
    "suspect": later("not believed"),
    "damped": later("damped"),
    "paused": later("paused"),
    "stale": later("stale"),
}


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bar of hours, from x on, in parts of `BAR_WIDTH`."""

    kind: str
    x: int
    width: int


class CauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of where the hours went: `share_bps` of all hours offered."""

    kind: str
    name: str
    meaning: str
    hours: float
    share_bps: int


def rows(sums: Sums) -> list[CauseRow]:
    """Where the hours went: leased before, sold, and what is left by cause, the greatest first."""
    known = [
        ("leased", gettext("Leased before"), gettext("promised at earlier gates"), sums.leased),
        ("sold", gettext("Sold"), gettext("at these gates"), sums.sold),
    ]
    left = sorted(sums.lost.items(), key=lambda each: -each[1])
    if (unknown := sums.left - sum(sums.lost.values())) > 0:
        known.append(
            ("unknown", gettext("Left, for a cause not worked out"), gettext("at gates with too many bids to go through"), unknown)
        )
    known += [(cause, found(CAUSES[cause][0]), found(CAUSES[cause][1]), hours) for cause, hours in left if hours]
    return [
        CauseRow(kind=kind, name=name, meaning=meaning, hours=hours, share_bps=_share(hours, sums.offered))
        for kind, name, meaning, hours in known
    ]


def bars(sums: Sums) -> list[Bar]:
    """The same as parts of one bar."""
    parts, at = [], 0.0
    for row in rows(sums):
        width = BAR_WIDTH * row.hours / sums.offered if sums.offered else 0.0
        parts.append(Bar(kind=row.kind, x=round(at), width=round(at + width) - round(at)))
        at += width
    return [part for part in parts if part.width]


def headline(sums: Sums) -> str:
    """How much of what was free sold."""
    free = sums.sold + sums.left
    if not free:
        return gettext("Nothing of yours was free to be sold")
    share = percent(_share(sums.sold, free))
    return gettext("You sold %(share)s of the %(hours)s accelerator-hours you had free", share=share, hours=hours_of(free))


def reason(sums: Sums) -> str:
    """Why most of the rest did not."""
    if not sums.left:
        return gettext("Nothing was left.") if sums.sold else ""
    cause, hours = max(sums.lost.items(), key=lambda each: each[1])
    if not hours:
        return gettext("There were too many bids to go through while you wait, so the causes are not worked out.")
    name, meaning = (found(words) for words in CAUSES[cause])
    return gettext(
        "Most of the rest, %(hours)s hours: %(cause)s (%(meaning)s).", hours=hours_of(hours), cause=_lower(name), meaning=meaning
    )


def main_reason(offer: OfferSalesView) -> str:
    """Why one offer has hours left, in a few words."""
    sums = offer.sums
    if not sums.offered:
        return gettext("not at these gates yet")
    if not sums.left:
        return gettext("sold out") if sums.sold else gettext("all of it leased before")
    cause = max(sums.lost, key=lambda each: sums.lost[each])
    if not sums.lost[cause]:
        return gettext("not worked out")
    if cause in ("too_dear", "elsewhere") and offer.dearer_bps is not None and offer.dearer_bps > 0:
        return gettext("%(share)s dearer than the marginal offer", share=percent(offer.dearer_bps))
    if cause == "kept_away" and offer.refusals:
        return found(CLAUSES[offer.refusals[0].clause])
    return _lower(found(CAUSES[cause][0]))


def beside_marginal(offer: OfferSalesView, currency: str) -> str:
    """How an offer compares with the marginal one, in a sentence; empty where none of its class sold to anybody who could have come."""
    if offer.dearer_bps is None:
        return ""
    facts = {"own": rate(offer.asked_micros), "marginal": rate(offer.marginal_micros), "currency": currency}
    share = percent(abs(offer.dearer_bps))
    if offer.dearer_bps > 0:
        return gettext(
            "It was %(share)s dearer than the marginal offer: the dearest of its class that sold to a buyer who could have come here "
            "stood at %(marginal)s %(currency)s.", share=share, **facts
        )  # fmt: skip
    return gettext(
        "It was %(share)s cheaper than the marginal offer of its class, at %(marginal)s %(currency)s: price is not what kept buyers away.",
        share=share, **facts,
    )  # fmt: skip


def answer_words(answer: RateAsked, *, gates: int) -> str:
    """What another rate would have done, in two sentences."""
    facts = {"rate": rate(answer.rate_micros), "currency": answer.currency, "hours": hours_of(abs(answer.hours_more))}
    if answer.hours_more > 0:
        sold = ngettext(
            "At %(rate)s %(currency)s you would have sold %(hours)s more accelerator-hours at the last gate.",
            "At %(rate)s %(currency)s you would have sold %(hours)s more accelerator-hours in the last %(num)s gates.",
            num=gates, **facts,
        )  # fmt: skip
    elif answer.hours_more < 0:
        sold = ngettext(
            "At %(rate)s %(currency)s you would have sold %(hours)s fewer accelerator-hours at the last gate.",
            "At %(rate)s %(currency)s you would have sold %(hours)s fewer accelerator-hours in the last %(num)s gates.",
            num=gates, **facts,
        )  # fmt: skip
    else:
        sold = ngettext(
            "At %(rate)s %(currency)s you would have sold as many accelerator-hours at the last gate.",
            "At %(rate)s %(currency)s you would have sold as many accelerator-hours in the last %(num)s gates.",
            num=gates, **facts,
        )  # fmt: skip
    facts = {"amount": money(abs(answer.micros_more)), "currency": answer.currency}
    if answer.micros_more > 0:
        return sold + " " + gettext("All your offers together would have received %(amount)s %(currency)s more.", **facts)
    if answer.micros_more < 0:
        return sold + " " + gettext("All your offers together would have received %(amount)s %(currency)s less.", **facts)
    return sold + " " + gettext("What you received would have been the same.")


def damping_rows(damping: Damping) -> list[tuple[str, int, int | None]]:
    """What each kind of change costs: points, and how many at once damp an offer (None: no number does)."""
    kinds = (
        (gettext("Withdraw an offer"), damping.withdraw),
        (gettext("Change its terms"), damping.change),
        (gettext("Change its rate"), damping.price),
        (gettext("Change its quantity"), damping.capacity),
    )
    return [(what, points, damping.suppress // points + 1 if points else None) for what, points in kinds]


def _share(part: float, whole: float) -> int:
    return half_up(round(part * BASIS_POINTS), max(1, round(whole))) if whole else 0


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
