"""Quotes kept in a dictionary: what the API and the pages show without a database."""

from datetime import timedelta

import msgspec

from broker.services.accounts import require
from broker.services.quotes import QuoteView
from broker.services.views import Caller, LeaseSlotView, LeaseView, Page
from contracts.terms.accounts import DEFAULT_PROJECT
from contracts.terms.errors import NotFound, WrongState
from contracts.terms.quotes import QuotePolicy, QuoteRequest


class FakeQuotes:
    """Every offer of any class at 2.00, for hours that begin when the clock was set."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self.kept: dict[str, QuoteView] = {}

    async def hold(self, request: QuoteRequest, caller: Caller) -> QuoteView:
        require(caller, "bids:write")
        now = self._clock.now()
        view = QuoteView(
            quote_id=f"quo_{len(self.kept) + 1:026d}",
            state="open",
            offer_id=request.offer_id or "ofr_a",
            offer_version=request.offer_version or 1,
            provider="prv_a",
            site="fr-1",
            hardware=(request.hardware or ["H100-SXM"])[0],
            tier=request.tier,
            accelerators=request.accelerators,
            starts_at=now,
            ends_at=now + timedelta(hours=1),
            rate_micros=2_000_000,
            fee_micros=0,
            worst_case_micros=2_000_000 * request.accelerators,
            currency="USD",
            worst_case="at most so much",
            created_at=now,
            expires_at=now + timedelta(minutes=5),
            project_id=request.project or DEFAULT_PROJECT,
        )
        self.kept[view.quote_id] = view
        return view

    async def quote(self, quote_id: str, caller: Caller) -> QuoteView:
        if quote_id not in self.kept:
            raise NotFound(f"no quote has the id {quote_id}", quote_id=quote_id)
        return self.kept[quote_id]

    async def quotes(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[QuoteView]:
        found = sorted(self.kept, reverse=newest_first)
        rest = [key for key in found if cursor is None or (key < cursor if newest_first else key > cursor)]
        return Page(items=[self.kept[key] for key in rest[:limit]], next_cursor=rest[limit - 1] if len(rest) > limit else None)

    def rate_micros(self, rate_micros: int, last_micros: int) -> int:
        return QuotePolicy().rate_micros(rate_micros, last_micros)

    async def accept(self, quote_id: str, caller: Caller) -> LeaseView:
        require(caller, "bids:write")
        quote = await self._close(quote_id, caller, state="accepted")
        slot = LeaseSlotView(start=quote.starts_at, end=quote.ends_at, quantity=quote.accelerators, rate_micros=quote.rate_micros)
        return LeaseView(
            lease_id="lse_of_a_quote",
            bid_id="bid_of_a_quote",
            provider=quote.provider,
            site=quote.site,
            hardware=quote.hardware,
            tier=quote.tier,
            state="awarded",
            starts_at=quote.starts_at,
            ends_at=quote.ends_at,
            slots=[slot],
            delivered_seconds=0,
            failed_seconds=0,
        )

    async def extend(self, lease_id: str, hours: float, *, caller: Caller) -> QuoteView:
        if hours > 12:
            raise NotFound("the offer does not have so much", lease_id=lease_id)
        return await self.hold(QuoteRequest(accelerators=8, hours=hours, tier="standard", offer_id=f"ofr_{lease_id}"), caller)

    async def withdraw(self, quote_id: str, caller: Caller) -> QuoteView:
        require(caller, "bids:write")
        return await self._close(quote_id, caller, state="withdrawn")

    async def _close(self, quote_id: str, caller: Caller, *, state: str) -> QuoteView:
        quote = await self.quote(quote_id, caller)
        if quote.state != "open":
            raise WrongState(f"the quote is {quote.state}", quote_id=quote_id, state=quote.state)
        self.kept[quote_id] = msgspec.structs.replace(quote, state=state)
        return self.kept[quote_id]
