"""Every page there is, in Chromium: axe finds nothing serious in either language and theme, nothing scrolls sideways.

A reader signs in once and walks through all pages. English is looked at wide and Chinese narrow, so that what one width hides the
other shows; the marked runs look at the rest. On the way no page may raise an error, break its policy or ask anybody else.
"""

from collections.abc import Iterable

import pytest
from playwright.sync_api import Page

from tests.browser import gallery
from tests.browser.looking import AXE, faults
from tests.fake_market import KEY, OPERATOR_KEY, OTHER_KEY, PROVIDER_KEY
from tests.web.finance_desk import GRACE

pytestmark = pytest.mark.browser

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"
# Pages without a sheet in the gallery: forms on the way in, refusals, and what is not there.
BESIDES: dict[str | None, tuple[str, ...]] = {
    None: ("/sign-up", "/sign-in/code", "/passwords/x", "/invitations/x", "/nowhere", "/bids/new?hardware=H100-SXM&quantity=x&checked=1",
           "/find?run=tuning&size=13"),
    KEY: ("/quotes/quo_open", "/bids/bid_last_year", "/leases/lse_over", "/leases/lse_running/resell", "/leases/lse_nobody",
          "/account/members", "/operator", "/provider"),
    OTHER_KEY: ("/finance",),
    PROVIDER_KEY: ("/provider/offers/ofr_nobody", "/provider/statements/9/USD"),
    OPERATOR_KEY: ("/operator/cycles/99",),
    GRACE: ("/finance/periods/99", "/finance/periods/2/invoices/acct_meridian/payment"),
}  # fmt: skip
READERS = {None: "nobody", KEY: "buyer", OTHER_KEY: "reader", PROVIDER_KEY: "provider", OPERATOR_KEY: "operator", GRACE: "finance"}
SEEN = [("en", 1280), ("zh", 390)]
SLOW = [pytest.param(language, width, marks=pytest.mark.slow) for language in ("en", "zh") for width in (390, 768, 1280)
        if (language, width) not in SEEN]  # fmt: skip
NEW = ("/", "/find", "/market/curve?hardware=H100-SXM")
NEW_OWN = {
    KEY: ("/bids", "/quotes", "/leases", "/statements", "/spend", "/developers"),
    PROVIDER_KEY: ("/provider", "/provider/income"),
    OPERATOR_KEY: ("/operator", "/operator/quarantine"),
    GRACE: ("/finance", "/finance/receivables", "/finance/payouts", "/finance/trail"),
}


def addresses(key: str | None) -> list[str]:
    """The pages a reader is led through."""
    return [*(address for whose, address in gallery.pages().values() if whose == key), *BESIDES.get(key, ())]


def wrong(page: Page, addresses: Iterable[str], *, language: str) -> dict[str, list[str]]:
    """By address what is wrong with it, for the pages that have something wrong."""
    found = {}
    for address in addresses:
        answer = page.goto(f"{address}{'&' if '?' in address else '?'}lang={language}")
        assert answer is not None, address
        assert answer.status < 500, address
        assert POLICY in answer.headers["content-security-policy"], address
        found[address] = faults(page)
    return {address: what for address, what in found.items() if what}


def enter(page: Page, portal: str, *, key: str | None, width: int) -> None:
    """Be whose key it is, at a window so wide."""
    page.set_viewport_size({"width": width, "height": 900})
    if key is not None:
        page.context.add_cookies([{"name": "gridfare_key", "value": key, "url": portal}])


@pytest.mark.parametrize("page", [{"refusal": "4"}], indirect=True)
@pytest.mark.parametrize("key", list(READERS), ids=READERS.values())
@pytest.mark.parametrize(("language", "width"), [*SEEN, *SLOW])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(page: Page, portal: str, key: str | None, *, language: str, width: int):
    page.context.add_init_script(path=AXE)
    enter(page, portal, key=key, width=width)
    assert wrong(page, addresses(key), language=language) == {}


@pytest.mark.parametrize("page", [{"refusal": "4"}], indirect=True)
@pytest.mark.parametrize("portal", ["new"], indirect=True)
@pytest.mark.parametrize("language", ["en", pytest.param("zh", marks=pytest.mark.slow)])
def test_a_market_where_nothing_has_happened_can_be_read_as_well(page: Page, portal: str, language: str):
    page.context.add_init_script(path=AXE)
    found = wrong(page, NEW, language=language)
    for key, own in NEW_OWN.items():
        enter(page, portal, key=key, width=390)
        found |= wrong(page, own, language=language)
    assert found == {}
