"""Prices a real exchange published, found again by our rule from its own curves.

The week of 1 to 7 April 2025 in the seven Italian zones: 1,176 zone-hours of some 18,000 orders a day.
"""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from contracts.terms.clearing import Clearing
from pricing.certificate import certify
from pricing.clearing import clear
from tests.real_data.italian_day import HOURS, KEYS, LOTS_PER_MWH, day_book, net_positions, published_prices, without_neighbours

ZONES = 7
WEEK = [dt.date(2025, 4, day) for day in range(1, 8)]


def ends(clearing: Clearing) -> pl.DataFrame:
    """zone, period, low, high, rate of every zone-hour that traded."""
    traded = clearing.prices.filter(pl.col("sold") > 0)
    return traded.select(zone="site", period=pl.col("slot") + 1, low="rate_low_micros", high="rate_high_micros", rate="rate_micros")


@pytest.mark.parametrize("day", WEEK, ids=str)
def test_every_published_price_lies_between_both_ends_of_ours(real_data: Path, day: dt.date):
    """And is our price where both ends are one."""
    book = day_book(real_data, day)
    clearing = clear(book)
    found = ends(clearing).join(published_prices(real_data, day), on=KEYS)
    assert found.height == ZONES * HOURS
    assert found.filter(~pl.col("micros").is_between("low", "high")).rows() == []
    points = found.filter(pl.col("low") == pl.col("high"))
    assert points.height > 20
    assert points["rate"].equals(points["micros"], check_names=False)
    certificate = certify(book, clearing, path=clearing.path)
    assert [check for check in certificate.checks if not check.holds] == []
    assert certificate.gap == 0


def test_without_what_its_neighbours_take_a_zone_has_other_prices(real_data: Path):
    """The test above can fail: the same curves, each zone by itself."""
    found = ends(clear(without_neighbours(day_book(real_data, WEEK[2])))).join(published_prices(real_data, WEEK[2]), on=KEYS)
    assert found.filter(~pl.col("micros").is_between("low", "high")).height > ZONES * HOURS // 2


@pytest.mark.parametrize("day", WEEK, ids=str)
def test_what_crosses_the_lines_balances_but_for_less_than_a_lot(real_data: Path, day: dt.date):
    """What is published in kWh rounds to whole lots: where a marginal order is served in part the lines carry fractions of a lot.

    In three hours of 5 April such a fraction (17 to 40 kWh) enters the centre-south, where no order is at the price; the
    orders there balance without it.
    """
    net = net_positions(real_data, day)["net_mwh"] * LOTS_PER_MWH
    assert float((net - net.round()).abs().max()) <= 0.5 + 1e-6  # type: ignore[operator]
    fractions = ((net - net.round()).abs() > 1e-6).sum()
    assert fractions < ZONES * HOURS // 4
