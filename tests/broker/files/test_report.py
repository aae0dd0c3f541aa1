"""The report says what the tables say: figures checked by hand, no network, no script, and small however large the book."""

import re
from decimal import Decimal

import polars as pl

from broker.files.curve_chart import Point, chart
from broker.files.report import report
from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.curves import curve_steps
from pricing.questions.overview import class_points, headroom, price_map
from tests.builders import Row, a_bid, an_offer, book, rows_of

MILLION = 1_000_000


def small_market() -> tuple[MarketBook, Clearing]:
    """Two slots. Ten firm accelerators in the north at 1.00 (a tenth held back from standard), four for spot alone in the south at 2.00.

    Slot 0: b1 has 6 at standard; slot 1: b2 has 3 of the south, the only site it may use, at up to 3.00; b3 finds no such hardware.
    """
    offers: list[Row] = [
        an_offer("o1", quantity=10, rate_micros=MILLION),
        an_offer("o2", quantity=4, rate_micros=2 * MILLION, site="south", country="SE", firm=False),
    ]
    bids = [
        a_bid("b1", width=6, slot_end=1, limit_standard_micros=3 * MILLION),
        a_bid("b2", width=3, slot_first=1, limit_spot_micros=3 * MILLION, countries=["SE"]),
        a_bid("b3", limit_spot_micros=3 * MILLION, hardware=["TPU:1"]),
    ]
    market = book(offers=offers, bids=bids, slots=2, headroom_standard=Decimal("0.1"))
    return market, clear(market)


def page_of(market: MarketBook, result: Clearing) -> str:
    return report(market, result, certificate=certify(market, result, path="convex"))


def plain(page: str) -> str:
    """What a reader reads: the text without its marks, single-spaced."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("</style>")[2]).split())


def test_each_part_says_its_finding_in_a_sentence():
    text = plain(page_of(*small_market()))
    for sentence in (
        "Certified: every check holds.",
        "The prices prove that no other awards would have been better.",
        "2 of 3 bids were served; of the others 1 no eligible pool.",
        "GPU, 2027-01-01T00:00:00Z: 6 sold at 1.00 USD an hour on average.",
        "GPU: sold from 1.00 to 2.00 USD, dearest at south in slot 1.",
        "Of 28 accelerator-hours that leases left, 9 were sold; 12 more could have been had at standard, 7 at spot alone",
        "Nobody had to be made whole beyond the price.",
        "filled 2 66.7% 9 12.00",
        "rejected 1 33.3% 0 0.00",
    ):
        assert sentence in text, sentence


def test_headroom_adds_up_to_what_was_offered():
    """North: 9 of 10 are standard's, 6 sold in slot 0: free 3 and 9, kept 1 and 1. South is not firm: 4 and 1 are spot's alone."""
    assert headroom(*small_market()).rows() == [("GPU", 28, 0, 6, 3, 12, 7)]


def test_the_point_of_a_class_is_its_greatest_slot():
    market, result = small_market()
    assert rows_of(class_points(result), "hardware", "slot", "sold", "rate", "low", "high") == [("GPU", 0, 6, MILLION, MILLION, MILLION)]
    assert class_points(clear(book(offers=[an_offer()], bids=[]))).is_empty()
    assert market.rules.slots == 2


def test_the_map_shows_the_sites_that_sold_most_in_few_spans():
    _, result = small_market()
    assert price_map(result, "GPU", sites_most=9, spans=9).rows() == [
        ("north", 0, 1, MILLION, 6),
        ("north", 1, 2, MILLION, 0),
        ("south", 0, 1, 2 * MILLION, 0),
        ("south", 1, 2, 2 * MILLION, 3),
    ]
    assert price_map(result, "GPU", sites_most=1, spans=1).rows() == [("north", 0, 2, MILLION, 6)]
    assert price_map(result, "TPU", sites_most=9, spans=9).is_empty()


def test_the_chart_shows_point_and_range():
    """8 at 1.00 sold to 8 at 3.00, 8 more at 2.00 left: any price from 1.00 to 2.00."""
    offers = [an_offer("o1", quantity=8, rate_micros=MILLION), an_offer("o2", quantity=8, rate_micros=2 * MILLION)]
    market = book(offers=offers, bids=[a_bid("b1", width=8, limit_spot_micros=3 * MILLION)])
    drawing = chart(curve_steps(market, "GPU", slot=0), Point(sold=8, rate=1_500_000, low=MILLION, high=2 * MILLION))
    assert 'aria-label="Supply and demand: 8 accelerators sold at 1.50, any price from 1.00 to 2.00 would do"' in drawing
    assert "Any price from 1.0000 to 2.0000 would support it." in page_of(market, clear(market))


def test_it_runs_no_script_reads_no_network_and_names_are_text():
    market, _ = small_market()
    named = market.offers.with_columns(site=pl.lit("<b>&"))
    hostile = type(market)(**{**market.tables(), "rules": market.rules, "offers": named})
    page = page_of(hostile, clear(hostile))
    assert "<script" not in page
    assert "http" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;" in page


def test_nothing_sold_is_a_page_too():
    market = book(offers=[an_offer("o1", rate_micros=5 * MILLION)], bids=[a_bid("b1", limit_spot_micros=MILLION)])
    text = plain(page_of(market, clear(market)))
    assert "Nothing was sold." in text
    assert "0 of 1 bids were served; of the others 1 priced out." in text


def test_a_class_of_thousands_of_steps_is_drawn_with_few_corners():
    offers = [an_offer(f"o{number:04}", rate_micros=MILLION + number) for number in range(2000)]
    market = book(offers=offers, bids=[a_bid("b1", width=1500, limit_spot_micros=3 * MILLION)])
    drawing = chart(curve_steps(market, "GPU", slot=0), Point(sold=1500, rate=MILLION, low=MILLION, high=MILLION))
    assert len(drawing) < 6_000


def test_the_checks_that_fail_are_on_the_page():
    market, result = small_market()
    broken = type(result)(**{**result.tables(), "receipts": result.receipts.head(1)})
    text = plain(page_of(market, broken))
    assert "The certificate fails: not to be applied." in text
    assert re.search(r"\d+ of \d+ checks fail\.", text)
