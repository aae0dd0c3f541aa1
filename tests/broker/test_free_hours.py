"""Free hours from a real PostgreSQL: what a quote would find, before and after others have taken their part."""

import asyncio
from datetime import datetime, timedelta

import pytest

from broker.app import Market
from broker.feeds import room
from broker.feeds.room import LiveRoom
from broker.services.search_views import SearchQuery
from broker.store.repositories.book import BookRepository
from broker.store.rows import OfferHourRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.resale import ResaleRequest
from contracts.terms.errors import NotFound
from contracts.terms.time import Period
from pricing.free_hours import FreeHours
from tests.broker.small_market import GATE, START, USD, caller, open_small_market, pass_time
from tests.broker.test_quotes import accept, ask

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
A = caller("acct_a")


def live(market: Market) -> LiveRoom:
    return LiveRoom(market.sessions, clock=market.clock, timetable=market.timetable)


def hours_of(found: FreeHours, offer_id: str = "ofr_a", *, tier: int = 2) -> list[int]:
    """What is free of an offer from the first slot on."""
    return [int(free) for free in found.room[tier, :, found.offer_ids.index(offer_id)]]


async def test_quotes_and_leases_take_their_hours_and_what_expires_gives_them_back(sessions: Sessions):
    """Four slots from an hour before the gate's first: eight each; a quote for two hours of five, and then a lease of it."""
    market, _ = await open_small_market(sessions)
    here = live(market)
    found = await here.current()
    assert found.grid.start == START - HOUR
    assert (hours_of(found), hours_of(found, "ofr_b")) == ([8, 8, 8, 8], [8, 8, 8, 8])
    await ask(market, accelerators=5)
    assert hours_of(await here.current()) == [8, 3, 3, 8]
    pass_time(market, timedelta(minutes=6))
    assert hours_of(await here.current()) == [8, 8, 8, 8], "nobody took it"
    await accept(market, await ask(market, accelerators=5))
    pass_time(market, timedelta(minutes=6))
    assert hours_of(await here.current()) == [8, 3, 3, 8], "a lease stays"
    assert hours_of(await here.current(), "ofr_b") == [8, 8, 8, 8]


async def test_hours_of_the_day_are_the_offer_s_own(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        work.add(OfferHourRow(offer_id="ofr_a", hour=(START + HOUR).hour, quantity=2, rate_micros=1))
    assert hours_of(await live(market).current()) == [8, 8, 2, 8]


async def test_what_is_free_is_quoted_and_what_is_not_is_refused(sessions: Sessions):
    """Every tier and offer, at what is free and at one more."""
    market, _ = await open_small_market(sessions)
    await accept(market, await ask(market, accelerators=3, tier="standard"))
    found = await live(market).current()
    for place, tier in enumerate(("guaranteed", "standard", "spot")):
        for offer_id in found.offer_ids:
            least = min(hours_of(found, offer_id, tier=place)[1:3])
            quote = await ask(market, offer_id=offer_id, hardware=[], accelerators=least, tier=tier)
            async with market.services() as services:
                await services.quotes.withdraw(quote.quote_id, A)
            with pytest.raises(NotFound):
                await ask(market, offer_id=offer_id, hardware=[], accelerators=least + 1, tier=tier)


async def test_a_search_finds_what_is_free_then_and_says_when_the_rest_would_be(sessions: Sessions):
    """One offer is let for two hours: it is found for the hour before them, and for none that touches them."""
    market, _ = await open_small_market(sessions)
    await accept(market, await ask(market))

    async def found(start: datetime, hours: int) -> tuple[list[str], list[str]]:
        async with market.services() as services:
            answer = await services.search.search(SearchQuery(quantity=8, free_from=start, free_hours=hours))
        return [each.offer.offer_id for each in answer.offers], [text for row in answer.exclusions for text in row.examples]

    assert await found(START - HOUR, 1) == (["ofr_a", "ofr_b"], [])
    assert await found(START - HOUR, 2) == (["ofr_b"], ["A, de-1: free for as long in no hours that may be quoted"])
    assert await found(START, 1) == (["ofr_b"], ["A, de-1: free for as long from 03 Jan 23:00 UTC"])
    assert await found(START + 2 * HOUR, 1) == (["ofr_a", "ofr_b"], [])


async def test_reading_by_the_column_is_reading_by_the_row(sessions: Sessions):
    """With a lease, an open quote, and part of the lease on sale by its holder, in its own hours and no other."""
    market, clock = await open_small_market(sessions)
    lease = await accept(market, await ask(market, accelerators=5))
    await ask(market, accelerators=2)
    async with market.services() as services:
        await services.leases.resell(lease.lease_id, ResaleRequest(rate_micros=USD, accelerators=3, start=START + HOUR), caller=A)
    assert hours_of(await live(market).current(), "ofr_a~1") == [0, 0, 3, 0]
    rules = market.timetable.over(Period(START, START + 4 * HOUR))
    async with unit_of_work(sessions) as work:
        books = BookRepository(work)
        quick, slow = await books.supply(rules, now=clock.now()), await books.book(rules, [], now=clock.now())
    for name in ("offers", "commitments", "offer_slots"):
        assert getattr(quick, name).equals(getattr(slow, name)), name


async def test_many_who_ask_at_once_are_answered_by_one_reading(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    market, _ = await open_small_market(sessions)
    here = live(market)
    first, *rest = await asyncio.gather(*(here.current() for _ in range(20)))
    assert all(found is first for found in rest)
    monkeypatch.setattr(room, "SMALL", 1)
    assert await here.current() is first, "a large market's are shown for some seconds"
    pass_time(market, timedelta(seconds=10))
    assert await here.current() is not first
    pass_time(market, GATE - market.clock.now() + HOUR)
    assert (await here.current()).grid.start == START + HOUR, "the past is not for sale"
