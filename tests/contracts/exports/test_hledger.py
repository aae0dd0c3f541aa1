"""The journal as hledger reads it, and as a reader of twenty lines does."""

import json
import re
import shutil
import subprocess
from collections import defaultdict
from decimal import Decimal

import msgspec
import polars as pl
import pytest
from beancount import loader

from contracts.exports import beancount
from contracts.exports.hledger import export
from tests.contracts.golden import GOLDEN
from tests.contracts.published import golden, random_close

HEAD = re.compile(r"(?P<day>\d{4}-\d\d-\d\d) \* (?P<payee>[^|;]*) \| (?P<reason>invoice|credit_note) (?P<entry>[^|;]+)")
POSTING = re.compile(r"    (?P<account>\S+)  (?P<amount>-?\d+\.\d{6}) (?P<currency>[A-Z]{3})(  ; party:(?P<party>[^,;]+))?")


def text_of(book):
    return export(book)["journal.hledger"].decode()


def read(text):
    """[(day, payee, reason, entry id, [(account, micros, currency, party)])], by the grammar of the format and nothing of the writer's."""
    entries: list[tuple[str, str, str, str, list[tuple[str, int, str, str | None]]]] = []
    for line in text.splitlines():
        if head := HEAD.fullmatch(line):
            entries.append((*head.group("day", "payee", "reason", "entry"), []))
        elif line.startswith(" "):
            found = POSTING.fullmatch(line)
            assert found, line
            micros = int(Decimal(found["amount"]).scaleb(6))
            entries[-1][4].append((found["account"], micros, found["currency"], found["party"]))
        else:
            assert not line or line.split()[0] in {";", "decimal-mark", "commodity", "account"}, line
    return entries


@pytest.fixture
def hledger(tmp_path):
    """Runs hledger over a text; gives what it says."""
    program = shutil.which("hledger")
    if program is None:
        pytest.skip("hledger is not installed (Debian: apt-get install hledger)")

    def run(text, *arguments):
        path = tmp_path / "journal.hledger"
        path.write_text(text, encoding="utf-8")
        command = [program, "--file", str(path), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"LC_ALL": "C.UTF-8"}, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_a_month_worked_out_by_hand():
    assert (
        text_of(golden("corrections")).splitlines()[1:]
        == ((GOLDEN / "corrections" / "exports" / "journal.hledger").read_text().splitlines()[1:])
    )


@pytest.mark.parametrize("seed", range(4))
def test_one_transaction_an_entry_with_the_same_postings(seed):
    book = random_close(seed)
    found = {(entry, party, micros, currency) for *_, entry, postings in read(text_of(book)) for _, micros, currency, party in postings}
    expected = set(book.postings.select("entry_id", "party", "amount_micros", "currency").iter_rows())
    assert found == expected
    assert len(read(text_of(book))) == book.postings["entry_id"].n_unique()


@pytest.mark.parametrize("seed", range(4))
def test_every_transaction_balances_and_days_ascend(seed):
    entries = read(text_of(random_close(seed)))
    assert all(sum(micros for _, micros, _, _ in postings) == 0 for *_, postings in entries)
    assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
    assert {entry[0] for entry in entries} <= {"2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"}


def test_accounts_have_the_names_they_have_in_beancount():
    book = random_close(2)
    entries, _, _ = loader.load_string(beancount.export(book)["journal.beancount"].decode())
    opened = {entry.account for entry in entries if hasattr(entry, "booking")}
    assert {account for *_, postings in read(text_of(book)) for account, *_ in postings} == opened


@pytest.mark.parametrize("seed", range(2))
def test_hledger_finds_nothing_to_complain_about(hledger, seed):
    hledger(text_of(random_close(seed)), "check", "--strict", "ordereddates")


def test_hledger_comes_to_the_same_balances(hledger):
    book = random_close(3)
    expected: dict[tuple[str, str], int] = defaultdict(int)
    for *_, postings in read(text_of(book)):
        for account, micros, currency, _ in postings:
            expected[account, currency] += micros
    rows, _ = json.loads(hledger(text_of(book), "balance", "--flat", "--empty", "--output-format", "json"))
    found = {(row[0], part["acommodity"]): part["aquantity"] for row in rows for part in row[3]}
    micros = {key: int(Decimal(part["decimalMantissa"]).scaleb(6 - part["decimalPlaces"])) for key, part in found.items()}
    assert {key: amount for key, amount in micros.items() if amount} == {key: amount for key, amount in expected.items() if amount}


def test_names_and_ids_that_end_things_stay_in_their_place(hledger):
    """A parenthesis would open a code, a bar end the payee, a semicolon the description, a comma the tag."""
    book = golden("corrections")
    odd = {"lab": "lab;1|100%,\n"}
    named = msgspec.structs.replace(
        book,
        accounts=book.accounts.with_columns(pl.lit("(Lab) | Co; Ltd").alias("name"), pl.col("account_id").replace(odd)),
        postings=book.postings.with_columns(
            pl.col("account_id", "party").replace(odd), pl.col("entry_id").str.replace("lab", odd["lab"], literal=True)
        ),
    )
    entries = read(text_of(named))
    assert entries[0][1:4] == ("_Lab) _ Co_ Ltd", "invoice", "settle:lab%3B1%7C100%25,%0A:1")
    assert entries[0][4][1][3] == "lab%3B1|100%25%2C%0A"
    found = hledger(text_of(named), "register", "tag:party=lab%3B1", "--output-format", "csv")
    assert found.count("settle:lab%3B1%7C100%25,%0A") == 2
    assert hledger(text_of(named), "payees").splitlines() == ["_Lab) _ Co_ Ltd"]


def test_twice_the_same_bytes():
    assert export(random_close(2)) == export(random_close(2))
