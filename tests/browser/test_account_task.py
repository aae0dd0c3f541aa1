"""A person's first minutes through a browser: signing up, a second factor, an invitation, a key; by keys alone; and axe on every page."""

import re

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_portal import AXE, SETTINGS
from tests.fake_market import NOW

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
PASSWORD = "a long walk by the sea"


def sign_up(page: Page, who: str) -> None:
    """Fill the form by keys alone: each field is where Tab leads."""
    page.goto("/sign-up")
    page.get_by_label("Your name").focus()
    for typed in ("Ada Lovelace", f"{who}@example.org", PASSWORD, "Analytical Engines"):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.keyboard.type("United K")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/bids")


def nothing_serious(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} scrolls sideways"
    page.evaluate(AXE.read_text())
    findings = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    serious = [found for found in findings if found["impact"] in ("serious", "critical")]
    assert [(page.url, found["id"], [node["html"][:160] for node in found["nodes"]][:4]) for found in serious] == []


def test_from_signing_up_to_a_sign_in_with_a_second_factor(page: Page):
    sign_up(page, "second")
    page.goto("/account")
    page.get_by_role("button", name="Set it up").click()
    totp = pyotp.TOTP(page.locator("p.id").inner_text())
    expect(page.get_by_role("img", name="QR code of the secret below")).to_be_visible()
    page.get_by_label("Code of this minute").fill(totp.at(NOW))
    page.get_by_role("button", name="Turn it on").click()
    codes = page.locator("pre code").inner_text().split("\n")
    page.get_by_role("link", name="Done").click()
    page.get_by_role("button", name="Sign out").first.click()
    page.goto("/account")
    page.get_by_label("Email").fill("second@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.get_by_label("Code").fill(codes[0])
    page.get_by_label("Code").press("Enter")
    page.wait_for_url("**/account")
    expect(page.get_by_text("Recovery codes left: 7")).to_be_visible()


def test_a_colleague_joins_by_a_link_and_makes_a_key(page: Page, browser: Browser):
    sign_up(page, "owner")
    page.goto("/account/members")
    page.get_by_label("Email").fill("colleague@example.org")
    page.locator("form[action$='invite'] select").select_option("buyer")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("pre.once")).to_contain_text("/invitations/")
    link = (page.locator("pre.once code").text_content() or "").strip()
    other = browser.new_context(base_url=re.match(r"https?://[^/]+", page.url)[0]).new_page()
    other.goto(link)
    expect(other.locator("h1")).to_have_text("Join Analytical Engines")
    other.get_by_role("link", name="Make an account").click()
    expect(other.get_by_label("Email")).to_have_value("colleague@example.org")
    other.get_by_label("Your name").fill("Grace Hopper")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign up").click()
    other.wait_for_url("**/account")
    other.goto("/developers")
    other.get_by_label("What the key is for").fill("nightly training")
    other.get_by_role("button", name="Make a key").click()
    assert re.fullmatch(r"gf_[0-9a-f]{40}", other.locator("pre code").inner_text())
    other.get_by_role("link", name="Done").click()
    expect(other.get_by_role("row", name=re.compile("nightly training.*colleague@example.org"))).to_be_visible()
    other.context.close()
    page.goto("/account/members")
    expect(page.get_by_role("row", name=re.compile("Grace Hopper"))).to_be_visible()


@pytest.mark.parametrize("page", [SETTINGS[0], SETTINGS[-1]], indirect=True)
def test_axe_finds_nothing_serious_on_the_pages_of_people(page: Page):
    width = page.viewport_size["width"]
    for address in ("/sign-up", "/sign-in", "/sign-in/code", "/passwords/x", "/account"):
        page.goto(address)
        nothing_serious(page)
    sign_up(page, f"axe{width}")
    page.goto("/account")
    page.get_by_role("button", name="Set it up").click()
    nothing_serious(page)
    page.goto("/account/members")
    page.get_by_label("Email").fill(f"guest{width}@example.org")
    page.get_by_role("button", name="Make a link").click()
    nothing_serious(page)
    expect(page.locator("pre.once")).to_contain_text("/invitations/")
    link = (page.locator("pre.once code").text_content() or "").strip()
    for address in (link, "/account/members", "/developers"):
        page.goto(address)
        nothing_serious(page)
