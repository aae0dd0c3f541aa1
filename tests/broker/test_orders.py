"""Bids and the credit they hold."""

import asyncio
from datetime import timedelta

import pytest

from broker.store.unit_of_work import Sessions
from contracts.terms.errors import CreditExceeded, NotFound, NotPermitted, WindowClosed, WrongState
from tests.broker.small_market import START, USD, caller, open_small_market, request

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")


async def test_a_bid_holds_its_worst_case(sessions: Sessions):
    """16 hours at up to 3.00 hold 48.00, and the trial balance does not notice."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        bid = await services.orders.submit(request(), A)
    async with market.services() as services:
        assert (await services.orders.bid(bid.bid_id, A)).hold_micros == 48 * USD
        assert await services.finance.trial_balance() == {}
    assert (bid.status, bid.reason) == ("open", "waits for the next gate")


async def test_a_better_hardware_raises_the_worst_case(sessions: Sessions):
    """The limit is per reference hour: at a factor of 2.5 an hour may cost 7.50, and 16 of them 120.00."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        bid = await services.orders.submit(request(hardware={"H100-SXM": 1.0, "B200": 2.5}), A)
    assert bid.hold_micros == 120 * USD


async def test_a_bid_beyond_the_credit_leaves_nothing(sessions: Sessions):
    """1,000 of credit: 340 hours at up to 3.00 are 20.00 too many."""
    market, _ = await open_small_market(sessions)
    with pytest.raises(CreditExceeded, match=r"1020\.00 USD, the account has 1000\.00 left"):
        async with market.services() as services:
            await services.orders.submit(request(hours=340.0), A)
    async with market.services() as services:
        assert (await services.orders.bids(A)).items == []


async def test_two_bids_at_once_cannot_spend_the_same_credit(sessions: Sessions):
    """Each of the two would fit alone: 600 of 1,000. One of them is refused."""
    market, _ = await open_small_market(sessions)

    async def submit() -> None:
        async with market.services() as services:
            await services.orders.submit(request(hours=200.0), A)

    results = await asyncio.gather(submit(), submit(), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["CreditExceeded", "NoneType"]


async def test_withdrawing_a_bid_frees_its_credit(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        first = await services.orders.submit(request(hours=300.0), A)
    async with market.services() as services:
        assert (await services.orders.withdraw(first.bid_id, A)).hold_micros == 0
    async with market.services() as services:
        await services.orders.submit(request(hours=300.0), A)
        with pytest.raises(WrongState, match="withdrawn"):
            await services.orders.withdraw(first.bid_id, A)


async def test_a_passed_window_is_refused(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    clock.advance(timedelta(hours=9))
    with pytest.raises(WindowClosed):
        async with market.services() as services:
            await services.orders.submit(request(), A)


async def test_the_book_is_secret(sessions: Sessions):
    """Another account's bid is answered like one that does not exist."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        bid = await services.orders.submit(request(), A)
        with pytest.raises(NotFound):
            await services.orders.bid(bid.bid_id, B)
        with pytest.raises(NotFound):
            await services.orders.withdraw(bid.bid_id, B)


async def test_a_key_without_the_scope_may_not_bid(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    reader = caller("acct_a").__class__(account_id="acct_a", account_name="", scopes=frozenset({"read"}))
    async with market.services() as services:
        with pytest.raises(NotPermitted, match="bids:write"):
            await services.orders.submit(request(), reader)


async def test_bids_come_in_pages(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        ids = sorted([(await services.orders.submit(request(hours=1.0), A)).bid_id for _ in range(5)])
        first = await services.orders.bids(A, limit=3)
        second = await services.orders.bids(A, cursor=first.next_cursor, limit=3)
    assert [bid.bid_id for bid in [*first.items, *second.items]] == ids
    assert second.next_cursor is None


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"hours": 0.0}, "hours must be positive"),
        ({"window_end": START}, "must end after it starts"),
        ({"hardware": {}}, "at least one hardware class"),
        ({"limit_spot_micros": None}, "at least one tier"),
        ({"limit_spot_micros": 0}, "at least 1 micro"),
    ],
)
def test_a_bid_cannot_exist_wrongly(facts: dict[str, object], words: str):
    with pytest.raises(ValueError, match=words):
        request(**facts).__post_init__()


async def test_credit_is_what_was_granted_less_what_is_promised(sessions: Sessions):
    """1,000 of credit, 48 held for 16 hours at up to 3.00: 952 are free."""
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), A)
        credit = await services.orders.credit(A)
    assert (credit.limit_micros, credit.owed_micros, credit.held_micros, credit.free_micros) == (1000 * USD, 0, 48 * USD, 952 * USD)


async def test_people_see_their_latest_bid_first(sessions: Sessions):
    """Three bids a minute apart, two to a page: the third and second, then the first."""
    market, clock = await open_small_market(sessions)
    entered = []
    for _ in range(3):
        async with market.services() as services:
            entered.append((await services.orders.submit(request(hours=1.0), A)).bid_id)
        clock.advance(timedelta(minutes=1))
    async with market.services() as services:
        first = await services.orders.bids(A, limit=2, newest_first=True)
        rest = await services.orders.bids(A, cursor=first.next_cursor, limit=2, newest_first=True)
        assert (await services.orders.bids(B, newest_first=True)).items == []
    assert [bid.bid_id for bid in (*first.items, *rest.items)] == entered[::-1]
    assert rest.next_cursor is None
