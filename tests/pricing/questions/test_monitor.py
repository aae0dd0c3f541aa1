"""The monitor's figures by hand: who is pivotal, how concentrated a class is, what rates above the usual one do to a price."""

from fractions import Fraction

import polars as pl
import pytest

from pricing.questions.monitor import (
    MonitorReport,
    ProviderLook,
    Thresholds,
    at_references,
    concentration,
    monitor,
    reference_rates,
    steps_of,
    without_provider,
)
from pricing.questions.tally import run
from tests.builders import Row, a_bid, an_offer, book

MILLION = 1_000_000


def seller(name: str, quantity: int, rate: float, **facts: object) -> Row:
    return an_offer(f"o_{name}", **{"provider": name, "site": name, "quantity": quantity, "rate_micros": round(rate * MILLION), **facts})


def watched(offers: list[Row], bids: list[Row], **facts: object) -> MonitorReport:
    return monitor(run(book(offers=offers, bids=bids, **facts)))


def look(found: MonitorReport, name: str) -> ProviderLook:
    (mine,) = (look for look in found.providers if look.provider == name)
    return mine


def test_a_provider_is_pivotal_when_the_rest_cannot_serve_the_demand():
    """Twelve wanted at 3.00; a has eight at 1.00, b eight at 2.00: without a four go unserved, without b four too; c's one matters not."""
    offers = [seller("a", 8, 1.00), seller("b", 8, 2.00), seller("c", 1, 9.00)]
    found = watched(offers, [a_bid("b1", width=12, limit_spot_micros=3 * MILLION)])
    a, b = look(found, "a"), look(found, "b")
    assert (a.lost_hours, a.welfare_micros) == (4.0, 16 * MILLION + 4 * MILLION - 8 * MILLION)
    assert (b.lost_hours, b.welfare_micros) == (4.0, 4 * MILLION)
    assert look(found, "c").lost_hours is None
    assert [finding.subject for finding in found.findings if finding.kind == "pivotal"] == ["a", "b"]
    assert found.findings[0].sentence.startswith("a is pivotal: without it 4 hours (33 %) go unserved")


def test_where_another_can_step_in_nobody_is_pivotal():
    """Eight wanted, either can serve them: without a the price goes from between 1.00 and 2.00 to between 2.00 and 3.00."""
    found = watched([seller("a", 8, 1.00), seller("b", 8, 2.00)], [a_bid("b1", width=8, limit_spot_micros=3 * MILLION)])
    a = look(found, "a")
    assert (a.lost_hours, a.welfare_micros, a.price_change) == (0.0, 8 * MILLION, 67)
    assert not [finding for finding in found.findings if finding.kind == "pivotal"]


def test_only_as_many_are_tried_as_were_asked_for():
    offers = [seller("a", 8, 1.00), seller("b", 8, 2.00)]
    base = run(book(offers=offers, bids=[a_bid("b1", width=12, limit_spot_micros=3 * MILLION)]))
    found = monitor(base, providers_most=1)
    assert (found.examined, look(found, "a").lost_hours, look(found, "b").lost_hours) == (1, 4.0, None)


def test_a_market_of_one_loses_everything_without_it():
    found = watched([seller("a", 8, 1.00)], [a_bid("b1", width=4, limit_spot_micros=3 * MILLION)])
    assert look(found, "a").lost_hours == 4.0
    assert {finding.kind for finding in found.findings} == {"pivotal", "concentration"}


@pytest.mark.parametrize(("quantities", "index"), [([], 0), ([7], 10_000), ([1, 1, 1, 1], 2_500), ([3, 1], 6_250)])
def test_the_index_is_the_sum_of_squared_shares(quantities, index):
    assert concentration(quantities) == index


def test_the_reference_is_the_rate_half_the_hours_are_offered_at():
    """5 at 1.00, 4 at 2.00, 1 at 9.00: half of ten are offered at 1.00; with the five leased, half of what is left at 2.00."""
    offers = [seller("a", 5, 1.00), seller("b", 4, 2.00), seller("c", 1, 9.00)]
    base = run(book(offers=offers, bids=[a_bid("b1", limit_spot_micros=MILLION)]))
    assert reference_rates(steps_of(base)) == {"GPU": MILLION}
    lease = {"lease_id": "l1", "offer_id": "o_a", "slot": 0, "tier": "spot", "quantity": 5}
    leased = run(book(offers=offers, bids=[a_bid("b1", limit_spot_micros=MILLION)], around={"commitments": [lease]}))
    assert reference_rates(steps_of(leased)) == {"GPU": 2 * MILLION}


def test_rates_above_the_reference_show_in_price_and_welfare():
    """a's four at 1.00, b's four at 1.00, c's four at 4.00; ten at 5.00 and two at 2.00 are wanted.

    c sells two at 4.00. At the reference of 1.00 it would sell all four, the two bids at 2.00 served: the price falls to between
    1.00 and 2.00, and 2·(2 − 1) of welfare is won.
    """
    offers = [seller(name, 4, rate) for name, rate in (("a", 1.00), ("b", 1.00), ("c", 4.00))]
    bids = [a_bid("b1", width=10, limit_spot_micros=5 * MILLION), a_bid("b2", width=2, limit_spot_micros=2 * MILLION)]
    found = watched(offers, bids)
    (each,) = found.classes
    assert (each.reference_micros, each.mean_micros, each.at_reference_micros) == (MILLION, 4 * MILLION, 1_500_000)
    assert found.impact_micros == 2 * MILLION
    (impact,) = (finding for finding in found.findings if finding.kind == "impact")
    assert impact.sentence == "GPU sold at 4.0000 USD, +167 % of what it is at reference rates."
    assert look(found, "c").dear_hours == 2.0
    assert [finding.subject for finding in found.findings if finding.kind == "conduct"] == ["c"]


def test_at_references_the_rest_of_the_book_stays():
    """Rates come down to the reference, energy included; quantities and what is cheaper do not move."""
    offers = [seller("a", 4, 1.00), seller("b", 4, 2.00, energy_indexed=True, zone="z", watts=1000.0), seller("c", 1, 9.00)]
    zones = [{"zone": "z", "slot": 0, "price_micros_per_mwh": 500 * MILLION}]
    base = run(book(offers=offers, bids=[], around={"zones": zones}))
    references = reference_rates(steps_of(base))
    assert references == {"GPU": 2_500_000}
    lower = steps_of(run(at_references(base.book, steps_of(base), references=references)))
    assert lower.select("offer_id", "left", "rate").rows() == [("o_a", 4, MILLION), ("o_b", 4, 2_500_000), ("o_c", 1, 2_500_000)]


def test_accelerators_kept_out_of_a_dear_slot_are_seen():
    """a has eight at 1.00 but two in slot 1, where b's 3.00 then makes the price: six hours are kept out. In slot 0 all eight sell."""
    short = [{"offer_id": "o_a", "slot": 1, "quantity": 2, "rate_micros": MILLION}]
    offers = [seller("a", 8, 1.00, site="north"), seller("b", 8, 3.00, site="north")]
    bids = [a_bid(f"b{slot}", width=8, limit_spot_micros=5 * MILLION, slot_first=slot, slot_end=slot + 1) for slot in (0, 1)]
    found = watched(offers, bids, slots=2, around={"offer_slots": short})
    assert (look(found, "a").withheld_hours, look(found, "b").withheld_hours) == (6.0, 0.0)
    (held,) = (finding for finding in found.findings if finding.kind == "withheld")
    assert held.sentence == "a kept 6 accelerator-hours out of slots whose price was above its rate."


def test_an_exact_clearing_leaves_nothing_unsold_below_its_price():
    offers = [seller("a", 8, 1.00), seller("b", 8, 2.00)]
    base = run(book(offers=offers, bids=[a_bid("b1", width=12, limit_spot_micros=3 * MILLION)]))
    assert monitor(base).unsold_below_hours == 0.0
    dearer = pl.when(pl.col("tier") == "spot").then(pl.col("rate_micros") + 1).otherwise("rate_micros")
    raised = base.clearing.prices.with_columns(dearer.alias("rate_micros"))
    tampered = type(base)(book=base.book, clearing=type(base.clearing)(**{**base.clearing.tables(), "prices": raised}))
    assert monitor(tampered).unsold_below_hours == 4.0


def test_thresholds_decide_what_is_told():
    offers = [seller("a", 8, 1.00), seller("b", 8, 2.00)]
    base = run(book(offers=offers, bids=[a_bid("b1", width=12, limit_spot_micros=3 * MILLION)]))
    deaf = Thresholds(concentration=10_000, pivotal=Fraction(1), conduct=Fraction(99), impact=Fraction(99), withheld=Fraction(1))
    assert monitor(base, thresholds=deaf).text == "Nothing passes a threshold."


def test_without_a_provider_its_leases_are_gone_too():
    lease = {"lease_id": "l1", "offer_id": "o_a", "slot": 0, "tier": "spot", "quantity": 4}
    market = book(offers=[seller("a", 8, 1.00), seller("b", 8, 2.00)], bids=[], around={"commitments": [lease]})
    other = without_provider(market, "a")
    assert (other.offers["provider"].to_list(), other.commitments.height) == (["b"], 0)
