"""Acts in the store: appended, never doubled."""

import asyncio
from datetime import UTC, datetime

import pytest

from broker.store.repositories.acts import ActRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.acts import PERIOD, Act, By
from contracts.terms.errors import StaleToken

pytestmark = pytest.mark.anyio
NOW = datetime(2027, 2, 1, tzinfo=UTC)


async def test_of_two_runs_that_want_the_same_number_one_is_refused(sessions: Sessions):
    both_read = asyncio.Barrier(2)

    async def freeze(actor: str) -> Act:
        async with unit_of_work(sessions) as work:
            acts = ActRepository(work)
            history = await acts.history("period", "1")
            await both_read.wait()
            return await acts.append(PERIOD.next("1", history, act="frozen", by=By(actor, NOW), facts={"closes_at": NOW}))

    done = await asyncio.gather(freeze("ada"), freeze("grace"), return_exceptions=True)
    assert {type(each) for each in done} == {Act, StaleToken}
    async with unit_of_work(sessions) as work:
        histories = await ActRepository(work).histories("period")
    assert [(name, len(history)) for name, history in histories.items()] == [("1", 1)]
