"""Failover: what a lease that broke off still owes is served before any bid is, elsewhere, at no more than its old rate.

The policy is the market's own, read for the one wish that is left. Who finds no place gives the hours back to the lease's bid,
which enters the gate like any other.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from broker.services.quote_ports import HeldAt
from broker.store.repositories.bids import BidRepository
from broker.store.repositories.book import BookRepository
from broker.store.repositories.leases import LeaseMove, LeaseRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work
from contracts.leasing import Failover, continued, hours_of, in_turn, reopened
from contracts.terms.bids import Bid
from contracts.terms.leases import Lease
from contracts.terms.orders import MarketRules
from contracts.terms.time import Period
from pricing.quotes import standing_offers

MINUTE = timedelta(minutes=1)
SILENCE_MAX = 10 * MINUTE
RulesOver = Callable[[Period], MarketRules]


async def serve_first(work: WorkSession, rules_over: RulesOver, *, now: datetime, give_back: bool) -> list[Lease]:
    """Place what is owed, the better tier first; returns the leases that go on.

    rules_over  the rules of a span's slots
    give_back   whether what finds no place goes back to its bid (at a gate), or waits (between gates)

    The caller has stopped the turns of quotes: nothing is held or taken meanwhile.
    """
    leases, quotes, made = LeaseRepository(work), QuoteRepository(work), []
    for owed in in_turn(await leases.failovers()):
        ahead = owed.still_ahead(now)
        if ahead and not give_back and await quotes.being_cleared(Period(ahead.rest[0].start, ahead.rest[-1].end)):
            continue
        lease = await _place(work, ahead, rules_over=rules_over, now=now) if ahead else None
        if lease is not None:
            await leases.add_many([lease], at=now, reason="goes on elsewhere")
            made.append(lease)
        elif ahead and not give_back:
            continue
        placed = hours_of(lease.slots) if lease else 0.0
        await _give_back(BidRepository(work), owed, hours=hours_of(owed.rest) - placed, now=now)
        await leases.end_failover(owed.lease.id, "placed" if lease else "returned")
    return made


async def lose_silent(sessions: Sessions, *, now: datetime, listening_since: datetime) -> list[str]:
    """Fail the leases in force of grids whose feed has been silent too long; returns their ids.

    Nobody knows whether such a grid still delivers: the network is what failed. What had not begun is owed elsewhere, and
    what the grid reports of it afterwards is beyond its lease and set aside, so that nothing is billed twice. A broker that has
    just begun to listen blames nobody: the silence was its own.
    """
    if now - listening_since < SILENCE_MAX:
        return []
    async with unit_of_work(sessions) as work:
        leases = LeaseRepository(work)
        lost = await leases.of_silent_grids(now - SILENCE_MAX, now=now)
        reason = f"its grid has been silent for {SILENCE_MAX // MINUTE} minutes beyond its hold time"
        await leases.move_all([LeaseMove(lease_id, "failed", now, reason, "network") for lease_id in lost])
        for lease_id in lost:
            await leases.break_off(lease_id, now)
        return lost


async def serve_between(sessions: Sessions, rules_over: RulesOver, *, now: datetime) -> list[Lease]:
    """Place what is owed between gates, in a transaction of its own; what finds no place waits for the gate."""
    async with unit_of_work(sessions) as work:
        if not await LeaseRepository(work).failovers():
            return []
    async with unit_of_work(sessions) as work:
        await QuoteRepository(work).stop_turns()
        return await serve_first(work, rules_over, now=now, give_back=False)


async def _place(work: WorkSession, owed: Failover, *, rules_over: RulesOver, now: datetime) -> Lease | None:
    """The lease that goes on: the cheapest offer at another site that suits, has room and is within the old rate; None without one."""
    bid = await BidRepository(work).bid(owed.lease.bid_id)
    if bid.request.data_tb:
        return None  # data that has to move first is weighed by the clearing
    span = Period(owed.rest[0].start, owed.rest[-1].end)
    rules = rules_over(span)
    shelf = await QuoteRepository(work).shelf(rules, _wish(bid, owed, span=span), site=None, held=HeldAt(now))
    sites = dict(shelf.book.offers.select("offer_id", "site").iter_rows())
    for found in standing_offers(shelf.book, owed.lease.tier, last=shelf.last):
        if found.rate_micros <= owed.cap_micros and sites[found.offer_id] != owed.lease.site:
            place = (await BookRepository(work).places())[found.offer_id]
            return continued(owed, found.offer_id, place=place, rate_micros=min(owed.cap_micros, found.floor_micros))
    return None


def _wish(bid: Bid, owed: Failover, *, span: Period) -> Bid:
    """What is left of the bid at this lease: its class, its tier, its demands, the most it had at once, over the slots that are left."""
    request, lease = bid.request, owed.lease
    limits = {f"limit_{tier}_micros": limit if tier == lease.tier else None for tier, limit in request.limits.items()}
    wish = msgspec.structs.replace(
        request,
        width=max(slot.quantity for slot in owed.rest),
        hours=hours_of(owed.rest),
        window_start=span.start,
        window_end=span.end,
        hardware={lease.hardware: request.hardware[lease.hardware]},
        **limits,
    )
    return msgspec.structs.replace(bid, request=wish, hours_left=wish.hours)


async def _give_back(bids: BidRepository, owed: Failover, *, hours: float, now: datetime) -> None:
    """Hours that were not placed go back to the bid, if it is still there to take them."""
    bid = await bids.bid(owed.lease.bid_id, locked=True)
    if hours > 0 and bid.status in {"open", "filled"} and bid.request.window_end > now:
        await bids.replace(reopened(bid, hours))
