"""The small market with a processor: a month of 16.00 USD delivered, closed where wanted, and the fake behind Stripe's SDK."""

from collections.abc import Iterable
from datetime import datetime

import httpx
from sqlalchemy import text

from broker.app import Market
from broker.application import application
from broker.payments.fake.server import FakeStripe, Fault
from broker.payments.opening import open_fake
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.payout_runs import PayoutPolicy
from tests.broker.test_closing import CLOSES_AT, FAITHFUL, MONTH, PEOPLE, delivered_market

SECRET = "whsec_fake"


async def paid_market(
    sessions: Sessions, *, faults: Iterable[Fault | None] = (), policy: PayoutPolicy | None = None
) -> tuple[Market, FakeStripe]:
    """acct_a owes 19.23 for January once it is closed, prv_a earns 16.00."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    fake = FakeStripe(market.clock, secret=SECRET, faults=iter(faults))
    market.processor = open_fake(fake, market.clock)
    market.payout_policy = policy or PayoutPolicy(delay_days=0)
    return market, fake


async def close(market: Market) -> None:
    await market.close().run(MONTH.start, closes_at=CLOSES_AT, people=PEOPLE)


def show_papers(fake: FakeStripe) -> None:
    for each in fake.account.all("account"):
        fake.visit(f"/pages/accounts/{each['id']}/papers")


async def provider(sessions: Sessions, *, joined_at: datetime | None = None, parent: str | None = None) -> None:
    async with unit_of_work(sessions) as work:
        facts = {"joined": joined_at, "parent": parent}
        await work.execute(text("UPDATE providers SET joined_at = CAST(:joined AS timestamptz), parent = CAST(:parent AS text)"), facts)


async def balances(market: Market) -> dict[str, int]:
    """Cents and less of every account of the chart, micros."""
    async with market.services() as services:
        rows = await services.session.execute(
            text(
                "SELECT p.account, sum(p.amount_micros) FROM postings p JOIN journal_entries e ON e.id = p.entry_id "
                "WHERE e.state IN ('posted', 'reversed') GROUP BY p.account"
            )
        )
        return {account: int(micros) for account, micros in rows if micros}


async def agrees(market: Market) -> bool:
    """Whether every sum in the books agrees, the processor's own balance among them."""
    async with market.services() as services:
        return (await services.reconciliation.reconcile(await market.collection().held())).holds


def over_http(market: Market) -> httpx.AsyncClient:
    """The market's API, in this very loop: the store's connections belong to it."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application(market.services)), base_url="http://market")
