"""What a provider writes down itself becomes offers, row by row."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.feeds.adapters import drop, ecb, gpuhunt, power, skypilot, table
from broker.feeds.adapters.prices import Terms
from broker.world import hardware_classes
from contracts.terms.time import utc

TERMS = Terms(hardware=hardware_classes(), slots=24, exchange={"EUR": Decimal("1.10")}, provider="acme")
PLAIN = {"provider": "acme", "site": "lyon-1", "country": "FR", "hardware": "H100-SXM", "quantity": 64, "rate": "2.00"}


def dropped(*rows):
    return drop.parse(msgspec.json.encode([PLAIN | row for row in rows]), TERMS)


def test_the_template_is_a_drop():
    """2.15 euros at 1.10 are 2.365 dollars."""
    (offer,) = drop.parse(drop.template().encode(), TERMS).offers.iter_rows(named=True)
    assert (offer["site"], offer["quantity"], offer["node_size"], offer["rate_micros"]) == ("lyon-1", 64, 8, 2_365_000)
    assert (offer["operator_country"], offer["certifications"], offer["trust"]) == ("FR", ["iso27001", "hds"], "community")


def test_what_a_drop_leaves_out_is_the_default_of_the_table():
    (offer,) = dropped({}).offers.iter_rows(named=True)
    assert (offer["firm"], offer["node_size"], offer["memory_gb"], offer["chip_origin"]) == (True, 1, 80.0, "US")
    assert (offer["uptime"], offer["latitude"], offer["slot_end"]) == (None, None, 24)


def test_csv_and_json_say_the_same():
    names = list(PLAIN)
    line = ",".join(str(value) for value in PLAIN.values())
    assert drop.parse(f"{','.join(names)}\n{line}\n".encode(), TERMS).offers.equals(dropped({}).offers)


def test_an_offer_keeps_its_id_when_its_rate_and_quantity_change():
    before, after = dropped({}), dropped({"rate": "3.00", "quantity": 8})
    assert before.offers["offer_id"].to_list() == after.offers["offer_id"].to_list()
    assert dropped({}, {"rate": "3.00"}).rejected.select("row", "reason", "detail").rows() == [(1, "told twice", "as row 0")]
    assert dropped({}, {"name": "second hall"}).offers.height == 2


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"hardware": "K80"}, "accelerator not in the hardware catalogue"),
        ({"currency": "CNY"}, "currency without a rate"),
        ({"rate": "0"}, "no price"),
        ({"rate": "NaN"}, "no price"),
        ({"rate": "1e-9"}, "implausible rate"),
        ({"rate": "2,15"}, "not an offer"),
        ({"country": "France"}, "not an offer"),
        ({"quantity": 0}, "not an offer"),
        ({"site": None}, "not an offer"),
    ],
)
def test_what_cannot_be_an_offer_says_why(row, reason):
    parsed = dropped(row)
    assert parsed.offers.is_empty()
    assert parsed.rejected["reason"].to_list() == [reason]


def test_a_rate_nobody_can_mean_is_quarantined_here_too():
    rows = [{"name": str(n)} for n in range(5)]
    parsed = dropped(*rows, {"name": "typo", "rate": "0.02"})
    assert (parsed.offers.height, parsed.rejected["reason"].to_list()) == (5, ["implausible rate"])


PARSERS = [
    lambda payload: table.parse(payload, TERMS),
    lambda payload: skypilot.parse(payload, TERMS),
    lambda payload: gpuhunt.parse(payload, TERMS),
    lambda payload: drop.parse(payload, TERMS),
    ecb.parse,
    lambda payload: power.parse(payload, power.PowerTerms(start=utc("2027-01-04T00:00:00Z"), slots=24, currency="USD")),
]
HEADERS = [table.COLUMNS, skypilot.COLUMNS, gpuhunt.COLUMNS, drop.REQUIRED, ("Date", "USD", "JPY"), (*power.COLUMNS, *power.OPTIONAL)]


@pytest.mark.parametrize("adapter", range(len(PARSERS)), ids=["table", "skypilot", "gpuhunt", "drop", "ecb", "power"])
@given(tail=st.binary(max_size=200), headed=st.booleans())
@example(tail=b'"' * 200_000, headed=True)
@example(tail=b"\x00\n\r\r,\x1e,\n", headed=True)
@example(tail=b"[" * 100_000, headed=False)
@example(tail=b'["\\ud800", {"provider": "\\ud800"}, 1, null]', headed=False)
def test_no_bytes_make_an_adapter_raise(adapter, tail, headed):
    header = ",".join(HEADERS[adapter]).encode() + b"\n" if headed else b""
    found = PARSERS[adapter](header + tail)
    if not headed and found.fault:
        assert len(found.fault) > 10


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@given(st.lists(st.dictionaries(st.sampled_from(drop.COLUMNS), JUNK, max_size=8).map(lambda row: PLAIN | row) | JUNK, max_size=6))
def test_every_row_of_a_drop_is_offered_or_rejected(rows):
    parsed = drop.parse(msgspec.json.encode(rows), TERMS)
    assert not parsed.fault
    assert parsed.offers.height + parsed.rejected.height == len(rows) == parsed.on_demand + parsed.interruptible
    assert parsed.offers["offer_id"].is_unique().all()
