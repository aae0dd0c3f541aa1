"""Giving way in one clause: what a buyer would have to change to let one offer in, in words, and how far that is.

Each clause has a sentence and a distance; the distance only ranks the ways of one clause against each other.
"""

from collections.abc import Callable
from typing import Protocol

from pricing.policy import great_circle_km
from pricing.policy_facts import Bid, Facts, Offer
from pricing.policy_worth import earliest_slot

UNKNOWN = float("inf")


class Change(Protocol):
    """Says in words what letting an offer in would take."""

    def __call__(self, bid: Bid, offer: Offer, *, facts: Facts) -> str:
        """The change, as a buyer would make it."""
        ...


def relaxed(clause: str, bid: Bid, *, offer: Offer, facts: Facts) -> str:
    """What the buyer would change in a clause to let an offer in."""
    if clause in _MEASURED_CHANGES:
        return _MEASURED_CHANGES[clause](bid, offer, facts=facts)
    return _PAIR_CHANGES[clause](bid, offer) if clause in _PAIR_CHANGES else _OFFER_CHANGES[clause](offer)


def nearness(clause: str, offer: Offer, *, bid: Bid, facts: Facts) -> float:
    """How far the buyer would have to go; 0 where one way is as near as another."""
    match clause:
        case "memory":
            return UNKNOWN if offer.memory_gb is None else -offer.memory_gb
        case "uptime":
            return UNKNOWN if offer.uptime is None else -offer.uptime
        case "latency":
            return _milliseconds(bid, offer, facts=facts) or UNKNOWN
        case "distance":
            return _kilometres(bid, offer) or UNKNOWN
        case _:
            return 0


def _named(country: str | None) -> str:
    return country or "a country that is not stated"


def _memory(offer: Offer) -> str:
    return f"accept {offer.memory_gb:g} GB of memory" if offer.memory_gb is not None else "accept memory that is not stated"


def _uptime(offer: Offer) -> str:
    return f"accept an uptime of {offer.uptime:g} %" if offer.uptime is not None else "accept an uptime that is not stated"


def _operators(bid: Bid, offer: Offer) -> str:
    concerned = {offer.operator_country, offer.parent_country} - bid.operator_countries
    return f"allow operators of {' and '.join(sorted(map(_named, concerned)))}"


def _denied(bid: Bid, offer: Offer) -> str:
    concerned = {offer.country, offer.operator_country, offer.parent_country}
    return f"no longer deny {' and '.join(sorted(_named(c) for c in concerned if c is None or c in bid.countries_denied))}"


def _trust(offer: Offer) -> str:
    return f"trust {offer.trust} operators" if offer.trust else "trust operators of no stated class"


def _latency(bid: Bid, offer: Offer, *, facts: Facts) -> str:
    measured = _milliseconds(bid, offer, facts=facts)
    return f"accept {measured:g} ms" if measured is not None else "accept a latency nobody measured"


def _distance(bid: Bid, offer: Offer) -> str:
    far = _kilometres(bid, offer)
    return f"accept {far:,.0f} km" if far is not None else "accept a distance nobody can tell"


def _window(bid: Bid, offer: Offer, *, facts: Facts) -> str:
    first = max(offer.slot_first, earliest_slot(bid, offer, facts=facts))
    return f"run in slots {first} to {offer.slot_end - 1}" if first < offer.slot_end else "have the data there sooner"


def _milliseconds(bid: Bid, offer: Offer, *, facts: Facts) -> float | None:
    return facts.rtt_ms.get((bid.place, offer.site)) if bid.place is not None else None


def _kilometres(bid: Bid, offer: Offer) -> float | None:
    if bid.latitude is None or bid.longitude is None or offer.latitude is None or offer.longitude is None:
        return None
    return great_circle_km((bid.latitude, bid.longitude), (offer.latitude, offer.longitude))


_OFFER_CHANGES: dict[str, Callable[[Offer], str]] = {
    "hardware": lambda offer: f"accept {offer.hardware}",
    "memory": _memory,
    "uptime": _uptime,
    "countries": lambda offer: f"allow {_named(offer.country)}",
    "subdivisions": lambda offer: f"allow {offer.subdivision or 'a subdivision that is not stated'}",
    "trust": _trust,
    "chip_origin": lambda offer: f"accept chips from {_named(offer.chip_origin)}",
    "transfer": lambda offer: f"find a way for the data to {_named(offer.country)}",
    "tier": lambda _: "give a limit at spot",
}
_PAIR_CHANGES: dict[str, Callable[[Bid, Offer], str]] = {
    "operator_countries": _operators,
    "countries_denied": _denied,
    "certifications": lambda bid, offer: f"do without {' and '.join(sorted(bid.certifications - offer.certifications))}",
    "distance": _distance,
}
_MEASURED_CHANGES: dict[str, Change] = {"latency": _latency, "window": _window}
