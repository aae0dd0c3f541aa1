"""The steps behind a price: rates rising, limits falling, accelerators counted from 0."""

from pricing.curves import curve_steps
from tests.builders import a_bid, an_offer, book


def test_supply_rises_and_demand_falls_in_whole_steps():
    """Two offers at 1.00 make one step of 3; a lease takes one of the dearer. A factor of a half halves a limit."""
    lease = {"lease_id": "l", "offer_id": "c", "slot": 0, "tier": "spot", "quantity": 1}
    market = book(
        offers=[an_offer("a"), an_offer("b", quantity=2), an_offer("c", quantity=3, rate_micros=2_000_000), an_offer("d", hardware="TPU")],
        bids=[
            a_bid("x", width=4, limit_spot_micros=3_000_000, hardware=["GPU:0.5"]),
            a_bid("y", width=2, limit_standard_micros=4_000_000, limit_spot_micros=1),
            a_bid("z", limit_spot_micros=9_000_000, hardware=["TPU:1"]),
        ],
        around={"commitments": [lease]},
    )
    assert curve_steps(market, "GPU", slot=0).rows() == [
        ("supply", 1_000_000, 0, 3),
        ("supply", 2_000_000, 3, 5),
        ("demand", 4_000_000, 0, 2),
        ("demand", 1_500_000, 2, 6),
    ]


def test_a_class_nobody_sells_or_wants_has_no_steps():
    assert curve_steps(book(offers=[an_offer()], bids=[]), "TPU", slot=0).is_empty()


def test_the_fee_and_the_price_of_power_move_the_steps():
    """A limit of 1.05 with a fee of 5 % is 1.00; 1 kW at 100.00 a MWh adds 0.10 to the rate."""
    market = book(
        offers=[an_offer(zone="Z", watts=1000.0, energy_indexed=True)],
        bids=[a_bid(limit_spot_micros=1_050_000)],
        around={"zones": [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 100_000_000}]},
        fee_bps=500,
    )
    assert curve_steps(market, "GPU", slot=0)["price_micros"].to_list() == [1_100_000, 1_000_000]
