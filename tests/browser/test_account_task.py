"""A person's first minutes through a browser: signing up, a second factor, an invitation, a key; by keys alone, and read by axe."""

import re

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looking import faults
from tests.fake_market import NOW

pytestmark = pytest.mark.browser
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
    page.goto("/account/projects")
    page.get_by_label("What it is called").fill("night training")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("Change it").click()
    page.get_by_label("these people").check()
    page.get_by_label("Grace Hopper").check()
    assert faults(page) == []
    page.get_by_role("button", name="Set who may buy").click()
    expect(page.get_by_text("owners, Grace Hopper")).to_be_visible()


@pytest.mark.parametrize("page", [{"viewport": {"width": 390, "height": 900}}], indirect=True)
def test_axe_finds_nothing_serious_while_somebody_is_at_it(page: Page):
    """A second factor half set up, a link just made, and where it leads."""
    sign_up(page, "axe")
    page.goto("/account")
    page.get_by_role("button", name="Set it up").click()
    assert faults(page) == []
    page.goto("/account/members")
    page.get_by_label("Email").fill("guest@example.org")
    page.get_by_role("button", name="Make a link").click()
    expect(page.locator("pre.once")).to_contain_text("/invitations/")
    assert faults(page) == []
    page.goto((page.locator("pre.once code").text_content() or "").strip())
    assert faults(page) == []
