"""A small market for payment tests: statements, a fake Stripe on a clock we set, a ledger in memory."""

from collections.abc import Iterable
from datetime import UTC, datetime

import polars as pl
import stripe

from broker.clock import SimulatedClock
from broker.payments.collector import Collector
from broker.payments.fake.server import FakeStripe, Fault
from broker.payments.sending import Sender
from broker.payments.stripe_processor import StripeProcessor
from contracts.journal import JournalEntry, Posting, trial_balance
from contracts.statements import Invoice, InvoiceLine
from contracts.terms.money import MICROS_PER_CENT

START = datetime(2027, 1, 31, 12, tzinfo=UTC)
SECRET = "whsec_test"


class MemoryLedger:
    """Entries by id, each once."""

    def __init__(self) -> None:
        self.entries: dict[str, JournalEntry] = {}

    async def write(self, entries: list[JournalEntry]) -> int:
        new = {entry.id: entry for entry in entries if entry.id not in self.entries}
        self.entries |= new
        return len(new)

    def balance(self, account: str, party: str | None = None) -> int:
        """Micros."""
        return sum(
            posting.amount_micros
            for entry in self.entries.values()
            for posting in entry.postings
            if posting.account == account and party in {None, posting.party}
        )

    def trial(self) -> int:
        """What the trial balance is off by: 0."""
        rows = [(p.currency, p.account, p.amount_micros) for entry in self.entries.values() for p in entry.postings]
        frame = pl.DataFrame(rows, schema=["currency", "account", "amount_micros"], orient="row")
        return int(trial_balance(frame).filter(pl.col("account") == "total")["amount_micros"].sum()) if rows else 0


class Market:
    """A collector on the real SDK and the fake behind it."""

    def __init__(self, faults: Iterable[Fault | None] = ()) -> None:
        self.clock = SimulatedClock(START)
        self.fake = FakeStripe(self.clock, secret=SECRET, faults=iter(faults))
        self.client = client_of(self.fake)
        self.ledger = MemoryLedger()

    @property
    def collector(self) -> Collector:
        """A collector that has just started and remembers nothing."""
        processor = StripeProcessor(self.client, Sender(lambda tried: None), secret=SECRET, clock=self.clock)
        return Collector(processor, self.ledger)

    def invoices(self) -> list[dict]:
        return self.fake.account.all("invoice")

    def customer(self, account_id: str) -> dict:
        (found,) = [each for each in self.fake.account.all("customer") if each["metadata"] == {"account_id": account_id}]
        return found

    def owed_at_the_processor(self, account_id: str) -> int:
        """Cents an account owes by the processor's own count: open invoices, its balance, and what refunds and disputes took back."""
        customer = self.customer(account_id)
        account = self.fake.account
        charges = {each["id"] for each in account.all("charge", customer=customer["id"])}
        opened = sum(each["amount_remaining"] for each in account.all("invoice", customer=customer["id"], status="open"))
        back = sum(each["amount"] for each in account.all("refund") if each["charge"] in charges)
        taken = sum(each["amount"] for each in account.all("dispute") if each["charge"] in charges and each["status"] != "won")
        return int(opened + customer["balance"] + back + taken)

    def settle(self, *statements: Invoice) -> None:
        """Book what settlements book of these statements, as far as payments see it."""
        for each in statements:
            if each.payable_cents:
                self.ledger.entries[f"settle:{each.id}"] = _settled(each)


def client_of(fake: FakeStripe) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_1", http_client=fake, max_network_retries=0)


def a_statement(cents: Iterable[int], *, account: str = "acct_1", period: int = 1, tax: int = 0, currency: str = "EUR") -> Invoice:
    """A statement of usage lines of these cents, each of a hardware class of its own."""
    month = datetime(2027, period, 1, tzinfo=UTC)
    lines = tuple(
        InvoiceLine(
            kind="usage",
            month_start=month,
            hardware=f"h{number}",
            quantity_seconds=3600,
            amount_micros=each * MICROS_PER_CENT,
            amount_cents=each,
        )
        for number, each in enumerate(cents)
    )
    subtotal = sum(line.amount_cents for line in lines)
    return Invoice(
        id=f"{account}:{period}",
        account_id=account,
        account_name="Ada & Sons",
        plan_id="metered",
        period=period,
        month_start=month,
        month_end=datetime(2027, period + 1, 1, tzinfo=UTC),
        currency=currency,
        lines=lines,
        tax_bps=1900,
        subtotal_micros=subtotal * MICROS_PER_CENT,
        tax_micros=tax * MICROS_PER_CENT,
        total_micros=(subtotal + tax) * MICROS_PER_CENT,
        subtotal_cents=subtotal,
        tax_cents=tax,
        payable_cents=subtotal + tax,
    )


def _settled(statement: Invoice) -> JournalEntry:
    from_cents = statement.payable_cents * MICROS_PER_CENT
    return JournalEntry(
        id=f"settle:{statement.id}",
        kind="settlement",
        state="posted",
        at=statement.month_end,
        reason="invoice",
        postings=(
            _posting("receivable", statement.account_id, amount=from_cents, currency=statement.currency),
            _posting("fee_income", "", amount=-from_cents, currency=statement.currency),
        ),
    )


def _posting(account: str, party: str, *, amount: int, currency: str) -> Posting:
    return Posting(account=account, party=party, amount_micros=amount, currency=currency)


class Died(Exception):
    """The program ended here."""


class Crashing(FakeStripe):
    """A fake during one of whose requests the program dies: before it was sent, or after it was done."""

    dies_at = 0
    after = False
    asked = 0

    def request(self, method, url, *rest, **named):
        self.asked += 1
        if self.asked == self.dies_at and not self.after:
            raise Died
        answer = super().request(method, url, *rest, **named)
        if self.asked == self.dies_at:
            raise Died
        return answer


def dying(step: int, *, after: bool) -> Market:
    """A market whose program dies once, at the request of this number; never at 0."""
    market = Market()
    fake = Crashing(market.clock, secret=SECRET)
    fake.dies_at, fake.after = step, after
    market.fake = fake
    market.client = client_of(market.fake)
    return market
