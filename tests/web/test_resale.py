"""Selling a lease on through the portal: what it means is said first, it happens once, and it can be taken back."""

from collections.abc import Iterator

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.views import ResaleView, SoldSlotView
from tests.fake_market import KEY, OTHER_KEY, FakeMarket
from tests.standing import standing_site
from tests.web.desk import BEGUN, HOUR, busy_market
from tests.web.test_own_pages import marks_of

LEASE = "/leases/lse_running"
FORM = f"{LEASE}/resell"


@pytest.fixture
def market() -> FakeMarket:
    return busy_market()


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        yield client


def test_the_worst_case_is_said_before_anything_is_offered(client):
    """Two slots of eight at 2.50 are ahead: sixteen hours, 40.00 either way."""
    page = client.get(FORM).text
    assert "16 accelerator-hours in 2 slots. You go on paying 40.00 USD for them, sold or not" in page
    assert page.count("<option") == 2
    assert 'id="sell-on"' in client.get(LEASE).text


def test_an_offer_is_made_once_and_taken_back(client, market):
    sent = marks_of(client.get(FORM).text) | {"rate": "1.80", "accelerators": "4", "start": (BEGUN + 2 * HOUR).isoformat()}
    for _ in range(2):
        page = client.post(FORM, data=sent)
        assert (page.status_code, page.url.path) == (200, LEASE)
    (resale,) = market.desk.leases.kept["lse_running"].resales
    assert {slot.rate_micros for slot in resale.offered} == {1_800_000}
    assert "2 slots from" in page.text
    assert "for at least 1.800 USD per accelerator-hour" in page.text
    assert 'id="sell-on"' not in page.text
    back = client.post(f"{LEASE}/withdraw", data=marks_of(page.text))
    assert (back.status_code, 'id="sell-on"' in back.text) == (200, True)
    assert client.post(FORM, data={"rate": "1"}).status_code == 403, "only from our form"


@pytest.mark.parametrize(
    "wrong", [{"rate": ""}, {"rate": "cheap"}, {"rate": "-1"}, {"rate": "NaN"}, {"accelerators": "0"}, {"start": "soon"}]
)
def test_what_cannot_be_read_is_said_beside_what_was_typed(client, market, wrong):
    sent = marks_of(client.get(FORM).text) | {"rate": "1.80", "accelerators": "4"} | wrong
    page = client.post(FORM, data=sent)
    assert (page.status_code, 'role="alert"' in page.text) == (422, True)
    assert f'name="rate" value="{sent["rate"]}"' in page.text
    assert market.desk.leases.kept["lse_running"].resales == []


def test_what_was_sold_stands_with_both_rates(client, market):
    lease = market.desk.leases.kept["lse_running"]
    sold = [SoldSlotView(start=BEGUN + 2 * HOUR, end=BEGUN + 3 * HOUR, quantity=5, rate_micros=3_100_000, own_rate_micros=2_500_000)]
    resale = ResaleView(resale_id="ofr~1", state="open", released=True, offered=lease.slots[3:], sold=sold)
    market.desk.leases.kept["lse_running"] = msgspec.structs.replace(lease, state="released", resales=[resale])
    page = client.get(LEASE).text
    assert '<td class="num">5</td><td class="num">3.100</td><td class="num">2.500</td>' in page
    assert "what nobody buys is paid" in page
    assert 'id="take-back"' not in page


def test_who_may_not_is_told_so_and_what_is_over_has_no_form(client):
    assert "nothing left to sell on" in client.get("/leases/lse_over/resell").text
    client.post("/sign-in", data={"key": OTHER_KEY})
    sent = marks_of(client.get(FORM).text) | {"rate": "1"}
    assert "paid by its rate" in client.post(FORM, data=sent).text


def test_the_page_reads_in_chinese(client):
    assert "转售此租约" in client.get(f"{FORM}?lang=zh").text
