"""A large book is brought up to date by what feeds changed, and is then the book that reading all of the store would give."""

from datetime import timedelta

import numpy as np
import pytest

from broker.feeds import book as live
from broker.feeds.book import LiveBook
from broker.services.book_view import BookView
from broker.services.search_views import SearchQuery
from broker.store.unit_of_work import Sessions
from contracts.feed.messages import Pause, Price, Resume, Withdraw
from tests.broker.feeds.test_feed_market import Fed, an_announcement
from tests.broker.small_market import USD, pass_time

pytestmark = pytest.mark.anyio


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any book counts as a large one."""
    monkeypatch.setattr(live, "SMALL", -1)


def offers(view: BookView) -> list[tuple[str, str, int]]:
    rows = np.arange(len(view))
    pairs = zip(view.records(rows), view.shared(rows), strict=True)
    return [(offer.offer_id, shared.state, offer.rate_micros) for offer, shared in pairs]


async def whole(fed: Fed) -> BookView:
    return await LiveBook(fed.market.sessions, clock=fed.market.clock).refresh()


@pytest.mark.usefixtures("large")
async def test_what_was_announced_is_found_within_a_second(sessions: Sessions):
    fed = await Fed.opened(sessions)
    book = fed.market.book
    before = await book.current()
    for message in (
        an_announcement(),
        an_announcement("ofr_two", rate_micros=USD),
        Price(offer_id="ofr_fed", version=2, rate_micros=USD),
        Pause(),
        Resume(),
        Withdraw(offer_id="ofr_two"),
        an_announcement("ofr_dear", rate_micros=9_000 * USD),
    ):
        await fed.say(message)
        assert await book.current() is before, "a young book is shown as it is"
        pass_time(fed.market, timedelta(seconds=1))
        before = await book.current()
        assert offers(before) == offers(await whole(fed)), f"after {message}"
    assert ("ofr_dear", "suspect", 9_000 * USD) in offers(before)


@pytest.mark.usefixtures("large")
async def test_nobody_waits_for_the_successor_of_a_fresh_book(sessions: Sessions):
    fed = await Fed.opened(sessions)
    book = fed.market.book
    before = await book.current()
    await fed.say(an_announcement())
    pass_time(fed.market, timedelta(milliseconds=500))
    assert await book.current() is before
    making = book._tasks["changes"]
    assert not making.done(), "it was begun, and is not waited for"
    assert offers(await making) == offers(await whole(fed)) != offers(before)


@pytest.mark.usefixtures("large")
async def test_a_book_too_far_behind_is_read_whole(sessions: Sessions, monkeypatch):
    fed = await Fed.opened(sessions)
    await fed.market.book.current()
    monkeypatch.setattr(live, "CHANGES_KEPT", 1)
    await fed.say(an_announcement())
    await fed.say(Price(offer_id="ofr_fed", version=2, rate_micros=USD))
    await fed.say(Price(offer_id="ofr_fed", version=3, rate_micros=2 * USD))
    assert offers(await fed.market.book.catch_up()) == offers(await whole(fed))


@pytest.mark.usefixtures("large")
async def test_what_no_feed_tells_is_found_with_the_next_whole_reading(sessions: Sessions):
    fed = await Fed.opened(sessions)
    before = await fed.market.book.current()
    pass_time(fed.market, timedelta(seconds=30))
    assert await fed.market.book.current() is before, "readers go on with the one they have"
    task = fed.market.book._tasks["whole"]
    assert (await task) is not before


async def test_a_cycle_that_is_applied_is_seen_by_the_next_search(sessions: Sessions):
    fed = await Fed.opened(sessions)

    async def last_rates() -> set[int | None]:
        async with fed.market.services() as services:
            return {each.offer.last_rate_micros for each in (await services.search.search(SearchQuery())).offers}

    assert await last_rates() == {None}
    await fed.say(an_announcement())
    assert await fed.sold()
    assert await last_rates() > {None}
