"""A view brought up to date is the view of all the rows: the same offers, the same facts, in the same order."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.services.book_view import SCHEMA, BookView, book_view, updated
from tests.fake_market import NOW

COUNTRIES = st.sampled_from(["DE", "FR", None])
ROWS = st.fixed_dictionaries({
    "offer_id": st.sampled_from("abcdefgh"),
    "provider": st.sampled_from(["prv_1", "prv_2"]),
    "site": st.sampled_from(["paris-1", "berlin-1"]),
    "country": COUNTRIES,
    "operator_country": COUNTRIES,
    "trust": st.sampled_from(["community", None]),
    "hardware": st.sampled_from(["H100-SXM", "B200"]),
    "quantity": st.integers(0, 3),
    "certifications": st.lists(st.sampled_from(["hds", "c5"]), unique=True) | st.none(),
    "open_to": st.lists(st.sampled_from(["DE", "FR"]), unique=True),
    "closed_to": st.lists(st.sampled_from(["RU"]), unique=True),
    "state": st.sampled_from(["live", "stale"]),
    "carbon_g": st.sampled_from([None, 40.0]),
    "rate_micros": st.integers(1, 3),
    "reason": st.sampled_from(["", "no word"]),
})  # fmt: skip
TABLES = st.lists(ROWS, max_size=8, unique_by=lambda row: str(row["offer_id"]))
SAME = {
    "provider_name": "A provider",
    "source": "feed",
    "parent_country": None,
    "memory_gb": 80.0,
    "firm": True,
    "uptime": None,
    "observed_at": NOW,
}


def a_frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame([{**SAME, **row} for row in rows], schema=dict(SCHEMA))


def facts(view: BookView) -> list[object]:
    """Everything a search reads of a view, spelt out."""
    cells, rows = view.cells, np.arange(len(view))
    keys, starts = list(cells.places), view.by_cell.start
    return [
        list(zip(view.records(rows), [(each.state, each.carbon_g) for each in view.shared(rows)], strict=True)),
        view.reasons,
        {name: [list(fact.places)[fact.codes[cell]] for cell in view.cell] for name, fact in cells.facts.items()},
        {keys[cell]: view.by_cell.row[starts[cell] : starts[cell + 1]].tolist() for cell in set(view.cell)},
        sorted(zip(*(column.tolist() for column in view.by_cell[1:]), strict=True)),
        {keys[cell]: count for cell, count in enumerate(view.offers()) if count},
        view.rate_max,
    ]


@settings(max_examples=60)
@given(before=TABLES, changes=st.lists(st.tuples(TABLES, st.sets(st.sampled_from("abcdefgh"))), max_size=3))
def test_a_view_brought_up_to_date_is_the_view_of_all_rows(before, changes):
    """However often it was: those of its cells that nobody is in any more are nobody's."""
    view, after = book_view(a_frame(before)), {row["offer_id"]: row for row in before}
    for rows, gone in changes:
        view = updated(view, a_frame(rows), gone=gone, token=view.token + 1)
        after = {offer_id: row for offer_id, row in after.items() if offer_id not in gone} | {row["offer_id"]: row for row in rows}
    assert facts(view) == facts(book_view(a_frame(list(after.values()))))
    assert view.token == len(changes)


@pytest.mark.parametrize("hardware", ["H100-SXM", "NEVER-SEEN"])
def test_a_reader_of_the_old_view_sees_nothing_of_the_new(hardware: str):
    first = {
        "offer_id": "a",
        "provider": "prv_1",
        "site": "paris-1",
        "country": "FR",
        "hardware": "H100-SXM",
        "quantity": 1,
        "rate_micros": 1,
    }
    lists = {"certifications": ["hds"], "open_to": [], "closed_to": [], "state": "live", "reason": ""}
    old = book_view(a_frame([{**first, **lists}]))
    seen = facts(old)
    new = updated(old, a_frame([{**first, **lists, "hardware": hardware, "quantity": 2}]), gone=[], token=1)
    assert facts(old) == seen
    assert [(each.quantity, each.hardware) for each in new.records(np.arange(1))] == [(2, hardware)]
