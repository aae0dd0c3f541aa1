"""The demo's money: its month is collected and its providers are paid, through a processor that loses answers and repeats itself.

The processor is the fake behind Stripe's own SDK. It keeps a log, so that a demo that was killed meets the same account again.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from broker.app import Market
from broker.collecting import Collected
from broker.demo.parties import FINANCE, PAYS_AHEAD
from broker.payments.fake.server import FakeStripe, Fault
from broker.payments.opening import open_fake
from broker.payments.port import TopUp
from broker.payouts import PayoutRun
from broker.services.receivables import ReconciliationView
from contracts.terms.errors import ProcessorFailed

FAULTS: tuple[Fault, ...] = ("answer_lost", "busy", "broken_after", "lost", "in_use", "broken")
FAULT_EVERY = 9
SEED = 7
AHEAD_CENTS = 5_000
TRIES = 20


class MoneyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was collected and paid out; `faults` are requests that were lost, refused or broken on the way, `events` those delivered."""

    statements: tuple[Collected, ...]
    run: PayoutRun
    books: ReconciliationView
    faults: int
    events: int

    @property
    def words(self) -> list[str]:
        """A phrase for each thing that happened."""
        paid = [each for each in self.statements if each.status == "paid"]
        ahead = sum(1 for each in self.statements if each.prepaid_cents)
        return [
            f"{len(paid)} invoices paid, {ahead} of them in part in advance",
            f"{len(self.run.paid)} providers paid out",
            f"{self.faults} faults survived, {self.events} events in any order, some twice",
            f"{len(self.books.checks)} sums agree" if self.books.holds else "THE BOOKS DO NOT AGREE",
        ]


class DemoMoney:
    """Collects and pays out for the demo's market."""

    def __init__(self, market: Market, log: Path) -> None:
        self._market = market
        self._faults = 0
        self._fake = FakeStripe(market.clock, faults=self._plan(), log=log)
        market.processor = open_fake(self._fake, market.clock)
        self._events = 0

    async def pay_in_advance(self) -> None:
        """A small buyer pays in advance, on the processor's page."""
        home = "http://localhost/statements"
        wanted = TopUp(id=f"{PAYS_AHEAD}:demo", account_id=PAYS_AHEAD, currency="", cents=AHEAD_CENTS, success_url=home, cancel_url=home)
        page = await self._market.collection().top_up(wanted)
        if page != home:
            self._fake.visit(f"/pages/checkout/{page.rpartition('/')[2]}/pay")
        await self._deliver()

    async def settle(self, period: int) -> MoneyReport:
        """Collect a finalised period, pay providers what they are owed, and compare the books with everything beside them."""
        statements = await self._market.collection().collect(period)
        await self._deliver()
        run = await self._pay_out(self._market.timetable.currency, period)
        await self._deliver()
        async with self._market.services() as services:
            books = await services.reconciliation.reconcile(await self._market.collection().held())
        return MoneyReport(statements=tuple(statements), run=run, books=books, faults=self._faults, events=self._events)

    async def _pay_out(self, currency: str, period: int) -> PayoutRun:
        """A run a period: one person proposes, another approves; providers show papers, what grants leave short comes from the bank."""
        desk, (first, second) = self._market.payouts(), FINANCE
        runs = [each for each in await desk.runs() if each.currency == currency]
        run = runs[period - 1] if len(runs) >= period else await desk.propose(currency, actor=first)
        if run.state == "proposed":
            run = await desk.approve(currency, run.number, actor=second)
        for _ in range(TRIES):
            try:
                run = await desk.pay(currency, run.number, actor=first)
            except ProcessorFailed:
                continue
            if run.state == "ended":
                return run
            self._let_wait_no_longer(run)
        return run

    def _let_wait_no_longer(self, run: PayoutRun) -> None:
        account = self._fake.account
        for each in account.all("account"):
            if "inactive" in each["capabilities"].values():
                self._fake.visit(f"/pages/accounts/{each['id']}/papers")
        currency = run.currency.lower()
        short = sum(line.cents for line in run.due) - account.held.get(currency, 0)
        if short > 0:
            self._fake.visit(f"/pages/bank/{currency}/topup", urlencode({"amount": short}))

    async def _deliver(self) -> None:
        """Every event so far, half of them twice, in any order."""
        events = self._fake.deliveries()
        chance = random.Random(SEED)
        events += chance.sample(events, len(events) // 2)
        chance.shuffle(events)
        for payload, signature in events:
            for _ in range(TRIES):
                try:
                    await self._market.collection().on_event(payload, signature)
                except ProcessorFailed:
                    continue
                break
        self._events += len(events)

    def _plan(self) -> Iterator[Fault | None]:
        for number in itertools.count(1):
            if number % FAULT_EVERY:
                yield None
            else:
                self._faults += 1
                yield FAULTS[number // FAULT_EVERY % len(FAULTS)]
