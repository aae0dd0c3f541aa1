"""The close record: hashes by hand, and a difference for everything that does not add up."""

import hashlib
import json

import msgspec
import polars as pl
import pytest

from contracts.close import PreviousClose, close_record, record_hash, table_hash
from contracts.ledger_tables import CONFLICTS, LINES
from contracts.settlement import settle
from tests.contracts.golden import golden_book
from tests.contracts.months import book_of, random_month


@pytest.fixture(scope="module")
def settled():
    return settle(golden_book("corrections"))


def test_the_hash_of_a_table_is_that_of_its_rows_as_text():
    """Tab between columns, nothing for null, `;` in lists, rows in order of bytes, a newline after each."""
    lines = pl.DataFrame([("b", 1, 1, "usage", "REF", 5, -10, 0), ("a", 2, 10, "fee", None, None, 7, 1)], schema=LINES.schema, orient="row")
    text = "a\t2\t10\tfee\t\t\t7\t1\nb\t1\t1\tusage\tREF\t5\t-10\t0\n"
    assert table_hash(LINES, lines) == hashlib.sha256(text.encode()).hexdigest()
    conflicts = pl.DataFrame([("u", 0, ["end", "status"])], schema=CONFLICTS.schema, orient="row")
    assert table_hash(CONFLICTS, conflicts) == hashlib.sha256(b"u\t0\tend;status\n").hexdigest()
    assert table_hash(LINES, LINES.empty()) == hashlib.sha256(b"").hexdigest()


def test_the_hash_of_a_record_is_that_of_the_rest_of_its_json(settled):
    record = close_record(settled, inputs={"usage": "00", "accounts": "11"})
    rest = json.loads(msgspec.json.encode(record))
    found = rest.pop("hash")
    assert found == hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest() == record_hash(record)


def test_a_sound_settlement_adds_up(settled):
    record = close_record(settled, inputs={})
    assert record.holds
    assert {line.difference for line in record.reconciliations} == {0}
    assert msgspec.to_builtins(record.counts) == {
        "usage_rows": 12,
        "duplicates": 2,
        "conflicts": 1,
        "rows_later": 1,
        "seconds_later": 10,
        "seconds_above_lease": 0,
    }


@pytest.mark.parametrize(
    ("table", "column", "found"),
    [
        ("postings", "amount_micros", "entries sum to zero"),
        ("postings", "amount_micros", "trial balance"),
        ("lines", "amount_micros", "lines add up to subtotals, micros"),
        ("lines", "amount_cents", "lines add up to subtotals, cents"),
        ("invoices", "payable_cents", "receivables are the payables"),
        ("invoices", "tax_cents", "subtotal and tax"),
        ("payouts", "net_micros", "providers are owed"),
    ],
)
def test_one_micro_or_cent_off_is_found(settled, table, column, found):
    frame = settled.tables()[table]
    spoiled = frame.with_columns(pl.when(pl.int_range(pl.len()) == 0).then(pl.col(column) + 1).otherwise(pl.col(column)).alias(column))
    record = close_record(msgspec.structs.replace(settled, **{table: spoiled}), inputs={})
    assert not record.holds
    assert any(line.name.startswith(found) and line.difference for line in record.reconciliations)


def test_a_lost_second_is_found(settled):
    record = close_record(msgspec.structs.replace(settled, seconds_settled=settled.seconds_settled - 1), inputs={})
    assert [line.difference for line in record.reconciliations if line.difference] == [1]


def test_closes_are_chained():
    book = book_of(random_month(3))
    first, second = settle(book, as_of=1), settle(book, as_of=2)
    before = close_record(first, inputs={})
    after = close_record(second, inputs={}, previous=PreviousClose(record=before, tables=first.tables()))
    assert after.holds
    assert after.previous == before.hash
    assert after.hash != close_record(second, inputs={}).hash


def test_a_changed_earlier_period_is_found():
    """A rate changed after the close: rows of period 1 no longer match what was published."""
    book = book_of(random_month(3))
    first = settle(book, as_of=1)
    before = PreviousClose(record=close_record(first, inputs={}), tables=first.tables())
    dearer = msgspec.structs.replace(book, leases=book.leases.with_columns(pl.col("rate_micros") + 1_000_000))
    record = close_record(settle(dearer), inputs={}, previous=before)
    assert [line.name for line in record.reconciliations if line.difference] == ["earlier periods are unchanged, rows"]


def test_a_tampered_previous_close_is_found():
    book = book_of(random_month(3))
    first = settle(book, as_of=1)
    record = close_record(first, inputs={})
    forged_table = first.tables() | {"payouts": first.payouts.with_columns(pl.col("net_micros") + 1)}
    forged_record = msgspec.structs.replace(record, rules="0")
    for previous in (PreviousClose(record=record, tables=forged_table), PreviousClose(record=forged_record, tables=first.tables())):
        after = close_record(settle(book), inputs={}, previous=previous)
        assert any(line.name.startswith("the previous close proves itself") and line.difference for line in after.reconciliations)
