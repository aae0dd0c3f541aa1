"""Hours of power, and days of exchange rates."""

import os
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from broker.commands.import_offers import import_app
from broker.feeds.adapters import ecb, power
from broker.files.faults import Findings
from broker.files.tables import read_table
from contracts.terms.errors import BadInput
from contracts.terms.tables import ZONES
from contracts.terms.time import utc

TERMS = power.PowerTerms(start=utc("2027-01-04T00:00:00Z"), slots=3, currency="USD", exchange={"EUR": Decimal("1.10")})
HEADER = "zone,utc_hour,price_per_mwh,price_currency,gco2_per_kwh,renewable_share\n"
RATES = "Date,USD,JPY,CYP,\n2026-11-20,1.10,165.0,N/A,\n2026-11-19,1.20,160.0,N/A,\n2026-11-16,1.00,150.0,N/A,\n"


def hours(text):
    return power.parse((HEADER + text).encode(), TERMS)


def test_an_hour_of_a_zone_is_a_slot_of_the_market():
    """80 euros at 1.10 are 88 dollars; an hour before the market is not asked for."""
    found = hours("DE-LU,2027-01-03T23:00:00Z,1,EUR,1,0\nDE-LU,2027-01-04T01:00:00Z,80,EUR,320.5,0.41\nFR,2027-01-04 00:00:00,50,USD,,\n")
    assert found.zones.rows() == [("DE-LU", 1, 88_000_000, 320.5, 0.41), ("FR", 0, 50_000_000, None, None)]
    assert found.missing == {"DE-LU": 2, "FR": 2}
    assert not found.rejected


def test_a_negative_price_is_a_price():
    assert hours("FR,2027-01-04T00:00:00Z,-12.5,USD,,\n").zones["price_micros_per_mwh"].to_list() == [-12_500_000]


def test_one_figure_that_cannot_stand_costs_itself_alone():
    found = hours("FR,2027-01-04T00:00:00Z,50,JPY,30,0.9\nFR,2027-01-04T01:00:00Z,50,USD,-3,1.7\n")
    assert found.zones.rows() == [("FR", 0, None, 30.0, 0.9), ("FR", 1, 50_000_000, None, None)]
    assert [reason for _, reason, _ in found.rejected] == [
        "currency without a rate",
        "implausible gco2_per_kwh",
        "implausible renewable_share",
    ]


def test_rows_that_are_no_hours_say_so():
    found = hours(
        "FR,yesterday,50,USD,,\n,2027-01-04T00:00:00Z,50,USD,,\nFR,2027-01-04T00:00:00Z,1,USD,,\nFR,2027-01-04T00:00:00Z,2,USD,,\n"
    )
    assert [(row, reason) for row, reason, _ in found.rejected] == [(0, "not an hour"), (1, "no zone"), (3, "told twice")]
    assert found.zones["price_micros_per_mwh"].to_list() == [1_000_000]


def test_a_day_without_a_rate_takes_the_last_business_day_before():
    """21 and 22 November 2026 are a weekend; nothing was published on the 17th and 18th."""
    rates = ecb.parse(RATES.encode())
    assert rates.per_euro("USD", date(2026, 11, 22)) == (Decimal("1.10"), date(2026, 11, 20))
    assert rates.per_euro("USD", date(2026, 11, 18)) == (Decimal("1.00"), date(2026, 11, 16))
    assert rates.per_euro("EUR", date(2026, 11, 18))[0] == 1
    for currency, day in (("USD", date(2026, 11, 15)), ("CYP", date(2026, 11, 20)), ("XXX", date(2026, 11, 20))):
        with pytest.raises(BadInput, match=currency):
            rates.per_euro(currency, day)


def test_a_market_in_dollars_is_told_what_others_are_worth():
    """A euro is 1.10 dollars; 165 yen are a euro, so a yen is 1.10 ÷ 165 dollars."""
    worth = ecb.parse(RATES.encode()).exchange("USD", date(2026, 11, 22))
    assert worth["EUR"] == Decimal("1.10")
    assert worth["JPY"] * 165 == pytest.approx(Decimal("1.10"))
    assert "CYP" not in worth
    assert "USD" not in worth


@given(st.dictionaries(st.dates(date(2020, 1, 1), date(2020, 3, 1)), st.integers(1, 10**6), min_size=1), st.integers(0, 100))
def test_the_rate_of_a_day_is_that_of_the_latest_day_that_has_one(published, later):
    text = "Date,USD\n" + "".join(f"{day},{rate}\n" for day, rate in published.items())
    day = min(published) + timedelta(days=later)
    latest = max(known for known in published if known <= day)
    assert ecb.parse(text.encode()).per_euro("USD", day) == (Decimal(published[latest]), latest)


def test_the_commands_use_both(tmp_path):
    """A table in yen: 1,500 an hour for one L4 is 10 dollars, 88 dollars a MWh in Germany."""
    (tmp_path / "ecb.csv").write_text("Date,USD,JPY\n2026-11-20,1.10,165.0\n")
    (tmp_path / "drop.csv").write_text("provider,site,country,hardware,quantity,rate,currency\nacme,kyoto,JP,L4,8,1500,JPY\n")
    (tmp_path / "hours.csv").write_text(HEADER + "DE-LU,2027-01-04T01:00:00Z,80,EUR,320.5,0.41\n")
    market = tmp_path / "market"
    market.mkdir()
    (market / "market.toml").write_text('currency = "USD"\nstart = 2027-01-04T00:00:00Z\nslots = 3\n')
    rates = ["--rates", str(tmp_path / "ecb.csv"), "--on", "2026-11-22"]
    for words in (["offers", str(tmp_path / "drop.csv"), "--from", "drop"], ["power", str(tmp_path / "hours.csv")]):
        done = CliRunner().invoke(import_app, [*words, "--to", str(market), *rates])
        assert done.exit_code == 0, (done.output, done.exception)
    assert pl.read_csv(market / "offers.csv")["rate_micros"].to_list() == [10_000_000]
    findings = Findings()
    zones = read_table(market / "zones.csv", ZONES, findings=findings)
    assert not findings.faults
    assert zones.rows() == [("DE-LU", 1, 88_000_000, 320.5, 0.41)]


def test_the_command_prints_a_template():
    done = CliRunner().invoke(import_app, ["offers", "--template"])
    assert done.output.startswith("site,") or done.output.startswith("provider,")
    assert "lyon-1" in done.output


def test_the_real_hours_become_zones():
    folder = os.environ.get("GRIDFARE_REAL_DATA")
    if not folder:
        pytest.skip("GRIDFARE_REAL_DATA names no folder with the public tables")
    recorded = pl.read_parquet(Path(folder) / "energy_carbon.parquet")
    terms = power.PowerTerms(start=utc("2022-04-10T00:00:00Z"), slots=24, currency="USD", exchange={"EUR": Decimal("1.053")})
    found = power.parse(recorded.with_columns(pl.col("utc_hour").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv().encode(), terms)
    (hour,) = found.zones.filter(zone="US-CAL-CISO", slot=0).iter_rows()
    assert hour[2:] == pytest.approx((47_452_180, 114.11, 0.7531), rel=1e-4)
    assert {reason for _, reason, _ in found.rejected} == {"currency without a rate"}
