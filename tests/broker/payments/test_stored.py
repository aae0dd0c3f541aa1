"""Payments in the journal that settlements write to."""

import pytest

from broker.clock import FixedClock
from broker.payments.collector import Collector
from broker.payments.fake.server import FakeStripe
from broker.payments.sending import Sender
from broker.payments.stored import StoredLedger
from broker.payments.stripe_processor import StripeProcessor
from broker.store.repositories.journal import JournalRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from tests.broker.payments.market import START, a_statement, client_of

pytestmark = pytest.mark.anyio


async def test_a_payment_is_written_once_and_balances(sessions: Sessions):
    """100.00 paid, 1.75 kept by the processor; its event comes twice, and the account is credited."""
    clock = FixedClock(START)
    fake = FakeStripe(clock, secret="whsec_1")
    processor = StripeProcessor(client_of(fake), Sender(), secret="whsec_1", clock=clock)
    collector = Collector(processor, StoredLedger(sessions))
    await collector.collect(a_statement([10_000]))
    written = [await collector.on_event(*event) for event in fake.deliveries() * 2]
    assert sum(written) == 1
    async with unit_of_work(sessions) as work:
        journal = JournalRepository(work)
        assert await journal.balances() == [
            ("processor", "EUR", 98_250_000),
            ("processor_fees", "EUR", 1_750_000),
            ("receivable", "EUR", -100_000_000),
        ]
        assert await journal.owed_micros("acct_1") == -100_000_000
        assert await journal.trial_balance() == {"EUR": 0}
