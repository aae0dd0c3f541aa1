"""Addresses in every manner people write them, UTC and JSON on the way through."""

import datetime as dt

import pytest
from sqlalchemy import text

from broker.store.engine import open_engine, plain_dsn
from broker.store.premises import ServerFailed
from broker.store.rows import PlanRow
from broker.store.unit_of_work import WorkSession

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_any_usual_scheme_connects(database_server: str, scheme):
    engine = open_engine(scheme + database_server.removeprefix("postgresql"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_database()"))).scalar_one() == "gridfare"
    await engine.dispose()


def test_an_address_is_written_as_libpq_writes_it():
    assert plain_dsn("postgresql+asyncpg://u@/d?host=/run/pg") == "postgresql://u@/d?host=/run/pg"
    assert plain_dsn("postgres://u:p%2B@h:1/d") == "postgres://u:p%2B@h:1/d"


async def test_sessions_speak_utc_and_say_who_they_are(session: WorkSession):
    row = (await session.execute(text("SELECT current_setting('timezone'), current_setting('application_name'), now()"))).one()
    assert row[:2] == ("UTC", "gridfare")
    assert row[2].utcoffset() == dt.timedelta(0)


async def test_documents_keep_whole_numbers_and_text(session: WorkSession):
    terms = {"micros": 2**53 + 1, "name": "naïve", "none": None, "list": [1, 2.5, True]}
    session.add(PlanRow(id="p", name="p", terms=terms))
    await session.flush()
    session.expunge_all()
    found = await session.get(PlanRow, "p")
    assert found is not None
    assert found.terms == terms


async def test_a_connection_the_server_closed_is_replaced_without_an_error(database: str):
    engine = open_engine(database, pool_size=1)
    async with engine.connect() as connection:
        backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    other = open_engine(database, pool_size=1)
    async with other.connect() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one() != backend
    await engine.dispose()
    await other.dispose()


@pytest.mark.anyio
async def test_a_server_that_does_not_answer_is_named_in_a_sentence():
    engine = open_engine("postgresql://127.0.0.1:1/nothing")
    with pytest.raises(ServerFailed, match="does not answer"):
        async with engine.connect():
            pass
