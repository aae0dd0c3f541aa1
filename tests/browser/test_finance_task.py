"""A finance controller's five minutes: from a line of an invoice to its records, and the month home with her."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_portal import sign_in_to_finance

pytestmark = pytest.mark.browser
PLAIN = {"java_script_enabled": False}


@pytest.mark.parametrize("page", [{}, PLAIN], ids=["scripts", "no scripts"], indirect=True)
def test_a_line_is_traced_and_the_month_exported(page: Page):
    page.goto("/")
    page.get_by_role("link", name="Finance desk").click()
    page.get_by_label("Somebody else").select_option(label="Grace, finance team")
    page.get_by_role("button", name="Use this key").click()
    page.get_by_role("link", name="November 2026").click()
    page.get_by_role("link", name="Meridian Genomics", exact=True).click()
    page.get_by_role("link", name="Trace H100-SXM accelerators").click()
    expect(page.locator(".finding")).to_have_text(
        "19 usage records of 2 leases, 152.00 accelerator-hours in all, are behind 344.00 USD, and come to it again."
    )
    page.get_by_role("link", name="lse_m1@1").click()
    expect(page.locator("#records tbody tr")).to_have_count(9)
    with page.expect_download() as records:
        page.get_by_role("link", name="All 19 as CSV").click()
    assert records.value.path().read_text().count("\n") == 20
    page.get_by_role("link", name="November 2026").click()
    with page.expect_download() as month:
        page.get_by_role("button", name="FOCUS").click()
    assert re.fullmatch(r"gridfare-2026-11-focus\.(csv|zip)", month.value.suggested_filename)
    page.reload()
    expect(page.locator("h1")).to_have_text("November 2026: exported")


def test_another_person_reviews_what_ada_rated(page: Page):
    sign_in_to_finance(page)
    page.get_by_role("link", name="December 2026").click()
    page.get_by_role("button", name="Accept").click()
    assert page.evaluate("document.querySelector('#note').matches(':invalid')"), "outliers need a note"
    page.get_by_label("What you looked at").fill("The flat rate is known.")
    page.get_by_role("button", name="Accept").dblclick()
    expect(page.locator("h1")).to_have_text("December 2026: reviewed")
    page.get_by_role("button", name="Finalise").dblclick()
    expect(page.locator("h1")).to_have_text("December 2026: finalised")
    expect(page.get_by_label("Acts about this period").locator("tbody tr")).to_have_count(4)


def test_the_desk_is_walked_by_keys(page: Page):
    sign_in_to_finance(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/finance/periods/1")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/finance/trail")
