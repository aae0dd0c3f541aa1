"""Who may buy where: the slow, readable reading of every clause, for one bid and one offer.

This is the reference. The clearing compiles the same clauses into arrays; a property test holds the two equal,
and the certificate re-tests every award here. *Unknown means no*: a clause that asks for a fact the offer or
the buyer does not state is not met.
"""

import math
from collections.abc import Callable
from typing import Protocol

from contracts.terms.tables import TRUST_CLASSES
from pricing.policy_facts import Bid, Facts, Offer
from pricing.policy_worth import data_can_come, earliest_slot, rate, worth

EARTH_KM = 6371.0088

PlainClause = Callable[[Bid, Offer], bool]


class MeasuredClause(Protocol):
    """A clause that looks at a measurement or a tariff beside the two orders."""

    def __call__(self, bid: Bid, offer: Offer, *, facts: Facts) -> bool:
        """Whether the offer meets what the bid demands."""
        ...


def _hardware(bid: Bid, offer: Offer) -> bool:
    return offer.hardware in bid.factors


def _memory(bid: Bid, offer: Offer) -> bool:
    return bid.memory_gb_min is None or (offer.memory_gb is not None and offer.memory_gb >= bid.memory_gb_min)


def _uptime(bid: Bid, offer: Offer) -> bool:
    return bid.uptime_min is None or (offer.uptime is not None and offer.uptime >= bid.uptime_min)


def _countries(bid: Bid, offer: Offer) -> bool:
    return not bid.countries or offer.country in bid.countries


def _operator_countries(bid: Bid, offer: Offer) -> bool:
    return not bid.operator_countries or {offer.operator_country, offer.parent_country} <= bid.operator_countries


def _countries_denied(bid: Bid, offer: Offer) -> bool:
    concerned = {offer.country, offer.operator_country, offer.parent_country}
    return not bid.countries_denied or (None not in concerned and not concerned & bid.countries_denied)


def _subdivisions(bid: Bid, offer: Offer) -> bool:
    return not bid.subdivisions or offer.subdivision in bid.subdivisions


def _certifications(bid: Bid, offer: Offer) -> bool:
    return bid.certifications <= offer.certifications


def _trust(bid: Bid, offer: Offer) -> bool:
    if bid.trust_min is None:
        return True
    return offer.trust is not None and TRUST_CLASSES.index(offer.trust) >= TRUST_CLASSES.index(bid.trust_min)


def _chip_origin(bid: Bid, offer: Offer) -> bool:
    if not bid.chip_origins_denied:
        return True
    return offer.chip_origin is not None and offer.chip_origin not in bid.chip_origins_denied


def _buyer_known(bid: Bid) -> bool:
    return bid.buyer_country is not None and bid.buyer_parent_country is not None


def _open_to(bid: Bid, offer: Offer) -> bool:
    return not offer.open_to or (_buyer_known(bid) and bid.buyer_country in offer.open_to)


def _closed_to(bid: Bid, offer: Offer) -> bool:
    return not offer.closed_to or (_buyer_known(bid) and not {bid.buyer_country, bid.buyer_parent_country} & offer.closed_to)


def _latency(bid: Bid, offer: Offer, *, facts: Facts) -> bool:
    if bid.rtt_ms_max is None:
        return True
    measured = facts.rtt_ms.get((bid.place, offer.site)) if bid.place is not None else None
    return measured is not None and measured <= bid.rtt_ms_max


def _distance(bid: Bid, offer: Offer) -> bool:
    if bid.distance_km_max is None:
        return True
    if bid.latitude is None or bid.longitude is None or offer.latitude is None or offer.longitude is None:
        return False
    return great_circle_km((bid.latitude, bid.longitude), (offer.latitude, offer.longitude)) <= bid.distance_km_max


def great_circle_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """Distance on a sphere between two (latitude, longitude) pairs in degrees, kilometres."""
    (phi, lam), (psi, mu) = ((math.radians(latitude), math.radians(longitude)) for latitude, longitude in (here, there))
    chord = math.sin((psi - phi) / 2) ** 2 + math.cos(phi) * math.cos(psi) * math.sin((mu - lam) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, chord)))


PLAIN_CLAUSES: dict[str, PlainClause] = {
    "hardware": _hardware,
    "memory": _memory,
    "uptime": _uptime,
    "countries": _countries,
    "operator_countries": _operator_countries,
    "countries_denied": _countries_denied,
    "subdivisions": _subdivisions,
    "certifications": _certifications,
    "trust": _trust,
    "chip_origin": _chip_origin,
    "open_to": _open_to,
    "closed_to": _closed_to,
    "distance": _distance,
}
MEASURED_CLAUSES: dict[str, MeasuredClause] = {"latency": _latency, "transfer": data_can_come}
STANDING_CLAUSES = (*PLAIN_CLAUSES, *MEASURED_CLAUSES)
CLAUSES = (*STANDING_CLAUSES, "window", "tier", "worth")
PARTY_CLAUSES = ("open_to", "closed_to")


READS = {
    "hardware": (("factors",), ("hardware",)),
    "memory": (("memory_gb_min",), ("memory_gb",)),
    "uptime": (("uptime_min",), ("uptime",)),
    "countries": (("countries",), ("country",)),
    "operator_countries": (("operator_countries",), ("operator_country", "parent_country")),
    "countries_denied": (("countries_denied",), ("country", "operator_country", "parent_country")),
    "subdivisions": (("subdivisions",), ("subdivision",)),
    "certifications": (("certifications",), ("certifications",)),
    "trust": (("trust_min",), ("trust",)),
    "chip_origin": (("chip_origins_denied",), ("chip_origin",)),
    "open_to": (("buyer_country", "buyer_parent_country"), ("open_to",)),
    "closed_to": (("buyer_country", "buyer_parent_country"), ("closed_to",)),
    "distance": (("latitude", "longitude", "distance_km_max"), ("latitude", "longitude")),
    "latency": (("place", "rtt_ms_max"), ("site",)),
    "transfer": (("data_tb", "data_country"), ("country",)),
}
"""What each standing clause looks at in a bid and in an offer: where these are equal, so is the answer."""


def meets(clause: str, bid: Bid, *, offer: Offer, facts: Facts) -> bool:
    """Whether one standing clause, whatever the slot and tier, lets a bid use an offer. Raises KeyError for another name."""
    if clause in PLAIN_CLAUSES:
        return PLAIN_CLAUSES[clause](bid, offer)
    return MEASURED_CLAUSES[clause](bid, offer, facts=facts)


def standing_refusals(bid: Bid, offer: Offer, *, facts: Facts) -> list[str]:
    """The clauses, whatever the slot and tier, that keep a bid from an offer; none means it may see and use it."""
    return [clause for clause in STANDING_CLAUSES if not meets(clause, bid, offer=offer, facts=facts)]


def fits_window(bid: Bid, offer: Offer, *, facts: Facts, slot: int) -> bool:
    """Whether a slot is in both windows and the bid's data has arrived by then. Raises KeyError where data cannot come."""
    first = max(offer.slot_first, earliest_slot(bid, offer, facts=facts))
    return first <= slot < min(bid.slot_end, offer.slot_end)


def fits_tier(bid: Bid, offer: Offer, *, tier: str) -> bool:
    """Whether the bid names the tier and the offer may serve it: what is not firm serves spot only."""
    return tier in bid.limits and (offer.firm or tier == "spot")


def refusals(bid: Bid, offer: Offer, *, facts: Facts, slot: int, tier: str) -> list[str]:
    """Every clause that keeps a bid from an offer in one slot at one tier; an empty list is an arc.

    `window` and `worth` are only asked where the facts they need are there.
    """
    found = standing_refusals(bid, offer, facts=facts)
    data_comes = "transfer" not in found
    if data_comes and not fits_window(bid, offer, facts=facts, slot=slot):
        found.append("window")
    if not fits_tier(bid, offer, tier=tier):
        found.append("tier")
    elif (
        data_comes
        and offer.hardware in bid.factors
        and worth(bid, offer, facts=facts, slot=slot, tier=tier) < rate(offer, facts, slot=slot)
    ):
        found.append("worth")
    return found
