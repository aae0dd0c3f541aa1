"""The stages of the demo: each can be run again, and finds what the last run left.

A killed demo resumes from the store alone: ids derive from what they name, cycles are fenced by their token,
a close is one transaction. Nothing is remembered elsewhere.
"""

from concurrent.futures import Executor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from broker.app import Market
from broker.clock import SimulatedClock
from broker.closing import CloseReport
from broker.cycle import CycleReport, Timetable
from broker.delivery import DeliveryReport, SimulatedGrid
from broker.demo.demand import first_bids, returning_bids
from broker.demo.fed_grid import GRID, FedGrid
from broker.demo.parties import (
    FINANCE,
    FINANCE_SCOPES,
    OPERATOR_SCOPES,
    PLANS,
    SELLER,
    buyers,
    finance_keys,
    grids,
    keys,
    operator_keys,
    seller_keys,
)
from broker.services.accounts import key_digest
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.bids import BidRepository
from broker.store.repositories.book import BookRepository
from broker.store.repositories.cycles import CycleRepository
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.settlements import SettlementRepository
from broker.store.unit_of_work import unit_of_work
from broker.world.book import shipped_book
from broker.world.catalogue import hardware_classes
from broker.world.demand import told_bids
from contracts.terms.bids import Bid
from contracts.terms.errors import CreditExceeded
from contracts.terms.hardware import HardwareClass
from contracts.terms.orders import MarketBook
from contracts.terms.time import month_of
from pricing.simulation.delivery import Reliability

FIRST_SLOT = datetime(2027, 3, 30, tzinfo=UTC)
FIRST_MONTH = month_of(FIRST_SLOT)
CLOSE_DELAY = timedelta(hours=6)
SEED = 20270330


class Gate(msgspec.Struct, frozen=True):
    """A gate of the demo's timetable, and how many came before it."""

    number: int
    at: datetime


class WorldReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was entered before the first gate; `fed` of the offers were not entered but announced."""

    offers: int
    fed: int
    grids: int
    sites: int
    countries: int
    accounts: int


class DemoMarket:
    """The market of the demo, moved through its days; its API answers at `address`."""

    def __init__(self, market: Market, clock: SimulatedClock, worker: Executor, *, feed: str) -> None:
        self.market = market
        self.clock = clock
        self.worker = worker
        self.address = feed
        self.day = shipped_book(FIRST_SLOT)
        self._fed = FedGrid(market, self.day.offers, address=feed)
        self._told = first_bids(self.day)
        self._needs = {row["bid_id"]: (row["buyer"], row["need"]) for row in told_bids().iter_rows(named=True)}
        self._names = {each.id: each.name for each in buyers(market.timetable)}
        self._cycle = market.cycle(worker)
        self._grid = SimulatedGrid(market.sessions, Reliability(seed=SEED))

    @property
    def timetable(self) -> Timetable:
        """When gates close."""
        return self.market.timetable

    def gates(self, until: datetime) -> list[Gate]:
        """The gates before a moment, in order."""
        first = FIRST_SLOT - self.timetable.lead
        count = max(0, -((first - until) // self.timetable.gate_interval))
        return [Gate(number, first + number * self.timetable.gate_interval) for number in range(count)]

    def need(self, bid_id: str) -> str:
        """Whose bid it is, and what for, in one sentence."""
        account_id, need = self._needs[bid_id]
        return f"{self._names[account_id]}: {need}"

    async def enter_world(self) -> WorldReport:
        """Register grids, plans, buyers and keys; enter offers and facts."""
        async with unit_of_work(self.market.sessions) as work:
            accounts, supply = AccountRepository(work), BookRepository(work)
            await accounts.add_providers(grids())
            await accounts.add_plans(PLANS)
            await accounts.add_accounts(buyers(self.timetable))
            await SettlementRepository(work).name_seller(SELLER)
            for account_id, key in keys().items():
                scopes = ["bids:write", "budget:write", "leases:write", "read"]
                await accounts.add_key(account_id, key_digest(key), scopes=scopes, at=self.clock.now())
            for name, key in finance_keys().items():
                await accounts.add_staff(name, key_digest(key), name=name.title(), scopes=FINANCE_SCOPES, at=self.clock.now())
            for name, key in operator_keys().items():
                await accounts.add_staff(name, key_digest(key), name=name.title(), scopes=OPERATOR_SCOPES, at=self.clock.now())
            for provider, key in seller_keys().items():
                await accounts.add_provider_key(provider, key_digest(key), scopes=["provider:read"], at=self.clock.now())
            entered = msgspec.structs.replace(self.day, offers=self.day.offers.filter(pl.col("provider") != GRID))
            await supply.add_supply(entered, providers=await supply.providers(), at=self.clock.now())
            await supply.add_facts(self.day)
            await supply.add_zone_hours(self.day)
        fed = await self._fed.open()
        frame = self.day.offers
        return WorldReport(
            offers=frame.height,
            fed=fed,
            grids=frame["provider"].n_unique(),
            sites=frame["site"].n_unique(),
            countries=frame["country"].n_unique(),
            accounts=len(buyers(self.timetable)),
        )

    async def enter_bids(self, gate: Gate) -> int:
        """Enter what buyers bring to a gate, each bid once; returns how many were new. A bid beyond its account's credit stays out."""
        coming = self._coming(gate)
        entered = 0
        async with self.market.services() as services:
            known = await BidRepository(services.session).known([bid.id for bid in coming])
            for bid in coming:
                if bid.id not in known:
                    with suppress(CreditExceeded):
                        await services.orders.enter(bid)
                        entered += 1
        return entered

    async def run_gate(self, gate: Gate) -> CycleReport:
        """Everything up to and including one gate: delivery until then, bids, cycle; nothing for a gate that is applied.

        A bid that was turned away at a gate must not come back to it, with other credit, when the demo is started again.
        """
        self.pass_to(gate.at)
        if (done := await self._cycle.applied(gate.at)) is not None:
            return done
        await self._fed.beat()
        await self._grid.deliver(gate.at)
        await self.enter_bids(gate)
        return await self._cycle.run(gate.at)

    async def deliver(self, until: datetime) -> DeliveryReport:
        """Let the grid deliver up to a moment."""
        self.pass_to(until)
        await self._fed.beat()
        return await self._grid.deliver(until)

    async def resume(self) -> None:
        """Let time pass up to the last gate that was cleared: market time does not turn back."""
        async with unit_of_work(self.market.sessions) as work:
            latest = await CycleRepository(work).latest_applied()
        if latest is not None:
            self.pass_to(latest.gate_at)

    async def lease_states(self) -> dict[str, int]:
        """How many leases are in each state."""
        async with unit_of_work(self.market.sessions) as work:
            return await LeaseRepository(work).counts()

    async def close_months(self) -> list[CloseReport]:
        """Close every month that is due, six hours after its end; a closed one is settled again from what it knew."""
        return await self._close_months(after=0)

    async def close_new_months(self) -> list[CloseReport]:
        """The same for the months that are not closed."""
        async with unit_of_work(self.market.sessions) as work:
            closed = len(await SettlementRepository(work).closed())
        return await self._close_months(after=closed)

    async def _close_months(self, *, after: int) -> list[CloseReport]:
        reports = []
        month = FIRST_MONTH
        for _ in range(after):
            month = month_of(month.end)
        while month.end + CLOSE_DELAY <= self.clock.now():
            reports.append(await self.market.close().run(month.start, closes_at=month.end + CLOSE_DELAY, people=FINANCE))
            month = month_of(month.end)
        return reports

    def _coming(self, gate: Gate) -> list[Bid]:
        if gate.number == 0:
            return self._told
        shift = gate.number * self.timetable.gate_interval
        return returning_bids(self._told, gate_at=gate.at, shift=shift, seed=SEED)

    def pass_to(self, moment: datetime) -> None:
        """Let time pass up to a moment; one that lies behind changes nothing."""
        self.clock.advance(max(timedelta(0), moment - self.clock.now()))


def demo_timetable() -> Timetable:
    """Gates every six hours, a quarter of an hour before the first slot; twenty-four hourly slots; one per cent fee."""
    day: MarketBook = shipped_book(FIRST_SLOT)
    return Timetable(currency=day.rules.currency, fee_bps=day.rules.fee_bps)


def demo_clock() -> SimulatedClock:
    """A clock that stands an hour before the first gate."""
    return SimulatedClock(FIRST_SLOT - timedelta(hours=1))


def catalogue() -> list[HardwareClass]:
    """The hardware of the shipped world, by name."""
    return [each for _, each in sorted(hardware_classes().items())]
