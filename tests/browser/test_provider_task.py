"""A provider's five minutes, through the real server and store: why his offers sell or not, and what a lower rate would have done.

South offers 8 in Germany at 1.03 and 8 in Spain at 0.90; the one buyer wants 8 in Germany for four hours, and a rival there stands at 1.00.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import msgspec
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect

from broker.app import Market
from broker.services.accounts import key_digest
from broker.services.views import ShownKey
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.book import BookRepository
from broker.store.unit_of_work import unit_of_work
from contracts.terms.accounts import Provider
from contracts.terms.orders import canonical_book
from contracts.terms.tables import BIDS, OFFERS
from tests.broker.small_market import GATE, caller, cycle_of, offer, open_small_market, pass_time, request, small_book
from tests.browser.serving import own_sessions, served

pytestmark = pytest.mark.browser
KEY = "gf_south"
SHOWN = ShownKey(account_name="South, provider", story="Two sites.", key=KEY)


@asynccontextmanager
async def trading_market(server: str) -> AsyncIterator[Market]:
    """One gate cleared."""
    async with own_sessions(server) as sessions:
        market, clock = await open_small_market(sessions)
        market.shown_keys = (SHOWN,)
        mine = {"provider": "prv_south", "hardware": "H100-SXM"}
        rows = [
            offer("ofr_de", 1_030_000, site="south-de", **mine),
            offer("ofr_es", 900_000, site="south-es", country="ES", operator_country="ES", parent_country="ES", **mine),
        ]
        book = canonical_book(small_book().rules, {"offers": pl.DataFrame(rows, schema=OFFERS.schema), "bids": BIDS.empty()})
        async with unit_of_work(sessions) as work:
            accounts = AccountRepository(work)
            await accounts.add_providers([Provider(id="prv_south", name="South", country="DE", kind="neocloud")])
            await accounts.add_provider_key("prv_south", key_digest(KEY), scopes=["provider:read"], at=clock.now())
            await BookRepository(work).add_supply(book, providers=["prv_south"], at=clock.now())
        async with market.services() as services:
            wish = msgspec.structs.replace(request(), hours=32.0, countries=["DE"])
            await services.orders.submit(wish, caller("acct_a"))
        pass_time(market, GATE - clock.now())
        await cycle_of(market).run(GATE)
        yield market


@pytest.fixture(params=[{}, {"java_script_enabled": False}], ids=["scripts", "no scripts"])
def page(browser: Browser, database_server: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page on a market of its own; a console error fails the test."""
    with served(lambda: trading_market(database_server)) as address:
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 900}, **request.param)
        opened = context.new_page()
        faults: list[str] = []
        opened.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
        opened.on("pageerror", lambda error: faults.append(str(error)))
        yield opened
        context.close()
    assert faults == []


def test_an_operator_of_a_provider_sees_why_his_offers_sell_or_not(page: Page):
    page.goto("/provider")
    page.get_by_role("button", name="Use the key of South, provider").click()
    expect(page.locator("h1")).to_have_text("You sold 0.0 % of the 64 accelerator-hours you had free")
    rows = page.get_by_role("region", name="Your offers").locator("tbody tr")
    expect(rows.nth(0)).to_contain_text("3.0 % dearer than the marginal offer")
    expect(rows.nth(1)).to_contain_text("outside the buyer's countries")
    rows.nth(1).get_by_role("link").click()
    conditions = page.get_by_role("region", name="What kept buyers away, whatever the price").locator("tbody tr")
    expect(conditions).to_have_count(1)
    expect(conditions).to_contain_text("Outside the buyer's countries")
    page.go_back()
    page.get_by_role("region", name="Your offers").get_by_role("link").first.click()
    expect(page.locator(".lede").first).to_contain_text("sold to a buyer who could have come here stood at 1.000 USD")
    page.get_by_label("USD an accelerator-hour").fill("a lot")
    page.get_by_role("button", name="What would have sold?").click()
    expect(page.locator("#fault-rate")).to_contain_text("such as 1.90; this was a lot")
    page.get_by_label("USD an accelerator-hour").fill("0.95")
    page.get_by_role("button", name="What would have sold?").click()
    expect(page.locator(".answer")).to_contain_text("At 0.950 USD you would have sold 32 more accelerator-hours at the last gate.")
    page.reload()
    expect(page.locator(".answer")).to_contain_text("32 more accelerator-hours")
    page.get_by_role("link", name="Feed", exact=True).click()
    expect(page.locator("h1")).to_have_text("You have no feed open")


@pytest.mark.parametrize("page", [{}], indirect=True)
def test_the_same_by_keys_alone(page: Page):
    """No pointer: Tab to the key, j to the offer, Enter; / to the rate."""
    page.goto("/provider")
    page.get_by_role("button", name="Use the key of South, provider").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/provider")
    for _ in range(20):
        page.keyboard.press("j")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/provider/offers/ofr_de":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/provider/offers/ofr_de")
    page.keyboard.press("/")
    page.keyboard.type("0.95")
    page.keyboard.press("Enter")
    page.wait_for_url("**rate=0.95**")
    expect(page.locator(".answer")).to_contain_text("32 more accelerator-hours")
    page.keyboard.press("g")
    page.keyboard.press("i")
    page.wait_for_url("**/provider/income")
    expect(page.locator("h1")).to_have_text("No month has been closed yet")
