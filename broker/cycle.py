"""One cycle of the market: load → clear → apply, three paragraphs never mixed.

`load` is one short read that takes the cycle's token and keeps the book it saw; `clear` runs in a worker
process with no session open; `apply` is one short write, fenced by the token, whose ids derive from the
cycle. A run that dies anywhere is simply run again; a run that was overtaken drops its result.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from broker.clock import Clock
from broker.failover import serve_first
from broker.services.orders import worst_case
from broker.store.books import decode_book, encode_book
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.bids import BidRepository
from broker.store.repositories.book import BookRepository
from broker.store.repositories.cycles import CycleRepository
from broker.store.repositories.grants import GrantRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.leases import LeaseRepository
from broker.store.repositories.quotes import QuoteRepository
from broker.store.repositories.resales import ResaleRepository
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work
from contracts.holds import Hold
from contracts.journal import JournalEntry
from contracts.leasing import after_award, ended, leases_of
from contracts.terms.clearing import Certificate, Clearing, Cycle
from contracts.terms.errors import ClearingFailed
from contracts.terms.hardware import HardwareClass
from contracts.terms.orders import MarketRules
from contracts.terms.time import EPOCH, Period
from pricing.certificate import certify
from pricing.clearing import clear

ClearBook = Callable[[bytes], tuple[Clearing, Certificate]]


class Timetable(msgspec.Struct, frozen=True, kw_only=True):
    """What every cycle of a market has in common.

    lead           time between gate closure and the first slot
    gate_interval  time between two gates
    slot_seconds   length of a slot, a multiple of 9: hours have six places at most
    slots          slots cleared at each gate
    """

    currency: str = "USD"
    lead: timedelta = timedelta(minutes=15)
    gate_interval: timedelta = timedelta(hours=6)
    slot_seconds: int = 3600
    slots: int = 24
    fee_bps: int = 0

    def __post_init__(self) -> None:
        if self.slot_seconds < 1 or self.slot_seconds % 9:
            raise ValueError(f"slot_seconds must be a positive multiple of 9, was {self.slot_seconds}")

    def gate_after(self, now: datetime) -> datetime:
        """The first gate after a moment: first slots begin at multiples of the gate interval since 1970, gates close a lead before."""
        passed = (now + self.lead - EPOCH) // self.gate_interval
        return EPOCH + (passed + 1) * self.gate_interval - self.lead

    def over(self, span: Period) -> MarketRules:
        """The rules of the slots of a span."""
        hours = Decimal(self.slot_seconds) / 3600
        slots = (span.end - span.start) // timedelta(seconds=self.slot_seconds)
        return MarketRules(currency=self.currency, start=span.start, slots=slots, slot_hours=hours, fee_bps=self.fee_bps)

    def rules(self, gate_at: datetime) -> MarketRules:
        """The rules of the cycle whose gate closes then."""
        hours = Decimal(self.slot_seconds) / 3600
        return MarketRules(currency=self.currency, start=gate_at + self.lead, slots=self.slots, slot_hours=hours, fee_bps=self.fee_bps)


class CycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle did."""

    cycle: Cycle
    offers: int
    bids: int
    awards: int
    leases: int
    certificate: Certificate


def clear_book(data: bytes) -> tuple[Clearing, Certificate]:
    """Clear a stored book and certify the result: what the worker process runs, and what a replay runs again."""
    book = decode_book(data)
    clearing = clear(book)
    return clearing, certify(book, clearing, path=clearing.path, approximate=clearing.approximate)


class MarketCycle:
    """Runs the cycles of one market."""

    def __init__(self, sessions: Sessions, hardware: list[HardwareClass], *, clock: Clock, timetable: Timetable, worker: Executor) -> None:
        self._sessions = sessions
        self._hardware = hardware
        self._clock = clock
        self._timetable = timetable
        self._worker = worker

    async def run(self, gate_at: datetime) -> CycleReport:
        """Take the cycle of a gate from wherever it stands to applied. Raises ClearingFailed; StaleToken when overtaken."""
        loaded = await self._load(gate_at)
        if isinstance(loaded, CycleReport):
            return loaded
        cycle, book = loaded
        try:
            clearing, certificate = await asyncio.get_running_loop().run_in_executor(self._worker, clear_book, book)
        except ClearingFailed as error:
            await self._fail(cycle, error.message)
            raise
        if not certificate.holds:
            broken = "; ".join(check.finding for check in certificate.checks if not check.holds)
            await self._fail(cycle, broken)
            raise ClearingFailed(f"the certificate of cycle {cycle.number} does not hold: {broken}", cycle_id=cycle.id)
        return await self._apply(cycle, clearing, certificate=certificate)

    async def applied(self, gate_at: datetime) -> CycleReport | None:
        """What the cycle of a gate did, or None while it is not applied."""
        async with unit_of_work(self._sessions) as work:
            cycle = await CycleRepository(work).at_gate(gate_at)
            return await _report(work, cycle) if cycle is not None and cycle.status == "applied" else None

    async def _load(self, gate_at: datetime) -> tuple[Cycle, bytes] | CycleReport:
        rules = self._timetable.rules(gate_at)
        async with unit_of_work(self._sessions) as work:
            # From here until the cycle is applied nobody is quoted its slots; what is held already is in the book.
            await QuoteRepository(work).stop_turns()
            await serve_first(work, self._timetable.over, now=self._clock.now(), give_back=True)
            cycles, bids = CycleRepository(work), BidRepository(work)
            cycle = await cycles.open(gate_at, start=rules.start, slots=rules.slots, slot_seconds=self._timetable.slot_seconds)
            if cycle.status == "applied":
                return await _report(work, cycle)
            await self._end_bids(work, before=rules.start)
            await ResaleRepository(work).end_over(self._clock.now())
            end = rules.grid.period(rules.slots - 1).end
            book = await BookRepository(work).book(rules, await bids.open_between(rules.start, end), now=self._clock.now())
            data = encode_book(book)
            return await cycles.claim(cycle.id, data), data

    async def _fail(self, cycle: Cycle, finding: str) -> None:
        async with unit_of_work(self._sessions) as work:
            await CycleRepository(work).fail(cycle, finding)

    async def _apply(self, cycle: Cycle, clearing: Clearing, *, certificate: Certificate) -> CycleReport:
        now = self._clock.now()
        async with unit_of_work(self._sessions) as work:
            cycles = CycleRepository(work)
            await cycles.fence(cycle)
            await cycles.apply(cycle, clearing, certificate=certificate, at=now)
            await self._settle_bids(work, cycle, clearing=clearing)
            won = {bid_id: await BidRepository(work).bid(bid_id) for bid_id in set(clearing.awards["bid_id"])}
            holders = {bid_id: bid.account_id for bid_id, bid in won.items()}
            leases = leases_of(cycle, clearing.awards, places=await BookRepository(work).places(), holders=holders)
            await LeaseRepository(work).add_many(leases, at=now)
            await GrantRepository(work, self._hardware).hold_awards(leases, won, event=cycle.id, at=cycle.gate_at)
            return await _report(work, await cycles.cycle(cycle.id))

    async def _settle_bids(self, work: WorkSession, cycle: Cycle, *, clearing: Clearing) -> None:
        """Take what was awarded off each bid, and hold what it costs instead of the worst case."""
        bids, journal = BidRepository(work), JournalRepository(work)
        accounts = {account.id: account for account in await AccountRepository(work).accounts()}
        awarded = clearing.outcomes.filter(clearing.outcomes["hours"] > 0)
        stale = await journal.pending("bid_hold", list(awarded["bid_id"]))
        await journal.void([entry.id for entry in stale])
        entries: list[JournalEntry] = []
        for row in awarded.iter_rows(named=True):
            bid = after_award(await bids.bid(row["bid_id"], locked=True), row["hours"])
            await bids.replace(bid)
            cost = row["paid_micros"] + row["fee_micros"] + row["transfer_micros"]
            holds = [Hold(kind="award_hold", bid_id=bid.id, event=cycle.id, amount_micros=cost)]
            if bid.status == "open":
                holds.append(worst_case(bid, event=cycle.id))
            for hold in holds:
                entries += hold.entries(accounts[bid.account_id], cycle.gate_at)
        await journal.add_many(entries)

    async def _end_bids(self, work: WorkSession, *, before: datetime) -> None:
        """Close the bids whose window has passed, and let go of what they held."""
        bids, journal = BidRepository(work), JournalRepository(work)
        over = await bids.ended_before(before)
        for bid in over:
            await bids.replace(ended(bid))
        ids = [bid.id for bid in over]
        await journal.void([entry.id for entry in await journal.pending("bid_hold", ids)])
        await GrantRepository(work, self._hardware).let_go(ids)


async def _report(work: WorkSession, cycle: Cycle) -> CycleReport:
    cycles = CycleRepository(work)
    certificate, data = await cycles.certificate(cycle.id), await cycles.book(cycle.id)
    assert certificate is not None, "an applied cycle keeps its certificate"
    assert data is not None, "an applied cycle keeps its book"
    book, clearing = decode_book(data), await cycles.clearing(cycle)
    return CycleReport(
        cycle=cycle,
        offers=book.offers.height,
        bids=book.bids.height,
        awards=clearing.awards.height,
        leases=clearing.awards.select("bid_id", "offer_id", "tier").n_unique(),
        certificate=certificate,
    )
