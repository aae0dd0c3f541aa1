"""Settlement against hand-made months and two oracles, and the laws it keeps whatever arrives in whatever order."""

from dataclasses import dataclass

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.settlement import SettlementBook, settle
from contracts.terms.errors import BadInput
from tests.contracts.golden import NAMES, golden_book, golden_rows, rows_of, texts_of
from tests.contracts.months import Rows, book_of, in_microseconds, random_month
from tests.oracles.settlement_python import Oracle
from tests.oracles.settlement_sql import settle_in_sql

SEEDS = st.integers(0, 10_000)
PERIOD_TABLES = ("invoices", "lines", "postings", "payouts")


@pytest.mark.parametrize("name", NAMES)
def test_a_month_settles_to_the_figures_worked_out_by_hand(name):
    settled = texts_of(settle(golden_book(name)))
    for table, rows in settled.items():
        assert rows == golden_rows(name, table), table


@pytest.mark.parametrize("seed", range(60))
def test_plain_integers_find_the_same_rows(seed):
    month = random_month(seed, sla=seed % 2 == 0)
    as_of = (None, 2, 3)[seed % 3]
    assert rows_of(settle(book_of(month), as_of=as_of)) == Oracle(in_microseconds(month), as_of).run()


@pytest.mark.parametrize("seed", range(100, 116))
def test_sql_finds_the_same_rows(seed):
    month = random_month(seed, sla=seed % 2 == 0)
    as_of = (None, 3)[seed % 2]
    assert rows_of(settle(book_of(month), as_of=as_of)) == settle_in_sql(in_microseconds(month), as_of)


def test_the_random_months_hold_what_they_are_meant_to():
    """An oracle that never meets a case proves nothing about it."""
    settled = [settle(book_of(random_month(seed))) for seed in range(12)]
    lines = pl.concat(s.lines for s in settled)
    assert set(lines["kind"]) == {"usage", "take", "fee", "trueup", "credit"}
    assert lines.filter(pl.col("month") < pl.col("period")).height > 50
    assert lines.filter((pl.col("kind") == "trueup") & (pl.col("amount_micros") < 0)).height > 0
    assert set(pl.concat(s.postings for s in settled)["reason"]) == {"invoice", "credit_note"}
    readings = [s.reading for s in settled]
    assert sum(r.conflicts.height for r in readings) > 20
    assert min(r.duplicates for r in readings) > 0
    assert sum(r.rows_later > 0 and r.seconds_later > 0 for r in readings) > 3


@given(SEEDS, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_neither_order_nor_repetition_of_rows_changes_anything(seed, rng):
    month = random_month(seed)
    again = {name: rng.sample(rows, len(rows)) for name, rows in month.items()}
    again["usage"] += rng.sample(month["usage"], 10)
    assert rows_of(settle(book_of(again))) == rows_of(settle(book_of(month)))


@given(SEEDS, st.data())
@settings(max_examples=25, deadline=None)
def test_a_month_ends_up_at_the_same_bill_however_its_usage_arrived(seed, data):
    """Σ over periods of a month's lines is the price of its final usage; only the periods that bill it differ."""
    month = random_month(seed)
    latest = {row["usage_id"]: row for row in sorted(month["usage"], key=lambda row: row["rev"])}
    closes = [row["closes_at"] for row in month["periods"]]
    arrivals = data.draw(st.lists(st.sampled_from([month["periods"][0]["month_start"], *closes[:-1]]), min_size=60, max_size=60))
    scattered = [row | {"received_at": moment} for row, moment in zip(latest.values(), arrivals, strict=True)]
    at_once = [row | {"received_at": closes[-2]} for row in latest.values()]
    bills = [_final(month | {"usage": usage}) for usage in (scattered, at_once)]
    assert bills[0] == bills[1]


@given(SEEDS, st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_closed_period_never_changes(seed, closed):
    """What a close published is what any later close says of those periods; rows that came later did not matter to it."""
    month = random_month(seed)
    whole = settle(book_of(month))
    close = month["periods"][closed - 1]["closes_at"]
    then = month | {"periods": month["periods"][:closed], "usage": [row for row in month["usage"] if row["received_at"] < close]}
    before = settle(book_of(then))
    for name in PERIOD_TABLES:
        later = whole.tables()[name].filter(pl.col("period") <= closed)
        assert set(later.iter_rows()) == set(before.tables()[name].iter_rows()), name
    assert rows_of(settle(book_of(month), as_of=closed)) == rows_of(before)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_lines_add_up_and_entries_balance(seed):
    settled = settle(book_of(random_month(seed)))
    sums = settled.lines.group_by("account_id", "period").agg(pl.col("amount_micros", "amount_cents").sum())
    joined = settled.invoices.join(sums, on=["account_id", "period"], how="left").fill_null(0)
    assert (joined["amount_micros"] == joined["subtotal_micros"]).all()
    assert (joined["amount_cents"] == joined["subtotal_cents"]).all()
    assert (joined["subtotal_cents"] + joined["tax_cents"] == joined["payable_cents"]).all()
    assert (
        not settled.postings.group_by("entry_id", "currency").agg(pl.col("amount_micros").sum()).filter(pl.col("amount_micros") != 0).height
    )
    owed = -settled.postings.filter(pl.col("account") == "provider_payable")["amount_micros"].sum()
    assert owed == settled.payouts["net_micros"].sum()


def test_a_period_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match="no such period"):
        settle(golden_book("plans"), as_of=3)


def test_products_beyond_64_bits_are_exact():
    """2⁶⁰ accelerator-seconds at 1000 TFLOP/s are 2⁶⁰ · 1000 units: far beyond 64 bits, while the bill of 1 micro a PF-day fits."""
    seconds = 2**60
    settled = settle(_one_record(OneRecord(seconds=seconds, unit_price=1, rate=1)))
    assert settled.invoices["subtotal_micros"].to_list() == [round_half_up(seconds * 1000, 86_400_000)]
    assert settled.invoices["cost_micros"].to_list() == [round_half_up(seconds, 3600)]


@pytest.mark.parametrize(("unit_price", "rate", "table"), [(2**60, 0, "lines|invoices"), (0, 2**60, "postings")])
def test_a_result_beyond_64_bits_is_refused_by_name(unit_price, rate, table):
    with pytest.raises(BadInput, match="does not fit 64 bits") as refusal:
        settle(_one_record(OneRecord(seconds=2**60, unit_price=unit_price, rate=rate)))
    assert "big" in str(refusal.value)


def test_a_sum_over_accounts_beyond_64_bits_is_refused_by_name():
    """Two accounts owe the same provider 2⁶² micros each: each entry fits, what the provider is due does not."""
    month = _one_record(OneRecord(seconds=2**60, unit_price=0, rate=4 * 3600))
    twice = {
        name: pl.concat([frame, frame.with_columns(pl.col("^(account_id|lease_id|usage_id)$") + "-2")])
        for name, frame in {"accounts": month.accounts, "leases": month.leases, "usage": month.usage}.items()
    }
    with pytest.raises(BadInput, match="does not fit 64 bits") as refusal:
        settle(msgspec.structs.replace(month, **twice))
    assert (refusal.value.facts["file"], refusal.value.facts["row"]) == ("payouts", "north, 1, USD")


def test_a_month_that_comes_to_nothing_is_still_shown():
    """As many seconds failed as were delivered, all credited: an invoice of 0 with its lines, a payout of 0 with its parts."""
    month = golden_book("corrections")
    kept = month.usage.filter(pl.col("usage_id") == "failed")
    worked = kept.with_columns(usage_id=pl.lit("worked"), status=pl.lit("delivered"))
    settled = settle(msgspec.structs.replace(month, usage=pl.concat([kept, worked])))
    assert settled.lines["amount_micros"].to_list() == [-300_000, 300_000]
    assert settled.invoices["payable_cents"].to_list() == [0]
    assert settled.payouts.rows() == [("north", 2, "EUR", 300_000, -300_000, 0)]


def test_seconds_beyond_64_bits_are_refused_by_name():
    month = _one_record(OneRecord(seconds=2**62, unit_price=0, rate=0))
    usage = pl.concat([month.usage.with_columns(usage_id=pl.lit(f"u{i}")) for i in range(3)])
    with pytest.raises(BadInput, match="lease lease-big in month 1"):
        settle(msgspec.structs.replace(month, usage=usage))


def test_more_seconds_than_accelerators_could_do_are_counted_not_refused():
    settled = settle(_one_record(OneRecord(seconds=5000, unit_price=0, rate=0)))
    assert settled.reading.seconds_above == 5000 - 3600


def _final(month: Rows) -> set[tuple[object, ...]]:
    lines = settle(book_of(month)).lines
    sums = lines.group_by("account_id", "month", "kind", "hardware").agg(pl.col("amount_micros").sum())
    return set(sums.filter(pl.col("amount_micros") != 0).iter_rows())


def round_half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass
class OneRecord:
    seconds: int
    unit_price: int
    rate: int


def _one_record(figures: OneRecord) -> SettlementBook:
    """One account on a committed plan (of nothing), one lease of one accelerator, one hour in January."""
    month = random_month(0)
    start = month["periods"][0]["month_start"]
    return book_of(
        {
            "hardware": [{"hardware": "REF-1000", "tflops": 1000}],
            "plans": [{"plan_id": "p", "kind": "committed", "unit_price_micros": figures.unit_price, "commit_micros": 0}],
            "accounts": [
                {"account_id": "big", "name": "Big", "plan_id": "p", "tax_bps": 0, "take_bps": 0, "currency": "USD", "country": "US"}
            ],
            "leases": [
                {
                    "lease_id": "lease-big",
                    "account_id": "big",
                    "provider_id": "north",
                    "hardware": "REF-1000",
                    "accelerators": 1,
                    "rate_micros": figures.rate,
                    "tier": "spot",
                }
            ],
            "periods": month["periods"][:1],
            "usage": [
                {
                    "usage_id": "u",
                    "rev": 0,
                    "lease_id": "lease-big",
                    "start": start,
                    "end": start.replace(hour=1),
                    "accelerator_seconds": figures.seconds,
                    "status": "delivered",
                    "received_at": start.replace(hour=2),
                }
            ],
        }
    )
