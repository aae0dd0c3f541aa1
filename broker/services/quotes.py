"""Quotes: a firm rate held for minutes, and one winner in every race for what it holds.

A request takes its turn among those for the same hardware, looks at what leases and open quotes leave, and holds; taking
a quote is a compare-and-set on (offer, version). While a cycle that has read its book decides about some slots, nothing new
is held in them.
"""

from datetime import datetime
from fractions import Fraction

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.leases import LeaseService
from broker.services.orders import OrderService
from broker.services.quote_ports import HeldAt, QuoteRules, Quotes, Shelf, ShelfPlace
from broker.services.views import Caller, LeaseView, Page
from contracts.quoting import bid_of, changed_facts, lease_of, worst_case_line
from contracts.terms.accounts import DEFAULT_PROJECT
from contracts.terms.bids import Bid
from contracts.terms.errors import BadInput, Conflict, NotFound, QuoteMoved, WindowClosed, WrongState
from contracts.terms.leases import IN_FORCE
from contracts.terms.money import BASIS_POINTS, half_up, micros_text
from contracts.terms.quotes import Quote, QuoteRequest, Tier, cost_micros, under_demands
from contracts.terms.time import EPOCH, Period, iso
from pricing.quotes import Standing, standing_offers


class QuoteView(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as its holder sees it.

    state              open, accepted, expired or withdrawn
    rate_micros        per accelerator-hour, firm until expires_at
    worst_case         rate, quantity, period and the most it can cost, in one line
    lease_id           what it became, once accepted
    project_id         whose spend it would be
    """

    quote_id: str
    state: str
    offer_id: str
    offer_version: int
    provider: str
    site: str
    hardware: str
    tier: str
    accelerators: int
    starts_at: datetime
    ends_at: datetime
    rate_micros: int
    fee_micros: int
    worst_case_micros: int
    currency: str
    worst_case: str
    created_at: datetime
    expires_at: datetime
    lease_id: str | None = None
    project_id: str = DEFAULT_PROJECT


class QuoteService:
    """What a buyer may do between gates."""

    def __init__(self, quotes: Quotes, *, orders: OrderService, leases: LeaseService, rules: QuoteRules, clock: Clock) -> None:
        self._quotes = quotes
        self._orders = orders
        self._leases = leases
        self._rules = rules
        self._clock = clock

    async def hold(self, request: QuoteRequest, caller: Caller, *, extends: str | None = None) -> QuoteView:
        """Hold accelerators at a firm rate, for a lease or to make one longer.

        Raises NotFound where nothing suits, QuoteMoved where another version of the offer stands, WindowClosed while a cycle
        decides about the slots, CreditExceeded, and Conflict for one quote too many.
        """
        require(caller, "bids:write")
        request = await self._orders.bought_for(request, caller)
        now = self._clock.now()
        span = _span(request, self._rules, now=now)
        place = await self._place(request)
        hardware = [place.hardware] if place else request.hardware
        await self._quotes.take_turn(hardware)
        await self._check_turn(caller, span, now=now)
        found, shelf = await self._best(request, span, caller=caller, held=HeldAt(now))
        if found is None:
            raise NotFound(_nothing(request, place), offer_id=request.offer_id, accelerators=request.accelerators, tier=request.tier)
        version = shelf.versions[found.offer_id]
        if request.offer_version not in (None, version):
            raise await self._moved(found.offer_id, request.offer_version, rate_micros=self._rate(found))
        made = self._made(request, span, caller=caller, found=found, shelf=shelf)
        quote = msgspec.structs.replace(made, extends=extends)
        await self._orders.afford(bid_of(quote), quote.worst_case_micros)
        await self._quotes.add(quote)
        return _view(quote)

    async def accept(self, quote_id: str, caller: Caller) -> LeaseView:
        """Take a quote: its lease. Raises QuoteMoved naming what changed and the new rate, WrongState for one that is taken or left."""
        require(caller, "bids:write")
        quote = await self._own(quote_id, caller)
        await self._quotes.take_turn([quote.hardware])
        quote, now = await self._quotes.quote(quote_id, locked=True), self._clock.now()
        if quote.state in ("accepted", "withdrawn"):
            raise WrongState(f"the quote is {quote.state}; only an open quote can be taken", quote_id=quote_id, state=quote.state)
        await self._check_stands(quote, caller, now=now)
        lease = lease_of(quote)
        await self._orders.take(bid_of(quote), event=quote.id, cost_micros=quote.worst_case_micros)
        await self._leases.begin(lease, reason="taken as a quote")
        await self._orders.leased(bid_of(quote))
        await self._quotes.close(msgspec.structs.replace(quote, state="accepted"))
        return await self._leases.lease(lease.id, caller)

    async def extend(self, lease_id: str, hours: float, *, caller: Caller) -> QuoteView:
        """A quote for more hours of a lease, from its end on, at the offer it runs on and under its bid's demands.

        Taken, it is the same lease, longer. Raises WrongState for one that has ended, and whatever a quote may.
        """
        require(caller, "leases:write")
        whole = await self._leases.whole(lease_id, caller)
        running = [part for part in whole if part.state in IN_FORCE]
        if not running:
            raise WrongState(f"the lease is {whole[-1].state}; only a lease in force can be made longer", lease_id=lease_id)
        last = max(running, key=lambda part: part.ends_at)
        wish = QuoteRequest(
            accelerators=last.slots[-1].quantity,
            hours=hours,
            tier=msgspec.convert(last.tier, Tier),
            start=last.ends_at,
            offer_id=last.offer_id,
        )
        bid = await self._orders.bid(last.bid_id, caller)
        return await self.hold(under_demands(wish, bid.request), caller, extends=whole[0].id)

    async def withdraw(self, quote_id: str, caller: Caller) -> QuoteView:
        """Leave a quote: what it held is free. Raises WrongState for one that is not open."""
        require(caller, "bids:write")
        await self._own(quote_id, caller)
        quote = await self._quotes.quote(quote_id, locked=True)
        if quote.state != "open":
            raise WrongState(f"the quote is {quote.state}; only an open quote can be left", quote_id=quote_id, state=quote.state)
        left = msgspec.structs.replace(quote, state="withdrawn")
        await self._quotes.close(left)
        return _view(left)

    async def quote(self, quote_id: str, caller: Caller) -> QuoteView:
        """One of the caller's quotes. Raises NotFound."""
        return _view(await self._own(quote_id, caller), now=self._clock.now())

    async def quotes(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[QuoteView]:
        """The caller's quotes by id, or those held last first. Raises NotFound for a cursor that is no quote."""
        found = await self._quotes.of_account(caller.account_id, after=cursor, limit=limit + 1, newest_first=newest_first)
        views = [_view(quote, now=self._clock.now()) for quote in found[:limit]]
        return Page(items=views, next_cursor=found[limit - 1].id if len(found) > limit else None)

    def rate_micros(self, rate_micros: int, last_micros: int) -> int:
        """What a quote of an offer comes to, micros per accelerator-hour: its rate or what its pool last sold at, and the spread."""
        return self._rules.policy.rate_micros(rate_micros, last_micros)

    async def expire(self) -> int:
        """Mark the quotes whose time is over; returns how many."""
        return await self._quotes.expire(self._clock.now())

    async def _own(self, quote_id: str, caller: Caller) -> Quote:
        quote = await self._quotes.quote(quote_id)
        if quote.account_id != caller.account_id:
            raise NotFound(f"no quote has the id {quote_id}", quote_id=quote_id)
        return quote

    async def _place(self, request: QuoteRequest) -> ShelfPlace | None:
        if request.offer_id is None:
            return None
        place = await self._quotes.place(request.offer_id)
        if place is None:
            raise NotFound(f"no offer has the id {request.offer_id}", offer_id=request.offer_id)
        return place

    async def _check_turn(self, caller: Caller, span: Period, *, now: datetime) -> None:
        if await self._quotes.being_cleared(span):
            raise WindowClosed(
                "the market is clearing these slots; ask again when its prices are published",
                starts_at=iso(span.start),
                ends_at=iso(span.end),
            )
        most = self._rules.policy.open_max
        if await self._quotes.open_count(caller.account_id, now) >= most:
            raise Conflict(f"the account holds {most} open quotes; take or leave one first", open_max=most)

    async def _best(self, request: QuoteRequest, span: Period, *, caller: Caller, held: HeldAt) -> tuple[Standing | None, Shelf]:
        """What serves the request at the lowest floor, and the shelf it stands on."""
        place = await self._place(request)
        wish = request.as_bid(span, [place.hardware] if place else request.hardware)
        bid = Bid(id="wish", account_id=caller.account_id, entered_at=held.now, request=wish, hours_left=wish.hours)
        shelf = await self._quotes.shelf(self._rules.over(span), bid, site=place.site if place else None, held=held)
        standing = standing_offers(shelf.book, request.tier, last=shelf.last)
        suits = (each for each in standing if request.offer_id in (None, each.offer_id))
        return next(suits, None), shelf

    def _rate(self, found: Standing) -> int:
        return self.rate_micros(found.rate_micros, found.last_micros)

    def _made(self, request: QuoteRequest, span: Period, *, caller: Caller, found: Standing, shelf: Shelf) -> Quote:
        now, rate = self._clock.now(), self._rate(found)
        (offer,) = shelf.book.offers.filter(shelf.book.offers["offer_id"] == found.offer_id).rows(named=True)
        return Quote(
            id=self._rules.new_id(),
            account_id=caller.account_id,
            offer_id=found.offer_id,
            offer_version=shelf.versions[found.offer_id],
            provider_id=offer["provider"],
            site=offer["site"],
            hardware=offer["hardware"],
            tier=request.tier,
            accelerators=request.accelerators,
            rate_micros=rate,
            fee_micros=half_up(cost_micros(request.accelerators, span, rate_micros=rate) * self._rules.fee_bps, BASIS_POINTS),
            currency=self._rules.currency,
            starts_at=span.start,
            ends_at=span.end,
            slot_seconds=self._rules.slot_seconds,
            state="open",
            created_at=now,
            expires_at=min(now + self._rules.policy.lifetime, self._rules.next_gate(now)),
            request=request,
        )

    async def _check_stands(self, quote: Quote, caller: Caller, *, now: datetime) -> None:
        """That the quote is in time, and that its offer stands as it was or suits as well. Raises QuoteMoved."""
        current = await self._quotes.facts(quote.offer_id)
        place = await self._quotes.place(quote.offer_id) if current is not None else None
        in_time = quote.state == "open" and now < quote.expires_at
        if in_time and place is not None and place.version == quote.offer_version:
            return
        request = msgspec.structs.replace(quote.request, offer_id=quote.offer_id, offer_version=None, start=quote.starts_at)
        found = None
        if place is not None and now < quote.starts_at:
            found, _ = await self._best(request, quote.span, caller=caller, held=HeldAt(now, quote.id))
        if (
            in_time
            and found is not None
            and place is not None
            and place.hardware == quote.hardware
            and found.rate_micros <= quote.rate_micros
        ):
            return
        changed = (
            ["expired"] if not in_time else changed_facts(await self._quotes.facts(quote.offer_id, version=quote.offer_version), current)
        )
        raise _refusal(changed, self._rate(found) if found else None, version=place.version if place else None, currency=quote.currency)

    async def _moved(self, offer_id: str, version: int | None, *, rate_micros: int) -> QuoteMoved:
        before, now = await self._quotes.facts(offer_id, version=version), await self._quotes.place(offer_id)
        changed = changed_facts(before, await self._quotes.facts(offer_id)) if before is not None else ["version"]
        return _refusal(changed or ["version"], rate_micros, version=now.version if now else None, currency=self._rules.currency)


def _refusal(changed: list[str], rate_micros: int | None, *, version: int | None, currency: str) -> QuoteMoved:
    names = ", ".join(changed) or "room"
    new = f"the rate is now {micros_text(rate_micros, places=4)} {currency}" if rate_micros is not None else "it cannot be had any more"
    return QuoteMoved(
        f"what the quote rested on has changed ({names}); {new}; ask again", changed=names, rate_micros=rate_micros, offer_version=version
    )


def _nothing(request: QuoteRequest, place: ShelfPlace | None) -> str:
    what = f"offer {request.offer_id}" if place else f"no offer of {', '.join(request.hardware)}"
    verb = "does not have" if place else "that meets the rest has"
    return f"{what} {verb} {request.accelerators} accelerators free at {request.tier} for the whole time; ask for fewer, or at another tier"


def _span(request: QuoteRequest, rules: QuoteRules, *, now: datetime) -> Period:
    """The slots a request asks for. Raises BadInput for parts of slots and beyond the horizon, WindowClosed for the past."""
    count = Fraction(str(request.hours)) * 3600 / rules.slot_seconds
    if count.denominator != 1:
        raise BadInput("hours must be whole slots", found=request.hours, would_do=f"a multiple of {rules.slot_seconds / 3600:g}")
    start = request.start or EPOCH + -((EPOCH - now) // rules.slot) * rules.slot
    if (start - EPOCH) % rules.slot:
        raise BadInput(
            "start must be where a slot begins", found=iso(start), would_do=iso(EPOCH + (start - EPOCH) // rules.slot * rules.slot)
        )
    if start < now:
        raise WindowClosed("the first slot has begun", start=iso(start), now=iso(now))
    most = rules.slots - max(0, (start - now) // rules.slot)
    if count > most:
        raise BadInput(f"quotes reach {rules.slots} slots ahead", found=request.hours, would_do="a bid for the next gates")
    return Period(start, start + int(count) * rules.slot)


def _view(quote: Quote, *, now: datetime | None = None) -> QuoteView:
    state = "expired" if quote.state == "open" and now is not None and now >= quote.expires_at else quote.state
    facts = {name: getattr(quote, name) for name in QuoteView.__struct_fields__ if name in Quote.__struct_fields__ and name != "state"}
    return QuoteView(
        quote_id=quote.id,
        state=state,
        provider=quote.provider_id,
        worst_case_micros=quote.worst_case_micros,
        worst_case=worst_case_line(quote),
        lease_id=lease_of(quote).id if state == "accepted" else None,
        project_id=quote.request.project or DEFAULT_PROJECT,
        **facts,
    )
