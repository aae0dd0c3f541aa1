"""The database has the shape of the rows, and refuses by itself what the books may never do."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

import broker.store.rows  # noqa: F401 - declares the tables
from broker.store.engine import open_engine
from broker.store.migrate import _upgrade, upgrade
from broker.store.premises import ServerFailed
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work

pytestmark = pytest.mark.anyio

ENTRY = """
    INSERT INTO journal_entries (id, kind, state, at, subject, reason, lines)
    VALUES ('ent_1', 'hold', :state, now(), 'bid_1', 'test', :lines)
"""
POSTING = """
    INSERT INTO postings (entry_id, line, account, party, currency, amount_micros)
    VALUES ('ent_1', :line, 'hold', 'a', :currency, :micros)
"""

BOTH = text(
    "INSERT INTO postings (entry_id, line, account, party, currency, amount_micros) "
    "VALUES ('ent_1', :first, 'hold', 'a', 'EUR', 5), ('ent_1', :second, 'hold', 'a', 'EUR', -5)"
)


async def test_the_migrations_make_exactly_the_rows(database_server):
    """What differs is printed: it is what the next revision has to say."""
    engine = open_engine(database_server)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()
    assert differences == []


async def test_a_forgotten_column_would_be_found(session: WorkSession):
    await session.execute(text("ALTER TABLE providers DROP COLUMN website"))
    found = await (await session.connection()).run_sync(_differences)
    assert [(change[0], change[3].name) for change in found] == [("add_column", "website")]


async def test_upgrading_twice_and_at_once_changes_nothing(database):
    await asyncio.gather(*(upgrade(database) for _ in range(3)))


async def test_programs_that_start_together_take_turns_on_an_empty_database(empty_database):
    await asyncio.gather(*(upgrade(empty_database) for _ in range(3)))
    engine = open_engine(empty_database)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM alembic_version"))).scalar_one() == 1
    await engine.dispose()


async def test_a_database_of_a_newer_release_is_refused(sessions: Sessions, database):
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ServerFailed, match="run the release that made it"):
        await upgrade(database)


@pytest.mark.parametrize(("before", "after"), [("pending", "posted"), ("pending", "voided"), ("posted", "reversed")])
async def test_an_entry_moves_along_its_states(session: WorkSession, before, after):
    await session.execute(text(ENTRY), {"state": before, "lines": 2})
    moved = await session.execute(text("UPDATE journal_entries SET state = :after RETURNING state"), {"after": after})
    assert moved.scalars().all() == [after]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pending", "reversed"),
        ("pending", "pending"),
        ("posted", "pending"),
        ("posted", "voided"),
        ("voided", "posted"),
        ("reversed", "posted"),
        ("pending", "draft"),
    ],
)
async def test_an_entry_moves_no_other_way(session: WorkSession, before, after):
    await session.execute(text(ENTRY), {"state": before, "lines": 2})
    with pytest.raises(IntegrityError, match=f"may not move from {before} to {after}"):
        await session.execute(text("UPDATE journal_entries SET state = :after"), {"after": after})


async def test_an_entry_knows_four_states(session: WorkSession):
    with pytest.raises(IntegrityError, match="journal_entries_state"):
        await session.execute(text(ENTRY), {"state": "draft", "lines": 2})


@pytest.mark.parametrize("change", ["reason = 'better'", "at = at + interval '1 s'", "state = 'posted', subject = 'bid_2'"])
async def test_nothing_else_of_an_entry_changes(session: WorkSession, change):
    await session.execute(text(ENTRY), {"state": "pending", "lines": 2})
    with pytest.raises(IntegrityError, match="only its state may move"):
        await session.execute(text(f"UPDATE journal_entries SET {change}"))


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM journal_entries",
        "TRUNCATE journal_entries CASCADE",
        "UPDATE postings SET amount_micros = 0",
        "DELETE FROM postings",
        "TRUNCATE postings",
        "UPDATE usage_records SET accelerator_seconds = 0",
        "DELETE FROM usage_records",
        "TRUNCATE usage_records",
    ],
)
async def test_facts_are_never_changed(session: WorkSession, change):
    await session.execute(text("SET LOCAL session_replication_role = replica"))  # a record without its lease, a line alone
    await session.execute(text(ENTRY), {"state": "posted", "lines": 2})
    await session.execute(text(POSTING), {"line": 0, "currency": "EUR", "micros": 7})
    await session.execute(text("INSERT INTO usage_records VALUES ('use_1', 0, 'lse_1', now(), now(), 1, 'delivered', now())"))
    await session.execute(text("SET LOCAL session_replication_role = origin"))
    with pytest.raises(IntegrityError, match="are facts"):
        await session.execute(text(change))


async def test_an_entry_sums_to_zero_per_currency(sessions: Sessions):
    """+7 −3 −4 of EUR and ±5 of USD; the lines come one by one."""
    await _write(sessions, [("EUR", 7), ("USD", 5), ("EUR", -3), ("EUR", -4), ("USD", -5)])
    assert await _count(sessions, "postings") == 5


@pytest.mark.parametrize(
    "lines",
    [[("EUR", 1), ("EUR", 1)], [("EUR", 5), ("EUR", -4)], [("EUR", 5), ("USD", -5)], [("EUR", 2**63 - 1), ("EUR", 2**63 - 1), ("EUR", 2)]],
)
async def test_an_unbalanced_entry_is_never_committed(sessions: Sessions, lines):
    with pytest.raises(IntegrityError, match="entry ent_1 must sum to zero"):
        await _write(sessions, lines)
    assert await _count(sessions, "journal_entries") == 0


async def test_an_entry_never_grows(sessions: Sessions):
    """Two more lines that balance, above, below or on the lines there are: all refused."""
    await _write(sessions, [("EUR", 7), ("EUR", -7)])
    for first, second in ((2, 3), (-1, -2)):
        with pytest.raises(IntegrityError, match="entry ent_1 is a fact: it has no line"):
            async with unit_of_work(sessions) as work:
                await work.execute(BOTH, {"first": first, "second": second})
    with pytest.raises(IntegrityError, match="postings_pkey"):
        async with unit_of_work(sessions) as work:
            await work.execute(text(POSTING), {"line": 1, "currency": "EUR", "micros": -7})
    with pytest.raises(IntegrityError, match="only its state may move"):
        async with unit_of_work(sessions) as work:
            await work.execute(text("UPDATE journal_entries SET lines = 4"))
    assert await _count(sessions, "postings") == 2


@pytest.mark.parametrize("said", [3, 5])
async def test_an_entry_is_committed_whole_or_not_at_all(sessions: Sessions, said):
    """It says three lines and has two, or five: nothing could be added later, so nothing may be missing now."""
    with pytest.raises(IntegrityError, match=f"entry ent_1 must have {said} lines, had 2"):
        await _write(sessions, [("EUR", 7), ("EUR", -7)], lines_said=said)
    assert await _count(sessions, "journal_entries") == 0


@pytest.mark.parametrize("table", ["acts", "closes", "counter_readings", "invoice_lines", "invoices", "payouts"])
async def test_what_finance_decided_stays(session: WorkSession, table):
    for change in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        await session.execute(text("SAVEPOINT before"))
        await _one_row(session, table)
        with pytest.raises(IntegrityError, match="are facts"):
            await session.execute(text(change))
        await session.execute(text("ROLLBACK TO SAVEPOINT before"))


async def test_nothing_arrives_in_the_past_of_a_frozen_period(sessions: Sessions):
    """Frozen at noon: a record that came at noon is welcome, one that says it came a microsecond before is not."""
    async with unit_of_work(sessions) as work:
        await work.execute(
            text("INSERT INTO acts VALUES ('period', '1', 1, 'frozen', 'ada', now(), '{\"closes_at\": \"2027-02-01T12:00:00Z\"}')")
        )
        await work.execute(text("SET LOCAL session_replication_role = replica"))  # a lease out of nothing
        await work.execute(
            text("INSERT INTO leases VALUES ('lse_1', 'cyc', 'bid', 'acct', 'prv', 'ofr', 's', 'h', 'spot', 'awarded', 1, now(), now())")
        )
    arrival = "INSERT INTO usage_records VALUES (:id, 0, 'lse_1', now(), now(), 0, 'delivered', CAST(:at AS timestamptz))"
    async with unit_of_work(sessions) as work:
        await work.execute(text(arrival), {"id": "use_1", "at": datetime(2027, 2, 1, 12, tzinfo=UTC)})
    with pytest.raises(IntegrityError, match="is frozen"):
        async with unit_of_work(sessions) as work:
            await work.execute(text(arrival), {"id": "use_2", "at": datetime(2027, 2, 1, 11, 59, 59, 999_999, tzinfo=UTC)})


async def _one_row(session: WorkSession, table: str) -> None:
    """Any row: every column is given the least its type can hold."""
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    columns = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = :table"
    least = {"timestamp with time zone": "now()", "integer": "0", "bigint": "0", "jsonb": "'{}'"}
    rows = (await session.execute(text(columns), {"table": table})).all()
    names, values = (", ".join(parts) for parts in zip(*((f'"{name}"', least.get(kind, "'x'")) for name, kind in rows), strict=True))
    await session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"))
    await session.execute(text("SET LOCAL session_replication_role = origin"))


async def _write(sessions: Sessions, lines: list[tuple[str, int]], *, lines_said: int = 0) -> None:
    async with unit_of_work(sessions) as work:
        await work.execute(text(ENTRY), {"state": "posted", "lines": lines_said or len(lines)})
        for line, (currency, micros) in enumerate(lines):
            await work.execute(text(POSTING), {"line": line, "currency": currency, "micros": micros})


async def _count(sessions: Sessions, table: str) -> int:
    async with unit_of_work(sessions) as work:
        return int((await work.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_what_was_bid_and_set_before_projects_belongs_to_the_default_one_and_the_account(empty_database):
    """A bid and a budget of the release before: nothing of either is lost."""
    engine = open_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(lambda own: _upgrade(own, to="0015"))
        await connection.execute(text("INSERT INTO plans VALUES ('p', 'P', '{}')"))
        await connection.execute(
            text(
                "INSERT INTO accounts (id, name, story, country, parent_country, plan_id, currency, tax_bps, take_bps, credit_limit_micros,"
                " legal_name, address, vat_id) VALUES ('a', 'A', '', 'DE', 'DE', 'p', 'EUR', 0, 0, 0, '', '', '')"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO bids (id, account_id, entered_at, window_start, window_end, width, hours, hours_left, status, requirements)"
                " VALUES ('b', 'a', now(), now(), now(), 1, 1, 1, 'open', '{}')"
            )
        )
        await connection.execute(text("INSERT INTO budgets VALUES ('a', 7, 80, 'prs_1', now())"))
    await upgrade(empty_database)
    async with engine.connect() as connection:
        budget = await connection.execute(text("SELECT project_id, limit_micros, alert_percents, set_by FROM budgets"))
        assert [tuple(row) for row in budget] == [("", 7, [80], "prs_1")]
        assert (await connection.execute(text("SELECT project_id FROM bids"))).scalar_one() == "default"
    await engine.dispose()
