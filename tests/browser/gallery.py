"""The gallery of the manual: every page at three widths, in both themes and both languages, one contact sheet a page.

`python -m tests.browser.gallery` takes the screenshots and writes infra/docs/gallery; look at them before they are kept.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

from litestar import Litestar
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, ROOT, chromium_path, served
from tests.fake_market import KEY, OPERATOR_KEY, PROVIDER_KEY
from tests.web.desk import busy_market
from tests.web.finance_desk import GRACE, with_finance
from web.asgi import site

OFFER = "/provider/offers/ofr_hyperstack-norway-1-h100-pcie"
PROVIDER = ("/provider", f"{OFFER}?rate=1.5", "/provider/income", "/provider/statements/1/USD", "/provider/feed")
OPERATOR = ("/operator", "/operator/cycles/2", "/operator/providers", "/operator/quarantine", "/operator/incidents", "/operator/rules")
EMPTY = "/find?hardware=H100-SXM&tier=standard&budget=0.10"
BID = "/bids/new?hardware=H100-SXM&quantity=8&hours=4&countries=FI&limit=2.50"
OWN = ("/bids", "/quotes", "/leases", "/leases/lse_running", "/statements", "/statements/1")
FINANCE = (
    "/finance", "/finance/periods/1", "/finance/periods/2", "/finance/periods/3", "/finance/periods/1/invoices/acct_meridian",
    "/finance/periods/1/invoices/acct_meridian/lines/3", "/finance/receivables", "/finance/payouts", "/finance/books", "/finance/trail",
)  # fmt: skip
SHEETS = ROOT / "infra/docs/gallery"
SIZES = ((1440, 900), (820, 900), (390, 844))
THEMES = ("light", "dark")
LANGUAGES = ("en", "zh")
THUMB_WIDTH = {1440: 330, 820: 250, 390: 150}
BYTES_MAX = 4_000_000
QUALITY = 55


def pages() -> dict[str, tuple[str | None, str]]:
    """By the name of its sheet, whose page it is and its address."""
    named: list[tuple[str | None, str]] = [
        (None, "/"), (None, "/market/curve?hardware=H100-SXM"), (None, "/find"), (None, "/find?tier=standard&countries=FI"),
        (None, EMPTY), (None, "/sign-in"), (None, "/problems/quote_moved"), (KEY, BID), *((KEY, address) for address in OWN),
        *((KEY, address) for address in ("/spend", "/spend/projects/prj_nig", "/account", "/account/projects", "/developers")),
        *((PROVIDER_KEY, address) for address in PROVIDER),
        *((OPERATOR_KEY, address) for address in OPERATOR), *((GRACE, address) for address in FINANCE),
    ]  # fmt: skip
    return {sheet_name(address): (key, address) for key, address in named}


def sheet_name(address: str) -> str:
    """A file's name for a page.

    >>> sheet_name("/"), sheet_name("/find?tier=standard&countries=FI"), sheet_name("/finance/periods/1")
    ('market', 'find-tier-standard-countries-FI', 'finance-periods-1')
    """
    plain = "".join(letter if letter.isalnum() else "-" for letter in address.strip("/"))
    return plain[:60].strip("-") or "market"


def shots(browser: Browser, portal: str, *, key: str | None, address: str) -> Iterator[tuple[str, bytes]]:
    """The screenshots of one page, a row a width: what each shows, and a JPEG."""
    for theme in THEMES:
        context = browser.new_context(base_url=portal, color_scheme=theme)
        if key is not None:
            context.add_cookies([{"name": "gridfare_key", "value": key, "url": portal}])
        page = context.new_page()
        for language in LANGUAGES:
            page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
            page.goto(f"{address}{'&' if '?' in address else '?'}lang={language}")
            for width, height in SIZES:
                page.set_viewport_size({"width": width, "height": height})
                _settle(page)
                yield f"{width} px, {theme}, {language}", page.screenshot(type="jpeg", quality=70)
        context.close()


def sheet(browser: Browser, taken: list[tuple[str, bytes]]) -> bytes:
    """Screenshots side by side as one JPEG."""
    figures = "".join(
        f'<figure><img width="{THUMB_WIDTH[int(said.split()[0])]}" src="data:image/jpeg;base64,{base64.b64encode(image).decode()}">'
        f"<figcaption>{said}</figcaption></figure>"
        for said, image in taken
    )
    page = browser.new_page(viewport={"width": 1560, "height": 400})
    page.set_content(
        "<style>body{margin:12px;display:grid;grid-template-columns:repeat(6,auto);gap:12px;align-items:start;background:#888;"
        f"font:12px sans-serif}}figure{{margin:0}}img{{display:block}}</style>{figures}"
    )
    made = page.screenshot(type="jpeg", quality=QUALITY, full_page=True)
    page.close()
    return made


def _settle(page: Page) -> None:
    page.wait_for_function("[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('svg'))")
    page.evaluate("document.fonts.ready")


def make(directory: Path) -> None:
    """Write every sheet, and the page that leads through them."""

    async def made() -> Litestar:
        return site(await with_finance(busy_market()))

    directory.mkdir(parents=True, exist_ok=True)
    with served(made) as portal, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        for name, (key, address) in pages().items():
            (directory / f"{name}.jpg").write_bytes(sheet(browser, list(shots(browser, portal, key=key, address=address))))
        browser.close()
    (directory / "index.md").write_text(index())


def index() -> str:
    """The page of the manual that shows the sheets."""
    lines = [
        "# Gallery",
        "",
        "Every page at 1440, 820 and 390 px, light and dark, in English and Chinese, on the portal the tests drive.",
        "`python -m tests.browser.gallery` takes them anew.",
        "",
    ]
    for name, (_, address) in pages().items():
        lines += [f"## `{address}`", "", f"![{address}]({name}.jpg)", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    make(SHEETS)
