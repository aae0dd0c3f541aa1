"""What a provider may ask about its own trade: why its offers sell or not, what another rate would have done, what it earned."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.explanations import ClearedBook
from broker.services.feed_views import FeedView
from broker.services.provider_views import (
    GateSales,
    IncomeView,
    OfferSalesView,
    ProviderLease,
    RateAskedView,
    SalesView,
    SiteRecord,
    Sums,
)
from broker.services.views import Caller
from contracts.statements import PayoutAdvice
from contracts.terms.errors import NotFound, NotPermitted, NotSupported
from pricing.questions.lost_sales import CAUSES, OfferSales, Refusal, sales_of
from pricing.questions.rate_asked import rate_asked
from pricing.questions.tally import Run

SCOPE = "provider:read"
LEASES_SHOWN = 50
# Somebody waits for the answer. Bids times offers gone through at a gate, and bids of a gate cleared again.
PAIRS_MAX, BIDS_MAX = 100_000, 3_000
REMEMBERED_MAX = 2_000


class OfferNow(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as last told."""

    offer_id: str
    site: str
    hardware: str
    firm: bool
    quantity: int
    rate_micros: int
    observed_at: datetime


class Gate(msgspec.Struct, frozen=True):
    """An applied cycle whose book was kept, and when its gate closed."""

    number: int
    at: datetime


class PastGates(Protocol):
    """The books of applied cycles, kept as they were cleared."""

    async def gates(self, count: int) -> list[Gate]:
        """The last applied cycles whose books were kept, the latest first."""
        ...

    async def at(self, number: int) -> ClearedBook | None:
        """One applied cycle by number; None for any other."""
        ...


class ProviderReader(Protocol):
    """What the store knows of one provider."""

    async def offers(self, provider_id: str) -> list[OfferNow]:
        """Its offers as they stand, by site, class and id."""
        ...

    async def leases(self, provider_id: str, *, limit: int) -> list[ProviderLease]:
        """Its leases, those that begin last first."""
        ...

    async def sites(self, provider_id: str) -> list[SiteRecord]:
        """How reliably it has delivered, by site and class."""
        ...

    async def statements(self, provider_id: str) -> list[PayoutAdvice]:
        """What it is owed for every closed period, the latest first."""
        ...

    async def money(self, provider_id: str) -> tuple[dict[str, int], dict[str, int]]:
        """By currency, micros it is owed now and cents that were paid out to it."""
        ...


class Feeds(Protocol):
    """Feeds as they stand."""

    async def view(self, provider_id: str, *, after: str | None = None, limit: int = 100) -> FeedView:
        """A feed, and its offers by id. Raises NotFound before it is opened."""
        ...


class Papers(Protocol):
    """Statements on paper."""

    async def advice(self, period: int, provider_id: str, *, currency: str) -> bytes:
        """What a provider is owed for a period, as PDF. Raises NotFound."""
        ...


class Answers:
    """What was worked out of past gates, which do not change any more; and whose turn it is to have books cleared again.

    currency  of the market
    turn      one question at a time, so that questions do not keep the market waiting
    """

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.turn = asyncio.Lock()
        self._sales: dict[tuple[int, str], list[OfferSales]] = {}

    def sales(self, gate: int, provider: str) -> list[OfferSales] | None:
        """How a provider's offers fared at a gate, if that was worked out lately."""
        return self._sales.get((gate, provider))

    def remember(self, gate: int, provider: str, *, sales: list[OfferSales]) -> None:
        """Keep how a provider's offers fared; the oldest answer makes room."""
        self._sales[gate, provider] = sales
        if len(self._sales) > REMEMBERED_MAX:
            del self._sales[next(iter(self._sales))]


class ProviderService:
    """Answers a provider, of its own offers alone."""

    def __init__(self, past: PastGates, reader: ProviderReader, *, feeds: Feeds, clock: Clock, answers: Answers) -> None:
        self._past = past
        self._reader = reader
        self._feeds = feeds
        self._clock = clock
        self._answers = answers

    async def sales(self, caller: Caller, gates: int) -> SalesView:
        """How each offer fared at the last gates, and what kept buyers from the rest."""
        provider = provider_of(caller)
        looked_at = [(gate, await self._sales_at(gate, provider)) for gate in await self._past.gates(gates)]
        now = {each.offer_id: each for each in await self._reader.offers(provider)}
        feed = await self.feed(caller)
        states = {each.offer_id: (each.state, each.reason) for each in feed.offers} if feed else {}
        names = {each.offer_id for _, sold in looked_at for each in sold} | set(now)
        offers = []
        for name in names:
            own = [each for _, sold in looked_at for each in sold if each.offer_id == name]
            state, reason = states.get(name, ("", ""))
            offers.append(msgspec.structs.replace(_over_gates(name, own, now=now.get(name)), state=state, reason=reason))
        return SalesView(
            provider=provider,
            currency=self._answers.currency,
            as_of=self._clock.now(),
            gates=[GateSales(number=gate.number, gate_at=gate.at, sums=_added(sold)) for gate, sold in looked_at],
            offers=sorted(offers, key=lambda each: (each.site, each.hardware, each.offer_id)),
            sums=_added([each for _, sold in looked_at for each in sold]),
        )

    async def _sales_at(self, gate: Gate, provider: str) -> list[OfferSales]:
        """How the offers fared at a gate; without causes where there is more to go through than somebody can wait for."""
        known = self._answers.sales(gate.number, provider)
        if known is None:
            cleared = await self._past.at(gate.number)
            assert cleared is not None, "an applied gate keeps its book"
            pairs = cleared.book.bids.height * int((cleared.book.offers["provider"] == provider).sum())
            known = await asyncio.to_thread(sales_of, _run(cleared), provider, with_causes=pairs <= PAIRS_MAX)
            self._answers.remember(gate.number, provider, sales=known)
        return known

    async def at_rate(self, caller: Caller, offer_id: str, *, rate_micros: int, gates: int) -> RateAskedView:
        """What an offer would have sold at another rate. Raises NotFound for another's, NotSupported for too large a book."""
        provider = provider_of(caller)
        cleared = [found for gate in await self._past.gates(gates) if (found := await self._past.at(gate.number)) is not None]
        asked = [each for each in cleared if _owner(each, offer_id) == provider]
        if not asked:
            raise NotFound(f"no offer of yours at these gates has the id {offer_id}", offer_id=offer_id)
        largest = max(each.book.bids.height for each in asked)
        if largest > BIDS_MAX:
            raise NotSupported(f"a gate had {largest} bids; up to {BIDS_MAX} are cleared again while you wait", bids=largest)
        async with self._answers.turn:
            answer = await asyncio.to_thread(rate_asked, [_run(each) for each in asked], offer_id, rate_micros=rate_micros)
        return RateAskedView(gates=[each.cycle_number for each in asked], sentence=answer.text, answer=answer)

    async def feed(self, caller: Caller) -> FeedView | None:
        """The provider's feed as it stands; None for one that does not announce."""
        try:
            return await self._feeds.view(provider_of(caller), limit=1_000)
        except NotFound:
            return None

    async def income(self, caller: Caller) -> IncomeView:
        """What was earned, what is owed, and how reliably it was delivered."""
        provider = provider_of(caller)
        owed, paid = await self._reader.money(provider)
        return IncomeView(
            owed_micros=owed,
            paid_cents=paid,
            sites=await self._reader.sites(provider),
            leases=await self._reader.leases(provider, limit=LEASES_SHOWN),
            statements=await self._reader.statements(provider),
        )


def provider_of(caller: Caller) -> str:
    """Whose desk this is. Raises NotPermitted for anybody but a provider, and without the scope."""
    if caller.provider_id is None:
        raise NotPermitted("this desk is for providers, and your key is not a provider's", scope=SCOPE)
    require(caller, SCOPE)
    return caller.provider_id


def _run(cleared: ClearedBook) -> Run:
    return Run(book=cleared.book, clearing=cleared.clearing)


def _owner(cleared: ClearedBook, offer_id: str) -> str | None:
    offers = cleared.book.offers
    found = offers.filter(offers["offer_id"] == offer_id)["provider"]
    return str(found[0]) if len(found) else None


def _over_gates(offer_id: str, sold: Sequence[OfferSales], *, now: OfferNow | None) -> OfferSalesView:
    """One offer at gates, the latest first; what it is now where it still stands."""
    told = now or sold[0]
    beside = next((each for each in sold if each.dearer_bps is not None), None)
    return OfferSalesView(
        offer_id=offer_id,
        site=told.site,
        hardware=told.hardware,
        firm=told.firm,
        quantity=now.quantity if now else None,
        rate_micros=now.rate_micros if now else None,
        asked_micros=sold[0].rate_micros if sold else told.rate_micros,
        observed_at=now.observed_at if now else None,
        marginal_micros=beside.marginal_micros if beside else None,
        dearer_bps=beside.dearer_bps if beside else None,
        state="",
        reason="",
        bids=sum(each.bids for each in sold),
        sums=_added(sold),
        refusals=_refusals(sold),
    )


def _added(sold: Sequence[OfferSales]) -> Sums:
    names = ("offered", "leased", "sold", "left", "received_micros", "premium_micros", "uplift_micros")
    lost = {cause: sum(each.lost.get(cause, 0.0) for each in sold) for cause in CAUSES}
    return Sums(**{name: sum(getattr(each, name) for each in sold) for name in names}, lost=lost)


def _refusals(sold: Sequence[OfferSales]) -> tuple[Refusal, ...]:
    by_clause: dict[str, list[Refusal]] = {}
    for refusal in (refusal for each in sold for refusal in each.refusals):
        by_clause.setdefault(refusal.clause, []).append(refusal)
    added = [
        Refusal(clause=clause, bids=sum(r.bids for r in rows), alone=sum(r.alone for r in rows), hours=sum(r.hours for r in rows))
        for clause, rows in by_clause.items()
    ]
    return tuple(sorted(added, key=lambda each: (-each.hours, -each.bids, each.clause)))
