"""The text a table is hashed in, letter for letter."""

import hashlib
from datetime import UTC, datetime

from contracts.terms.clearing import Clearing
from contracts.terms.tables import AWARDS, RESULT_TABLES, Column, table
from pricing.canonical import book_hashes, canonical_text, result_hashes, write_table
from tests.builders import a_bid, an_offer, book, frame_of

EVERY_KIND = table(
    "every_kind",
    key="name number",
    columns=[
        Column("name"),
        Column("number", "int"),
        Column("share", "float"),
        Column("firm", "bool"),
        Column("at", "time"),
        Column("names", "list"),
        Column("word", nullable=True),
    ],
)


def test_every_kind_of_cell_has_one_text():
    """Rows in text order: 10 before 9. Null is nothing, an empty text or list is two quotation marks."""
    noon = datetime(2027, 1, 1, 12, tzinfo=UTC)
    rows = [
        {"name": "b", "number": 9, "share": 2.0, "firm": False, "at": noon, "names": [], "word": None},
        {"name": "b", "number": 10, "share": 0.1, "firm": True, "at": noon.replace(microsecond=5), "names": ["x", "y"], "word": ""},
        {"name": "a,1", "number": -1, "share": 1e-3, "firm": True, "at": noon, "names": ["z"], "word": 'say "yes"'},
    ]
    assert canonical_text(EVERY_KIND, frame_of(EVERY_KIND, rows, slots=1)) == (
        "name,number,share,firm,at,names,word\n"
        '"a,1",-1,0.001,true,2027-01-01T12:00:00Z,z,"say ""yes"""\n'
        'b,10,0.1,true,2027-01-01T12:00:00.000005Z,x;y,""\n'
        'b,9,2.0,false,2027-01-01T12:00:00Z,"",\n'
    )


def test_the_hash_is_that_of_the_text():
    award = {"bid_id": "b", "offer_id": "o", "slot": 0, "tier": "spot", "quantity": 1, "rate_micros": 2, "charge_micros": 2}
    text = b"bid_id,offer_id,slot,tier,quantity,rate_micros,charge_micros\nb,o,0,spot,1,2,2\n"
    assert write_table(AWARDS, frame_of(AWARDS, [award], slots=1)).hash == hashlib.sha256(text).hexdigest()


def test_a_book_hashes_the_tables_it_has():
    plain = book(offers=[an_offer()], bids=[a_bid()])
    assert list(book_hashes(plain)) == ["offers", "bids"]
    named = book(offers=[an_offer()], bids=[a_bid()], around={"transfer": []})
    assert list(book_hashes(named)) == ["offers", "bids", "transfer"]
    nothing = Clearing(**{table.name: table.empty() for table in RESULT_TABLES})
    assert list(result_hashes(nothing)) == ["awards", "prices", "outcomes", "receipts"]
