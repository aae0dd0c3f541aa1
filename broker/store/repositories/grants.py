"""Grant tranches: what was given and approved, what orders keep of it, and what a close posts about it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text

from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.settlements import ClosedPeriod, SettlementRepository
from broker.store.unit_of_work import WorkSession
from contracts.acts import CORRECTION
from contracts.grants import (
    REASONS,
    MonthUnits,
    Tranche,
    TrancheHold,
    approved_tranches,
    computing_of,
    standings,
    tranche_entries,
    units_by_month,
    worst_case,
)
from contracts.journal import JournalEntry
from contracts.terms.bids import Bid
from contracts.terms.errors import GrantExceeded
from contracts.terms.hardware import HardwareClass
from contracts.terms.leases import Lease
from contracts.terms.time import Period
from contracts.usage import read_usage

HELD = """SELECT p.party, -sum(p.amount_micros) FROM postings p JOIN journal_entries e ON e.id = p.entry_id
    WHERE e.state = 'pending' AND p.account = 'commitment' AND p.currency = 'PFD' AND p.party = ANY(:ids) GROUP BY p.party"""


class GrantRepository:
    """The tranches of one market."""

    def __init__(self, session: WorkSession, hardware: list[HardwareClass]) -> None:
        self._session = session
        self._hardware = hardware
        self._tflops = {each.name: each.tflops for each in hardware}

    async def entries(self, closed: ClosedPeriod) -> list[JournalEntry]:
        """What tranches come to with this close, less what earlier closes have posted."""
        by_account: dict[str, list[Tranche]] = {}
        for tranche in approved_tranches(await ActRepository(self._session).histories(CORRECTION.kind)):
            by_account.setdefault(tranche.account_id, []).append(tranche)
        posted = await JournalRepository(self._session).by_subject("tranche") if by_account else {}
        found: list[JournalEntry] = []
        for account_id, tranches in sorted(by_account.items()):
            known = standings(tranches, await self._months(account_id, closed))
            for tranche in tranches:
                before = {kind: posted.get((kind, tranche.id), 0) for kind in REASONS}
                found += tranche_entries(tranche, known[tranche.id], posted=before, period=closed.period, at=closed.closes_at)
        return found

    async def hold_bid(self, bid: Bid, *, event: str, at: datetime) -> None:
        """Keep the worst case of a bid of its project's tranches; nothing for accounts without any. Raises GrantExceeded."""
        await self._hold([self._of_bid(bid, event)], at=at)

    async def check(self, bid: Bid) -> None:
        """Whether the tranches have the worst case of a bid. Raises GrantExceeded."""
        await self._allotted(self._of_bid(bid, "asked"))

    async def hold_awards(self, leases: Sequence[Lease], bids: Mapping[str, Bid], *, event: str, at: datetime) -> None:
        """Keep what leases take instead of what their bids (by id) might have, and of those that are open what they still may.

        What was won is won: where tranches have not so much any more, what they have is kept.
        """
        by_account = {lease.account_id for lease in leases}
        granted = {account_id for account_id in sorted(by_account) if await self._tranches(account_id)}
        mine = [lease for lease in leases if lease.account_id in granted]
        await self.let_go({lease.bid_id for lease in mine})
        holds = []
        for bid in (bids[bid_id] for bid_id in sorted({lease.bid_id for lease in mine})):
            won = [lease for lease in mine if lease.bid_id == bid.id]
            span = Period(min(lease.starts_at for lease in won), max(lease.ends_at for lease in won))
            taken = sum(computing_of(lease, self._tflops) for lease in won)
            holds.append(
                TrancheHold(kind="grant_award_hold", account_id=bid.account_id, bid_id=bid.id, event=event, micro_pf_days=taken, span=span)
            )
            if bid.status == "open":
                holds.append(self._of_bid(bid, event))
        await self._hold(holds, at=at, whole=False)

    async def let_go(self, bid_ids: Iterable[str]) -> None:
        """Void what open bids keep."""
        journal = JournalRepository(self._session)
        await journal.void([entry.id for entry in await journal.pending("grant_bid_hold", bid_ids)])

    def _of_bid(self, bid: Bid, event: str) -> TrancheHold:
        return TrancheHold(
            kind="grant_bid_hold" if bid.status == "open" else "grant_award_hold",
            account_id=bid.account_id,
            bid_id=bid.id,
            event=event,
            micro_pf_days=worst_case(bid, self._tflops),
            span=bid.request.window,
        )

    async def _hold(self, holds: Sequence[TrancheHold], *, at: datetime, whole: bool = True) -> None:
        """One after the other, so that each sees what those before it keep. Raises GrantExceeded, where it must be the whole of it."""
        for hold in holds:
            try:
                allotted = await self._allotted(hold)
            except GrantExceeded as short:
                if whole:
                    raise
                there = int(str(short.facts["available_micro_pf_days"]))
                allotted = await self._allotted(msgspec.structs.replace(hold, micro_pf_days=there))
            entry = hold.entry(allotted, at=at)
            if entry is not None:
                await JournalRepository(self._session).add_many([entry])

    async def _allotted(self, hold: TrancheHold) -> dict[str, int]:
        tranches = await self._tranches(hold.account_id)
        if not tranches:
            return {}
        posted = await JournalRepository(self._session).by_subject("tranche")
        ids = [tranche.id for tranche in tranches]
        held = {row[0]: int(row[1]) for row in await self._session.execute(text(HELD), {"ids": ids})}
        gone = {tranche.id: sum(posted.get((kind, tranche.id), 0) for kind in REASONS) + held.get(tranche.id, 0) for tranche in tranches}
        return hold.allotted(tranches, {tranche.id: tranche.micro_pf_days - gone[tranche.id] for tranche in tranches})

    async def _tranches(self, account_id: str) -> list[Tranche]:
        """The tranches of an account that is on a grant; those of any other bind nothing."""
        if await AccountRepository(self._session).plan_kind(account_id) != "grant":
            return []
        found = approved_tranches(await ActRepository(self._session).histories(CORRECTION.kind))
        return [tranche for tranche in found if tranche.account_id == account_id]

    async def _months(self, account_id: str, closed: ClosedPeriod) -> list[MonthUnits]:
        """What an account used in every month up to a close, as the settlement reads it."""
        settlements = SettlementRepository(self._session)
        periods = [*(each for each in await settlements.closed() if each.period < closed.period), closed]
        book = await settlements.book(periods, self._hardware, account_id=account_id)
        reading = await asyncio.to_thread(lambda: read_usage(book.usage, leases=book.leases, periods=book.periods))
        return units_by_month(reading.changes, book)
