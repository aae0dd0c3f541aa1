"""The market page follows the market by itself: what changed is there within two seconds, and nothing is loaded twice."""

import time
from collections.abc import Iterator

import pytest
from litestar import Litestar
from playwright.sync_api import Page, expect

from tests.browser.conftest import served
from tests.fake_market import FakeMarket, cleared
from web.asgi import site

pytestmark = pytest.mark.browser
MARKET = FakeMarket(cycles=1)


@pytest.fixture(scope="module")
def portal() -> Iterator[str]:
    """A market that has applied one cycle so far."""

    async def made() -> Litestar:
        return site(MARKET)

    with served(made) as address:
        yield address


@pytest.fixture(autouse=True)
def one_cycle() -> None:
    """Every test begins after the first cycle."""
    cleared(1), cleared(2)
    MARKET.reader.apply(1)


def test_an_applied_cycle_is_on_the_page_within_two_seconds_without_a_reload(page: Page):
    """The best of three, as other tests may hold the machine meanwhile."""
    page.goto("/")
    page.evaluate("window.kept = true")
    took = []
    for cycles in (2, 1, 2):
        expect(page.locator("[data-chart] svg").first).to_be_attached()
        requests: list[str] = []
        page.on("request", lambda sent, requests=requests: requests.append(sent.url))
        began = time.monotonic()
        MARKET.reader.apply(cycles)
        expect(page.locator("#market")).to_have_attribute("data-mark", str(cycles), timeout=20_000)
        took.append(time.monotonic() - began)
        assert len(requests) == 1, requests
    assert page.evaluate("window.kept"), "the page was loaded anew"
    assert min(took) < 2, took


def test_who_is_choosing_is_not_disturbed_and_catches_up_afterwards(page: Page):
    page.goto("/")
    page.locator("select[name=slot]").focus()
    MARKET.reader.apply(2)
    with page.expect_response("**/market/events"):
        page.evaluate("follow()")
    expect(page.locator("#market")).to_have_attribute("data-mark", "1")
    page.locator("select[name=slot]").blur()
    expect(page.locator("#market")).to_have_attribute("data-mark", "2")
