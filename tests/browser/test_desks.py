"""The provider's and the operator's pages in Chromium: walked by keys, acts happen once, statements print."""

import pytest
from playwright.sync_api import Page, expect

from tests.fake_market import OPERATOR_KEY, PROVIDER_KEY

pytestmark = pytest.mark.browser


def signed_in(page: Page, portal: str, key: str) -> Page:
    """The page with somebody's key."""
    page.context.add_cookies([{"name": "gridfare_key", "value": key, "url": portal}])
    return page


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
