"""The spend page: where the month is going, and whether another plan would have been cheaper."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.spend_views import PlanComparison, SpendView
from contracts.terms.time import month_of
from tests.fake_market import KEY, NOW, OTHER_KEY, PROVIDER_KEY, FakeMarket
from tests.web.test_pages import words
from web.asgi import site
from web.pages.spend import advice, finding

USD = 1_000_000


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(site(FakeMarket())) as client:
        client.cookies.set("gridfare_key", KEY)
        yield client


def test_where_the_month_is_going(client):
    """13 days at 160.00 with 1 % are 2,100.80 of 13.99 of 31 days: 4,654.31; the month before had all 31, 5,009.60."""
    text = words(client.get("/spend").text)
    assert "January 2027 is on its way to 4,654.31 USD" in text
    assert "45 % of the month has passed" in text
    assert "Spent so far, USD 2,100.80" in text
    assert "Agreed ahead, USD 96.00" in text
    assert "H100-SXM 1,040.00 2,080.00" in text
    assert "On Flat rate the same months would have cost 3,663.91 USD less than on yours." in text
    assert "5,009.60 4,654.31 9,663.91 –" in text
    assert "3,000.00 3,000.00 6,000.00 −3,663.91" in text


def test_the_comparison_is_taken_home_to_the_micro(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/spend/csv").text)))
    assert len(rows) == 6
    assert {row["own"]: row["micros"] for row in rows if row["month_start"] == "2026-12-01" and row["plan_id"] == "metered"} == {
        "true": "5009600000"
    }


def test_the_page_is_read_in_chinese(client):
    main = re.search(r"<main.*</main>", client.get("/spend", headers={"Accept-Language": "zh"}).text, flags=re.DOTALL).group()
    text = words(re.sub(r"<code>.*?</code>", "", main))
    assert "2027年1月预计达到 4,654.31 USD" in text
    assert not re.search(r"\b(month|plan|spent|yours|forecast)\b", text.lower().replace("pf-day", ""))


def test_it_is_for_buyers(client):
    with TestClient(site(FakeMarket())) as other:
        assert other.get("/spend", follow_redirects=False).headers["location"].startswith("/sign-in")
        for key, place in ((PROVIDER_KEY, "/provider"), (OTHER_KEY, "")):
            other.cookies.set("gridfare_key", key)
            answer = other.get("/spend", follow_redirects=False)
            assert (answer.headers["location"] == place) if place else (answer.status_code == 404)


def plan(plan_id: str, saves: int, *, own: bool = False) -> PlanComparison:
    return PlanComparison(plan_id=plan_id, name=plan_id, kind="metered_cleared", own=own, months=[0], total_micros=0, saves_micros=saves)


def spend(**facts: object) -> SpendView:
    month = month_of(NOW)
    quiet = SpendView(
        account_id="a", currency="USD", as_of=NOW, plan_id="mine", month_start=month.start, month_end=month.start + timedelta(days=31),
        passed_percent=0, spent_micros=0, ahead_micros=0, forecast_micros=None, parts=[], months=[], plans=[plan("mine", 0, own=True)],
    )  # fmt: skip
    return msgspec.structs.replace(quiet, **facts)


def test_sentences():
    assert finding(spend(spent_micros=5 * USD, ahead_micros=7 * USD)) == "January 2027 has just begun: 12.00 USD are spent or agreed"
    assert advice(spend()) == "There is no other plan to compare with."
    mine = plan("mine", 0, own=True)
    assert advice(spend(plans=[mine, plan("dear", -5 * USD)])) == "Your plan, mine, is the cheapest for what you use."
    assert advice(spend(plans=[mine, plan("even", 0)])) == "Your plan, mine, is the cheapest for what you use."
