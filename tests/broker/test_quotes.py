"""Quotes on a real PostgreSQL: firm rates, holds that nobody else sells, and one winner in every race."""

import asyncio
import random
from datetime import timedelta

import pytest
from sqlalchemy import func, text
from sqlmodel import select

from broker.app import Market
from broker.cycle import CycleReport
from broker.services.quotes import QuoteView
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.rows import FeedOfferRow, LeaseRow, LeaseSlotRow, QuoteRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.errors import BadInput, Conflict, CreditExceeded, MarketError, NotFound, QuoteMoved, WindowClosed, WrongState
from contracts.terms.quotes import QuoteRequest
from tests.broker.small_market import GATE, START, USD, account, caller, cycle_of, open_small_market, request

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")
CLIENTS = 200


def wish(**facts: object) -> QuoteRequest:
    """Eight H100s for two hours from the first slot of the next gate, spot, wherever."""
    plain: dict[str, object] = {"accelerators": 8, "hours": 2.0, "start": START, "hardware": ["H100-SXM"]}
    return QuoteRequest(**(plain | facts))


async def ask(market: Market, who: object = A, **facts: object) -> QuoteView:
    async with market.services() as services:
        return await services.quotes.hold(wish(**facts), who)


async def accept(market: Market, quote: QuoteView, who: object = A):
    async with market.services() as services:
        return await services.quotes.accept(quote.quote_id, who)


async def change_offer(sessions: Sessions, offer_id: str, assignment: str) -> None:
    """A new version of an offer, with something different."""
    async with unit_of_work(sessions) as work:
        await work.execute(
            text("CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS SELECT * FROM offers WHERE id = :id AND superseded_at IS NULL"),
            {"id": offer_id},
        )
        await work.execute(text("UPDATE offers SET superseded_at = now() WHERE id = :id AND superseded_at IS NULL"), {"id": offer_id})
        await work.execute(text(f"UPDATE fresh SET version = version + 1, {assignment}"))
        await work.execute(text("INSERT INTO offers SELECT * FROM fresh"))


async def most_booked(sessions: Sessions) -> int:
    """The most accelerators leases have of one offer in one slot."""
    booked = select(func.sum(LeaseSlotRow.quantity).label("q")).join(LeaseRow, LeaseRow.id == LeaseSlotRow.lease_id)
    by_slot = booked.group_by(LeaseRow.offer_id, LeaseSlotRow.slot_start).subquery()
    async with unit_of_work(sessions) as work:
        return int((await work.scalars(select(func.max(by_slot.c.q)))).one() or 0)


async def test_a_quote_is_the_rate_and_a_spread_and_says_the_worst_case(sessions: Sessions):
    """1.00 and 2 % on it; 8 accelerators for two hours are 16.32 at most."""
    market, clock = await open_small_market(sessions)
    quote = await ask(market)
    assert (quote.offer_id, quote.rate_micros, quote.worst_case_micros) == ("ofr_a", 1_020_000, 16_320_000)
    assert quote.worst_case == (
        "8 H100-SXM (spot) at 1.0200 USD per accelerator-hour, 2027-01-04T00:00:00Z to 2027-01-04T02:00:00Z: at most 16.32 USD"
    )
    assert quote.expires_at == clock.now() + timedelta(minutes=5)


async def test_a_quote_never_outlives_the_gate(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    clock.advance(timedelta(minutes=58))
    assert (await ask(market)).expires_at == GATE


async def test_what_is_held_is_not_quoted_again_and_what_is_left_is_dearer(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    assert [(await ask(market, who)).offer_id for who in (A, B)] == ["ofr_a", "ofr_b"]
    with pytest.raises(NotFound, match="8 accelerators free at spot"):
        await ask(market)
    assert (await ask(market, start=START + timedelta(hours=2), hours=1.0)).offer_id == "ofr_a", "the slots after it are free"


async def test_quotes_are_listed_last_first_a_page_at_a_time(sessions: Sessions):
    """Three of A's, one of B's; the second and third were held at the same moment, so their ids decide."""
    market, clock = await open_small_market(sessions)
    await ask(market, B, accelerators=1)
    oldest = await ask(market, accelerators=1)
    clock.advance(timedelta(minutes=1))
    newer = sorted([(await ask(market, accelerators=1)).quote_id for _ in range(2)], reverse=True)
    async with market.services() as services:
        first = await services.quotes.quotes(A, limit=2, newest_first=True)
        rest = await services.quotes.quotes(A, cursor=first.next_cursor, limit=2, newest_first=True)
        by_id = await services.quotes.quotes(A)
    assert [quote.quote_id for quote in (*first.items, *rest.items)] == [*newer, oldest.quote_id]
    assert (rest.next_cursor, [quote.quote_id for quote in by_id.items]) == (None, sorted([*newer, oldest.quote_id]))


async def test_headroom_is_kept_in_quotes_too(sessions: Sessions):
    """The pool is 16: ⌈20 %⌉ = 4 are held back from guaranteed, so it has 12, and 8 of them are one quote."""
    market, _ = await open_small_market(sessions)
    await ask(market, tier="guaranteed")
    with pytest.raises(NotFound):
        await ask(market, tier="guaranteed", accelerators=5)
    assert (await ask(market, tier="guaranteed", accelerators=4)).offer_id == "ofr_b"


async def test_requirements_are_read_as_a_bid_s_are(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    for demand in ({"countries": ["FR"]}, {"certifications": ["HDS"]}, {"memory_gb_min": 81.0}, {"trust_min": "certified"}):
        with pytest.raises(NotFound):
            await ask(market, **demand)
    assert (await ask(market, countries=["DE"], certifications=["c5"])).state == "open"


async def test_taking_a_quote_makes_a_lease_at_its_rate_and_holds_its_cost(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    quote = await ask(market)
    lease = await accept(market, quote)
    assert (lease.state, [(slot.quantity, slot.rate_micros) for slot in lease.slots]) == ("awarded", [(8, 1_020_000)] * 2)
    async with market.services() as services:
        taken = await services.quotes.quote(quote.quote_id, A)
        bid = await services.orders.bid(lease.bid_id, A)
        credit = await services.orders.credit(A)
    assert (taken.state, taken.lease_id) == ("accepted", lease.lease_id)
    assert (bid.status, bid.hold_micros, bid.reason) == ("filled", 16_320_000, "taken as a quote")
    assert credit.held_micros == 16_320_000
    with pytest.raises(WrongState, match="accepted"):
        await accept(market, quote)


async def test_the_gate_does_not_sell_what_a_quote_took(sessions: Sessions):
    """16 in all, 8 of them taken as a quote in the first two slots: a bid for all 16 gets 8 there."""
    market, clock = await open_small_market(sessions)
    await accept(market, await ask(market))
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=64.0), B)
    clock.advance(timedelta(hours=1))
    report = await cycle_of(market).run(GATE)
    assert report.certificate.holds
    assert await most_booked(sessions) == 8
    async with market.services() as services:
        leases = (await services.leases.leases(B)).items
    assert sum(slot.quantity for lease in leases for slot in lease.slots) == 48


async def test_a_late_gate_sees_what_is_held_and_not_yet_taken(sessions: Sessions):
    """The gate's run comes late; the quote of after the gate is in its book, and can still be taken."""
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=64.0), B)
    clock.advance(timedelta(minutes=65))
    quote = await ask(market)
    await cycle_of(market).run(GATE)
    await accept(market, quote)
    assert await most_booked(sessions) == 8


async def test_what_is_sold_at_a_gate_is_not_quoted(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=64.0), B)
    await cycle_of(market).run(GATE)
    with pytest.raises(NotFound):
        await ask(market, accelerators=1)


async def test_the_last_price_is_the_floor_of_a_quote(sessions: Sessions):
    """12 wide at up to 3.00 need the offer at 2.00, which sets the price of the pool: what is left is quoted at 2.04."""
    market, clock = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(width=12, hours=48.0), B)
    await cycle_of(market).run(GATE)
    clock.advance(timedelta(minutes=10))
    assert (await ask(market, accelerators=4, hours=1.0)).rate_micros == 2_040_000


async def test_nothing_is_held_while_a_cycle_decides(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with market.services() as services:
        await services.orders.submit(request(), B)
    loaded = await cycle_of(market)._load(GATE)
    assert not isinstance(loaded, CycleReport)
    cycle, _ = loaded
    with pytest.raises(WindowClosed, match="clearing these slots"):
        await ask(market)
    assert (await ask(market, start=START + timedelta(hours=-1), hours=1.0)).state == "open", "the slot before is nobody's decision"
    await cycle_of(market).run(GATE)
    assert (await ask(market, accelerators=1)).state == "open"
    assert cycle.status == "clearing"


@pytest.mark.parametrize(
    ("assignment", "changed", "rate"),
    [
        ("rate_micros = 1500000", "rate_micros", 1_530_000),
        ("quantity = 4", "quantity", None),
        ("country = 'FR', site = 'fr-1'", "country, site", None),
        ("observed_at = observed_at", None, None),
        ("rate_micros = 900000", None, None),
        ("quantity = 80", None, None),
    ],
)
async def test_taking_is_compare_and_set(sessions: Sessions, assignment: str, changed: str | None, rate: int | None):
    """A new version of the offer: where it does not suit as well, what changed and the new rate; else a lease at the old one."""
    market, _ = await open_small_market(sessions)
    quote = await ask(market, countries=["DE"])
    await change_offer(sessions, "ofr_a", assignment)
    if changed is None:
        assert {slot.rate_micros for slot in (await accept(market, quote)).slots} == {1_020_000}
        return
    with pytest.raises(QuoteMoved) as refused:
        await accept(market, quote)
    assert (refused.value.facts["changed"], refused.value.facts["rate_micros"]) == (changed, rate)
    assert await most_booked(sessions) == 0


async def test_a_withdrawn_offer_cannot_be_taken(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    quote = await ask(market)
    async with unit_of_work(sessions) as work:
        await work.execute(text("UPDATE offers SET superseded_at = now() WHERE id = 'ofr_a'"))
    with pytest.raises(QuoteMoved) as refused:
        await accept(market, quote)
    assert (refused.value.facts["changed"], refused.value.facts["rate_micros"]) == ("withdrawn", None)


async def test_an_offer_that_went_silent_cannot_be_taken(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    quote = await ask(market)
    silent = FeedOfferRow(
        provider_id=quote.provider, staged=False, offer_id="ofr_a", entry=b"{}", until=GATE, state="stale", reason="silent", suspect=""
    )
    async with unit_of_work(sessions) as work:
        work.add(silent)
    with pytest.raises(QuoteMoved):
        await accept(market, quote)
    with pytest.raises(NotFound):
        await ask(market, B, offer_id="ofr_a")


async def test_asking_for_a_version_that_is_gone_says_what_changed(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    await change_offer(sessions, "ofr_a", "rate_micros = 1100000")
    with pytest.raises(QuoteMoved) as refused:
        await ask(market, offer_id="ofr_a", offer_version=1)
    assert refused.value.facts == {"changed": "rate_micros", "rate_micros": 1_122_000, "offer_version": 2}
    assert (await ask(market, offer_id="ofr_a", offer_version=2)).rate_micros == 1_122_000


async def test_a_hold_ends_with_its_quote(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    quote = await ask(market, offer_id="ofr_a")
    clock.advance(timedelta(minutes=5))
    assert (await ask(market, B, offer_id="ofr_a")).offer_id == "ofr_a"
    with pytest.raises(QuoteMoved) as refused:
        await accept(market, quote)
    assert (refused.value.facts["changed"], refused.value.facts["rate_micros"]) == ("expired", None)
    async with market.services() as services:
        assert await services.quotes.expire() == 1
        assert await services.quotes.expire() == 0
        assert (await services.quotes.quote(quote.quote_id, A)).state == "expired"


async def test_leaving_a_quote_frees_what_it_held(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    quote = await ask(market)
    async with market.services() as services:
        assert (await services.quotes.withdraw(quote.quote_id, A)).state == "withdrawn"
    assert (await ask(market, B)).offer_id == "ofr_a"
    with pytest.raises(WrongState):
        await accept(market, quote)


async def test_an_account_holds_only_so_many(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    for _ in range(10):
        await ask(market, accelerators=1)
    with pytest.raises(Conflict, match="holds 10 open quotes"):
        await ask(market, accelerators=1)
    assert (await ask(market, B, accelerators=1)).state == "open"


async def test_a_quote_beyond_the_credit_is_refused(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account("acct_poor", credit=10 * USD)])
    with pytest.raises(CreditExceeded):
        await ask(market, caller("acct_poor"))


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"hours": 1.5}, BadInput),
        ({"start": START + timedelta(minutes=5)}, BadInput),
        ({"start": START - timedelta(days=1)}, WindowClosed),
        ({"hours": 400.0}, BadInput),
        ({"start": START + timedelta(days=900_000)}, BadInput),
        ({"offer_id": "ofr_none"}, NotFound),
    ],
)
async def test_what_no_slot_can_give_is_refused(sessions: Sessions, facts: dict[str, object], error: type[MarketError]):
    market, _ = await open_small_market(sessions)
    with pytest.raises(error):
        await ask(market, **facts)


async def test_another_s_quote_is_answered_like_none(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    quote = await ask(market)
    with pytest.raises(NotFound):
        await accept(market, quote, B)


async def open_race(sessions: Sessions, clients: int) -> Market:
    """One accelerator of one offer, and as many buyers as clients."""
    market, _ = await open_small_market(sessions)
    await change_offer(sessions, "ofr_a", "quantity = 1")
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account(f"acct_{number}") for number in range(clients)])
    return market


async def test_two_hundred_clients_for_one_accelerator_give_one_winner(sessions: Sessions):
    """All at once, each on its own account and in its own transaction: one quote, one lease, 199 refusals that say why."""
    market = await open_race(sessions, CLIENTS)

    async def client(number: int) -> str:
        who = caller(f"acct_{number}")
        try:
            quote = await ask(market, who, accelerators=1, offer_id="ofr_a")
            await accept(market, quote, who)
        except MarketError as error:
            return error.code
        return "won"

    results = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    assert sorted(results) == ["not_found"] * (CLIENTS - 1) + ["won"]
    assert await most_booked(sessions) == 1


async def test_whatever_the_interleaving_nothing_is_booked_twice(sessions: Sessions):
    """Askers, takers who tarry, leavers, new versions, bids and gates at once: no offer ever has more leased than it has."""
    market, clock = await open_small_market(sessions)
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_accounts([account(f"acct_{number}", credit=10**12) for number in range(12)])
    chance = random.Random(7)
    gates = [GATE + timedelta(hours=number) for number in range(3)]

    async def buyer(number: int, moves: random.Random) -> None:
        who = caller(f"acct_{number}")
        for _ in range(12):
            try:
                quote = await ask(
                    market,
                    who,
                    accelerators=moves.randint(1, 3),
                    hours=float(moves.randint(1, 2)),
                    start=START + timedelta(hours=moves.randint(0, 2)),
                )
                await asyncio.sleep(0)
                if moves.random() < 0.8:
                    await accept(market, quote, who)
                else:
                    async with market.services() as services:
                        await services.quotes.withdraw(quote.quote_id, who)
            except MarketError:
                async with market.services() as services:
                    await services.orders.submit(request(width=moves.randint(1, 4), hours=4.0, window_end=START + timedelta(hours=6)), who)

    async def broker() -> None:
        for gate in gates:
            await cycle_of(market).run(gate)
            await change_offer(sessions, "ofr_b", "rate_micros = rate_micros + 1000")
            clock.advance(timedelta(minutes=1))

    await asyncio.gather(broker(), *(buyer(number, random.Random(chance.random())) for number in range(12)))
    assert await most_booked(sessions) == 8
    async with unit_of_work(sessions) as work:
        states = dict((await work.execute(select(QuoteRow.state, func.count()).group_by(QuoteRow.state))).all())
    assert states["accepted"] > 3, f"a race nobody runs shows nothing: {states}"


async def test_without_its_turn_a_quote_would_be_sold_twice(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    """The race is real: take the turns away, and several win."""

    async def at_once(self: QuoteRepository, hardware: object) -> None:
        return None

    monkeypatch.setattr(QuoteRepository, "take_turn", at_once)
    market = await open_race(sessions, 20)
    won = await asyncio.gather(
        *(ask(market, caller(f"acct_{number}"), accelerators=1, offer_id="ofr_a") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, QuoteView) for each in won) > 1
