"""What is packed for PostgreSQL is what it reads: every kind of column, every kind of value."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from broker.store.copying import driver
from broker.store.packing import copy_columns
from broker.store.repositories.accounts import AccountRepository
from broker.store.rows import FeedOfferRow, OfferRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.accounts import Provider
from tests.broker.small_market import START

pytestmark = pytest.mark.anyio
# PostgreSQL's text has no NUL.
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
TIMES = st.integers(-(2**50), 2**52).map(lambda micros: START + timedelta(microseconds=micros))
FLOATS = st.floats(allow_nan=False) | st.none()
ENTRIES = st.lists(st.tuples(TEXT, st.binary(max_size=20), TIMES, st.booleans()), min_size=1, max_size=6, unique_by=lambda row: row[0])
OFFERS = st.lists(
    st.fixed_dictionaries({
        "id": TEXT,
        "version": st.integers(1, 2**31 - 1),
        "quantity": st.integers(-(2**31), 2**31 - 1),
        "rate_micros": st.integers(-(2**63), 2**63 - 1),
        "firm": st.booleans(),
        "uptime": FLOATS,
        "country": TEXT | st.none(),
        "certifications": st.lists(TEXT, max_size=3) | st.none(),
        "open_to": st.lists(TEXT, max_size=3),
        "closed_to": st.just([]),
        "observed_at": TIMES,
    }),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row["id"],
)  # fmt: skip
PLAIN = {
    "provider": "prv_a",
    "site": "s",
    "hardware": "H",
    "node_size": 1,
    "watts": 0.0,
    "pue": 1.0,
    "energy_indexed": False,
}
PACKED = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(rows=ENTRIES)
@PACKED
async def test_text_bytes_times_and_truth_arrive_as_they_left(sessions: Sessions, rows):
    names, entries, times, staged = (list(column) for column in zip(*rows, strict=True))
    columns = {"provider_id": names, "staged": staged, "offer_id": names, "entry": entries, "until": times}
    columns |= {"state": names, "reason": names, "suspect": names}
    async with sessions() as work:
        await copy_columns(await driver(work), FeedOfferRow, columns=columns)
        found = list(await work.scalars(select(FeedOfferRow)))
    assert {(row.offer_id, row.entry, row.until, row.staged) for row in found} == set(rows)
    assert all(row.provider_id == row.state == row.reason == row.offer_id for row in found)


@given(rows=OFFERS)
@PACKED
async def test_numbers_lists_and_nothing_arrive_as_they_left(sessions: Sessions, rows):
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_providers([Provider(id="prv_a", name="A", country="DE", kind="neocloud")])
    columns = {name: [tuple(row[name]) if isinstance(row[name], list) else row[name] for row in rows] for name in rows[0]}
    columns |= {name: [value] * len(rows) for name, value in PLAIN.items()}
    async with sessions() as work:
        await copy_columns(await driver(work), OfferRow, columns=columns)
        found = list(await work.scalars(select(OfferRow).where(col(OfferRow.provider) == "prv_a")))
    by_id = {row.id: row for row in found}
    for row in rows:
        assert {name: getattr(by_id[row["id"]], name) for name in row} == row


async def test_columns_of_two_lengths_are_a_mistake(sessions: Sessions):
    async with sessions() as work:
        with pytest.raises(AssertionError, match="one length"):
            await copy_columns(await driver(work), FeedOfferRow, columns={"provider_id": ["a"], "offer_id": ["a", "b"]})
