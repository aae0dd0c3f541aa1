"""The journal: an event is written once, and means one thing."""

from datetime import UTC, datetime

import msgspec
import pytest

from broker.store.repositories.journal import JournalRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.journal import JournalEntry, Posting
from contracts.terms.errors import KeyReused

pytestmark = pytest.mark.anyio
ENTRY = JournalEntry(
    id="ent_1",
    kind="payment",
    state="posted",
    at=datetime(2027, 2, 1, tzinfo=UTC),
    reason="payment received",
    postings=(
        Posting(account="processor", amount_micros=5, currency="USD"),
        Posting(account="receivable", party="acct_a", amount_micros=-5, currency="USD"),
    ),
)


async def test_the_same_event_again_is_nothing_new(sessions: Sessions):
    for new in (1, 0):
        async with unit_of_work(sessions) as work:
            assert await JournalRepository(work).add_many([ENTRY]) == new


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(ENTRY, kind="refund"),
        msgspec.structs.replace(ENTRY, postings=ENTRY.postings[::-1]),
        msgspec.structs.replace(ENTRY, postings=tuple(msgspec.structs.replace(each, currency="EUR") for each in ENTRY.postings)),
    ],
)
async def test_the_same_id_with_another_content_is_refused_and_nothing_of_its_batch_is_kept(sessions: Sessions, other):
    async with unit_of_work(sessions) as work:
        await JournalRepository(work).add_many([ENTRY])
    with pytest.raises(KeyReused, match="entry ent_1 is there with another content"):
        async with unit_of_work(sessions) as work:
            await JournalRepository(work).add_many([msgspec.structs.replace(ENTRY, id="ent_2"), other])
    async with unit_of_work(sessions) as work:
        assert await JournalRepository(work).entries() == [ENTRY]


@pytest.mark.slow
async def test_thousands_of_entries_go_in_one_call(sessions: Sessions):
    """More than one statement can carry: 9,000 entries, 18,000 postings."""
    entries = [msgspec.structs.replace(ENTRY, id=f"ent_{number}") for number in range(9_000)]
    async with unit_of_work(sessions) as work:
        assert await JournalRepository(work).add_many(entries) == 9_000
        assert await JournalRepository(work).add_many(entries[:5]) == 0


@pytest.mark.slow
async def test_more_known_entries_than_one_statement_can_name_are_no_news(sessions: Sessions):
    """A month's movements are read again by every catching up: 33,000 of them, all known."""
    async with unit_of_work(sessions) as work:
        journal = JournalRepository(work)
        assert await journal.add_many([ENTRY]) == 1
        assert await journal.add_many([ENTRY] * 33_000) == 0
