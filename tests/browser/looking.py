"""What is wrong with a page as it stands in a browser: to whom it cannot be read, and where it does not fit."""

from playwright.sync_api import Page

from tests.browser.conftest import ROOT

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
SERIOUS = """async rules => {
  const run = await axe.run(document, rules ? {resultTypes: ["violations"], runOnly: rules} : {resultTypes: ["violations"]});
  return run.violations.filter(found => ["serious", "critical"].includes(found.impact))
    .map(found => `${found.id}: ${found.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" | ")}`);
}"""
DRAWN = "[...document.querySelectorAll('[data-chart]')].every(chart => chart.querySelector('svg'))"


def faults(page: Page) -> list[str]:
    """What axe finds serious, light and dark (only contrast can differ between them), and whether the page scrolls sideways."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.read_text())
    page.emulate_media(color_scheme="light")
    page.wait_for_function(DRAWN)
    found = [f"light: {each}" for each in page.evaluate(SERIOUS)]
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(DRAWN)
    found += [f"dark: {each}" for each in page.evaluate(SERIOUS, ["color-contrast"])]
    if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
        found.append("scrolls sideways")
    return found
