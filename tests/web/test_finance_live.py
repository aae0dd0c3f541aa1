"""The finance desk on the real services and store: a month from open to exported through its pages, by two people."""

import re

import httpx
import pytest

from broker.services.accounts import key_digest
from broker.store.repositories.accounts import AccountRepository
from broker.store.unit_of_work import Sessions, unit_of_work
from tests.broker.test_closing import FAITHFUL, delivered_market
from tests.web.test_own_pages import marks_of
from tests.web.test_pages import words
from web.asgi import site

pytestmark = pytest.mark.anyio
SCOPES = ["finance:read", "finance:write", "finance:approve"]
MONTH = "/finance/periods/1"


async def signed_in(client: httpx.AsyncClient, name: str) -> None:
    client.cookies.clear()
    answer = await client.post("/sign-in", data={"key": f"gf_{name}"})
    assert answer.headers["location"] == "/finance"


async def step(client: httpx.AsyncClient, act: str, **fields: str) -> str:
    """Take a step with the form on the month's page; the page that comes after it."""
    marks = marks_of((await client.get(MONTH)).text)
    answer = await client.post(f"{MONTH}/{act}", data=marks | fields, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_month_is_closed_traced_and_taken_home(sessions: Sessions):
    """16 hours at 1.00 with 1 % take and 19 % tax: 19.23, open since the close; the provider is owed 16.00."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    async with unit_of_work(sessions) as work:
        for name in ("ada", "grace"):
            await AccountRepository(work).add_staff(name, key_digest(f"gf_{name}"), name=name.title(), scopes=SCOPES, at=market.clock.now())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=site(market)), base_url="http://market") as client:
        await signed_in(client, "ada")
        assert "acct_a" in await step(client, "preview")
        assert "frozen" in await step(client, "steps/freeze")
        assert "You rated it, so somebody else has to review it" in await step(client, "steps/rate")
        await signed_in(client, "grace")
        assert "You" not in await step(client, "steps/review", note="looked at")
        closed = words(await step(client, "steps/finalise"))
        assert "19.23 open, 0 days 19.23" in closed
        assert "A 16.00 0.00 16.00 USD" in closed
        invoice = (await client.get(f"{MONTH}/invoices/acct_a")).text
        [line] = re.findall(r'href="([^"]+)">Trace<span class="sr"> H100-SXM', invoice)
        traced = words((await client.get(line)).text)
        assert "2 usage records of 1 lease, 16.00 accelerator-hours in all, are behind 16.00 USD, and come to it again." in traced
        marks = marks_of((await client.get(MONTH)).text)
        given = await client.post(f"{MONTH}/export", data=marks | {"format": "beancount"})
        assert b"19.23" in given.content
        assert (await client.get(f"{MONTH}/invoices/acct_a/pdf")).content.startswith(b"%PDF")
        for address in ("/finance", MONTH, "/finance/receivables", "/finance/payouts", "/finance/books", "/finance/trail"):
            assert (await client.get(address)).status_code == 200, address
        assert re.findall(r"<td>(\w+)</td><td><a", (await client.get("/finance/trail")).text)[:2] == ["exported", "finalised"]
        assert [(await client.get(address)).headers["location"] for address in ("/bids", "/leases")] == ["/finance"] * 2
        proposed = await client.post("/finance/payouts/USD/propose", data=marks, follow_redirects=True)
        assert "Run 1 in USD" in proposed.text
