"""A desk with something on it: two leases and a statement of the buyer's, small enough to check by hand."""

from datetime import UTC, datetime, timedelta

from broker.services.views import LeaseSlotView, LeaseView, StatementLine, StatementView
from tests.fake_market import NOW, FakeMarket

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


def busy_market() -> FakeMarket:
    """A running lease, one that is over, and a closed month."""
    over = a_lease("lse_over", state="completed", start=BEGUN - 30 * HOUR, slots=6)
    return FakeMarket(leases=[a_lease(), over], statements=[a_statement()])
