"""The laws of settlement by name: what holds for any fleet, any calendar, any order of arrival."""

import calendar
import itertools
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ledger_tables import USAGE
from contracts.settlement import Settlement, settle
from contracts.terms.errors import BadInput
from contracts.terms.money import fits_int64
from contracts.terms.time import EPOCH, month_of
from contracts.usage import read_usage
from tests.contracts.golden import rows_of
from tests.contracts.months import Row, Rows, book_of, in_microseconds, random_month
from tests.oracles.settlement_python import Oracle

SEEDS = st.integers(0, 10_000)
# Nobody runs more accelerators than this in one fleet; a decade of ten times as many must settle.
LARGEST_FLEET = 1_000_000
PD = 86_400_000
DEAR = 90_000_000
PLANS = ("graduated", "volume", "cleared", "flat", "throttled", "committed", "grant")
MOMENTS = st.integers(0, 430 * 365 * 86_400 * 10**6).map(lambda since: EPOCH + timedelta(microseconds=since))
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def months_from(start: datetime, count: int) -> list[datetime]:
    """The first moments of so many calendar months, and of the one after them."""
    first = start.year * 12 + start.month - 1
    return [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in range(first, first + count + 1)]


def periods_of(starts: list[datetime], *, late: timedelta = HOUR) -> list[Row]:
    return [
        {"period": number, "month_start": start, "month_end": end, "closes_at": end + late}
        for number, (start, end) in enumerate(itertools.pairwise(starts), 1)
    ]


def fleet(accelerators: int, *, months: int) -> Rows:
    """A fleet on each kind of plan, the dearest chip at a dear rate, busy every second; a record a year, by turns early and late."""
    starts = months_from(datetime(2028, 1, 1, tzinfo=UTC), months)
    years = [*starts[::12], starts[-1]] if (months % 12) else starts[::12]
    none = dict.fromkeys(("tiering", "unit_price_micros", "fee_micros", "fair_use_units", "overage", "commit_micros", "grant_units"))
    priced = none | {"unit_price_micros": DEAR}
    plans = [
        {"plan_id": "graduated", "kind": "metered_tiers", **none, "tiering": "graduated"},
        {"plan_id": "volume", "kind": "metered_tiers", **none, "tiering": "volume"},
        {"plan_id": "cleared", "kind": "metered_cleared", **none},
        {"plan_id": "flat", "kind": "flat_rate", **priced, "fee_micros": 10**15, "fair_use_units": PD},
        {"plan_id": "throttled", "kind": "flat_rate", **none, "fee_micros": 10**15, "overage": "throttle"},
        {"plan_id": "committed", "kind": "committed", **priced, "commit_micros": 10**17},
        {"plan_id": "grant", "kind": "grant", **priced, "grant_units": min(accelerators * 10**11, 2**62)},
    ]
    return {
        "hardware": [{"hardware": "NEXT", "tflops": 20_000}],
        "plans": plans,
        "plan_tiers": [
            {"plan_id": plan, "lo_units": lo, "hi_units": hi, "unit_price_micros": DEAR}
            for plan in ("graduated", "volume")
            for lo, hi in ((0, PD), (PD, None))
        ],
        "accounts": [
            {
                "account_id": plan,
                "name": plan,
                "plan_id": plan,
                "tax_bps": 2500,
                "take_bps": 1250,
                "currency": "USD",
                "country": "DE",
            }
            for plan in PLANS
        ],
        "periods": periods_of(starts),
        "leases": [
            {
                "lease_id": plan,
                "account_id": plan,
                "provider_id": f"{plan}-grid",
                "hardware": "NEXT",
                "accelerators": accelerators,
                "rate_micros": 20_000_007,
                "tier": "spot",
            }
            for plan in PLANS
        ],
        "usage": [
            {
                "usage_id": f"{plan}-{year}",
                "rev": 0,
                "lease_id": plan,
                "start": start,
                "end": end,
                "accelerator_seconds": accelerators * ((end - start) // SECOND),
                "status": "delivered",
                "received_at": end if year % 2 else start,
            }
            for plan in PLANS
            for year, (start, end) in enumerate(itertools.pairwise(years))
        ],
    }


def test_a_decade_of_ten_times_the_largest_fleet_settles_exactly():
    """Every figure is that of plain integers, though units, products and running totals leave 64 bits on the way."""
    decade = fleet(10 * LARGEST_FLEET, months=120)
    settled = settle(book_of(decade))
    assert rows_of(settled) == Oracle(in_microseconds(decade)).run()
    assert settled.invoices["payable_cents"].sum() * 10_000 > 2**63
    assert settled.reading.seconds == len(PLANS) * 10 * LARGEST_FLEET * (timedelta(days=3653) // SECOND)


@given(st.integers(0, 34), st.integers(0, 2**20))
@settings(max_examples=40, deadline=None)
def test_any_fleet_settles_exactly_or_is_refused_by_name(doublings, more):
    """From one accelerator to 2³⁴ and more: what fits 64 bits is exact, what does not is an error that says so; nothing wraps."""
    month = fleet(2**doublings + more, months=2)
    wanted = Oracle(in_microseconds(month)).run()
    amounts = [cell for rows in wanted.values() for row in rows for cell in row if isinstance(cell, int)]
    if all(fits_int64(amount) for amount in amounts):
        assert rows_of(settle(book_of(month))) == wanted
    else:
        with pytest.raises(BadInput, match="64 bits") as refused:
            settle(book_of(month))
        assert refused.value.facts["row"]


@given(MOMENTS, st.data())
@settings(max_examples=150, deadline=None)
def test_a_steady_lease_delivers_each_month_its_days(begin, data):
    """28, 29, 30 or 31 days of 86,400 seconds, whatever the year; part of a month at either end. 2100 has no 29 February, 2400 has."""
    start = begin.replace(microsecond=0)
    end = start + SECOND * data.draw(st.integers(1, 400 * 86_400))
    width = data.draw(st.integers(1, 2**31))
    starts = months_from(start, data.draw(st.integers(1, 15)))
    periods = pl.DataFrame(periods_of(starts)).cast(dict.fromkeys(("month_start", "month_end", "closes_at"), USAGE.schema["start"]))
    seconds = width * ((end - start) // SECOND)
    row = ("u", 0, "l", start, end, seconds, "delivered", starts[0])
    leases = pl.DataFrame({"lease_id": ["l"], "accelerators": [width]})
    reading = read_usage(pl.DataFrame([row], schema=USAGE.schema, orient="row"), leases=leases, periods=periods)
    found = dict(reading.changes.select("month", "seconds").iter_rows())
    for number, first in enumerate(starts[:-1], 1):
        days = calendar.monthrange(first.year, first.month)[1]
        hours = max(timedelta(0), min(end, first + timedelta(days=days)) - max(start, first))
        assert found.get(number, 0) == width * (hours // SECOND)
    assert sum(found.values()) + reading.seconds_later == seconds


@given(MOMENTS)
def test_a_month_has_the_days_of_its_calendar(moment):
    month = month_of(moment)
    assert month.end - month.start == timedelta(days=calendar.monthrange(moment.year, moment.month)[1])


@pytest.mark.parametrize(("year", "days"), [(2027, 28), (2028, 29), (2100, 28), (2400, 29)])
def test_february_ends_when_its_last_day_does(year, days):
    """An hour up to the end of February is February's, the hour after it March's; one across has half in each."""
    edge = datetime(year, 2, days, tzinfo=UTC) + timedelta(days=1)
    month = random_month(0) | {"periods": periods_of(months_from(datetime(year, 2, 1, tzinfo=UTC), 2))}
    for start, shares in ((edge - HOUR, [3600]), (edge, [0, 3600]), (edge - HOUR / 2, [1800, 1800])):
        row = {"usage_id": "u", "rev": 0, "lease_id": "lease-000", "start": start, "end": start + HOUR, "accelerator_seconds": 3600}
        usage = [row | {"status": "delivered", "received_at": start}]
        changes = settle(book_of(month | {"usage": usage})).reading.changes
        assert dict(changes.select("month", "seconds").iter_rows()) == {m: s for m, s in enumerate(shares, 1) if s}


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_provider_side_is_the_buyer_side_less_fees(seed):
    """Where buyers pay cleared rates: each entry, each period, each currency; credits are taken off both sides alike."""
    month = random_month(seed)
    month["accounts"] = [account | {"plan_id": "cleared"} for account in month["accounts"]]
    settled = settle(book_of(month))
    sides = settled.invoices.group_by("period", "currency").agg(due=(pl.col("subtotal_micros") - pl.col("take_micros")).sum())
    paid = settled.payouts.group_by("period", "currency").agg(net=pl.col("net_micros").sum())
    both = sides.join(paid, on=["period", "currency"], how="full", coalesce=True).fill_null(0)
    assert both["due"].to_list() == both["net"].to_list()
    assert set(settled.postings["account"]) <= {"receivable", "rounding", "tax", "fee_income", "provider_payable"}


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_what_plans_keep_is_the_difference_of_the_two_sides(seed):
    """Whatever the plans: buyers' subtotals less the take less what providers are due is plan margin and grants, to the micro."""
    settled = settle(book_of(random_month(seed)))
    sums = settled.invoices.select(pl.col("subtotal_micros").sum() - pl.col("take_micros").sum()).item()
    kept = -settled.postings.filter(pl.col("account").is_in(["plan_margin", "grant"]))["amount_micros"].sum()
    assert sums - settled.payouts["net_micros"].sum() == kept


@given(SEEDS, st.data())
@settings(max_examples=25, deadline=None)
def test_any_split_of_arrivals_gives_the_same_bills_and_payouts(seed, data):
    """The last revisions, told in any periods: each buyer has paid the same cents and tax in the end, each provider earned the same."""
    month = random_month(seed)
    latest = {row["usage_id"]: row for row in sorted(month["usage"], key=lambda row: row["rev"])}
    closes = [row["closes_at"] for row in month["periods"]]
    moments = st.sampled_from([month["periods"][0]["month_start"], *closes[:-1]])
    arrivals = data.draw(st.lists(moments, min_size=len(latest), max_size=len(latest)))
    scattered = [row | {"received_at": moment} for row, moment in zip(latest.values(), arrivals, strict=True)]
    at_once = [row | {"received_at": month["periods"][0]["month_start"]} for row in latest.values()]
    assert ended_up(settle(book_of(month | {"usage": scattered}))) == ended_up(settle(book_of(month | {"usage": at_once})))


def ended_up(settled: Settlement) -> list[set[tuple[object, ...]]]:
    """Totals over all periods, of accounts and of providers."""
    figures = ("subtotal_micros", "tax_micros", "subtotal_cents", "tax_cents", "payable_cents", "cost_micros", "take_micros")
    bills = settled.invoices.group_by("account_id").agg(pl.col(figures).sum())
    dues = settled.payouts.group_by("provider_id", "currency").agg(pl.col("net_micros").sum()).filter(pl.col("net_micros") != 0)
    return [set(bills.filter(pl.any_horizontal(pl.col(figures) != 0)).iter_rows()), set(dues.iter_rows())]


@given(SEEDS, st.lists(st.sampled_from([0, 86_399, 86_400, 172_799, 172_800]) | st.integers(0, 2**40), min_size=2, max_size=12))
@settings(max_examples=25, deadline=None)
def test_settled_graduated_tiers_are_continuous_and_monotone(seed, seconds):
    """Accounts on one tariff: more never costs less, a second more at most what the dearest step asks for it, rounding apart.

    Steps end at 1 or 2 PF-days, which are 86,400 and 172,800 seconds of the hardware.
    """
    month = random_month(seed)
    used = sorted({*seconds, *(each + 1 for each in seconds)})
    start = month["periods"][0]["month_start"]
    (account,), (lease,) = month["accounts"][:1], month["leases"][:1]
    row = {"rev": 0, "start": start, "end": start + HOUR, "status": "delivered", "received_at": start}
    names = [f"a{index}" for index in range(len(used))]
    month["accounts"] = [account | {"account_id": name, "plan_id": "graduated"} for name in names]
    month["leases"] = [lease | {"account_id": name, "lease_id": name, "hardware": "REF-1000"} for name in names]
    month["usage"] = [
        row | {"usage_id": name, "lease_id": name, "accelerator_seconds": each} for name, each in zip(names, used, strict=True)
    ]
    billed = settle(book_of(month)).lines.group_by("account_id").agg(pl.col("amount_micros").sum())
    amounts = dict(billed.iter_rows())
    dearest = max(tier["unit_price_micros"] for tier in month["plan_tiers"] if tier["plan_id"] == "graduated")
    for (name, less), (after, more) in itertools.pairwise(zip(names, used, strict=True)):
        before = amounts.get(name, 0)
        assert before <= amounts.get(after, 0) <= before + (more - less) * 1000 * dearest // PD + 1
