"""The portal in a real browser: state in the address, keys, refresh, no scripts."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.gallery import BID

pytestmark = pytest.mark.browser


def settled(page: Page, address: str) -> Page:
    """The page once its charts are drawn."""
    page.goto(address)
    for chart in page.locator("[data-chart]").all():
        expect(chart.locator("svg")).to_be_attached()
    return page


def sign_in(page: Page) -> None:
    """Sign in as the buyer the demo shows first."""
    page.goto("/sign-in")
    page.get_by_role("button", name="Use the key of").click()
    page.wait_for_url("**/bids")


def sign_in_to_finance(page: Page) -> None:
    """Sign in as Grace, who approves what Ada prepares, from a page of the desk that led here."""
    page.goto("/finance")
    page.get_by_label("Somebody else").select_option(label="Grace, finance team")
    page.get_by_role("button", name="Use this key").click()
    page.wait_for_url("**/finance")


def test_the_policy_allows_nothing_inline_and_nobody_else(page: Page):
    answer = page.goto("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)
    assert page.locator("[style]:not(#market *)").count() == 0


def test_a_filter_changes_the_address_and_back_brings_it_back(page: Page):
    settled(page, "/find")
    before = page.locator("h1").inner_text()
    page.get_by_label("Standard only if something breaks").check()
    page.wait_for_url("**/find?*tier=standard*")
    after = page.locator("h1").inner_text()
    assert after != before
    page.reload()
    expect(page.locator("h1")).to_have_text(after)
    page.go_back()
    expect(page.locator("h1")).to_have_text(before)
    expect(page.get_by_label("Spot some: may be called back, with notice")).to_be_checked()
    page.go_forward()
    expect(page.get_by_label("Standard only if something breaks")).to_be_checked()


def test_the_address_of_a_search_holds_only_what_was_said(page: Page):
    settled(page, "/find")
    page.get_by_label("Most, all-in").fill("3")
    page.get_by_label("Most, all-in").blur()
    page.wait_for_url("**/find?*budget=3*")
    assert "=&" not in page.url
    assert not page.url.endswith("=")


def test_what_was_unfolded_stays_so_when_results_change(page: Page):
    settled(page, "/find")
    page.get_by_text("Certifications", exact=True).click()
    page.locator("#certifications-soc2").check()
    page.wait_for_url("**/find?*certifications=soc2*")
    expect(page.locator("#fold-certifications")).to_have_attribute("open", "")


def test_choosing_a_class_and_slot_is_a_link_to_share(page: Page):
    settled(page, "/")
    page.get_by_role("link", name="L40S", exact=True).click()
    page.wait_for_url("**/?hardware=L40S")
    page.locator("select[name=slot]").select_option(label="05:00")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**slot=2027-01-15T05*")
    expect(page.get_by_role("heading", name="L40S", exact=True)).to_be_visible()
    expect(page.get_by_text("Between 05:00 and 06:00 UTC")).to_be_visible()


def test_a_chart_answers_the_pointer(page: Page):
    settled(page, "/")
    page.locator(".chart-regions .mark-rect path").first.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text("Finland")


def test_keys_go_where_they_say(page: Page):
    settled(page, "/")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") == "ASCEND-910B"
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/find")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"


def test_the_first_tab_is_a_way_past_the_header(page: Page):
    settled(page, "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_search_becomes_a_bid_once(page: Page):
    sign_in(page)
    before = page.locator("tbody tr").count()
    page.context.clear_cookies()
    settled(page, "/find?hardware=H100-SXM&quantity=8&hours=4&countries=FI")
    page.get_by_role("link", name="Bid at the next gate", exact=True).click()
    page.get_by_label("USD per reference hour").fill("2.50")
    page.get_by_label("USD per reference hour").blur()
    page.wait_for_url("**limit=2.50*")
    expect(page.get_by_text("the most you can pay is 80.00 USD")).to_be_visible()
    page.get_by_role("link", name="Sign in to bid").click()
    page.get_by_role("button", name="Use the key of").click()
    page.get_by_role("button", name="Enter this bid").dblclick()
    page.wait_for_url("**/bids/bid_*")
    expect(page.locator(".life .step-now")).to_contain_text("waits for the next gate")
    page.goto("/bids")
    expect(page.locator("tbody tr")).to_have_count(before + 1)
    page.locator("tbody a").first.click()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator("#bid .status")).to_contain_text("Withdrawn")


def test_the_return_key_works_a_bid_out_and_enters_nothing(page: Page):
    sign_in(page)
    page.goto(BID)
    page.get_by_label("Hours each").fill("2")
    page.get_by_label("Hours each").press("Enter")
    page.wait_for_url("**/bids/new?*hours=2*")
    expect(page.get_by_text("the most you can pay is 40.00 USD")).to_be_visible()


def test_the_gate_is_read_from_the_market_not_from_the_wall(page: Page):
    """The market's clock stands still, and so does what is left until the gate; the script does not count it down."""
    settled(page, "/")
    expect(page.locator(".gate")).to_have_text("in 56 min")
    expect(page.locator(".gate [data-countdown]")).to_have_count(0)


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_a_bid_is_entered_and_a_lease_seen_without_scripts(page: Page):
    sign_in(page)
    page.goto("/bids/new?hardware=H100-SXM&quantity=8&hours=4&countries=FI")
    page.get_by_label("USD per reference hour").fill("lots")
    page.get_by_role("button", name="Work it out").click()
    expect(page.locator("#fault-limit")).to_have_text("A rate, such as 2.50, was lots.")
    page.get_by_label("USD per reference hour").fill("2.50")
    page.get_by_role("button", name="Work it out").click()
    page.get_by_role("button", name="Enter this bid").click()
    page.wait_for_url("**/bids/bid_*")
    page.get_by_role("link", name="Leases", exact=True).click()
    page.locator("a[href='/leases/lse_running#release']").click()
    expect(page.locator("#release")).to_contain_text("Gives back 2 slots")


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_everything_works_without_scripts(page: Page):
    page.goto("/")
    for image in page.locator("figure img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_be_visible()
    page.get_by_role("link", name="Find compute").click()
    page.get_by_label("Guaranteed none").check()
    page.get_by_role("button", name="Search", exact=True).click()
    page.wait_for_url("**/find?*tier=guaranteed*")
    page.locator(".excluded summary").first.click()
    expect(page.locator(".excluded .examples").first).to_be_visible()


def test_a_lease_is_entered_made_longer_sold_on_and_released_from_its_page(page: Page):
    sign_in(page)
    page.goto("/leases")
    page.get_by_role("link", name="H100-SXM", exact=True).first.click()
    page.wait_for_url("**/leases/lse_running")
    page.get_by_text("Show the token").click()
    expect(page.locator("#access")).to_contain_text("gfa_open")
    page.get_by_label("Hours more").fill("2")
    page.get_by_role("button", name="Quote them").dblclick()
    page.wait_for_url("**/quotes/quo_*")
    expect(page.get_by_role("button", name="Take it")).to_be_visible()
    page.goto("/leases/lse_running")
    page.get_by_role("link", name="Sell slots on…").click()
    page.get_by_label("The least you take").fill("1.80")
    page.get_by_role("button", name="Offer it").click()
    expect(page.locator("#resell")).to_contain_text("for at least 1.800 USD")
    page.get_by_role("button", name="Take the offer back").click()
    expect(page.get_by_role("link", name="Sell slots on…")).to_be_visible()
    page.get_by_role("button", name="Release this lease").click()
    expect(page.locator("#release")).to_contain_text("nothing of it is left to release")
