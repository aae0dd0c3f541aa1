"""What the processor says of an invoice, on the real store and the fake processor: sent, paid, given back, disputed."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from broker.payments.fake import money
from broker.services.accounts import key_digest
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from tests.broker.paid_market import agrees, close, paid_market
from tests.web.test_finance_live import SCOPES, signed_in
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.asgi import site

pytestmark = pytest.mark.anyio
INVOICE = "/finance/periods/1/invoices/acct_a"
PAYMENT = f"{INVOICE}/payment"


@asynccontextmanager
async def desk(sessions: Sessions) -> AsyncIterator[tuple]:
    """A closed month of 19.23 with a processor, and a browser signed in as Ada; Eve may only look."""
    market, fake = await paid_market(sessions)
    await close(market)
    async with unit_of_work(sessions) as work:
        for name, scopes in (("ada", SCOPES), ("eve", ["finance:read"])):
            await AccountRepository(work).add_staff(name, key_digest(f"gf_{name}"), name=name.title(), scopes=scopes, at=market.clock.now())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=site(market)), base_url="http://market") as client:
        await signed_in(client, "ada")
        yield market, fake, client


def figures(page: str) -> dict[str, str]:
    """What the page says is asked for, paid, given back, disputed and lost."""
    return dict(re.findall(r"<dt>([\w ]+), USD</dt><dd>([\d.,]+)</dd>", page))


async def test_a_statement_is_sent_paid_and_given_back_in_part(sessions: Sessions):
    """19.23, of which 5.00 go back once for a form sent twice, and not 20.00 more."""
    async with desk(sessions) as (market, fake, client):
        page = (await client.get(PAYMENT)).text
        assert ("At the processor: not sent" in page, '/refunds"' in page) == (True, False)
        assert fake.account.all("customer") == [], "looking makes nobody known"
        await market.collection().collect(1)
        page = (await client.get(PAYMENT)).text
        assert "The buyer has paid 19.23 USD." in page
        for _ in range(2):
            answer = await client.post(f"{INVOICE}/refunds", data=marks_of(page) | {"amount": "5"}, follow_redirects=True)
        assert "19.23 USD were paid, and 5.00 of them given back." in answer.text
        assert "at most 14.23" in words(answer.text)
        for amount, status, said in (("20", 502, "refund amount"), ("", 400, "a refund is of an amount"), ("x", 400, "digits")):
            refusal = await client.post(f"{INVOICE}/refunds", data=marks_of(answer.text) | {"amount": amount})
            assert (refusal.status_code, said in refusal.text.lower()) == (status, True)
        assert [each["amount"] for each in fake.account.all("refund")] == [500]
        assert await agrees(market)
        await signed_in(client, "eve")
        page = (await client.get(PAYMENT)).text
        assert ("given back" in page, '/refunds"' in page) == (True, False)
        barred = await client.post(f"{INVOICE}/refunds", data=marks_of((await client.get("/finance/periods/1")).text) | {"amount": "1"})
        assert barred.status_code == 403


@pytest.mark.parametrize(
    ("won", "finding", "lost"),
    [
        (True, "The buyer has paid 19.23 USD.", "0.00"),
        (False, "The buyer’s bank took 19.23 USD back, and keeps it.", "19.23"),
    ],
)
async def test_a_disputed_payment_is_said_so_until_it_is_decided(sessions: Sessions, won, finding, lost):
    async with desk(sessions) as (market, fake, client):
        await market.collection().collect(1)
        dispute = money.dispute(fake.account, fake.account.all("charge")[0]["id"])
        page = (await client.get(PAYMENT)).text
        assert "The buyer’s bank took 19.23 USD back, and it is not decided." in page
        assert figures(page) == {
            "Asked for": "19.23", "Paid": "19.23", "Given back": "0.00", "Disputed at the bank": "19.23", "Lost to the bank": "0.00",
        }  # fmt: skip
        assert '/refunds"' not in page, "what is disputed is not given back"
        money.decide(fake.account, dispute["id"], won=won)
        page = (await client.get(PAYMENT)).text
        assert finding in page
        assert figures(page)["Lost to the bank"] == lost
