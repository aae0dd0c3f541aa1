"""What makes a pool, what is callable in it, and what each tier may use."""

from decimal import Decimal

import pytest

from contracts.terms.errors import BadInput
from pricing.pools import Supply, gather
from tests.builders import Row, an_offer, book

OTHERWISE: Row = {
    "country": "DE",
    "subdivision": "FR-IDF",
    "operator_country": "DE",
    "parent_country": None,
    "latitude": 1.0,
    "longitude": 1.0,
    "certifications": ["c5"],
    "uptime": 99.0,
    "memory_gb": 80.0,
    "zone": "Z",
    "watts": 1.0,
    "pue": 1.5,
    "open_to": ["FR"],
    "closed_to": ["FR"],
    "chip_origin": "US",
    "trust": "certified",
    "firm": False,
    "hardware": "TPU",
    "site": "south",
}


def supply_of(*offers: Row, **rules: object) -> Supply:
    around = rules.pop("around", None)
    return gather(book(offers=offers, bids=[], around=around, **rules))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OTHERWISE)
def test_whatever_a_bid_can_test_parts_two_pools(name: str):
    supply = supply_of(an_offer("b"), an_offer("a", **{name: OTHERWISE[name]}), an_offer("c"))
    assert supply.pools["pool"].to_list() == ["a", "b"]
    assert supply.pool_of.tolist() == [0, 1, 1]


def test_rate_quantity_node_window_and_provider_do_not_part_them():
    other = an_offer("b", provider="x", rate_micros=2, quantity=3, node_size=8, slot_first=1, energy_indexed=True)
    assert supply_of(an_offer("a"), other).pools.height == 1


def test_the_order_of_certifications_does_not_part_them():
    assert supply_of(an_offer("a", certifications=["c5", "hds"]), an_offer("b", certifications=["hds", "c5"])).pools.height == 1


def test_offers_above_three_times_the_lowest_rate_are_no_headroom():
    """1.00 and 3.00 are callable, 3.01 is not: Q is 4 + 4, and guaranteed has 8 − ⌈1.6⌉ = 6, standard 8 − ⌊0.4⌋ = 8."""
    supply = supply_of(
        an_offer("a", quantity=4, rate_micros=100),
        an_offer("b", quantity=4, rate_micros=300),
        an_offer("c", quantity=4, rate_micros=301),
        headroom_guaranteed=Decimal("0.20"),
        headroom_standard=Decimal("0.05"),
    )
    assert supply.limits[0, 0].tolist() == [6, 8, 12]
    assert supply.callable[:, 0].tolist() == [True, True, False]


def test_guaranteed_keeps_the_largest_node_back():
    assert supply_of(an_offer("a", quantity=4, node_size=3), an_offer("b", quantity=4)).limits[0, 0].tolist() == [5, 8, 8]


def test_an_interruptible_pool_serves_spot_only():
    assert supply_of(an_offer(quantity=4, firm=False)).limits[0, 0].tolist() == [0, 0, 4]


def test_leases_count_against_their_tier_and_the_worse():
    """One lease at each tier in a pool of ten, one node held back: 10 − 1 − 1, 10 − 0 − 2, and 7 left."""
    leases = [{"lease_id": tier, "offer_id": "a", "slot": 0, "tier": tier, "quantity": 1} for tier in ("guaranteed", "standard", "spot")]
    supply = supply_of(an_offer("a", quantity=10), around={"commitments": leases})
    assert supply.limits[0, 0].tolist() == [8, 8, 7]
    assert supply.offered[0, 0] == 7


def test_a_slot_may_have_its_own_quantity_and_rate_within_the_window():
    rows = [{"offer_id": "a", "slot": slot, "quantity": 9, "rate_micros": 5} for slot in (1, 2)]
    supply = supply_of(an_offer("a", quantity=2, rate_micros=7, slot_end=2), slots=3, around={"offer_slots": rows})
    assert supply.left[0].tolist() == [2, 9, 0]
    assert supply.rates[0, :2].tolist() == [7, 5]


def test_an_indexed_rate_follows_the_price_of_power():
    """500 W at PUE 1.2 and 100.00 a MWh: 0.06 an hour, on top of the rate; half a micro goes up."""
    zones = [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 100_000_000}, {"zone": "Z", "slot": 1, "price_micros_per_mwh": 2_500}]
    offer = an_offer(zone="Z", watts=500.0, pue=1.2, energy_indexed=True, rate_micros=1_000_000)
    assert supply_of(offer, slots=3, around={"zones": zones}).rates[0].tolist() == [1_060_000, 1_000_002, 1_000_000]


def test_a_rate_no_float_could_hold_is_refused():
    with pytest.raises(BadInput, match="beyond what can be cleared"):
        supply_of(an_offer(rate_micros=2**60))
