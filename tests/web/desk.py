"""A desk with something on it: two leases and a statement of the buyer's, small enough to check by hand."""

from datetime import UTC, datetime, timedelta

import msgspec

from broker.services.quotes import QuoteView
from broker.services.views import BidView, LeaseSlotView, LeaseView, StatementLine, StatementView
from contracts.terms.accounts import Project
from contracts.terms.bids import BidRequest
from tests.fake_market import NOW, FakeMarket
from tests.fake_quotes import FakeQuotes

HOUR = timedelta(hours=1)
BEGUN = NOW.replace(minute=0) - HOUR


def a_lease(lease_id: str = "lse_running", *, state: str = "active", start: datetime = BEGUN, slots: int = 4) -> LeaseView:
    """8 accelerators at 2.50 for some hours in a row; an hour of it delivered, half an accelerator-hour failed."""
    return LeaseView(
        lease_id=lease_id,
        bid_id="bid_last_year",
        provider="prv_nebius",
        site="nebius-eu-north1",
        hardware="H100-SXM",
        tier="standard",
        state=state,
        starts_at=start,
        ends_at=start + slots * HOUR,
        slots=[LeaseSlotView(start=start + n * HOUR, end=start + (n + 1) * HOUR, quantity=8, rate_micros=2_500_000) for n in range(slots)],
        delivered_seconds=8 * 3600,
        failed_seconds=1800,
    )


def a_statement() -> StatementView:
    """1,000 hours at 2.00 and a credit of 10.00: 1,990.00, with 20 % tax 2,388.00."""
    return StatementView(
        account_id="acct_buyer",
        account_name="Atelier Lumière",
        period=1,
        month_start=datetime(2026, 12, 1, tzinfo=UTC),
        month_end=datetime(2027, 1, 1, tzinfo=UTC),
        currency="USD",
        lines=[
            StatementLine(
                month=1, kind="credit", hardware=None, quantity_seconds=None, amount_micros=-10_000_000, amount_cents=-1000
            ),
            StatementLine(
                month=1, kind="usage", hardware="H100-SXM", quantity_seconds=3_600_000, amount_micros=2_000_000_000, amount_cents=200_000
            ),
        ],
        subtotal_micros=1_990_000_000,
        tax_micros=398_000_000,
        total_micros=2_388_000_000,
        subtotal_cents=199_000,
        tax_cents=39_800,
        payable_cents=238_800,
    )  # fmt: skip


def the_bid() -> BidView:
    """The bid that won the leases: 8 accelerators for 4 hours at 2.50 at most, all of them given."""
    asked = BidRequest(
        width=8, hours=32.0, window_start=BEGUN, window_end=BEGUN + 4 * HOUR, hardware={"H100-SXM": 1.0}, limit_standard_micros=2_500_000
    )
    return BidView(
        bid_id="bid_last_year", account_id="acct_buyer", entered_at=BEGUN - 12 * HOUR, status="filled", hours_awarded=32.0,
        paid_micros=80_000_000, hold_micros=0, currency="USD", reason="", request=asked,
    )  # fmt: skip


def a_quote(quote_id: str = "quo_open") -> QuoteView:
    """8 accelerators for an hour at 2.00, held for five minutes."""
    return QuoteView(
        quote_id=quote_id, state="open", offer_id="ofr_a", offer_version=1, provider="prv_nebius", site="nebius-eu-north1",
        hardware="H100-SXM", tier="standard", accelerators=8, starts_at=BEGUN + 2 * HOUR, ends_at=BEGUN + 3 * HOUR, rate_micros=2_000_000,
        fee_micros=0, worst_case_micros=16_000_000, currency="USD", worst_case="at most 16.00 USD", created_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
    )  # fmt: skip


def busy_market() -> FakeMarket:
    """A running lease, one that is over, the bid that won both, a quote that is open, a closed month, and two projects."""
    over = a_lease("lse_over", state="completed", start=BEGUN - 30 * HOUR, slots=6)
    market = FakeMarket(leases=[a_lease(), over], statements=[a_statement()])
    market.orders.kept["bid_last_year"] = the_bid()
    for name, archived_at in (("Night renders", None), ("Old look", NOW)):
        known = Project(id=f"prj_{name[:3].lower()}", account_id="acct_buyer", name=name, created_at=BEGUN, archived_at=archived_at)
        market.projects.kept[known.id] = known
    quotes = FakeQuotes(market.desk.clock)
    quotes.kept["quo_open"] = a_quote()
    market.desk = msgspec.structs.replace(market.desk, quotes=quotes)
    return market
