"""Finance in memory: acts and books in lists; desks of a market that has closed nothing, and has no processor."""

from collections.abc import Mapping, Sequence

from broker.clock import Clock
from broker.services.corrections import CorrectionService
from broker.services.disputes import DisputeService
from broker.services.receivables import MeterService, ReceivableService, ReconciliationService
from broker.services.views import Caller, StatementView
from broker.treasury import Treasury
from contracts.acts import Act
from contracts.ageing import ReceivableMove
from contracts.close import Reconciliation
from contracts.journal import JournalEntry, State
from contracts.metering import CounterReading, MeterPair
from contracts.periods import PeriodStanding, standing_of
from contracts.statements import PayoutAdvice
from contracts.terms.errors import KeyReused, NotFound, NotSupported, StaleToken, WrongState
from contracts.terms.time import Period, month_of


class FakeFinance:
    """Books that balance, and the statements it was given."""

    def __init__(self, statements: Sequence[StatementView]) -> None:
        self._kept = list(statements)

    async def statements(self, caller: Caller) -> list[StatementView]:
        return self._kept

    async def statement(self, period: int, caller: Caller) -> StatementView:
        for found in self._kept:
            if found.period == period:
                return found
        raise NotFound(f"there is no statement for period {period}", period=period)

    async def issued(self, period: int, caller: Caller) -> list[StatementView]:
        return [found for found in self._kept if found.period == period]

    async def advices(self, period: int, caller: Caller) -> list[PayoutAdvice]:
        return []

    async def trial_balance(self) -> dict[str, int]:
        return {"USD": 0}


class MemoryActs:
    """Histories by kind and subject."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], list[Act]] = {}

    async def history(self, kind: str, subject: str) -> list[Act]:
        return list(self.kept.get((kind, subject), []))

    async def histories(self, kind: str) -> dict[str, list[Act]]:
        return {subject: list(acts) for (one, subject), acts in sorted(self.kept.items()) if one == kind}

    async def append(self, act: Act) -> Act:
        history = self.kept.setdefault((act.kind, act.subject), [])
        if act.sequence != len(history) + 1:
            raise StaleToken("moved on")
        history.append(act)
        return act


class MemoryBooks:
    """Entries by id."""

    def __init__(self) -> None:
        self.entries: dict[str, JournalEntry] = {}
        self.states: dict[str, State] = {}

    async def add_many(self, entries: list[JournalEntry]) -> int:
        for entry in entries:
            if entry.id in self.entries and self.entries[entry.id].postings != entry.postings:
                raise KeyReused("there with another content", entry_id=entry.id)
        new = [entry for entry in entries if entry.id not in self.entries]
        self.entries |= {entry.id: entry for entry in new}
        self.states |= {entry.id: entry.state for entry in new}
        return len(new)

    async def entry(self, entry_id: str) -> JournalEntry | None:
        return self.entries.get(entry_id)

    async def move(self, entry_id: str, state: State, *, to: State) -> None:
        if self.states[entry_id] != state:
            raise WrongState("not there")
        self.states[entry_id] = to

    async def by_subject(self, account: str) -> dict[tuple[str, str], int]:
        sums: dict[tuple[str, str], int] = {}
        for entry in self.entries.values():
            for posting in entry.postings if self.states[entry.id] == "posted" else ():
                if posting.account == account:
                    sums[entry.kind, entry.subject] = sums.get((entry.kind, entry.subject), 0) + posting.amount_micros
        return sums

    async def receivable_moves(self) -> list[ReceivableMove]:
        return [
            ReceivableMove(account_id=p.party, currency=p.currency, entry_id=entry.id, at=entry.at, micros=p.amount_micros)
            for entry in self.entries.values()
            for p in entry.postings
            if p.account == "receivable" and self.states[entry.id] == "posted"
        ]

    async def by_party(self, account: str) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for entry in self.entries.values():
            for p in entry.postings:
                if p.account == account and self.states[entry.id] == "posted":
                    found[p.currency, p.party] = found.get((p.currency, p.party), 0) + p.amount_micros
        return found


class NoCloses:
    """No month is closed, nothing was leased, everything agrees."""

    async def closed_at(self, period: int) -> None:
        return None

    async def statements(self, *, account_id: str | None = None, period: int | None = None) -> list[StatementView]:
        return []

    async def lease(self, lease_id: str, *, locked: bool = False) -> None:
        raise NotFound(f"no lease has the id {lease_id}", lease_id=lease_id)

    async def keep(self, readings: list[CounterReading]) -> int:
        return len(readings)

    async def pairs(self, month: Period) -> list[MeterPair]:
        return []

    async def checks(self, held: Mapping[str, int] | None) -> list[Reconciliation]:
        return [Reconciliation(name="trial balance per currency, micros", difference=0)]


class OpenPeriod:
    """A first month that is under way."""

    def __init__(self, clock: Clock) -> None:
        self._month = month_of(clock.now())

    async def periods(self) -> list[PeriodStanding]:
        return [standing_of(1, self._month, history=(), closed_at=None)]

    async def period(self, period: int) -> PeriodStanding:
        if period != 1:
            raise NotFound(f"there is no period {period}", period=period)
        return (await self.periods())[0]

    async def trace(self, period: int, account_id: str, *, line: int) -> None:
        raise NotFound(f"account {account_id} has no invoice of period {period} with a line {line}", account_id=account_id, line=line)

    async def refuse(self, period: int, **_: object) -> None:
        await self.period(period)
        raise WrongState(f"period {period} is open", period=period, state="open")

    preview = freeze = rate = review = finalise = refuse


class NoProcessor:
    """Neither collects nor pays."""

    async def runs(self) -> list[object]:
        return []

    async def held(self) -> None:
        return None

    async def paper(self, period: int, account_id: str) -> bytes:
        raise NotFound(f"there is no statement for period {period}", period=period)

    async def refuse(self, *_: object, **__: object) -> None:
        raise NotSupported("no payment processor is set up; STRIPE_API_KEY would do")

    collect = payment = refund = top_up = on_event = propose = approve = reject = pay = end = clear = refuse


def fake_finance(clock: Clock) -> dict[str, object]:
    """The services of finance, by their names among all services."""
    acts, books, nothing = MemoryActs(), MemoryBooks(), NoCloses()
    corrections = CorrectionService(acts, books, clock=clock)
    disputes = DisputeService(acts, nothing, closes=nothing, corrections=corrections, clock=clock)
    return {
        "corrections": corrections,
        "disputes": disputes,
        "meters": MeterService(nothing, nothing, clock=clock),
        "receivables": ReceivableService(acts, books, disputes=disputes, clock=clock),
        "reconciliation": ReconciliationService(nothing),
        "treasury": Treasury(OpenPeriod(clock), NoProcessor(), NoProcessor()),
    }
