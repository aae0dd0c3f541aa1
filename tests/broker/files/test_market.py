"""Market directories: what is written reads back the same, defaults are filled in, every fault has its place."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from broker.files.market import read_market, read_market_aloud, read_result, write_market, write_result
from broker.files.market_toml import read_rules, rules_text
from contracts.terms.errors import BadInput
from contracts.terms.orders import MarketBook
from contracts.terms.tables import MARKET_TABLES
from pricing.certificate import certify
from pricing.clearing import clear
from tests.builders import a_bid, an_offer, book
from tests.strategies_policy import policy_books

TOML = 'currency = "EUR"\nstart = "2027-01-01T00:00:00Z"\nslots = 4\n'
OFFERS = "offer_id,provider,site,country,hardware,quantity,rate_micros\no1,prv,north,SE,GPU,8,1000000\n"
BIDS = "bid_id,buyer,entered_at,width,hours,limit_spot_micros,hardware\nb1,byr,2026-12-31T10:00:00Z,2,4.0,2000000,GPU:1.5\n"
SLOTS = "offer_id,slot,quantity,rate_micros\n"
LEASES = "lease_id,offer_id,slot,tier,quantity\n"


def market(directory: Path, **files: str) -> Path:
    """A market directory with one offer and one bid, and whatever files are given instead or besides."""
    for name, text in {"market.toml": TOML, "offers.csv": OFFERS, "bids.csv": BIDS, **files}.items():
        (directory / name).write_text(text, encoding="utf-8")
    return directory


def faults(directory: Path, **files: str) -> str:
    with pytest.raises(BadInput) as refusal:
        read_market(market(directory, **files))
    return str(refusal.value)


def test_defaults_stand_where_columns_are_missing(tmp_path: Path):
    found = read_market(market(tmp_path))
    offer, bid = found.offers.row(0, named=True), found.bids.row(0, named=True)
    assert (offer["operator_country"], offer["parent_country"], offer["trust"]) == ("SE", "SE", "verified")
    assert (offer["slot_first"], offer["slot_end"], offer["node_size"], offer["firm"], offer["pue"]) == (0, 4, 1, True, 1.0)
    assert (offer["memory_gb"], offer["certifications"], offer["open_to"]) == (None, [], [])
    assert (bid["kind"], bid["limit_guaranteed_micros"], bid["hardware"], bid["sites_max"]) == ("flexible", None, ["GPU:1.5"], 1)
    assert bid["entered_at"] == datetime(2026, 12, 31, 10, tzinfo=UTC)
    assert found.transfer is None
    assert (found.rules.slot_hours, found.rules.headroom_guaranteed) == (Decimal(1), Decimal("0.20"))


def test_an_empty_cell_is_unknown_and_no_default(tmp_path: Path):
    offers = "offer_id,provider,site,country,operator_country,parent_country,trust,hardware,quantity,rate_micros,certifications,open_to\n"
    rows = 'o1,prv,north,SE,,,,GPU,8,1,,\no2,prv,north,SE,"","","",GPU,8,1,"",""\n'
    found = read_market(market(tmp_path, **{"offers.csv": offers + rows})).offers
    for column in ("operator_country", "parent_country", "trust"):
        assert found[column].to_list() == [None, None]
    assert found["open_to"].to_list() == [[], []]
    assert found["certifications"].to_list() == [None, []]


def test_decimals_are_read_as_written(tmp_path: Path):
    rules = read_rules(market(tmp_path, **{"market.toml": TOML + "headroom_standard = 0.1\nslot_hours = 0.25\ncall_ceiling = 3\n"}))
    assert (rules.headroom_standard, rules.hours * 4, rules.call_ceiling) == (Decimal("0.1"), Fraction(1), Decimal(3))
    (tmp_path / "market.toml").write_text(rules_text(rules), encoding="utf-8")
    assert read_rules(tmp_path) == rules


def test_columns_nobody_knows_are_left_out_aloud(tmp_path: Path):
    reading = read_market_aloud(
        market(tmp_path, **{"offers.csv": OFFERS.replace("quantity,", "colour,quantity,").replace(",8,", ",red,8,")})
    )
    assert reading.warnings == ("file offers.csv: column colour is not one of the table and is left out",)
    assert reading.book.offers.columns == list(MARKET_TABLES[0].schema)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy_books())
def test_what_is_written_reads_back_the_same(tmp_path: Path, book_: MarketBook):
    for parquet in (False, True):
        write_market(tmp_path, book_, parquet=parquet)
        again = read_market(tmp_path)
        assert again.rules == book_.rules
        for name, frame in book_.tables().items():
            assert again.tables()[name].equals(frame), name


def test_the_order_of_rows_and_columns_is_not_kept(tmp_path: Path):
    mixed = "rate_micros,quantity,hardware,country,site,provider,offer_id\n2,1,GPU,SE,north,prv,o2\n1000000,8,GPU,SE,north,prv,o1\n"
    plain = OFFERS + "o2,prv,north,SE,GPU,1,2\n"
    one = read_market(market(tmp_path, **{"offers.csv": mixed}))
    other = read_market(market(tmp_path, **{"offers.csv": plain}))
    assert one.offers.equals(other.offers)


@pytest.mark.parametrize(
    "text",
    [OFFERS.rstrip(), OFFERS + "\n\n", OFFERS.replace("\n", "\n\n"), OFFERS.replace("\n", "\r\n"), "\ufeff" + OFFERS],
    ids=["no last newline", "blank lines after", "blank lines between", "of another system", "byte order mark"],
)
def test_a_csv_may_come_from_any_program(tmp_path: Path, text: str):
    (market(tmp_path) / "offers.csv").write_bytes(text.encode())
    assert read_market(tmp_path).offers.select("offer_id", "rate_micros").rows() == [("o1", 1_000_000)]


def test_a_market_may_be_empty(tmp_path: Path):
    headers = {"offers.csv": OFFERS.splitlines()[0] + "\n", "bids.csv": BIDS.splitlines()[0] + "\n"}
    empty = read_market(market(tmp_path, **headers))
    assert (empty.offers.height, empty.bids.height) == (0, 0)
    assert certify(empty, clear(empty), path="convex").holds


def test_parquet_goes_before_csv(tmp_path: Path):
    market(tmp_path)
    pl.read_csv(tmp_path / "offers.csv").with_columns(quantity=3).write_parquet(tmp_path / "offers.parquet")
    assert read_market(tmp_path).offers["quantity"].to_list() == [3]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "offers.csv",
            OFFERS.replace(",8,", ",8.0,"),
            "file offers.csv, row 1, column quantity: the cell is not a whole number",
        ),
        ("offers.csv", OFFERS.replace(",8,", ",-8,"), "row 1, column quantity: the cell is below 0; found '-8'"),
        ("offers.csv", OFFERS.replace(",8,", ",,"), "row 1, column quantity: the cell is empty"),
        ("offers.csv", OFFERS.replace("north", '""'), "row 1, column site: the cell is empty"),
        ("offers.csv", OFFERS.replace(",SE,", ",Sweden,"), "row 1, column country: this is no country code; found 'Sweden'"),
        ("offers.csv", OFFERS + "o1,prv,north,SE,GPU,1,1\n", "row 2, column offer_id: the offer_id came before; found 'o1'"),
        ("offers.csv", OFFERS.replace("quantity,", "").replace(",8,", ","), "column quantity: the column is missing"),
        ("offers.csv", OFFERS + "o2,prv\n", "row 2: the row has not one cell a column; found '2 cells'; 7 cells would do"),
        ("offers.csv", OFFERS.replace("provider", "offer_id"), "the header names column offer_id twice"),
        ("offers.csv", "", "the header is empty"),
        ("bids.csv", BIDS.replace("GPU:1.5", "GPU"), "row 1, column hardware: hardware is not named like this; found 'GPU'"),
        ("bids.csv", BIDS.replace("GPU:1.5", "GPU:1.1234567"), "at most six decimals"),
        ("bids.csv", BIDS.replace("GPU:1.5", "GPU:0"), "a factor above 0"),
        ("bids.csv", BIDS.replace("GPU:1.5", "GPU:1;GPU:2"), "a hardware class is named twice; found 'GPU:1;GPU:2'"),
        ("bids.csv", BIDS.replace("10:00:00Z", "10:00:00"), "column entered_at: the cell is not a time in UTC"),
        ("bids.csv", BIDS.replace("10:00:00Z", "10:00:00+01:00"), "a time in UTC, e.g. 2026-03-01T09:00:00Z would do"),
        ("bids.csv", BIDS.replace("12-31", "13-31"), "column entered_at: the cell is not a time in UTC"),
        ("bids.csv", BIDS.replace(",2000000,", ",,"), "the bid wants no tier"),
        ("bids.csv", BIDS.replace(",4.0,", ",nan,"), "column hours: the cell is not a number; found 'nan'"),
        ("bids.csv", BIDS.replace(",4.0,", ",0.0,"), "the bid wants no hours"),
        (
            "bids.csv",
            BIDS.replace("hardware", "hardware,slot_end").replace("1.5", "1.5,5"),
            "the window ends after the last slot; found '5'",
        ),
        ("bids.csv", BIDS.replace("hardware", "hardware,kind").replace("1.5", "1.5,swap"), "found 'swap'; flexible or block would do"),
        ("bids.csv", BIDS.replace("hardware", "hardware,sites_max").replace("1.5", "1.5,2"), "virtual clusters are not cleared yet"),
        ("bids.csv", BIDS.replace("hardware", "hardware,kind").replace("1.5", "1.5,block").replace("4.0", "5.0"), "which is 5/2 here"),
        (
            "offer_slots.csv",
            SLOTS + "o9,0,1,1\n",
            "offer_slots.csv, row 1, column offer_id: no offer has this id",
        ),
        (
            "offer_slots.csv",
            SLOTS + "o1,4,1,1\n",
            "column slot: there is no such slot; found '4'; 0 to 3 would do",
        ),
        (
            "commitments.csv",
            LEASES + "l1,o1,0,spot,5\nl2,o1,0,spot,4\n",
            "row 2, column quantity: leases hold more",
        ),
        ("transfer.csv", "from_country,to_country,micros_per_tb,gbps\nSE,DE,1,0\n", "nothing ever arrives"),
        ("market.toml", TOML + "fee = 3\n", "column fee: nobody knows this setting; found 'fee'; fee_bps would do"),
        ("market.toml", TOML.replace("slots = 4\n", ""), "column slots: the setting is missing"),
        ("market.toml", TOML + "headroom_standard = 1.5\n", "headroom_standard must be in 0..1"),
        ("market.toml", TOML + "headroom_standard = 0.1234567\n", "more than six decimals"),
        ("market.toml", TOML + 'rules = "7"\n', "these rules are not known here; found '7'"),
        ("market.toml", TOML.replace("00Z", "00+02:00"), "the setting is no time in UTC"),
        ("market.toml", "currency = EUR", "the file is not TOML"),
    ],
)
def test_every_fault_has_its_place_and_its_remedy(tmp_path: Path, file: str, text: str, said: str):
    assert said in faults(tmp_path, **{file: text})


def test_faults_are_told_together_and_not_without_end(tmp_path: Path):
    rows = "".join(f"o{number},prv,north,Sweden,GPU,x,1\n" for number in range(2, 40))
    told = faults(tmp_path, **{"offers.csv": OFFERS + rows, "bids.csv": BIDS.replace("4.0", "four")}).splitlines()
    assert told[0] == "39 faults:"
    assert (
        told[1] == "  file offers.csv, row 2, column quantity: the cell is not a whole number; found 'x'; a whole number, "
        "e.g. 1500000, at least 0 would do"
    )
    assert told[-1] == "  and 19 more of the kind"
    assert len(told) == 22


def test_a_missing_part_is_named(tmp_path: Path):
    with pytest.raises(BadInput, match="there is no such directory"):
        read_market(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=r"file market.toml: the market directory has no such file"):
        read_market(tmp_path)
    market(tmp_path)
    (tmp_path / "bids.csv").unlink()
    with pytest.raises(BadInput, match=r"file bids.csv: the market directory has no such table; bids.csv or .parquet would do"):
        read_market(tmp_path)


def test_parquet_of_another_kind_is_refused(tmp_path: Path):
    market(tmp_path)
    offers = pl.read_csv(tmp_path / "offers.csv")
    offers.with_columns(pl.col("quantity").cast(pl.Float64)).write_parquet(tmp_path / "offers.parquet")
    with pytest.raises(BadInput, match=r"file offers.parquet, column quantity: the column is not of kind int; found 'Float64'"):
        read_market(tmp_path)
    (tmp_path / "offers.parquet").write_bytes(b"not parquet")
    with pytest.raises(BadInput, match=r"file offers.parquet: the file cannot be read"):
        read_market(tmp_path)


@pytest.mark.parametrize("parquet", [False, True])
def test_a_result_reads_back_the_same(tmp_path: Path, parquet: bool):
    small = book(offers=[an_offer(quantity=3)], bids=[a_bid("b1", width=2, limit_spot_micros=2_000_000), a_bid("b2", limit_spot_micros=1)])
    clearing = clear(small)
    certificate = certify(small, clearing, path="convex")
    write_result(tmp_path, clearing, certificate=certificate, timing={"cleared": 0.1}, parquet=parquet)
    again = read_result(tmp_path)
    assert again.certificate == certificate
    for name, frame in clearing.tables().items():
        assert again.clearing.tables()[name].equals(frame), name
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_result_without_its_certificate_is_none(tmp_path: Path):
    small = book(offers=[an_offer()], bids=[a_bid()])
    clearing = clear(small)
    write_result(tmp_path, clearing, certificate=certify(small, clearing, path="convex"), timing={})
    (tmp_path / "certificate.json").unlink()
    with pytest.raises(BadInput, match="the result has no certificate"):
        read_result(tmp_path)
