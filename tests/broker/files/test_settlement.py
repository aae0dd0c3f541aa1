"""A book written as files is the same book when it is read again."""

import hashlib

import pytest

from broker.files.settlement import Names, month_files, read_settlement
from contracts.settlement import settle
from tests.contracts.golden import NAMES, golden_book, rows_of
from tests.contracts.months import book_of, random_month

BOOKS = {name: golden_book(name) for name in NAMES} | {
    "random": book_of(random_month(11)),
    "nothing used": book_of(random_month(1, records=0)),
}


@pytest.mark.parametrize("name", BOOKS)
def test_a_book_survives_its_files(tmp_path, name):
    files = month_files(BOOKS[name], Names())
    for file, content in files.items():
        (tmp_path / file).write_bytes(content)
    reading = read_settlement(tmp_path)
    assert rows_of(settle(reading.book)) == rows_of(settle(BOOKS[name]))
    assert reading.inputs == {file.removesuffix(".csv"): hashlib.sha256(content).hexdigest() for file, content in files.items()}
