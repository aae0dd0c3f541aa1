"""Closing a month, step by step: freeze what is known, rate it, have it reviewed, finalise, export.

    open ─freeze→ frozen ─rate→ rated ─review→ reviewed ─finalise→ finalised ─export→ exported
                    └──────────── rated again ────┘

Every step is one transaction that writes one act, numbered, so that of two runs at once one is refused; a step that died
left nothing, and a step taken again finds itself done. Who rates neither reviews nor finalises. The books of a closed
period never change: what arrives later is settled in the next one.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec
import polars as pl

from broker.archiving import SegmentDesk
from broker.clock import Clock
from broker.files.archive import UsageArchive
from broker.files.settlement import Names, month_files
from broker.store.repositories.acts import ActRepository
from broker.store.repositories.cleared_dues import ClearedDuesRepository
from broker.store.repositories.grants import GrantRepository
from broker.store.repositories.journal import JournalRepository
from broker.store.repositories.settlements import ClosedPeriod, SettlementRepository
from broker.store.unit_of_work import Sessions, WorkSession, unit_of_work
from contracts.acts import PERIOD, PREVIEW, Act, By, latest
from contracts.close import PERIOD_TABLES, CloseRecord, PreviousClose, close_record
from contracts.events import prepaid_spent
from contracts.journal import JournalEntry, Posting
from contracts.periods import CLOSED, Exported, Frozen, PeriodStanding, Preview, Previewed, Rated, Reviewed, standing_of
from contracts.resale import proceeds_entries
from contracts.review import Bounds, Outlier, Unbilled, bills, changes, outliers
from contracts.settlement import Settlement, SettlementBook, settle
from contracts.terms.errors import BadInput, ClearingFailed, Conflict, NotFound, WrongState
from contracts.terms.hardware import HardwareClass
from contracts.terms.money import MICROS_PER_CENT
from contracts.terms.time import MICROSECOND, Period, iso, month_of
from contracts.tracing import LineName, Trace, trace

BOUNDS = Bounds()


class CloseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a close came to.

    files    the settlement directory it was settled from, name → content: anyone may settle it again and compare the hash
    """

    closed: ClosedPeriod
    files: dict[str, bytes]
    settlement: Settlement
    record: CloseRecord


class PeriodClose:
    """Closes the months of one market, in order. Each method is a step; none of them holds a transaction while it reckons."""

    def __init__(
        self,
        sessions: Sessions,
        hardware: list[HardwareClass],
        *,
        clock: Clock,
        bounds: Bounds = BOUNDS,
        archive: UsageArchive | None = None,
    ) -> None:
        self._sessions = sessions
        self._hardware = hardware
        self._clock = clock
        self._bounds = bounds
        self._segments = SegmentDesk(sessions=sessions, archive=archive, clock=clock)

    async def periods(self) -> list[PeriodStanding]:
        """Every month from the first the ledger knows to the present one."""
        async with unit_of_work(self._sessions) as work:
            histories = await ActRepository(work).histories(PERIOD.kind)
            closed = {each.period: each.closes_at for each in await SettlementRepository(work).closed()}
            month = await _first_month(work, histories, now=self._clock.now())
        found: list[PeriodStanding] = []
        while month.start <= self._clock.now():
            number = len(found) + 1
            found.append(standing_of(number, month, history=histories.get(str(number), ()), closed_at=closed.get(number)))
            month = month_of(month.end)
        return found

    async def period(self, period: int) -> PeriodStanding:
        """One period. Raises NotFound for one that has not begun."""
        known = await self.periods()
        if not 1 <= period <= len(known):
            raise NotFound(f"there is no period {period}; periods 1 to {len(known)} have begun", period=period)
        return known[period - 1]

    async def number(self, month_start: datetime) -> int:
        """The number of the period of a month. Raises NotFound."""
        for each in await self.periods():
            if each.month.start == month_start:
                return each.period
        raise NotFound(f"no period begins at {iso(month_start)}", month_start=iso(month_start))

    async def preview(self, period: int, *, actor: str) -> Preview:
        """What the period would bill now, and how that differs from the preview before. Kept, so that the next one can be compared."""
        standing = await self.period(period)
        until = standing.closes_at or max(self._clock.now(), standing.month.end)
        settled = await self._settled(standing, until)
        kept = await self._keep_preview(settled, actor=actor)
        return Preview(
            period=period,
            month=standing.month,
            known_until=min(until, self._clock.now()),
            before=kept.known_until if kept else None,
            changes=changes(bills(settled.settlement.invoices, period), kept.bills if kept else None),
            outliers=settled.outliers,
        )

    async def freeze(self, period: int, *, actor: str, closes_at: datetime | None = None) -> PeriodStanding:
        """Fix what is known: what arrives from `closes_at` (now) on belongs to the next period.

        Waits for arrivals under way; from then on the database refuses one that claims to be earlier. Raises WrongState where the
        period before is not finalised, BadInput for a moment before the month's end, before the last close, or to come.
        """
        standing = await self.period(period)
        if standing.history and standing.history[0].actor == actor and closes_at in (None, standing.closes_at):
            return standing
        before = await self.period(period - 1) if period > 1 else None
        if before is not None and before.state not in CLOSED:
            raise WrongState(f"period {period - 1} is {before.state}; periods close in order", period=period - 1, state=before.state)
        async with unit_of_work(self._sessions) as work:
            await SettlementRepository(work).stop_arrivals()
            now = self._clock.now()
            if now < standing.month.end:
                raise WrongState(f"period {period} is not over before {iso(standing.month.end)}", period=period, state="open")
            at = closes_at or now
            earliest = max(standing.month.end, before.closes_at + MICROSECOND if before and before.closes_at else standing.month.end)
            if not earliest <= at <= now:
                raise BadInput(
                    "a period closes after its month and not in the future", found=iso(at), would_do=f"{iso(earliest)} to {iso(now)}"
                )
            facts = Frozen(month_start=standing.month.start, month_end=standing.month.end, closes_at=at)
            await self._act(work, standing, act="frozen", actor=actor, facts=facts)
        return await self.period(period)

    async def rate(self, period: int, *, actor: str) -> PeriodStanding:
        """Settle what was frozen and keep the record of it, with what lies outside its bounds; nothing is billed yet.

        Raises ClearingFailed when a reconciliation is off, or an earlier period would come out otherwise now.
        """
        standing = await self._frozen(period)
        settled = await self._settled(standing, _until(standing))
        rated = Rated(record=settled.record, outliers=settled.outliers)
        _add_up(settled.record, period)
        if standing.state == "rated" and standing.history[-1].actor == actor and standing.rated == rated:
            return standing
        async with unit_of_work(self._sessions) as work:
            await self._act(work, standing, act="rated", actor=actor, facts=rated)
        return await self.period(period)

    async def review(self, period: int, *, actor: str, note: str = "", accept: bool = True) -> PeriodStanding:
        """Accept what was rated, or send it back. Where anything lies outside its bounds, the note says why that is right.

        Raises NotPermitted for the one who rated, BadInput for outliers without a note.
        """
        standing = await self._frozen(period)
        act = "reviewed" if accept else "returned"
        if standing.state == act and standing.history[-1].actor == actor:
            return standing
        if standing.rated and standing.rated.outliers and not note.strip():
            raise BadInput(
                "figures lie outside their bounds, so the review needs a note",
                found=f"{len(standing.rated.outliers)} outliers",
                would_do="a note that says what was looked at",
            )
        async with unit_of_work(self._sessions) as work:
            await self._act(work, standing, act=act, actor=actor, facts=Reviewed(note=note.strip()))
        return await self.period(period)

    async def finalise(self, period: int, *, actor: str) -> CloseReport:
        """Write invoices, payouts and entries, and let go of the holds they replace: once, and only what was rated and reviewed.

        A period that is finalised is settled again from its own knowledge and nothing is written. Raises NotPermitted for the one
        who rated, Conflict where what was frozen comes to something else than was rated, ClearingFailed where a closed period would.
        """
        standing = await self._frozen(period)
        if standing.state not in CLOSED:
            PERIOD.check(standing.history, "finalised", actor=actor)
        settled = await self._settled(standing, _until(standing))
        _add_up(settled.record, period)
        if standing.state not in CLOSED:
            if standing.rated is None or standing.rated.record.hash != settled.record.hash:
                raise Conflict(f"period {period} comes to something else now than was rated and reviewed; rate it again", period=period)
            async with unit_of_work(self._sessions) as work:
                await self._act(work, standing, act="finalised", actor=actor, facts={"hash": settled.record.hash})
                await _apply(work, settled)
                await JournalRepository(work).add_many(await ClearedDuesRepository(work).entries(settled.closed))
                await JournalRepository(work).add_many(await GrantRepository(work, self._hardware).entries(settled.closed))
        else:
            await self._as_before(settled)
        await self._segments.write(actor=actor)
        return CloseReport(closed=settled.closed, files=settled.files, settlement=settled.settlement, record=settled.record)

    async def exported(self, period: int, files: Mapping[str, bytes], *, actor: str) -> PeriodStanding:
        """Note what was given out. The same files again are nothing new."""
        standing = await self._frozen(period)
        facts = Exported(files={name: sha256(content).hexdigest() for name, content in sorted(files.items())})
        given = latest(standing.history, "exported")
        if given is None or given.told(Exported) != facts:
            async with unit_of_work(self._sessions) as work:
                await self._act(work, standing, act="exported", actor=actor, facts=facts)
        return await self.period(period)

    async def trace(self, period: int, account_id: str, *, line: int) -> Trace:
        """What the line of so many, from 1, of an invoice was made from. Raises NotFound for an invoice or line that is not there."""
        async with unit_of_work(self._sessions) as work:
            settlements = SettlementRepository(work)
            invoices = await settlements.statements(account_id=account_id, period=period)
            if not invoices or not 1 <= line <= len(invoices[0].lines):
                raise NotFound(
                    f"account {account_id} has no invoice of period {period} with a line {line}", account_id=account_id, line=line
                )
            periods = [each for each in await settlements.closed() if each.period <= period]
            book = await settlements.book(periods, self._hardware, account_id=account_id)
        found = invoices[0].lines[line - 1]
        name = LineName(month=found.month, kind=found.kind, hardware=found.hardware)
        return await asyncio.to_thread(lambda: trace(book, name, account_id=account_id, period=period))

    async def run(self, month_start: datetime, *, closes_at: datetime, people: tuple[str, str]) -> CloseReport:
        """Take every step that is left, the first of two people freezing and rating, the second reviewing and finalising."""
        period = await self.number(month_start)
        rater, finaliser = people
        standing = await self.period(period)
        if standing.state == "open":
            standing = await self.freeze(period, actor=rater, closes_at=closes_at)
        if standing.state in ("frozen", "returned"):
            standing = await self.rate(period, actor=rater)
        if standing.state == "rated":
            await self.review(period, actor=finaliser, note="each figure outside its bounds was looked at")
        return await self.finalise(period, actor=finaliser)

    async def _frozen(self, period: int) -> PeriodStanding:
        standing = await self.period(period)
        if standing.closes_at is None:
            raise WrongState(f"period {period} is open; freeze it first", period=period, state=standing.state)
        return standing

    async def _act(self, work: WorkSession, standing: PeriodStanding, *, act: str, actor: str, facts: object) -> None:
        """Write the next act after the history that was read: whoever came in between wins."""
        by = By(actor, self._clock.now())
        await ActRepository(work).append(PERIOD.next(str(standing.period), standing.history, act=act, by=by, facts=facts))

    async def _settled(self, standing: PeriodStanding, until: datetime) -> "_Settled":
        """The settlement of all periods up to this one; reckoned in a thread, on one snapshot of the store."""
        kept = await self._segments.kept(before=standing.period)
        async with unit_of_work(self._sessions) as work:
            await work.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            settlements = SettlementRepository(work)
            closed = ClosedPeriod(period=standing.period, month=standing.month, closes_at=until, status="finalised")
            periods = [each for each in await settlements.closed() if each.period < standing.period]
            if len(periods) != standing.period - 1:
                raise WrongState(f"period {len(periods) + 1} is not closed yet; periods close in order", period=len(periods) + 1)
            loaded = _Loaded(
                closed=closed,
                book=await settlements.book([*periods, closed], self._hardware, kept=kept),
                names=Names(
                    providers=await settlements.providers(until),
                    parties=await settlements.parties(until),
                    seller=await settlements.seller(),
                ),
                previous=await settlements.record(standing.period - 1),
                unbilled=await settlements.unbilled(closed, since=min(until, self._clock.now()) - timedelta(days=self._bounds.silent_days)),
            )
        return await asyncio.to_thread(_settle, loaded, self._bounds)

    async def _keep_preview(self, settled: "_Settled", *, actor: str) -> Previewed | None:
        """Write the preview, and give the one before."""
        subject = str(settled.closed.period)
        now = self._clock.now()
        facts = Previewed(known_until=now, bills=bills(settled.settlement.invoices, settled.closed.period))
        async with unit_of_work(self._sessions) as work:
            acts = ActRepository(work)
            history = await acts.history(PREVIEW.kind, subject)
            await acts.append(PREVIEW.next(subject, history, act="seen", by=By(actor, now), facts=facts))
        return history[-1].told(Previewed) if history else None

    async def _as_before(self, settled: "_Settled") -> None:
        """A closed period never changes. Raises ClearingFailed when it would."""
        async with unit_of_work(self._sessions) as work:
            stored = await SettlementRepository(work).record(settled.closed.period)
        if stored is not None and stored.outputs != settled.record.outputs:
            changed = ", ".join(name for name, digest in settled.record.outputs.items() if stored.outputs.get(name) != digest)
            period = settled.closed.period
            raise ClearingFailed(f"period {period} is closed and would come out otherwise now: {changed}", period=period)


class _Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All that a settlement needs of the store."""

    closed: ClosedPeriod
    book: SettlementBook
    names: Names
    previous: CloseRecord | None
    unbilled: Unbilled


class _Settled(msgspec.Struct, frozen=True, kw_only=True):
    closed: ClosedPeriod
    files: dict[str, bytes]
    settlement: Settlement
    record: CloseRecord
    outliers: tuple[Outlier, ...]


def _settle(loaded: _Loaded, bounds: Bounds) -> _Settled:
    settlement = settle(loaded.book)
    files = month_files(loaded.book, loaded.names)
    inputs = {name.rpartition(".")[0]: sha256(content).hexdigest() for name, content in files.items()}
    record = close_record(settlement, inputs=inputs, previous=_previous(loaded, settlement))
    plans = loaded.book.accounts.join(loaded.book.plans, on="plan_id").select("account_id", "kind")
    found = outliers(settlement.invoices, record=record, kinds=dict(plans.iter_rows()), unbilled=loaded.unbilled, bounds=bounds)
    return _Settled(closed=loaded.closed, files=files, settlement=settlement, record=record, outliers=found)


def _previous(loaded: _Loaded, settlement: Settlement) -> PreviousClose | None:
    """The close before, for the chain: its record as stored, its periods as they come out now, which must still be what it proves."""
    if loaded.previous is None:
        return None
    frames = settlement.tables()
    earlier = pl.col("period") < loaded.closed.period
    return PreviousClose(record=loaded.previous, tables={table.name: frames[table.name].filter(earlier) for table in PERIOD_TABLES})


async def _apply(work: WorkSession, settled: _Settled) -> None:
    """The period's own rows and entries: what earlier periods came to is there, and the record says that it is unchanged."""
    journal, settlement = JournalRepository(work), settled.settlement
    await SettlementRepository(work).keep(settled.closed, settlement, record=settled.record)
    own = msgspec.structs.replace(settlement, postings=settlement.postings.filter(pl.col("period") == settled.closed.period))
    await journal.add_many(list(own.entries))
    # Before prepaid balances pay: what a resale has fetched pays the same month.
    await journal.add_many(proceeds_entries(settlement.payouts, period=settled.closed.period, at=settled.closed.closes_at))
    await journal.add_many(_paid_in_advance(settled, await journal.by_party("prepaid")))
    await journal.void(await journal.award_holds_over(settled.closed.month.end))


def _paid_in_advance(settled: _Settled, balances: Mapping[tuple[str, str], int]) -> list[JournalEntry]:
    """What prepaid balances (credits, below zero) pay of the period's invoices, in whole cents."""
    mine = settled.settlement.invoices.filter(pl.col("period") == settled.closed.period, pl.col("payable_cents") > 0)
    entries = []
    for account, currency, payable in mine.select("account_id", "currency", "payable_cents").sort("account_id").iter_rows():
        cents = min(payable, -balances.get((currency, account), 0) // MICROS_PER_CENT)
        if cents > 0:
            paid = Posting(account="prepaid", party=account, amount_micros=cents * MICROS_PER_CENT, currency=currency)
            entries.append(prepaid_spent(f"{account}:{settled.closed.period}", paid, at=settled.closed.closes_at))
    return entries


def _add_up(record: CloseRecord, period: int) -> None:
    if not record.holds:
        off = "; ".join(f"{line.name}: {line.difference}" for line in record.reconciliations if line.difference)
        raise ClearingFailed(f"the close does not add up: {off}", period=period)


def _until(standing: PeriodStanding) -> datetime:
    assert standing.closes_at is not None, "a frozen period says until when"
    return standing.closes_at


async def _first_month(work: WorkSession, histories: Mapping[str, list[Act]], *, now: datetime) -> Period:
    """The month of period 1: as it was frozen, or that of the first hour leased."""
    if "1" in histories:
        return month_of(histories["1"][0].told(Frozen).month_start)
    settlements = SettlementRepository(work)
    closed = await settlements.closed()
    return closed[0].month if closed else month_of(await settlements.first_slot() or now)
