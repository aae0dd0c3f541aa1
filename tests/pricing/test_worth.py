"""What an accelerator-hour is worth to a bid, to the micro, and when its data is there."""

import pytest

from contracts.terms.errors import BadInput
from pricing.problem import build
from tests.builders import Row, a_bid, an_offer, book

ROUTES: list[Row] = [
    {"from_country": "FR", "to_country": "DE", "micros_per_tb": 1_000_000, "gbps": 20.0},
    {"from_country": "DE", "to_country": "DE", "micros_per_tb": 7, "gbps": 1000.0},
    {"from_country": "FR", "to_country": "US", "micros_per_tb": 0, "gbps": 0.0},
]


def arcs_of(offer: Row, bid: Row, *, around: dict[str, list[Row]] | None = None, **rules: object) -> list[tuple[int, int]]:
    """(slot, worth) of the only bid at the only offer, whose rate is nothing."""
    market = book(offers=[an_offer(**{"rate_micros": 0, "firm": False, **offer})], bids=[a_bid(**bid)], around=around, **rules)
    arcs = build(market).arcs
    return list(zip(arcs.slot.tolist(), arcs.worth.tolist(), strict=True))


def test_a_limit_times_its_factor_is_rounded_down_once():
    """1,000,003 · 0.333333 ÷ 1.0025 = 332,502.74…"""
    assert arcs_of({}, {"limit_spot_micros": 1_000_003, "hardware": ["GPU:0.333333"]}, fee_bps=25) == [(0, 332_502)]


def test_carbon_is_taken_off_and_rounded_up():
    """350 W · 1.2 · 453.4 g = 190,428 mg; at 0.10 a kilogram 19,042.8 micros, so 19,043. A zone nobody knows emits nothing."""
    zones: list[Row] = [{"zone": "Z", "slot": 0, "carbon_g_per_kwh": 453.4}]
    bid = {"limit_spot_micros": 1_000_000, "carbon_micros_per_kg": 100_000}
    offer = {"watts": 350.0, "pue": 1.2, "zone": "Z"}
    assert arcs_of(offer, bid, around={"zones": zones}, slots=2) == [(0, 980_957), (1, 1_000_000)]


def test_half_a_milligram_goes_up():
    """1 W · 1 · 0.5 g = 0.5 mg, so 1; at 1,000,000 micros a kilogram that is one micro."""
    zones: list[Row] = [{"zone": "Z", "slot": 0, "carbon_g_per_kwh": 0.5}]
    bid = {"limit_spot_micros": 10, "carbon_micros_per_kg": 1_000_000}
    assert arcs_of({"watts": 1.0, "zone": "Z"}, bid, around={"zones": zones}) == [(0, 9)]


@pytest.mark.parametrize(
    ("country", "bid", "expected"),
    [
        ("DE", {"data_tb": 1.0, "data_country": "FR"}, [(1, 666_666), (2, 666_666), (3, 666_666)]),
        ("DE", {"data_tb": 9.0, "data_country": "DE"}, [(1, 999_979), (2, 999_979), (3, 999_979)]),
        ("FR", {"data_tb": 1.0, "data_country": "FR"}, [(0, 1_000_000), (1, 1_000_000), (2, 1_000_000)]),
        ("DE", {"data_tb": 1.0, "data_country": None}, [(0, 1_000_000), (1, 1_000_000), (2, 1_000_000)]),
        ("IT", {"data_tb": 0.0, "data_country": "FR"}, [(0, 1_000_000), (1, 1_000_000), (2, 1_000_000)]),
        ("IT", {"data_tb": 1.0, "data_country": "FR"}, []),
        (None, {"data_tb": 1.0, "data_country": "FR"}, []),
        ("US", {"data_tb": 1.0, "data_country": "FR"}, []),
    ],
    ids=[
        "a third of a unit an hour, up",
        "a tariff within",
        "free within",
        "from nowhere",
        "nothing to move",
        "no route",
        "nowhere known",
        "a dead wire",
    ],
)
def test_moving_data(country: str | None, bid: Row, expected: list[tuple[int, int]]):
    """Three hours of work. What moves over a wire is never there in slot 0; 9 TB at 7 a terabyte are 21 an hour."""
    asked = {"limit_spot_micros": 1_000_000, "hours": 3.0, "width": 1, **bid}
    found = arcs_of({"country": country}, asked, around={"transfer": ROUTES}, slots=4)
    assert found[:3] == expected


@pytest.mark.parametrize(("terabytes", "first"), [(9.0, 1), (9.000001, 2), (18.0, 2)])
def test_data_that_arrives_on_the_stroke_runs_in_that_slot(terabytes: float, first: int):
    """9 TB are 72,000 gigabits, 3,600 s at 20 Gb/s: exactly one slot."""
    bid = {"limit_spot_micros": 100_000_000, "hours": 3.0, "data_tb": terabytes, "data_country": "FR"}
    assert arcs_of({"country": "DE"}, bid, around={"transfer": ROUTES}, slots=4)[0][0] == first


def test_without_a_table_data_moves_free_and_at_once():
    bid = {"limit_spot_micros": 1_000_000, "data_tb": 900.0, "data_country": "FR"}
    assert arcs_of({"country": "US"}, bid) == [(0, 1_000_000)]


def test_a_worth_below_the_lowest_rate_is_no_arc():
    assert arcs_of({"rate_micros": 11}, {"limit_spot_micros": 10}) == []
    assert arcs_of({"rate_micros": 10}, {"limit_spot_micros": 10}) == [(0, 10)]


@pytest.mark.parametrize(
    "bid",
    [
        {"limit_spot_micros": 2**51},
        {"limit_spot_micros": 1, "carbon_micros_per_kg": 2**51},
        {"limit_spot_micros": 1, "data_tb": 1e15, "data_country": "FR"},
    ],
)
def test_sums_no_float_could_hold_are_refused(bid: Row):
    zones: list[Row] = [{"zone": "Z", "slot": 0, "carbon_g_per_kwh": 900.0}]
    with pytest.raises(BadInput, match="beyond what can be cleared"):
        arcs_of({"country": "DE", "zone": "Z", "watts": 1000.0}, bid, around={"transfer": ROUTES, "zones": zones})
