"""The provider's and the operator's pages, and a buyer's spend, in Chromium: they fit, axe finds nothing serious, acts happen once."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_portal import AXE, SETTINGS
from tests.fake_market import KEY, OPERATOR_KEY, PROVIDER_KEY

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
OFFER = "/provider/offers/ofr_hyperstack-norway-1-h100-pcie"
PROVIDER = ("/provider", f"{OFFER}?rate=1.5", "/provider/income", "/provider/statements/1/USD", "/provider/feed")
OPERATOR = ("/operator", "/operator/cycles/2", "/operator/providers", "/operator/quarantine", "/operator/incidents", "/operator/rules")
PAGES = [*((PROVIDER_KEY, address) for address in PROVIDER), *((OPERATOR_KEY, address) for address in OPERATOR), (KEY, "/spend")]
QUICK = [(SETTINGS[-1 - number % 2], *page) for number, page in enumerate(PAGES)]
REST = [(setting, *page) for setting in SETTINGS for page in PAGES if (setting, *page) not in QUICK]


def signed_in(page: Page, portal: str, key: str) -> Page:
    """The page with somebody's key."""
    page.context.add_cookies([{"name": "gridfare_key", "value": key, "url": portal}])
    return page


@pytest.mark.parametrize(
    ("page", "key", "address"), [*QUICK, *(pytest.param(*each, marks=pytest.mark.slow) for each in REST)], indirect=["page"]
)
def test_a_desk_fits_its_screen_and_axe_finds_nothing_serious(page: Page, portal: str, key: str, address: str):
    signed_in(page, portal, key).goto(address)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    page.evaluate(AXE.read_text())
    findings = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    serious = [found for found in findings if found["impact"] in ("serious", "critical")]
    assert [(found["id"], [node["html"][:160] for node in found["nodes"]][:4]) for found in serious] == []


def test_a_cycle_is_cleared_again_and_the_desk_walked_by_keys(page: Page, portal: str):
    signed_in(page, portal, OPERATOR_KEY).goto("/operator")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/operator/cycles/2")
    page.get_by_role("button", name="Clear again").dblclick()
    expect(page.locator(".answer")).to_contain_text("cycle 2 is the same to the byte")
    for key, place in (("p", "providers"), ("q", "quarantine"), ("i", "incidents"), ("r", "rules")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/operator/{place}")


def test_a_statement_prints_without_the_frame(page: Page, portal: str):
    signed_in(page, portal, PROVIDER_KEY).goto("/provider/statements/1/USD")
    page.emulate_media(media="print")
    for hidden in (".bar", ".foot", ".call", ".no-print"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".payable")).to_contain_text("494.50")
