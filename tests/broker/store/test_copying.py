"""What goes in by COPY comes out the same, in one transaction with everything else."""

import datetime as dt

import asyncpg
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import Interval, LargeBinary, func, select, text
from sqlmodel import col

from broker.store.copying import TIME, copy_out, merge
from broker.store.rows import LatencyRow, OfferRow, PlanRow, ProviderRow, TransferRow, ZoneHourRow
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work
from contracts.terms.time import EPOCH, MICROSECOND

pytestmark = pytest.mark.anyio

HOUR = dt.datetime(2027, 1, 1, 10, 0, 0, 123456, tzinfo=dt.UTC)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
MOMENTS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999).map(lambda micros: EPOCH + micros * MICROSECOND)
AWKWARD = ["", "NULL", "\\N", "\\.", '"', "a,b", "a\nb", "\r", "{}", "\\", "'", "$1", ":x", "%s", " ", "é", "☃"]


def _offers(lists: list[list[str] | None]) -> pl.DataFrame:
    facts = {"version": 1, "provider": "prv", "site": "", "hardware": "H100", "quantity": 1, "node_size": 1, "rate_micros": 2**62}
    more = {"firm": True, "watts": 0.1, "pue": 1.0, "energy_indexed": False, "observed_at": HOUR}
    rows = [
        {
            "id": f"ofr_{i}",
            "certifications": texts,
            "open_to": texts or [],
            "closed_to": AWKWARD,
            "zone": None,
            "trust": "",
            **facts,
            **more,
        }
        for i, texts in enumerate(lists)
    ]
    texts = pl.List(pl.String)
    types = {"certifications": texts, "open_to": texts, "closed_to": texts, "observed_at": TIME, "zone": pl.String()}
    return pl.DataFrame(rows, schema_overrides=types)


async def test_every_kind_of_value_comes_back_as_it_went(session: WorkSession):
    """Null is not empty, an empty list is not null, 2^62 is not rounded, a microsecond is not lost."""
    await merge(session, ProviderRow, frame=_providers("prv"))
    offers = _offers([[], None, AWKWARD, ["NULL", "null", ""]])
    assert await merge(session, OfferRow, frame=offers) == 4
    columns = [getattr(OfferRow, name) for name in offers.columns]
    assert_frame_equal(await copy_out(session, select(*columns).order_by(col(OfferRow.id))), offers)
    row = await session.get(OfferRow, ("ofr_2", 1))
    assert row is not None
    assert (row.certifications, row.observed_at, row.zone, row.trust) == (AWKWARD, HOUR, None, "")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(TEXT, MOMENTS, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats()),
        max_size=6,
        unique_by=lambda row: row[:2],
    )
)
async def test_copying_in_and_out_is_the_identity(session: WorkSession, rows):
    schema = {"zone": pl.String(), "hour": TIME, "price_micros_per_mwh": pl.Int64(), "carbon_g_per_kwh": pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    await session.execute(text("DELETE FROM zone_hours"))
    assert await merge(session, ZoneHourRow, frame=frame) == len(rows)
    found = await copy_out(session, select(*(getattr(ZoneHourRow, name) for name in schema)))
    assert_frame_equal(found, frame, check_row_order=False, rel_tol=0, abs_tol=0)


async def test_one_column_of_nulls_keeps_its_rows(session: WorkSession):
    """Its rows are empty lines in CSV."""
    await merge(session, ZoneHourRow, frame=pl.DataFrame({"zone": ["a", "b"], "hour": [HOUR, HOUR]}))
    found = await copy_out(session, select(col(ZoneHourRow.renewable_share)))
    assert found.to_dict(as_series=False) == {"renewable_share": [None, None]}


async def test_bytes_and_documents_travel(session: WorkSession):
    frame = pl.DataFrame({"id": ["p"], "name": ["n"], "terms": ['{"a": ["\\"", 1]}']})
    await merge(session, PlanRow, frame=frame)
    assert_frame_equal(await copy_out(session, select(col(PlanRow.id), col(PlanRow.name), col(PlanRow.terms))), frame)
    query = select(func.decode("00ff5c", "hex", type_=LargeBinary()).label("digest"))
    assert (await copy_out(session, query)).item() == b"\x00\xff\x5c"


async def test_a_query_keeps_its_filter_order_and_limit(session: WorkSession):
    """The filter's values are written into the statement, quoted."""
    await merge(session, ProviderRow, frame=_providers(*AWKWARD))
    for name in AWKWARD:
        found = await copy_out(session, select(col(ProviderRow.id)).where(col(ProviderRow.id) == name))
        assert found["id"].to_list() == [name]
    found = await copy_out(session, select(col(ProviderRow.id)).order_by(col(ProviderRow.id).desc()).limit(3))
    assert found["id"].to_list() == sorted(AWKWARD, reverse=True)[:3]


async def test_a_query_may_filter_by_time_and_list_and_add_up(session: WorkSession):
    hours = [HOUR + dt.timedelta(hours=n) for n in range(4)]
    frame = pl.DataFrame({"zone": ["a", "a", "b", "c"], "hour": hours, "price_micros_per_mwh": [2**62, 2**61, 3, 4]})
    await merge(session, ZoneHourRow, frame=frame)
    statement = (
        select(col(ZoneHourRow.zone), func.sum(ZoneHourRow.price_micros_per_mwh).label("micros"))
        .where(col(ZoneHourRow.hour) < hours[3], col(ZoneHourRow.zone).in_(["a", "b", "c"]))
        .group_by(col(ZoneHourRow.zone))
        .order_by(col(ZoneHourRow.zone))
    )
    assert (await copy_out(session, statement)).rows() == [("a", 2**62 + 2**61), ("b", 3)]


async def test_nothing_found_is_an_empty_frame_with_its_columns(session: WorkSession):
    found = await copy_out(session, select(col(ZoneHourRow.zone), col(ZoneHourRow.hour)))
    assert_frame_equal(found, pl.DataFrame(schema={"zone": pl.String(), "hour": TIME}))
    assert await merge(session, ProviderRow, frame=_providers()) == 0


async def test_a_merge_writes_each_key_once_and_says_how_many_were_new(session: WorkSession):
    assert await merge(session, LatencyRow, frame=_latencies(("a", 1.0), ("b", 2.0))) == 2
    assert await merge(session, LatencyRow, frame=_latencies(("c", 9.0), ("b", 3.0), ("a", 4.0), ("c", 8.0))) == 1
    assert await merge(session, LatencyRow, frame=_latencies(("c", 7.0))) == 0
    found = await copy_out(session, select(col(LatencyRow.place), col(LatencyRow.rtt_ms)).order_by(col(LatencyRow.place)))
    assert found.rows() == [("a", 1.0), ("b", 2.0), ("c", 9.0)]


async def test_a_copy_is_part_of_the_transaction(sessions: Sessions):
    """Also when it is the first thing a session does, before SQLAlchemy has begun a transaction by itself."""
    with pytest.raises(ZeroDivisionError):
        await _copy_and_fail(sessions)
    async with unit_of_work(sessions) as work:
        assert (await copy_out(work, select(col(ProviderRow.id)))).is_empty()
        work.add(TransferRow(from_country="A", to_country="B", micros_per_tb=1, gbps=1.0))
        assert (await copy_out(work, select(col(TransferRow.from_country)))).rows() == [("A",)]
        await merge(work, ProviderRow, frame=_providers("kept"))
    async with unit_of_work(sessions) as work:
        assert (await copy_out(work, select(col(ProviderRow.id)))).rows() == [("kept",)]


async def test_a_row_that_does_not_fit_fails_the_whole_copy(sessions: Sessions):
    too_much = pl.DataFrame({"from_country": ["A", "B"], "to_country": ["B", "C"], "micros_per_tb": [1, 2**63], "gbps": [1.0, 1.0]})
    with pytest.raises(asyncpg.DataError, match="out of range for type bigint"):
        await _copy_alone(sessions, too_much)
    async with unit_of_work(sessions) as work:
        assert (await copy_out(work, select(col(TransferRow.from_country)))).is_empty()


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (pl.DataFrame({"place": ["a"], "distance": [1]}), "latencies has no column distance"),
        (pl.DataFrame({"place": [HOUR.replace(tzinfo=None)]}), "place cannot be copied"),
        (pl.DataFrame({"place": [{"a": 1}]}), "place cannot be copied"),
        (pl.DataFrame({"place": [dt.timedelta(1)]}), "place cannot be copied"),
    ],
)
async def test_what_cannot_travel_is_refused_by_name(session: WorkSession, frame, complaint):
    with pytest.raises(ValueError, match=complaint):
        await merge(session, LatencyRow, frame=frame)


async def test_a_query_of_an_unknown_type_is_refused_by_name(session: WorkSession):
    with pytest.raises(ValueError, match="column age cannot be copied"):
        await copy_out(session, select(func.make_interval(1, type_=Interval()).label("age")))


def _providers(*ids: str) -> pl.DataFrame:
    schema = dict.fromkeys(("id", "name", "country", "kind", "website", "source"), pl.String)
    return pl.DataFrame([(id_, id_, "DE", "cloud", "", "") for id_ in ids], schema=schema, orient="row")


def _latencies(*rows: tuple[str, float]) -> pl.DataFrame:
    return pl.DataFrame([(place, "site", rtt) for place, rtt in rows], schema=["place", "site", "rtt_ms"], orient="row")


async def _copy_and_fail(sessions: Sessions) -> None:
    async with unit_of_work(sessions) as work:
        await merge(work, ProviderRow, frame=_providers("gone"))
        raise ZeroDivisionError


async def _copy_alone(sessions: Sessions, frame: pl.DataFrame) -> None:
    async with unit_of_work(sessions) as work:
        await merge(work, TransferRow, frame=frame)
