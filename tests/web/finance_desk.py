"""A finance desk with something on it, in memory: November closed, December rated by Ada, January under way.

What decides is the real thing (procedures, settlement, reviews, traces, exports); only keeping is done in lists.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import polars as pl

from broker.clock import FixedClock
from broker.closing import CloseReport
from broker.files.settlement import Names, month_files
from broker.payments.decisions import PaymentState
from broker.payouts import PayoutRun
from broker.services.accounts import AccountService, key_digest
from broker.services.corrections import CorrectionService
from broker.services.disputes import DisputeService, Opened
from broker.services.finance import FinanceService
from broker.services.receivables import MeterService, ReceivableService, ReconciliationService
from broker.services.views import ShownKey, StatementLine, StatementView
from broker.store.repositories.settlements import ClosedPeriod
from broker.treasury import Treasury
from contracts.acts import DISPUTE, PAYOUT_RUN, PERIOD, Act, By
from contracts.close import Reconciliation, close_record
from contracts.events import CreditNote
from contracts.journal import JournalEntry, Posting
from contracts.ledger_tables import PROVIDERS
from contracts.metering import MeterPair
from contracts.payout_runs import PayoutLine
from contracts.periods import CLOSED, Frozen, PeriodStanding, Preview, Rated, Reviewed, standing_of
from contracts.review import Bounds, Unbilled, bills, changes, outliers
from contracts.settlement import settle
from contracts.statements import PayoutAdvice
from contracts.terms.accounts import Staff
from contracts.terms.errors import BadInput, NotFound, NotSupported, WrongState
from contracts.terms.time import Period, month_of
from contracts.tracing import LineName, Trace, trace
from tests.contracts.months import book_of
from tests.fake_finance import MemoryActs, MemoryBooks, NoCloses
from tests.fake_market import NOW, FakeAccounts, FakeMarket

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOVEMBER, DECEMBER = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
MONTHS = (month_of(NOVEMBER), month_of(DECEMBER), month_of(NOW))
CLOSES = tuple(month.end + 6 * HOUR for month in MONTHS)
ADA, GRACE, READER = "gf_ada", "gf_grace", "gf_reader"
SCOPES = frozenset({"finance:read", "finance:write", "finance:approve"})
STAFF = {ADA: ("ada", "Ada", SCOPES), GRACE: ("grace", "Grace", SCOPES), READER: ("eve", "Eve", frozenset({"finance:read"}))}
NAMES = {"acct_meridian": "Meridian Genomics", "acct_lotus": "Lotus Weather", "acct_buyer": "Atelier Lumière"}
SHOWN = tuple(
    ShownKey(account_name=f"{name}, finance team", story="One of two people who close a month.", key=key)
    for key, (_, name, _) in list(STAFF.items())[:2]
)


def finance_rows() -> dict[str, list[dict[str, object]]]:
    """Three accounts, two of them metered and one at a flat rate that its providers' rates exceed; December corrects November once."""
    none = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
    account = {"tax_bps": 2000, "take_bps": 100, "currency": "USD", "country": "DE"}
    lease = {"hardware": "H100-SXM", "accelerators": 8, "tier": "standard", "provider_id": "prv_nebius"}
    return {
        "hardware": [{"hardware": "H100-SXM", "tflops": 989}, {"hardware": "L40S", "tflops": 362}],
        "plans": [
            {"plan_id": "metered", "kind": "metered_cleared", **none},
            {"plan_id": "flat-rate", "kind": "flat_rate", **none, "fee_micros": 50_000_000, "fair_use_units": 10**15, "overage": "charge"},
        ],
        "accounts": [
            account | {"account_id": "acct_buyer", "name": NAMES["acct_buyer"], "plan_id": "metered"},
            account | {"account_id": "acct_lotus", "name": NAMES["acct_lotus"], "plan_id": "flat-rate", "take_bps": 0},
            account | {"account_id": "acct_meridian", "name": NAMES["acct_meridian"], "plan_id": "metered"},
        ],
        "leases": [
            lease | {"lease_id": "lse_m1@1", "account_id": "acct_meridian", "rate_micros": 2_000_000},
            lease | {"lease_id": "lse_m1@2", "account_id": "acct_meridian", "rate_micros": 2_500_000},
            lease | {"lease_id": "lse_m2@1", "account_id": "acct_meridian", "rate_micros": 800_000, "hardware": "L40S",
                     "provider_id": "prv_scaleway"},
            lease | {"lease_id": "lse_l1@1", "account_id": "acct_lotus", "rate_micros": 1_900_000},
            lease | {"lease_id": "lse_b1@1", "account_id": "acct_buyer", "rate_micros": 2_100_000, "provider_id": "prv_scaleway"},
        ],
        "periods": [
            {"period": number, "month_start": month.start, "month_end": month.end, "closes_at": closes}
            for number, (month, closes) in enumerate(zip(MONTHS, CLOSES, strict=True), 1)
        ],
        "sla": [{"tier": "standard", "credit_bps": 5_000}],
        "usage": _usage(),
    }  # fmt: skip


def _usage() -> list[dict[str, object]]:
    """Eight accelerators an hour for each lease, 10 hours in November and 12 in December; an hour that failed, one corrected late."""
    rows = []
    for lease in ("lse_m1@1", "lse_m1@2", "lse_m2@1", "lse_l1@1", "lse_b1@1"):
        for month, hours in ((NOVEMBER, 10), (DECEMBER, 12)):
            for number in range(hours):
                start = month + 3 * DAY + number * HOUR
                rows.append(
                    {
                        "usage_id": f"use_{lease.replace('@', '_')}_{month:%m}_{number:02d}", "rev": 0, "lease_id": lease, "start": start,
                        "end": start + HOUR, "accelerator_seconds": 8 * 3600, "status": "delivered", "received_at": start + HOUR,
                    }
                )  # fmt: skip
    rows[0] = rows[0] | {"status": "provider_failed"}
    rows.append(rows[1] | {"rev": 1, "accelerator_seconds": 6 * 3600, "received_at": DECEMBER + 9 * DAY})
    return rows


class MemoryClose:
    """The desk of a market's closes on one book, its acts in a list."""

    def __init__(self, acts: MemoryActs, clock: FixedClock) -> None:
        self.acts, self.clock = acts, clock
        self.book = book_of(finance_rows())
        self.bounds = Bounds()

    async def periods(self) -> list[PeriodStanding]:
        return [
            standing_of(number, month, history=await self.acts.history("period", str(number)), closed_at=None)
            for number, month in enumerate(MONTHS, 1)
        ]

    async def period(self, period: int) -> PeriodStanding:
        if not 1 <= period <= len(MONTHS):
            raise NotFound(f"there is no period {period}; periods 1 to {len(MONTHS)} have begun", period=period)
        return (await self.periods())[period - 1]

    async def preview(self, period: int, *, actor: str) -> Preview:
        settled = self.settled(period)
        return Preview(
            period=period, month=MONTHS[period - 1], known_until=self.clock.now(), before=None,
            changes=changes(bills(settled.settlement.invoices, period), None), outliers=self.outliers(settled),
        )  # fmt: skip

    async def freeze(self, period: int, *, actor: str, closes_at: datetime | None = None) -> PeriodStanding:
        month = MONTHS[period - 1]
        if self.clock.now() < month.end:
            raise WrongState(f"period {period} is not over", period=period, state="open")
        if closes_at is not None and not month.end <= closes_at <= self.clock.now():
            raise BadInput(
                "a period closes after its month and not in the future", found=closes_at.isoformat(), would_do="a moment between"
            )
        facts = Frozen(month_start=month.start, month_end=month.end, closes_at=closes_at or CLOSES[period - 1])
        return await self.act(period, "frozen", By(actor, CLOSES[period - 1]), facts)

    async def rate(self, period: int, *, actor: str, at: datetime | None = None) -> PeriodStanding:
        settled = self.settled(period)
        return await self.act(
            period, "rated", By(actor, at or self.clock.now()), Rated(record=settled.record, outliers=self.outliers(settled))
        )

    async def review(self, period: int, *, actor: str, note: str = "", accept: bool = True) -> PeriodStanding:
        standing = await self.period(period)
        if standing.rated and standing.rated.outliers and not note.strip():
            raise BadInput("figures lie outside their bounds, so the review needs a note", found="no note", would_do="a note")
        return await self.act(period, "reviewed" if accept else "returned", By(actor, self.clock.now()), Reviewed(note=note))

    async def finalise(self, period: int, *, actor: str) -> CloseReport:
        if (await self.period(period)).state not in CLOSED:
            await self.act(period, "finalised", By(actor, self.clock.now()), {})
        return self.settled(period)

    async def exported(self, period: int, files: dict[str, bytes], *, actor: str) -> PeriodStanding:
        return await self.act(
            period, "exported", By(actor, self.clock.now()), {"files": {name: sha256(c).hexdigest() for name, c in files.items()}}
        )

    async def trace(self, period: int, account_id: str, *, line: int) -> Trace:
        issued = await MemoryStatements(self).statements(account_id=account_id, period=period)
        if not issued or not 1 <= line <= len(issued[0].lines):
            raise NotFound(f"account {account_id} has no line {line} in period {period}", account_id=account_id, line=line)
        found = issued[0].lines[line - 1]
        name = LineName(month=found.month, kind=found.kind, hardware=found.hardware)
        return trace(self.book, name, account_id=account_id, period=period)

    async def act(self, period: int, act: str, by: By, facts: object) -> PeriodStanding:
        history = await self.acts.history("period", str(period))
        await self.acts.append(PERIOD.next(str(period), history, act=act, by=by, facts=facts))
        return await self.period(period)

    def settled(self, period: int) -> CloseReport:
        settlement = settle(self.book, as_of=period)
        names = pl.DataFrame([{"provider_id": "prv_nebius", "name": "Nebius"}, {"provider_id": "prv_scaleway", "name": "Scaleway"}])
        known = names.select(pl.col(name) if name in names.columns else pl.lit(None).alias(name) for name in PROVIDERS.schema)
        closed = ClosedPeriod(period=period, month=MONTHS[period - 1], closes_at=CLOSES[period - 1], status="finalised")
        book = msgspec.structs.replace(self.book, periods=self.book.periods.head(period))
        files = month_files(book, Names(providers=known.cast(PROVIDERS.schema)))
        return CloseReport(closed=closed, files=files, settlement=settlement, record=close_record(settlement, inputs={}))

    def outliers(self, settled: CloseReport):
        kinds = {"acct_meridian": "metered_cleared", "acct_lotus": "flat_rate", "acct_buyer": "metered_cleared"}
        silent = Unbilled(leases_silent=("lse_b7@1",))
        return outliers(settled.settlement.invoices, record=settled.record, kinds=kinds, unbilled=silent, bounds=self.bounds)


class MemoryStatements:
    """What closed periods have issued."""

    def __init__(self, close: MemoryClose) -> None:
        self.close = close

    async def closed(self) -> list[int]:
        return [each.period for each in await self.close.periods() if each.state in CLOSED]

    async def closed_at(self, period: int) -> datetime | None:
        return CLOSES[period - 1] if period in await self.closed() else None

    async def statements(self, *, account_id: str | None = None, period: int | None = None) -> list[StatementView]:
        closed = [each for each in await self.closed() if period in (None, each)]
        if not closed:
            return []
        settlement = self.close.settled(closed[-1]).settlement
        found = []
        for row in settlement.invoices.filter(pl.col("period").is_in(closed)).sort("account_id", "period").iter_rows(named=True):
            if account_id in (None, row["account_id"]):
                own = (pl.col("account_id") == row["account_id"]) & (pl.col("period") == row["period"])
                lines = [
                    StatementLine(**{name: line[name] for name in StatementLine.__struct_fields__})
                    for line in settlement.lines.filter(own).iter_rows(named=True)
                ]
                month = MONTHS[row["period"] - 1]
                facts = {name: row[name] for name in StatementView.__struct_fields__ if name in row}
                name = NAMES[row["account_id"]]
                found.append(StatementView(account_name=name, month_start=month.start, month_end=month.end, lines=lines, **facts))
        return found

    async def advices(self, period: int) -> list[PayoutAdvice]:
        if period not in await self.closed():
            return []
        payouts = self.close.settled(period).settlement.payouts.filter(pl.col("period") == period)
        month = MONTHS[period - 1]
        return [
            PayoutAdvice(**row, provider_name=row["provider_id"].removeprefix("prv_").title(), month_start=month.start, month_end=month.end)
            for row in payouts.sort("provider_id").iter_rows(named=True)
        ]


class MemoryPayouts:
    """One run that Ada proposed; nothing can be paid, as there is no processor."""

    def __init__(self, acts: MemoryActs) -> None:
        self.acts = acts

    async def runs(self) -> list[PayoutRun]:
        lines = (
            PayoutLine(provider_id="prv_nebius", country="FI", owed_micros=496_000_000, cents=49_600, standing="ready"),
            PayoutLine(provider_id="prv_scaleway", country="FR", owed_micros=400_000, standing="carried", reason="too little"),
        )
        history = tuple(await self.acts.history("payout run", "USD:1"))
        return [PayoutRun(currency="USD", number=1, state=history[-1].act, lines=lines, history=history)]

    async def approve(self, currency: str, number: int, *, actor: str) -> PayoutRun:
        history = await self.acts.history("payout run", "USD:1")
        await self.acts.append(PAYOUT_RUN.next("USD:1", history, act="approved", by=By(actor, NOW)))
        return (await self.runs())[0]

    async def refuse(self, *_: object, **__: object) -> None:
        raise NotSupported("no payment processor is set up; STRIPE_API_KEY would do")

    propose = reject = pay = end = clear = refuse


class MemoryCollection:
    """No processor to ask for money, but one that says what became of it; paper is a sentence."""

    async def held(self) -> dict[str, int]:
        return {"USD": 120_000}

    async def paper(self, period: int, account_id: str) -> bytes:
        return b"%PDF of an invoice"

    async def advice(self, period: int, provider_id: str, *, currency: str) -> bytes:
        return b"%PDF of a payout advice"

    async def collect(self, period: int) -> None:
        raise NotSupported("no payment processor is set up; STRIPE_API_KEY would do")

    async def payment(self, period: int, account_id: str) -> PaymentState:
        return PaymentState(status="paid", invoice_id="in_1", paid=1200, refunded=200)

    refund = top_up = on_event = collect


class Sums:
    """Books that agree, but for what is planted."""

    def __init__(self, *, off: int) -> None:
        self.off = off

    async def checks(self, held: object) -> list[Reconciliation]:
        names = ("trial balance per currency, micros", "entries sum to zero and are whole, entries", "invoice lines add up, micros")
        return [Reconciliation(name=name, difference=self.off if name == names[-1] else 0) for name in names]


class Meters(NoCloses):
    """Readings of two days of December: two that differ from what was reported by 2 hours, one by as little as meters do."""

    def __init__(self, *, empty: bool) -> None:
        self.empty = empty

    async def pairs(self, month: Period) -> list[MeterPair]:
        start = DECEMBER + 3 * DAY
        found = [
            MeterPair(account_id=account, provider_id="prv_nebius", lease_id=lease, start=start, end=start + DAY,
                      buyer_seconds=seen * 3600, provider_seconds=reported * 3600)
            for account, lease, seen, reported in (
                ("acct_meridian", "lse_m1@1", 22, 24), ("acct_lotus", "lse_l1@1", 10, 8), ("acct_meridian", "lse_m1@2", 199, 200)
            )
        ]  # fmt: skip
        return [] if self.empty or not month.start <= start < month.end else found


class Team(FakeAccounts):
    """The buyers' keys, and those of the finance team."""

    async def staff_by_key_digest(self, digest: bytes) -> Staff | None:
        for key, (name, shown, scopes) in STAFF.items():
            if key_digest(key) == digest:
                return Staff(id=name, name=shown, scopes=scopes)
        return await super().staff_by_key_digest(digest)


async def with_finance(market: FakeMarket, *, empty: bool = False, off: int = 0) -> FakeMarket:
    """The market with a finance desk that works; `empty` leaves it as it is before the first step, `off` plants a difference."""
    clock = FixedClock(NOW)
    acts, books = MemoryActs(), MemoryBooks()
    close = MemoryClose(acts, clock)
    issued = MemoryStatements(close)
    corrections = CorrectionService(acts, books, clock=clock)
    disputes = DisputeService(acts, issued, closes=issued, corrections=corrections, clock=clock)
    if not empty:
        await _fill(close, books, corrections)
    payouts = MemoryPayouts(acts)
    if empty:
        payouts.runs = _none  # type: ignore[method-assign]
    market.desk = msgspec.structs.replace(
        market.desk,
        accounts=AccountService(Team()),
        corrections=corrections,
        disputes=disputes,
        finance=FinanceService(issued, _Balanced()),
        meters=MeterService(Meters(empty=empty), NoCloses(), clock=clock),
        receivables=ReceivableService(acts, books, disputes=disputes, clock=clock),
        reconciliation=ReconciliationService(Sums(off=off)),
        treasury=Treasury(close, MemoryCollection(), payouts),
    )
    market.shown_keys = (*FakeMarket.shown_keys, *SHOWN)  # type: ignore[assignment]
    return market


class _Balanced:
    async def trial_balance(self) -> dict[str, int]:
        return {"USD": 0}


async def _none() -> list[PayoutRun]:
    return []


async def _fill(close: MemoryClose, books: MemoryBooks, corrections: CorrectionService) -> None:
    """November closed by Grace, an invoice of it paid; December rated by Ada; a dispute, a correction, a payout run."""
    ada, grace, at = "staff:ada", "staff:grace", CLOSES[0] + HOUR
    await close.freeze(1, actor=ada)
    await close.rate(1, actor=ada, at=at)
    await close.act(1, "reviewed", By(grace, at + HOUR), Reviewed(note="The flat rate is new in November; the silent lease was released."))
    await close.act(1, "finalised", By(grace, at + 2 * HOUR), {})
    await close.freeze(2, actor=ada)
    await close.rate(2, actor=ada, at=CLOSES[1] + HOUR)
    own = msgspec.structs.replace(close.settled(1).settlement)
    await books.add_many(list(own.entries))
    owed = sum(each.amount_micros for each in books.entries["settle:acct_meridian:1"].postings if each.account == "receivable")
    paid = (
        Posting(account="processor", amount_micros=owed, currency="USD"),
        Posting(account="receivable", party="acct_meridian", amount_micros=-owed, currency="USD"),
    )
    await books.add_many([JournalEntry(id="pay_1", kind="payment", state="posted", at=at + DAY, reason="payment received", postings=paid)])
    opened = Opened(account_id="acct_lotus", period=1, currency="USD", cents=1200, reason="An hour of 4 November was interrupted.")
    await close.acts.append(DISPUTE.next("acct_lotus:1:1", [], act="opened", by=By("acct_lotus", at + 2 * DAY), facts=opened))
    note = CreditNote(key="goodwill:1", account_id="acct_buyer", currency="USD", cents=500, tax_cents=100, reason="A slow start")
    await corrections.enter(note, actor=ada)
    await close.acts.append(PAYOUT_RUN.next("USD:1", [], act="proposed", by=By(ada, NOW - 2 * HOUR)))


def last_act(market: FakeMarket, period: int) -> Act | None:
    """What was done to a period last."""
    close = market.desk.treasury.closing
    assert isinstance(close, MemoryClose)
    history = close.acts.kept.get(("period", str(period)), [])
    return history[-1] if history else None
