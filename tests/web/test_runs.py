"""*What will you run?*: a kind of work fills in a search, in its address, and what is changed by hand stays changed."""

import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from contracts.terms.errors import BadInput
from contracts.terms.workloads import WORKLOADS
from tests.fake_market import FakeMarket
from tests.web.test_pages import words
from web.asgi import site
from web.pages.runs import filled_in
from web.pages.wishes import wanted


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        yield client


def fields(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def test_thirteen_billion_parameters_tuned_whole_need_234_gb(client):
    """13 × 18 bytes = 234 GB on four of 59 GB, and what else was said stays said."""
    answer = client.get("/find?run=tuning&size=13&countries=FI&countries=FR&quantity=1&hours=24&cursor=x", follow_redirects=False)
    assert answer.status_code == 303
    assert fields(answer.headers["location"]) == {
        "run": ["tuning"], "size": ["13"], "filled": ["tuning 13000"], "memory_gb_min": ["59"], "quantity": ["4"], "hours": ["2"],
        "tier": ["spot"], "countries": ["FI", "FR"],
    }  # fmt: skip
    page = client.get(answer.headers["location"], follow_redirects=False)
    assert page.status_code == 200
    assert "13 billion parameters × 18 bytes = 234 GB: 4 × 59 GB." in words(page.text)
    assert "100 million tokens × 6 operations a parameter, at 40 % of the peak: 2 hours on 4." in words(page.text)


def test_what_is_changed_by_hand_stays_changed_until_another_work_is_chosen(client):
    changed = "/find?run=tuning&size=13&filled=tuning+13000&memory_gb_min=40&quantity=8&hours=3&tier=standard"
    page = client.get(changed, follow_redirects=False)
    assert page.status_code == 200
    assert re.search(r'name="memory_gb_min"[^>]*value="40"', page.text)
    again = fields(client.get(changed.replace("size=13", "size=7"), follow_redirects=False).headers["location"])
    assert (again["memory_gb_min"], again["quantity"], again["filled"]) == (["63"], ["2"], ["tuning 7000"])


def test_what_will_run_comes_back_from_a_quote(client):
    """The form behind the quote buttons carries it, so that leaving the quote shows the search as it was."""
    page = client.get("/find?run=serving&size=7").text
    behind = page.partition('action="/quotes"')[2].partition("</form>")[0]
    sent = {name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', behind)}
    assert (sent["run"], sent["filled"], sent["tier"]) == ("serving", "serving 7000", "standard")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("run=mining", "one of the kinds of work"), ("run=batch&size=big", "a number of billions"), ("run=batch&size=nan", "between 0.001"),
     ("run=batch&size=0", "between 0.001"), ("run=batch&size=1001", "between 0.001")],
)  # fmt: skip
def test_what_cannot_be_read_is_said_on_the_form(client, query, sentence):
    page = client.get(f"/find?{query}", follow_redirects=False)
    assert page.status_code == 200
    assert sentence in words(page.text)


@given(st.sampled_from(sorted(WORKLOADS)), st.decimals(min_value="0.001", max_value=1000, places=3), st.booleans())
def test_filling_in_ends_after_one_step_in_a_search_that_can_be_read(name, size, comma):
    text = f"{size}".replace(".", ",") if comma else f"{size}"
    address = filled_in({"run": [name], "size": [text]})
    assert filled_in(fields(address)) is None
    query = wanted(fields(address))
    assert query.quantity >= 1
    assert query.memory_gb_min > 0


@given(st.text(max_size=8), st.text(max_size=8))
def test_whatever_is_typed_is_filled_in_or_refused(name, size):
    try:
        address = filled_in({"run": [name], "size": [size]} if size.strip() else {"run": [name]})
    except BadInput:
        return
    assert address is None or address.startswith("/find?run=")
