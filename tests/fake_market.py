"""The shipped world, cleared, behind the reading ports: what the API and the pages show without a database.

Totals are added up here by Polars, in the store by SQL; a test holds the two together.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache

import msgspec
import polars as pl

from broker.app import Services
from broker.clock import FixedClock
from broker.feeds.desk import FeedDesk
from broker.identity_provider import IdentityProvider
from broker.listening import Happenings
from broker.services.accounts import AccountService, key_digest, require
from broker.services.backlog import Backlog
from broker.services.explanations import ClearedBook, ExplanationService
from broker.services.indication import Indications
from broker.services.market import PriceFilter, PriceTotal
from broker.services.market_views import CycleView, PriceView
from broker.services.market_watch import Signs
from broker.services.offers import OfferRecord, OfferService, TransferRate
from broker.services.price_history import PriceHistoryService
from broker.services.replies import ReplyService
from broker.services.views import BidView, Caller, CreditView, LeaseView, Page, ShownKey, StatementView
from broker.services.webhooks import WebhookService
from broker.world import catalogue, shipped_book
from contracts.terms.accounts import Account, Staff
from contracts.terms.bids import BidRequest
from contracts.terms.clearing import Certificate, Check, Clearing
from contracts.terms.errors import CreditExceeded, NotFound
from contracts.terms.orders import MarketBook
from contracts.webhooks import Message
from pricing.clearing import clear
from tests.fake_access import FakeAccess
from tests.fake_budgets import FakeProjects, fake_budgets
from tests.fake_figures import fake_figures
from tests.fake_finance import FakeFinance, fake_finance
from tests.fake_history import FakeHistory
from tests.fake_leases import FakeLeases
from tests.fake_operator import fake_operators
from tests.fake_people import FakePeople, fake_people
from tests.fake_provider import PROVIDER, fake_providers
from tests.fake_quotes import FakeQuotes
from tests.fake_search import fake_search
from tests.fake_spending import fake_spending
from tests.fake_usage import FakeReplies, FakeUsage
from tests.fake_webhooks import FakeWebhooks

DAY = datetime(2027, 1, 15, tzinfo=UTC)
GATE = DAY - timedelta(minutes=15)
NOW = GATE + timedelta(minutes=4)
GATES_EVERY = timedelta(hours=1)
KEY, OTHER_KEY, PROVIDER_KEY, OPERATOR_KEY = "gf_buyer", "gf_other", "gf_provider", "gf_operator"
CREDIT = 1_000_000_000
FINANCE = ("finance:read", "finance:write", "finance:approve")


@cache
def cleared(number: int) -> tuple[MarketBook, Clearing]:
    """Cycle 1 with every rate 4 % higher than shipped, cycle 2 as shipped."""
    book = shipped_book(DAY)
    if number == 1:
        dearer = (pl.col("rate_micros") * 104 // 100).alias("rate_micros")
        book = msgspec.structs.replace(book, offers=book.offers.with_columns(dearer), offer_slots=book.offer_slots.with_columns(dearer))
    return book, clear(book)


def cleared_book(number: int) -> ClearedBook:
    """A cycle as it was cleared; gates are an hour apart, over the same day."""
    book, clearing = cleared(number)
    return ClearedBook(cycle_number=number, gate_at=GATE - (2 - number) * GATES_EVERY, book=book, clearing=clearing)


def certificate() -> Certificate:
    """A certificate with believable figures."""
    return Certificate(
        rules="1",
        path="convex",
        approximate=False,
        welfare_micros=91_000_000_000,
        bound_micros=91_000_000_000,
        gap=0.0,
        lost_opportunity_micros=0,
        bound_integer_micros=None,
        paid_micros=40_000_000_000,
        received_micros=40_000_000_000,
        uplift_micros=0,
        fee_micros=0,
        transfer_micros=0,
        checks=(Check(name="feasible", holds=True, finding="no pool sells more than it has"),),
        hashes={"awards": "00" * 32},
    )


@cache
def priced(number: int) -> pl.DataFrame:
    """The published prices of a cycle with their countries."""
    book, clearing = cleared(number)
    countries = book.offers.select("site", "country").unique()
    start = pl.lit(DAY) + pl.duration(hours=pl.col("slot"))
    return clearing.prices.join(countries, on="site", how="left").with_columns(slot_start=start)


class FakeMarketReader:
    """Cycles 1 and 2 of the shipped world; 0 of them for a market that has not cleared."""

    def __init__(self, *, cycles: int = 2) -> None:
        self.apply(cycles)

    def apply(self, cycles: int) -> None:
        """Have as many cycles applied."""
        self._cycles = [self._cycle(number) for number in range(cycles, 0, -1)]

    def _cycle(self, number: int) -> CycleView:
        gate = GATE - (2 - number) * GATES_EVERY
        return CycleView(
            cycle_id=f"cyc_{number}",
            number=number,
            status="applied",
            gate_at=gate,
            start=DAY,
            end=DAY + timedelta(hours=24),
            slots=24,
            slot_seconds=3600,
            applied_at=gate + timedelta(seconds=3),
            finding="",
            gap=0.0,
            certified=True,
        )

    async def cycles(self, *, before: int | None = None, limit: int = 50, applied_only: bool = False) -> list[CycleView]:
        return [cycle for cycle in self._cycles if before is None or cycle.number < before][:limit]

    async def cycle(self, number: int) -> CycleView:
        for cycle in self._cycles:
            if cycle.number == number:
                return cycle
        raise NotFound(f"there is no cycle {number}", cycle=number)

    async def signs(self) -> Signs:
        latest = next(iter(self._cycles), None)
        return Signs(cycle=latest and latest.number, gate_at=latest and latest.gate_at, clearing=False, revision=0)

    async def totals(self, cycle_id: str, by: tuple[str, ...], *, hardware: str | None = None) -> list[PriceTotal]:
        prices = priced(int(cycle_id[-1]))
        if hardware is not None:
            prices = prices.filter(pl.col("hardware") == hardware)
        return totals(prices, by)

    async def prices(self, cycle: CycleView, chosen: PriceFilter, *, after: tuple[str, str, str] | None) -> list[PriceView]:
        prices = priced(cycle.number)
        for name in ("hardware", "country", "site", "tier", "slot_start"):
            if (value := getattr(chosen, name)) is not None:
                prices = prices.filter(pl.col(name) == value)
        rows = prices.sort("pool", "slot_start", "tier").iter_rows(named=True)
        found = [
            PriceView(cycle_number=cycle.number, **{name: row[name] for name in PriceView.__struct_fields__ if name in row}) for row in rows
        ]
        return [
            price
            for price in found
            if after is None or (price.pool, price.slot_start, price.tier) > (after[0], datetime.fromisoformat(after[1]), after[2])
        ][: chosen.limit]

    async def book(self, cycle_id: str) -> MarketBook | None:
        return cleared(int(cycle_id[-1]))[0]

    def cleared(self, cycle: CycleView) -> tuple[MarketBook, Clearing]:
        return cleared(cycle.number)

    async def certificate(self, cycle_id: str) -> Certificate | None:
        return certificate()


def totals(prices: pl.DataFrame, by: tuple[str, ...]) -> list[PriceTotal]:
    """Prices added up by groups; a pool's offer counts once a slot."""
    wanted = [name for name in ("hardware", "tier", "country", "slot_start") if name in by]
    pool = ["pool", "slot_start"]
    rows = prices.with_columns(
        sold_any_tier=pl.col("sold").sum().over(pool),
        offered=pl.col("offered").max().over(pool),
        place=pl.col("tier").rank("ordinal").over(pool),
    )
    once = pl.lit(1) if "tier" in wanted else (pl.col("place") == 1).cast(pl.Int64)
    traded = pl.col("rate_micros").filter(pl.col("sold") > 0)
    added = rows.group_by(wanted).agg(
        weighted=(pl.col("rate_micros") * pl.col("sold")).sum(),
        total=pl.col("sold").sum(),
        offered=(pl.col("offered") * once).sum(),
        sold_any_tier=(pl.col("sold_any_tier") * once).sum(),
        lowest_micros=pl.coalesce(traded.min(), pl.col("rate_micros").min()),
        highest_micros=pl.coalesce(traded.max(), pl.col("rate_micros").max()),
        sites=pl.col("site").n_unique(),
        **({} if "hardware" in wanted else {"hardware": pl.col("hardware").min()}),
    )
    return [PriceTotal(sold=row.pop("total"), **row) for row in added.sort(wanted).iter_rows(named=True)]


class FakeOfferReader:
    """The shipped world's offers."""

    async def current(self) -> list[OfferRecord]:
        book, _ = cleared(2)
        names = dict(catalogue.providers().select("provider", "name").iter_rows())
        facts = [name for name in OfferRecord.__struct_fields__ if name in book.offers.columns]
        return [
            OfferRecord(
                provider_name=names[row["provider"]],
                source="list price, 20 July 2026",
                observed_at=NOW - timedelta(minutes=7),
                **{name: row[name] for name in facts},
            )
            for row in book.offers.iter_rows(named=True)
        ]

    async def latencies(self, place: str) -> dict[str, float]:
        return dict(cleared(2)[0].latency.filter(pl.col("place") == place).select("site", "rtt_ms").iter_rows())

    async def places(self) -> list[str]:
        return cleared(2)[0].latency["place"].unique().sort().to_list()

    async def transfers(self, from_country: str) -> dict[str, TransferRate]:
        table = cleared(2)[0].transfer
        assert table is not None
        rows = table.filter(pl.col("from_country") == from_country).select("to_country", "micros_per_tb", "gbps").iter_rows()
        return {country: TransferRate(micros, gbps) for country, micros, gbps in rows}

    async def last_rates(self, tier: str) -> dict[tuple[str, str, bool], int]:
        sold = priced(2).filter(pl.col("tier") == tier, pl.col("sold") > 0)
        means = sold.group_by("site", "hardware", "firm").agg(rate=(pl.col("rate_micros") * pl.col("sold")).sum() // pl.col("sold").sum())
        return {(site, hardware, firm): rate for site, hardware, firm, rate in means.iter_rows()}


class FakeAccounts:
    """Two keys: a buyer's, and another's that may only read."""

    async def by_key_digest(self, digest: bytes) -> tuple[Account, frozenset[str]] | None:
        from_key = {
            key_digest(KEY): ("acct_buyer", {"bids:write", "budget:write", "leases:write", "usage:write", *FINANCE}),
            key_digest(OTHER_KEY): ("acct_other", set()),
        }
        if digest not in from_key:
            return None
        account_id, scopes = from_key[digest]
        account = Account(
            id=account_id,
            name="Atelier Lumière",
            country="FR",
            parent_country="FR",
            plan_id="metered",
            currency="USD",
            tax_bps=2000,
            take_bps=0,
            credit_limit_micros=CREDIT,
        )
        return account, frozenset(scopes)

    async def provider_by_key_digest(self, digest: bytes) -> tuple[str, str, frozenset[str]] | None:
        scopes = frozenset({"provider:read"})
        return (PROVIDER, "Hyperstack", scopes) if digest == key_digest(PROVIDER_KEY) else None

    async def staff_by_key_digest(self, digest: bytes) -> Staff | None:
        return Staff(id="hedy", name="Hedy", scopes=frozenset({"operator"})) if digest == key_digest(OPERATOR_KEY) else None


class FakeOrders:
    """Bids kept in a list."""

    def __init__(self) -> None:
        self.kept: dict[str, BidView] = {}

    async def submit(self, request: BidRequest, caller: Caller) -> BidView:
        require(caller, "bids:write")
        hold = request.worst_case_micros(request.hours)
        if hold > CREDIT:
            raise CreditExceeded("the bid's worst case is more than the account has left", worst_case_micros=hold, available_micros=CREDIT)
        view = BidView(
            bid_id=f"bid_{len(self.kept) + 1:026d}",
            account_id=caller.account_id,
            entered_at=NOW,
            status="open",
            hours_awarded=0.0,
            paid_micros=0,
            hold_micros=hold,
            currency="USD",
            reason="waits for the next gate",
            request=request,
        )
        self.kept[view.bid_id] = view
        return view

    async def bid(self, bid_id: str, caller: Caller) -> BidView:
        found = self.kept.get(bid_id)
        if found is None or found.account_id != caller.account_id:
            raise NotFound(f"no bid has the id {bid_id}", bid_id=bid_id)
        return found

    async def withdraw(self, bid_id: str, caller: Caller) -> BidView:
        self.kept[bid_id] = msgspec.structs.replace(await self.bid(bid_id, caller), status="withdrawn", hold_micros=0)
        return self.kept[bid_id]

    async def credit(self, caller: Caller) -> CreditView:
        held = sum(bid.hold_micros for bid in self.kept.values() if bid.account_id == caller.account_id)
        return CreditView(currency="USD", limit_micros=CREDIT, owed_micros=0, held_micros=held, free_micros=CREDIT - held)

    async def bids(self, caller: Caller, *, cursor: str | None = None, limit: int = 50, newest_first: bool = False) -> Page[BidView]:
        mine = [bid for key, bid in sorted(self.kept.items()) if bid.account_id == caller.account_id and key > (cursor or "")]
        mine = sorted(mine, key=lambda bid: (bid.entered_at, bid.bid_id), reverse=True) if newest_first else mine
        return Page(items=mine[:limit], next_cursor=mine[limit - 1].bid_id if len(mine) > limit else None)


class FakeBooks:
    """The books of no cycle but the shipped one, which has no bid entered since."""

    def __init__(self, orders: FakeOrders) -> None:
        self._orders = orders

    async def bid(self, bid_id: str, *, locked: bool = False) -> BidView:
        if bid_id not in self._orders.kept:
            raise NotFound(f"no bid has the id {bid_id}", bid_id=bid_id)
        return self._orders.kept[bid_id]

    async def last_with(self, bid_id: str) -> ClearedBook | None:
        book, clearing = cleared(2)
        return ClearedBook(cycle_number=2, gate_at=GATE, book=book, clearing=clearing) if bid_id in book.bids["bid_id"] else None


async def _nothing_happens(since: datetime, owners: frozenset[str]) -> list[Message]:
    return []


class FakeMarket:
    """`services()` like the real market's, on the fakes."""

    identity: IdentityProvider | None = None
    shown_keys = (ShownKey(account_name="Atelier Lumière", story="Renders light.", key=KEY),)

    def __init__(
        self, *, cycles: int = 2, now: datetime = NOW, leases: Sequence[LeaseView] = (), statements: Sequence[StatementView] = ()
    ) -> None:
        clock = FixedClock(now)
        self.orders, self.projects, self.people = FakeOrders(), FakeProjects(), FakePeople()
        books = FakeBooks(self.orders)
        self.reader, self.indications = FakeMarketReader(cycles=cycles), Indications("USD")
        offers = OfferService(FakeOfferReader(), clock, catalogue=catalogue.hardware_classes(), currency="USD")
        self.desk = Services(
            clock=clock,
            access=FakeAccess(leases, clock),
            accounts=AccountService(FakeAccounts()),
            backlog=Backlog(),
            explanations=ExplanationService(books, books),
            feeds=FeedDesk(None, clock=clock, hardware=[]),
            finance=FakeFinance(statements),
            happenings=Happenings(_nothing_happens, clock=clock),
            leases=FakeLeases(leases, clock),
            offers=offers,
            operators=fake_operators(cycles, cleared_book, market=FakeMarketReader(cycles=cycles), clock=clock),
            orders=self.orders,
            prices=PriceHistoryService(FakeHistory(), clock=clock, currency="USD"),
            providers=fake_providers(cycles, cleared_book, clock=clock),
            quotes=FakeQuotes(clock),
            webhooks=WebhookService(FakeWebhooks(), clock=clock, entropy=lambda count: bytes(range(count))),
            replies=ReplyService(FakeReplies(), clock),
            search=fake_search(offers, FakeOfferReader(), clock),
            spending=fake_spending(clock, self.projects),
            usage=FakeUsage(),
            **fake_figures(self.reader, self.indications, clock=clock, every=GATES_EVERY),
            session=None,
            **fake_finance(clock),
            **fake_budgets(clock, self.people, self.projects),
            **fake_people(clock, self.people),
        )

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """One unit of work."""
        yield self.desk
