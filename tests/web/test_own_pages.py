"""Leases and statements: what stands where, what a button would do, and what a reader without any is told."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from broker.services.views import BidView
from contracts.terms.bids import BidRequest
from tests.fake_market import DAY, KEY, NOW, OTHER_KEY, FakeMarket
from tests.standing import standing_site
from tests.web.desk import BEGUN, HOUR, a_lease, a_statement, busy_market
from tests.web.test_pages import words
from web.asgi import site
from web.pages.leases import lease_row, timeline
from web.pages.life import life

OWN = ("/bids", "/leases", "/leases/lse_running", "/statements", "/statements/1", "/statements/1/csv")


@pytest.fixture
def market() -> FakeMarket:
    return busy_market()


@pytest.fixture
def client(market: FakeMarket) -> Iterator[TestClient[Litestar]]:
    with TestClient(standing_site(market)) as client:
        client.post("/sign-in", data={"key": KEY}, follow_redirects=False)
        yield client


def marks_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'name="(token|once)" value="([^"]*)"', page))


@pytest.mark.parametrize("address", OWN)
def test_what_is_somebodys_needs_their_key_and_is_kept_by_nobody(address, client, market):
    assert client.get(address).headers["cache-control"] == "no-store"
    with TestClient(standing_site(market)) as stranger:
        away = stranger.get(address, follow_redirects=False)
        assert (away.status_code, away.headers["location"]) == (303, f"/sign-in?next={address.replace('/', '%2F')}")


def test_a_release_says_in_one_line_what_it_gives_back():
    """23:49 now, slots from 23:00 to 03:00, one under way, three ahead: 24 hours at 2.50 are 60.00."""
    assert timedelta(hours=1, minutes=49) == NOW - BEGUN
    row = lease_row(a_lease(start=NOW.replace(minute=0)), NOW, currency="USD")
    assert "Gives back 3 slots from 15 Jan 2027, 00:00 UTC on, 24 accelerator-hours worth 60.00 USD" in row.release
    assert "The slot under way stays yours and is paid." in row.release
    assert row.timeline.finding == "slots: 1 under way, 3 ahead"


@pytest.mark.parametrize("state", ["completed", "failed", "reclaimed", "released"])
def test_a_lease_that_ended_cannot_be_released(state):
    assert lease_row(a_lease(state=state), NOW, currency="USD").release is None


def test_releasing_happens_once_and_only_from_our_form(client, market):
    assert client.post("/leases/lse_running/release", data={}).status_code == 403
    marks = marks_of(client.get("/leases/lse_running").text)
    answers = [client.post("/leases/lse_running/release", data=marks) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert market.desk.leases.kept["lse_running"].state == "released"
    assert "nothing of it is left to release" in answers[0].text


def test_a_key_that_may_not_release_is_told_so(client):
    client.post("/sign-in", data={"key": OTHER_KEY})
    marks = marks_of(client.get("/leases/lse_running").text)
    answer = client.post("/leases/lse_running/release", data=marks)
    assert (answer.status_code, "leases:write" in answer.text) == (403, True)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 1000)), min_size=1, unique_by=lambda each: each[0]), st.integers(-10, 210))
def test_a_timeline_shows_every_slot_once_in_order_and_inside_its_frame(hours, now):
    slots = [
        msgspec.structs.replace(a_lease().slots[0], start=DAY + h * HOUR, end=DAY + (h + 1) * HOUR, quantity=q) for h, q in sorted(hours)
    ]
    drawn = timeline(slots, DAY + now * HOUR)
    assert len(drawn.bars) == sum(slot.quantity > 0 for slot in slots)
    assert all(bar.x >= 0 and bar.x + bar.width <= drawn.width and 0 < bar.height <= drawn.height for bar in drawn.bars)
    assert all(left.x + left.width <= right.x for left, right in zip(drawn.bars, drawn.bars[1:], strict=False))


def test_a_lease_is_a_row_of_state_site_tier_and_hours(client):
    text = words(client.get("/leases").text)
    for said in ("active", "nebius-eu-north1", "standard", "8.00", "0.50", "completed"):
        assert said in text
    assert text.index("active") < text.index("completed"), "the latest comes first"


def test_before_anything_happened_the_pages_say_what_would_be_here():
    with TestClient(site(FakeMarket())) as client:
        client.post("/sign-in", data={"key": KEY})
        assert "No leases yet." in client.get("/leases").text
        text = words(client.get("/statements").text)
        assert "The first is written when January 2027 is closed, after it ends on 1 Feb 2027, 00:00 UTC" in text
        assert client.get("/statements/1").status_code == 404


def test_an_invoice_adds_up_on_the_page(client):
    text = words(client.get("/statements/1").text)
    assert "Invoice, December 2026" in text
    for said in (
        "H100-SXM accelerators 1,000.00 2,000.00",
        "Credit for what failed – −10.00",
        "Subtotal 1,990.00",
        "Tax 398.00",
        "Payable 2,388.00",
    ):
        assert said in text
    assert text.index("H100-SXM accelerators") < text.index("Credit for what failed"), "what was used comes first"


def test_a_negative_invoice_is_a_credit_note():
    owed = msgspec.structs.replace(a_statement(), payable_cents=-1200)
    with TestClient(site(FakeMarket(statements=[owed]))) as client:
        client.post("/sign-in", data={"key": KEY})
        text = words(client.get("/statements/1").text)
    assert "Credit note, December 2026" in text
    assert "To your credit −12.00" in text


def test_the_csv_of_an_invoice_holds_exact_units_that_add_up(client):
    rows = list(csv.DictReader(io.StringIO(client.get("/statements/1/csv").text)))
    totals = {row["kind"]: int(row["amount_cents"]) for row in rows if row["kind"] in ("subtotal", "tax", "payable")}
    lines = [row for row in rows if row["kind"] not in totals]
    assert sum(int(row["amount_cents"]) for row in lines) == totals["subtotal"] == 199_000
    assert totals["subtotal"] + totals["tax"] == totals["payable"]
    assert [row["accelerator_seconds"] for row in lines] == ["", "3600000"]


def a_bid(**facts: object) -> BidView:
    """32 accelerator-hours wanted in January, nothing given yet."""
    asked = BidRequest(
        width=8, hours=32.0, window_start=DAY, window_end=DAY + 12 * HOUR, hardware={"H100-SXM": 1.0}, limit_spot_micros=2_500_000
    )
    plain = BidView(
        bid_id="bid_1", account_id="acct_buyer", entered_at=NOW, status="open", hours_awarded=0.0, paid_micros=0, hold_micros=80_000_000,
        currency="USD", reason="waits for the next gate", request=asked,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **facts)


def closed(month_end: object):
    return [msgspec.structs.replace(a_statement(), month_end=month_end)]


FILLED = {"status": "filled", "hours_awarded": 32.0, "paid_micros": 80_000_000}
AHEAD = a_lease(state="awarded", start=DAY + HOUR)
AHEAD = msgspec.structs.replace(AHEAD, delivered_seconds=0, failed_seconds=0)


@pytest.mark.parametrize(
    ("bid", "leases", "statements", "standing"),
    [
        ({}, [], [], "done now ahead ahead ahead"),
        ({"status": "withdrawn"}, [], [], "done ended ended ended ended"),
        ({"status": "expired"}, [], [], "done ended ended ended ended"),
        (FILLED, [AHEAD], [], "done done done ahead ahead"),
        (FILLED, [a_lease()], [], "done done done now ahead"),
        (FILLED, [a_lease(state="completed")], [], "done done done done ahead"),
        (FILLED, [a_lease(state="completed")], closed(DAY), "done done done done ahead"),
        (FILLED, [a_lease(state="completed")], closed(DAY + 24 * HOUR), "done done done done done"),
        ({"hours_awarded": 8.0}, [a_lease()], [], "done now done now ahead"),
    ],
)
def test_a_bid_lives_from_submitted_to_settled(bid, leases, statements, standing):
    """A lease until 02:00 is settled by a month that ends a day later, not by one that ended at midnight."""
    steps = life(a_bid(**bid), leases, statements=statements)
    assert [step.name for step in steps] == ["Submitted", "Awarded", "Leased", "Delivered", "Settled"]
    assert " ".join(step.standing for step in steps) == standing
