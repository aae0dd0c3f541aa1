"""Worth and cost of one bid at one offer, in exact integers of micros per accelerator-hour.

The slow reading: one bid, one offer, one slot at a time, every product a fraction until its one rounding.
"""

import math
from fractions import Fraction

from contracts.terms.money import BASIS_POINTS, half_up
from pricing.policy_facts import Bid, Facts, Offer

MILLION = 1_000_000
GIGABITS_PER_TERABYTE = 8_000
SECONDS_PER_HOUR = 3_600


def gross_worth(limit: int, factor: Fraction, *, fee_bps: int) -> int:
    """What an accelerator-hour is worth before transfer and carbon: the limit leaves room for the fee, rounded down."""
    return math.floor(limit * factor * BASIS_POINTS / (BASIS_POINTS + fee_bps))


def worth(bid: Bid, offer: Offer, *, facts: Facts, slot: int, tier: str) -> int:
    """The most the buyer would pay as a rate here, micros per accelerator-hour.

    Raises KeyError for a tier the bid does not name, a hardware class it cannot use, or data that cannot come.
    """
    gross = gross_worth(bid.limits[tier], bid.factors[offer.hardware], fee_bps=facts.fee_bps)
    return gross - transfer_rate(bid, offer, facts=facts) - carbon_rate(bid, offer, facts=facts, slot=slot)


def rate(offer: Offer, facts: Facts, *, slot: int) -> int:
    """The least the provider accepts in a slot: the rate of the slot or the offer, and the energy where indexed."""
    _, base = facts.overrides.get((offer.id, slot), (offer.quantity, offer.rate_micros))
    return base + energy_rate(offer, facts, slot=slot)


def energy_rate(offer: Offer, facts: Facts, *, slot: int) -> int:
    """What energy adds to the rate of an indexed offer; an unknown zone adds nothing."""
    if not offer.energy_indexed or offer.zone is None:
        return 0
    price = facts.energy_micros.get((offer.zone, slot), 0)
    return half_up(offer.watts * offer.pue * price / MILLION)


def quantity(offer: Offer, facts: Facts, *, slot: int) -> int:
    """Accelerators on offer in a slot, leases included; nothing outside the offer's window."""
    if not offer.slot_first <= slot < offer.slot_end:
        return 0
    return facts.overrides.get((offer.id, slot), (offer.quantity, offer.rate_micros))[0]


def transfer_rate(bid: Bid, offer: Offer, *, facts: Facts) -> int:
    """What moving the data adds, spread over the hours bought and rounded up. Raises KeyError where data cannot come."""
    micros_per_tb, _ = route(bid, offer, facts=facts)
    return math.ceil(bid.data_tb * micros_per_tb / bid.hours) if micros_per_tb else 0


def earliest_slot(bid: Bid, offer: Offer, *, facts: Facts) -> int:
    """The first slot in which the bid's data is at the site. Raises KeyError where data cannot come."""
    _, gbps = route(bid, offer, facts=facts)
    if gbps is None:
        return bid.slot_first
    seconds = GIGABITS_PER_TERABYTE * bid.data_tb / gbps
    return bid.slot_first + math.ceil(seconds / (SECONDS_PER_HOUR * facts.slot_hours))


def data_can_come(bid: Bid, offer: Offer, *, facts: Facts) -> bool:
    """Whether the bid's data has a way to the site."""
    try:
        route(bid, offer, facts=facts)
    except KeyError:
        return False
    return True


def route(bid: Bid, offer: Offer, *, facts: Facts) -> tuple[int, Fraction | None]:
    """Micros per terabyte and Gb/s (None: at once) from the bid's data to the site. Raises KeyError where data cannot come."""
    if facts.transfer is None or bid.data_country is None or bid.data_tb == 0:
        return 0, None
    if offer.country is None:
        raise KeyError("the country of the site is unknown")
    pair = (bid.data_country, offer.country)
    if pair not in facts.transfer and bid.data_country == offer.country:
        return 0, None
    return facts.transfer[pair]


def carbon_rate(bid: Bid, offer: Offer, *, facts: Facts, slot: int) -> int:
    """What the buyer would give to avoid the carbon of an accelerator-hour here, rounded up; an unknown zone counts nothing."""
    return math.ceil(Fraction(bid.carbon_micros_per_kg * carbon_milligrams(offer, facts, slot=slot), MILLION))


def carbon_milligrams(offer: Offer, facts: Facts, *, slot: int) -> int:
    """Carbon of an accelerator-hour at an offer in a slot, milligrams."""
    if offer.zone is None:
        return 0
    return half_up(offer.watts * offer.pue * facts.carbon_grams.get((offer.zone, slot), Fraction(0)))
