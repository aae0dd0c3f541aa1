"""A price list becomes offers, and every price left out has its reason."""

import os
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from broker.commands.import_offers import import_app
from broker.feeds.accelerator_names import NAMES, RAW_NAMES, hardware_class
from broker.feeds.adapters import table
from broker.feeds.adapters.prices import Terms
from broker.feeds.adapters.table import COLUMNS, read_frame
from broker.feeds.adapters.table import parse_frame as parse
from broker.files.faults import Findings
from broker.files.tables import read_table
from broker.world import hardware_classes
from contracts.terms.errors import BadInput
from contracts.terms.tables import OFFERS

TERMS = Terms(hardware=hardware_classes(), slots=24)
PLAIN = {
    "provider": "acme",
    "region": "eu-1",
    "country_code": "FR",
    "zone": None,
    "instance_type": "gpu-8",
    "accelerator": "A100-80GB",
    "accelerator_count": 8.0,
    "price_per_hour": 16.0,
    "spot_price_per_hour": None,
    "currency": "USD",
    "accelerator_raw": "A100 (80 GB)",
}


def price_list(*rows):
    return pl.DataFrame([PLAIN | row for row in rows], schema=dict(COLUMNS))


def reasons(parsed):
    return parsed.rejected.select("row", "reason").rows()


def test_a_price_per_instance_becomes_a_rate_per_accelerator():
    """16 USD an hour for eight accelerators is 2 USD each, sold in whole instances."""
    offer = parse(price_list({}), TERMS).offers.row(0, named=True)
    assert (offer["rate_micros"], offer["quantity"], offer["node_size"]) == (2_000_000, 8, 8)
    assert (offer["hardware"], offer["memory_gb"], offer["watts"], offer["chip_origin"]) == ("A100-80", 80.0, 400.0, "US")
    assert (offer["site"], offer["country"], offer["slot_first"], offer["slot_end"]) == ("acme:eu-1", "FR", 0, 24)


def test_a_spot_price_becomes_an_interruptible_offer_beside_the_firm_one():
    parsed = parse(price_list({"spot_price_per_hour": 6.0}), TERMS)
    assert sorted(parsed.offers.select("firm", "rate_micros").rows()) == [(False, 750_000), (True, 2_000_000)]
    assert (parsed.on_demand, parsed.interruptible) == (1, 1)


def test_the_rate_is_rounded_once_from_the_printed_digits():
    """10.00 over three accelerators is 3.333333; 0.0000005 a piece goes up to a micro."""
    rows = [{"price_per_hour": 10.0, "accelerator_count": 3.0}, {"price_per_hour": 20.000001, "accelerator_count": 2.0, "region": "b"}]
    assert sorted(parse(price_list(*rows), TERMS).offers["rate_micros"]) == [3_333_333, 10_000_001]


def test_what_the_list_does_not_state_is_unknown_rather_than_a_default():
    """Unknown meets no demand; a made-up operator would meet some."""
    parsed = parse(price_list({"region": None, "country_code": None}), TERMS)
    offer = parsed.offers.row(0, named=True)
    unknown = ["country", "subdivision", "operator_country", "parent_country", "trust", "uptime", "latitude", "zone", "certifications"]
    assert all(offer[name] is None for name in unknown)
    assert offer["site"] == "acme:unplaced"
    assert offer["open_to"] == offer["closed_to"] == []


def test_a_zone_is_a_site_of_its_own():
    parsed = parse(price_list({"zone": "eu-1-a"}, {"zone": "eu-1-b"}), TERMS)
    assert sorted(parsed.offers["site"]) == ["acme:eu-1-a", "acme:eu-1-b"]


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        ({"accelerator": None, "accelerator_raw": None}, "no accelerator", None),
        ({"accelerator": "K80", "accelerator_raw": "K80 (12 GB)"}, "accelerator not in the hardware catalogue", "K80 (12 GB)"),
        ({"accelerator_count": None}, "number of accelerators unknown", None),
        ({"accelerator_count": 0.0}, "number of accelerators unknown", None),
        ({"accelerator_count": float("nan")}, "number of accelerators unknown", None),
        ({"accelerator_count": 0.125}, "a slice of an accelerator", "0.125"),
        ({"currency": "CNY"}, "currency without a rate", "CNY"),
        ({"currency": None}, "currency without a rate", None),
        ({"price_per_hour": 0.0}, "no price", "0.0"),
        ({"price_per_hour": -1.0}, "no price", "-1.0"),
        ({"price_per_hour": None}, "no price", None),
        ({"price_per_hour": float("inf")}, "no price", "inf"),
    ],
)
def test_what_cannot_trade_says_why(row, reason, detail):
    parsed = parse(price_list(row), TERMS)
    assert parsed.offers.is_empty()
    assert parsed.rejected.select("reason", "detail").rows() == [(reason, detail)]


def test_another_currency_trades_where_a_rate_is_given():
    """115.20 CNY at 0.14 is 16.128 USD, 2.016 each."""
    terms = Terms(hardware=hardware_classes(), slots=24, exchange={"CNY": Decimal("0.14")})
    assert parse(price_list({"currency": "CNY", "price_per_hour": 115.2}), terms).offers["rate_micros"].to_list() == [2_016_000]


def test_a_price_told_twice_is_offered_once():
    parsed = parse(price_list({}, {"country_code": "FR"}, {"instance_type": "gpu-8b"}), TERMS)
    assert parsed.offers.height == 2
    assert parsed.rejected.select("row", "reason", "detail").rows() == [(1, "told twice", "as row 0")]


def test_the_same_instance_at_another_price_or_place_is_another_offer():
    rows = [{}, {"price_per_hour": 17.0}, {"region": "eu-2"}, {"accelerator_count": 4.0}]
    assert parse(price_list(*rows), TERMS).offers.height == 4


def test_a_rate_beyond_twenty_medians_is_quarantined_with_the_figures():
    """Medians of 2 USD: 0.01 and 41 USD are out, 39 USD is dear but in."""
    rates = [2.0, 2.0, 2.0, 2.0, 2.0, 0.01, 41.0, 39.0]
    rows = [{"region": f"r{i}", "price_per_hour": rate, "accelerator_count": 1.0} for i, rate in enumerate(rates)]
    parsed = parse(price_list(*rows), TERMS)
    assert reasons(parsed) == [(5, "implausible rate"), (6, "implausible rate")]
    assert parsed.rejected["detail"][0] == "10000 micros against a class median of 2000000"
    assert max(parsed.offers["rate_micros"]) == 39_000_000


def test_two_prices_make_no_median():
    rows = [{"region": f"r{i}", "price_per_hour": rate} for i, rate in enumerate([1.0, 1000.0])]
    assert parse(price_list(*rows), TERMS).offers.height == 2


@pytest.mark.parametrize(
    ("name", "raw", "instance", "expected"),
    [
        ("H100", "H100", "p5.48xlarge", "H100-SXM"),
        ("H100", "H100 HGX (80GB)", "any", "H100-SXM"),
        ("H100", "H100 (80 GB)", "h100-380", "H100-PCIE"),
        ("V100-32GB", "V100 (32 GB)", "p3dn", "V100-32"),
        ("K80", None, None, "K80"),
        ("H100-SXM", "H100-SXM", None, "H100-SXM"),
        (None, None, None, None),
    ],
)
def test_names_of_others_become_classes_of_ours(name, raw, instance, expected):
    assert hardware_class(name, raw, instance_type=instance) == expected


def test_every_name_leads_into_the_catalogue():
    assert {*NAMES.values(), *RAW_NAMES.values()} <= set(hardware_classes())


def test_a_column_short_is_refused_by_name():
    assert "`currency`" in parse(price_list({}).drop("currency"), TERMS).fault
    assert "`currency`" in table.parse(price_list({}).drop("currency").write_csv().encode(), TERMS).fault


def test_a_column_of_another_kind_is_refused():
    assert "another kind" in parse(price_list({}).with_columns(price_per_hour=pl.lit("free")), TERMS).fault


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "prices.parquet").write_text("not parquet")
    with pytest.raises(BadInput, match=r"prices\.parquet"):
        read_frame(tmp_path / "prices.parquet")


ROWS = st.fixed_dictionaries(
    {
        "region": st.sampled_from(["a", "b", None]),
        "accelerator": st.sampled_from(["H100", "A100-80GB", "K80", None]),
        "accelerator_raw": st.sampled_from(["H100 (80 GB)", None]),
        "accelerator_count": st.sampled_from([None, 0.0, 0.5, 1.0, 8.0]),
        "price_per_hour": st.one_of(st.none(), st.floats(-1, 1e5)),
        "spot_price_per_hour": st.one_of(st.none(), st.floats(0, 1e3)),
        "currency": st.sampled_from(["USD", "CNY", None]),
    }
)


@given(st.lists(ROWS, max_size=12))
def test_every_price_is_offered_or_rejected_and_none_is_lost(rows):
    frame = price_list(*rows)
    parsed = parse(frame, TERMS)
    counts = parsed.counts()
    assert counts["on_demand"].sum() == frame.height == parsed.on_demand
    assert counts["interruptible"].sum() == frame["spot_price_per_hour"].count() == parsed.interruptible
    assert parsed.offers["offer_id"].is_unique().all()
    assert parsed.rejected["reason"].null_count() == 0


@given(st.lists(ROWS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_offer(rows, random):
    shuffled = rows[:]
    random.shuffle(shuffled)
    assert parse(price_list(*rows), TERMS).offers.equals(parse(price_list(*shuffled), TERMS).offers)


@given(st.lists(ROWS, max_size=12))
def test_the_table_says_the_same_as_csv(rows):
    frame = price_list(*rows)
    told, read = parse(frame, TERMS), table.parse(frame.write_csv().encode(), TERMS)
    assert told.offers.equals(read.offers)
    assert told.rejected.select("row", "firm", "reason").equals(read.rejected.select("row", "firm", "reason"))


# --- the command


def test_the_command_writes_offers_that_read_back_and_counts_them(tmp_path):
    price_list({"spot_price_per_hour": 6.0}, {"accelerator": None, "accelerator_raw": None}).write_parquet(tmp_path / "prices.parquet")
    done = CliRunner().invoke(import_app, ["offers", str(tmp_path / "prices.parquet"), "--to", str(tmp_path / "market")])
    assert done.exit_code == 0, done.output
    assert "no accelerator" in done.output
    findings = Findings()
    offers = read_table(tmp_path / "market" / "offers.csv", OFFERS, findings=findings)
    assert not findings.faults
    assert sorted(offers["rate_micros"]) == [750_000, 2_000_000]
    assert pl.read_csv(tmp_path / "market" / "rejected.csv")["reason"].to_list() == ["no accelerator"]


def test_the_command_does_not_overwrite_offers(tmp_path):
    price_list({}).write_parquet(tmp_path / "prices.parquet")
    (tmp_path / "offers.csv").write_text("offer_id\n")
    done = CliRunner().invoke(import_app, ["offers", str(tmp_path / "prices.parquet"), "--to", str(tmp_path)])
    assert isinstance(done.exception, BadInput)
    assert (tmp_path / "offers.csv").read_text() == "offer_id\n"


@pytest.mark.parametrize("text", ["CNY", "CNY=", "CNY=-1", "CNY=NaN", "YUAN=0.14"])
def test_an_exchange_rate_is_a_currency_and_a_positive_number(tmp_path, text):
    price_list({}).write_parquet(tmp_path / "prices.parquet")
    done = CliRunner().invoke(import_app, ["offers", str(tmp_path / "prices.parquet"), "--exchange", text])
    assert isinstance(done.exception, BadInput)


# --- the real table


@pytest.fixture(scope="module")
def real_table():
    folder = os.environ.get("GRIDFARE_REAL_DATA")
    if not folder:
        pytest.skip("GRIDFARE_REAL_DATA names no folder with the public tables")
    return read_frame(Path(folder) / "offers.parquet")


def test_the_real_table_adds_up(real_table):
    parsed = parse(real_table, TERMS)
    counts = {reason: (firm, spot) for reason, firm, spot in parsed.counts().iter_rows()}
    assert sum(firm for firm, _ in counts.values()) == real_table.height == 15_870
    assert sum(spot for _, spot in counts.values()) == real_table["spot_price_per_hour"].count()
    assert counts["no accelerator"][0] == real_table["accelerator"].null_count()
    assert counts["offered"][0] > 500
    assert counts["offered"][1] > 250
    assert counts["a slice of an accelerator"] == (5, 0)


def test_the_real_table_in_yuan_trades_at_a_rate(real_table):
    terms = Terms(hardware=hardware_classes(), slots=24, exchange={"CNY": Decimal("0.14")})
    dollars, both = parse(real_table, TERMS), parse(real_table, terms)
    yuan = both.offers.filter(~pl.col("offer_id").is_in(dollars.offers["offer_id"].implode()))
    assert set(yuan["country"]) == {"CN"}
    assert both.counts().filter(pl.col("reason") == "currency without a rate").is_empty()
