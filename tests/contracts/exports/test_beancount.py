"""The journal as Beancount itself reads it."""

from collections import defaultdict
from decimal import Decimal

import pytest
from beancount import loader
from beancount.core.data import Transaction

from contracts.exports.beancount import component_names, export
from tests.contracts.published import golden, random_close


def loaded(book):
    entries, errors, _ = loader.load_string(export(book)["journal.beancount"].decode())
    return [entry for entry in entries if isinstance(entry, Transaction)], errors


@pytest.mark.parametrize("seed", range(4))
def test_beancount_finds_nothing_to_complain_about(seed):
    transactions, errors = loaded(random_close(seed))
    assert not errors
    assert transactions


def test_one_transaction_an_entry_with_the_same_postings():
    book = random_close(1)
    transactions, _ = loaded(book)
    found = defaultdict(set)
    for transaction in transactions:
        for posting in transaction.postings:
            party = posting.meta.get("party")
            found[transaction.meta["entry_id"]].add((party, int(posting.units.number * 1_000_000), posting.units.currency))
    expected = defaultdict(set)
    for entry_id, party, micros, currency in book.postings.select("entry_id", "party", "amount_micros", "currency").iter_rows():
        expected[entry_id].add((party, micros, currency))
    assert len(transactions) == len(expected)
    assert found == expected


def test_a_transaction_is_dated_by_the_end_of_its_month():
    transactions, _ = loaded(golden("corrections"))
    assert [(t.meta["entry_id"], t.date.isoformat(), t.payee, t.narration) for t in transactions] == [
        ("settle:lab:1", "2026-02-01", "Laboratory", "invoice"),
        ("settle:lab:2", "2026-03-01", "Laboratory", "invoice"),
    ]


def test_the_journal_balances_per_currency():
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for transaction in loaded(random_close(3))[0]:
        for posting in transaction.postings:
            sums[posting.units.currency] += posting.units.number
    assert set(sums.values()) == {Decimal(0)}
    assert len(sums) == 2


def test_twice_the_same_bytes():
    assert export(random_close(2)) == export(random_close(2))


def test_ids_that_beancount_cannot_spell_stay_apart():
    names = component_names(["acct_1", "acct-1", "Acct-1", "ünder", "9lives"])
    assert len(set(names.values())) == 5
    assert names["9lives"] == "9lives"
    assert all(name[0].isascii() and (name[0].isupper() or name[0].isdigit()) for name in names.values())
