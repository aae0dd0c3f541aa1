"""Collecting a closed month, paying in advance, refunds, and events as they come to the webhook."""

from datetime import timedelta

import pytest

from broker.payments.fake import money
from broker.payments.fake.server import FakeStripe
from broker.payments.opening import open_fake
from broker.payments.port import TopUp
from broker.store.unit_of_work import Sessions
from contracts.terms.errors import NotFound, ProcessorFailed, WrongState
from tests.broker.paid_market import agrees, balances, close, over_http, paid_market
from tests.broker.small_market import caller, pass_time

pytestmark = pytest.mark.anyio
CENT = 10_000
A = caller("acct_a")
HOME = "http://localhost/statements"


def top_up(cents: int, key: str = "1") -> TopUp:
    return TopUp(id=f"acct_a:{key}", account_id="acct_a", currency="", cents=cents, success_url=HOME, cancel_url=HOME)


async def pay_ahead(market, fake, cents: int) -> None:
    page = await market.collection().top_up(top_up(cents))
    fake.visit(f"/pages/checkout/{page.rpartition('/')[2]}/pay")
    await deliver(market, fake)


async def deliver(market, fake) -> None:
    for event in fake.deliveries():
        await market.collection().on_event(*event)


async def test_a_month_is_collected_once_and_again_nothing_happens(sessions: Sessions):
    market, fake = await paid_market(sessions)
    await close(market)
    for _ in range(3):
        (found,) = await market.collection().collect(1)
        assert (found.statement_id, found.status, found.paid_cents) == ("acct_a:1", "paid", 1_923)
    assert len(fake.account.all("charge")) == 1
    kept = await balances(market)
    assert "receivable" not in kept
    assert (kept["processor"], kept["processor_fees"]) == ((1_923 - 54) * CENT, 54 * CENT)
    assert await agrees(market)


async def test_a_period_without_statements_is_named(sessions: Sessions):
    market, _ = await paid_market(sessions)
    with pytest.raises(NotFound, match="written when it is finalised"):
        await market.collection().collect(1)


async def test_a_declined_card_leaves_the_invoice_open_and_the_next_try_pays(sessions: Sessions):
    market, fake = await paid_market(sessions)
    await close(market)
    customer = fake.account
    market.processor.customer("acct_a", "acct_a")
    customer.all("customer")[0]["_card"] = "declines"
    assert (await market.collection().collect(1))[0].status == "open"
    assert (await balances(market))["receivable"] == 1_923 * CENT
    customer.all("customer")[0]["_card"] = "works"
    assert (await market.collection().collect(1))[0].status == "paid"


@pytest.mark.parametrize(("cents", "spent", "charged"), [(1_000, 1_000, [923]), (5_000, 1_923, []), (1_900, 1_900, [])])
async def test_what_was_paid_in_advance_pays_the_invoice_first(sessions: Sessions, cents, spent, charged):
    """10.00, 50.00 and 19.00 in advance of 19.23; 0.23 is less than the processor charges, and goes to the next invoice there."""
    market, fake = await paid_market(sessions)
    await pay_ahead(market, fake, cents)
    assert (await balances(market))["prepaid"] == -cents * CENT
    await close(market)
    assert (await balances(market)).get("prepaid", 0) == (spent - cents) * CENT
    (found,) = await market.collection().collect(1)
    assert (found.prepaid_cents, found.status) == (spent, "paid")
    assert [each["amount"] for each in fake.account.all("charge") if not each["metadata"]] == charged
    assert await agrees(market)


async def test_a_prepaid_balance_is_credit_to_bid_with(sessions: Sessions):
    market, fake = await paid_market(sessions)
    await pay_ahead(market, fake, 1_000)
    async with market.services() as services:
        assert await services.receivables.prepaid(A) == {"USD": 1_000 * CENT}
        assert (await services.orders.credit(A)).owed_micros == -1_000 * CENT


async def test_the_same_top_up_is_one_page_and_one_payment(sessions: Sessions):
    market, fake = await paid_market(sessions)
    pages = {await market.collection().top_up(top_up(500)) for _ in range(2)}
    assert len(pages) == 1
    fake.visit(f"/pages/checkout/{pages.pop().rpartition('/')[2]}/pay")
    assert await market.collection().top_up(top_up(500)) == HOME
    assert await market.collection().top_up(top_up(500, key="2")) != HOME
    assert len(fake.account.all("charge")) == 1


async def test_a_refund_and_a_lost_dispute_of_a_top_up_are_the_balances(sessions: Sessions):
    """30.00 in advance, 5.00 given back; then the bank takes what is left of it back."""
    market, fake = await paid_market(sessions)
    await pay_ahead(market, fake, 3_000)
    (charge,) = fake.account.all("charge")
    money.create_refund(fake.account, {"payment_intent": charge["payment_intent"], "amount": "500"})
    await deliver(market, fake)
    assert (await balances(market))["prepaid"] == -2_500 * CENT
    dispute = money.dispute(fake.account, charge["id"])
    await deliver(market, fake)
    assert (await balances(market))["prepaid"] == 500 * CENT
    money.decide(fake.account, dispute["id"], won=True)
    await deliver(market, fake)
    assert (await balances(market))["prepaid"] == -2_500 * CENT
    assert await agrees(market)


async def test_part_of_a_payment_is_given_back_once_a_key(sessions: Sessions):
    market, fake = await paid_market(sessions)
    await close(market)
    with pytest.raises(WrongState, match="nothing was paid"):
        await market.collection().refund(1, "acct_a", key="r0", cents=100)
    assert fake.account.all("invoice") == [], "asking for money back must not take any"
    await market.collection().collect(1)
    for _ in range(2):
        await market.collection().refund(1, "acct_a", key="r1", cents=100)
    assert [each["amount"] for each in fake.account.all("refund")] == [100]
    assert (await balances(market))["receivable"] == 100 * CENT
    with pytest.raises(NotFound, match="acct_b has no statement"):
        await market.collection().refund(1, "acct_b", key="r2", cents=1)
    with pytest.raises(ProcessorFailed):
        await market.collection().refund(1, "acct_a", key="r3", cents=5_000)


async def test_the_webhook_takes_signed_events_in_any_order_and_twice(sessions: Sessions):
    market, fake = await paid_market(sessions)
    await close(market)
    statements, _ = await market.collection()._statements(1)
    await market.collection()._collector.collect(statements[0])
    events = fake.deliveries()
    async with over_http(market) as client:
        answers = [await _post(client, *event) for event in [*events[::-1], *events]]
        assert {each.status_code for each in answers} == {200}
        assert sum(each.json()["new"] for each in answers) == 1
        payload, signature = events[-1]
        forged = await _post(client, payload.replace(b"acct_a", b"acct_b"), signature)
        assert (forged.status_code, forged.json()["type"]) == (403, "/problems/not_permitted")
        pass_time(market, timedelta(seconds=301))
        assert (await _post(client, payload, signature)).status_code == 403
        assert (await client.post("/v1/webhooks/stripe", content=payload)).status_code == 400
    assert await agrees(market)


async def test_a_fake_with_a_log_is_the_same_account_again(sessions: Sessions, tmp_path):
    """Killed after a charge whose answer was lost: the next one finds the invoice paid, under the same names."""
    market, _ = await paid_market(sessions)
    await close(market)
    log = tmp_path / "processor.jsonl"
    first = FakeStripe(market.clock, log=log)
    market.processor = open_fake(first, market.clock)
    await market.collection().collect(1)
    log.write_bytes(log.read_bytes() + b'["2027-02-01T00:00:00+00:00", "post", "cut o')
    again = FakeStripe(market.clock, log=log)
    assert (again.account.things, again.account.held, again.account.events) == (
        first.account.things,
        first.account.held,
        first.account.events,
    )
    market.processor = open_fake(again, market.clock)
    await market.collection().collect(1)
    assert len(again.account.all("charge")) == 1
    assert await agrees(market)


async def _post(client, payload: bytes, signature: str):
    headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
    return await client.post("/v1/webhooks/stripe", content=payload, headers=headers)
