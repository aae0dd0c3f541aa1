"""The parts of a price, and carbon, by hand; and that parts add up whatever the book."""

from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.money import half_up
from pricing.clearing import clear
from pricing.price_parts import PARTS, carbon_bought, price_parts
from tests.builders import GPU, a_bid, an_offer, book, rows_of
from tests.strategies_market import block_books, market_books


def test_a_price_is_power_machine_scarcity_and_headroom():
    """8 accelerators at 1.00, of which 6 may be guaranteed. Power is 1000 W × 1.2 at 50 per MWh: 0.06.

    Four bids of 2 want guaranteed, one of 2 spot: all are sold, one of the four is turned away. What spot pays beyond 1.00 is scarcity,
    what guaranteed pays beyond spot is headroom.
    """
    offer = an_offer("o", quantity=8, rate_micros=1_000_000, firm=True, watts=1000.0, pue=1.2, zone="Z")
    bids = [a_bid(f"g{n}", width=2, limit_guaranteed_micros=3_000_000) for n in range(4)]
    bids += [a_bid("s", width=2, limit_spot_micros=2_000_000)]
    zones = [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 50_000_000, "carbon_g_per_kwh": 100.0, "renewable_share": 0.5}]
    shown = book(offers=[offer], bids=bids, around={"zones": zones}, headroom_guaranteed=Decimal("0.2"))
    clearing = clear(shown)
    found = {
        row["tier"]: row for row in price_parts(shown, prices=clearing.prices, awarded=clearing.awards, hardware=GPU).iter_rows(named=True)
    }
    published: dict = dict(rows_of(clearing.prices, "tier", "rate_micros"))
    for tier, row in found.items():
        assert row["rate_micros"] == published[tier]
        assert (row["power_micros"], row["machine_micros"]) == (60_000, 940_000)
        assert row["scarcity_micros"] == published["spot"] - 1_000_000
        assert row["headroom_micros"] == published[tier] - published["spot"]
    assert found["guaranteed"]["headroom_micros"] > 0
    assert found["spot"]["headroom_micros"] == 0
    assert list(found) == ["guaranteed", "spot"]


def test_an_offer_below_the_cost_of_its_power_has_no_machine_part():
    """0.05 asked where power costs 0.06: all of it is power."""
    offer = an_offer("o", rate_micros=50_000, watts=1000.0, pue=1.2, zone="Z")
    zones = [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 50_000_000, "carbon_g_per_kwh": 100.0, "renewable_share": 0.5}]
    shown = book(offers=[offer], bids=[a_bid("s", limit_spot_micros=50_000)], around={"zones": zones})
    clearing = clear(shown)
    (row,) = price_parts(shown, prices=clearing.prices, awarded=clearing.awards, hardware=GPU).iter_rows(named=True)
    assert [row[f"{part}_micros"] for part in PARTS] == [50_000, 0, 0, 0]


@settings(max_examples=20, deadline=None)
@given(st.one_of(market_books(), block_books()))
def test_parts_add_up_to_the_mean_price_to_the_micro(shown):
    clearing = clear(shown)
    for hardware in shown.offers["hardware"].unique():
        frame = price_parts(shown, prices=clearing.prices, awarded=clearing.awards, hardware=hardware)
        sold = clearing.prices.filter(pl.col("hardware") == hardware, pl.col("sold") > 0)
        expected = {tier: [0, 0] for tier in sold["tier"].unique()}
        for tier, rate, count in sold.select("tier", "rate_micros", "sold").iter_rows():
            expected[tier][0] += rate * count
            expected[tier][1] += count
        assert {row["tier"]: row["rate_micros"] for row in frame.iter_rows(named=True)} == {
            tier: half_up(*sums) for tier, sums in expected.items()
        }
        for row in frame.iter_rows(named=True):
            assert sum(row[f"{part}_micros"] for part in PARTS) == row["rate_micros"]
            assert row["power_micros"] >= 0
            assert row["headroom_micros"] >= 0


def test_carbon_is_grams_a_reference_hour_and_the_unknown_is_not_none():
    """FR: 2 accelerators of half a reference hour at 1000 W × 1.2 × 100 g/kWh: 240 g over one reference hour. DE: nobody knows."""
    offers = [
        an_offer("fr", quantity=2, watts=1000.0, pue=1.2, zone="Z"),
        an_offer("de", site="south", country="DE", quantity=3, watts=1000.0, zone="nowhere"),
    ]
    zones = [{"zone": "Z", "slot": 0, "price_micros_per_mwh": 1, "carbon_g_per_kwh": 100.0, "renewable_share": 0.5}]
    shown = book(offers=offers, bids=[a_bid("x", width=5, limit_spot_micros=9_000_000)], around={"zones": zones})
    frame = carbon_bought(shown, awarded=clear(shown).awards, factors={GPU: Decimal("0.5")})
    assert frame.rows() == [("DE", 0.0, 0.0, 1.5), ("FR", 1.0, 240.0, 0.0)]
    assert carbon_bought(shown, awarded=clear(shown).awards, factors={}).is_empty()
