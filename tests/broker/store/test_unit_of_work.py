"""One task, one transaction: all of it or nothing, and no success that was not committed."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import col, select

from broker.store.rows import JournalEntryRow, PlanRow, PostingRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.time import EPOCH

pytestmark = pytest.mark.anyio


async def test_leaving_the_block_commits(sessions: Sessions):
    async with unit_of_work(sessions) as work:
        work.add(_plan("a"))
    assert await _plans(sessions) == ["a"]


async def test_an_error_inside_undoes_all_of_it(sessions: Sessions):
    with pytest.raises(ZeroDivisionError):
        await _fail_after_writing(sessions)
    assert await _plans(sessions) == []


async def test_a_cancelled_task_leaves_nothing(sessions: Sessions):
    written = asyncio.Event()

    async def stall() -> None:
        async with unit_of_work(sessions) as work:
            work.add(_plan("a"))
            await work.flush()
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stall())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _plans(sessions) == []


async def test_a_commit_that_fails_is_an_error_of_the_block(sessions: Sessions):
    """The check is deferred: every statement succeeds and only COMMIT refuses."""
    reached: list[str] = []
    with pytest.raises(IntegrityError, match="must sum to zero"):
        await _write_out_of_balance(sessions, reached)
    assert reached == ["the end of the block"]


async def test_a_server_that_vanishes_before_the_commit_is_an_error_of_the_block(sessions: Sessions):
    with pytest.raises(DBAPIError):
        await _lose_the_server(sessions)
    assert await _plans(sessions) == []


@pytest.mark.parametrize("verb", ["commit", "rollback"])
async def test_nobody_else_ends_the_transaction(sessions: Sessions, verb):
    async with unit_of_work(sessions) as work:
        with pytest.raises(AssertionError, match="only the unit of work"):
            await getattr(work, verb)()


async def test_rows_can_be_read_after_the_commit(sessions: Sessions):
    async with unit_of_work(sessions) as work:
        plan = _plan("a")
        work.add(plan)
    assert (plan.id, plan.terms) == ("a", {"kind": "metered"})


def _plan(id_: str) -> PlanRow:
    return PlanRow(id=id_, name=id_, terms={"kind": "metered"})


async def _fail_after_writing(sessions: Sessions) -> None:
    async with unit_of_work(sessions) as work:
        work.add(_plan("a"))
        await work.flush()
        raise ZeroDivisionError


async def _plans(sessions: Sessions) -> list[str]:
    async with unit_of_work(sessions) as work:
        return list(await work.scalars(select(PlanRow.id).order_by(col(PlanRow.id))))


async def _write_out_of_balance(sessions: Sessions, reached: list[str]) -> None:
    async with unit_of_work(sessions) as work:
        work.add(JournalEntryRow(id="ent_1", kind="hold", state="posted", at=EPOCH, subject="bid_1", reason="test", lines=2))
        await work.flush()
        work.add(PostingRow(entry_id="ent_1", line=0, account="hold", party="a", currency="EUR", amount_micros=1))
        work.add(PostingRow(entry_id="ent_1", line=1, account="hold", party="a", currency="EUR", amount_micros=1))
        await work.flush()
        reached.append("the end of the block")


async def _lose_the_server(sessions: Sessions) -> None:
    async with unit_of_work(sessions) as work:
        work.add(_plan("a"))
        await work.flush()
        backend = (await work.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with unit_of_work(sessions) as other:
            await other.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
