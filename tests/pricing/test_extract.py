"""A buyer's own part, checked from the extract alone."""

from collections.abc import Callable

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.clearing import Check
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.orders import MarketBook
from pricing.audit.own import check_extract
from pricing.certificate import certify
from pricing.clearing import clear
from pricing.extract import Extract, Row, extract_text, make_extract, price_rows, read_extract, seal_of
from tests.pricing.test_certificate import by_hand, scarce
from tests.strategies_market import block_books, market_books
from tests.strategies_policy import policy_books

few = settings(max_examples=30, deadline=None)


def extract_of(market: MarketBook, bid_id: str) -> Extract:
    clearing = clear(market)
    return make_extract(market, clearing, certificate=certify(market, clearing, path="convex"), bid_id=bid_id)


def own(bid_id: str = "b1") -> Extract:
    """One bid's part of the result worked out by hand."""
    return make_extract(scarce(), by_hand(), certificate=certify(scarce(), by_hand(), path="convex"), bid_id=bid_id)


def failing(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.holds}


def sealed(extract: Extract) -> Extract:
    return msgspec.structs.replace(extract, seal=seal_of(extract))


def test_what_was_worked_out_by_hand_is_every_bids_best():
    """b1 gains 8 × (2.970297 − 2.475247) = 3.9604; b2 pays its worth and gains nothing, b3 could not."""
    findings = {}
    for bid in ("b1", "b2", "b3"):
        checks = check_extract(own(bid), root=certify(scarce(), by_hand(), path="convex").merkle_root, prices=by_hand().prices)
        assert failing(checks) == set()
        findings[bid] = checks[-1].finding
    assert findings["b1"] == "nothing at the published prices would gain the bid more than the 3960400 micros it has"
    assert "than the 0 micros" in findings["b2"]
    assert "than the 0 micros" in findings["b3"]


@few
@given(st.one_of(market_books(), policy_books(), block_books()), st.data())
def test_every_part_of_every_clearing_holds(market: MarketBook, data: st.DataObject):
    clearing = clear(market)
    bid = data.draw(st.sampled_from(market.bids["bid_id"].to_list()))
    certificate = certify(market, clearing, path="convex")
    extract = make_extract(market, clearing, certificate=certificate, bid_id=bid)
    assert failing(check_extract(extract, root=certificate.merkle_root, prices=clearing.prices)) == set()
    assert read_extract(extract_text(extract).encode(), file="mine.json") == extract


def test_an_extract_says_nothing_of_others():
    text = extract_text(own("b1"))
    assert '"b2"' not in text
    assert '"quantity": 6' in text  # of her award; no offer says how much it has
    assert "1200000" not in text  # the rate o2 asks
    assert not {"quantity", "rate_micros", "provider", "node_size"} & own("b1").pools[0].offer.keys()


def test_a_bid_nobody_entered_has_no_part():
    with pytest.raises(NotFound):
        extract_of(scarce(), "b9")


def with_award(extract: Extract, **by: int | str) -> Extract:
    first: Row = {**extract.awards[0], **by}
    return msgspec.structs.replace(extract, awards=[first, *extract.awards[1:]])


def with_rate(extract: Extract, tier: str, rate: int | None) -> Extract:
    pool = extract.pools[0]
    return msgspec.structs.replace(extract, pools=[msgspec.structs.replace(pool, rates={**pool.rates, tier: [rate]})])


@pytest.mark.parametrize(
    ("forge", "named"),
    [
        (lambda extract: with_award(extract, quantity=7), {"root"}),
        (lambda extract: with_award(extract, rate_micros=1), {"root"}),
        (lambda extract: msgspec.structs.replace(extract, bid={**extract.bid, "limit_guaranteed_micros": 9_000_000}), {"root"}),
        (lambda extract: msgspec.structs.replace(extract, outcome={**extract.outcome, "fee_micros": 0}), {"root"}),
        (lambda extract: msgspec.structs.replace(extract, proof=msgspec.structs.replace(extract.proof, index=1)), {"root"}),
        (lambda extract: with_rate(extract, "guaranteed", 2_000_000), {"published", "charges", "best response"}),
        (lambda extract: with_rate(extract, "spot", 5), {"published"}),
        (lambda extract: with_rate(extract, "spot", None), {"published"}),
        (lambda extract: msgspec.structs.replace(extract, pools=[]), {"eligibility", "charges", "outcome", "worth", "best response"}),
        (lambda extract: with_fact(extract, hardware="TPU"), {"eligibility", "outcome", "worth", "best response"}),
        (lambda extract: with_fact(extract, firm=False), {"eligibility", "best response"}),
        (lambda extract: with_rules(extract, fee_bps=0), {"outcome"}),
    ],
)
def test_a_lie_that_is_sealed_again_is_named(forge: Callable[[Extract], Extract], named: set[str]):
    lie = sealed(forge(own()))
    assert named <= failing(check_extract(lie, root=own().proof.merkle_root, prices=by_hand().prices))


def with_fact(extract: Extract, **facts: str | bool) -> Extract:
    pool = extract.pools[0]
    return msgspec.structs.replace(extract, pools=[msgspec.structs.replace(pool, offer={**pool.offer, **facts})])


def with_rules(extract: Extract, **by: int) -> Extract:
    return msgspec.structs.replace(extract, rules=msgspec.structs.replace(extract.rules, **by))


@pytest.mark.parametrize("fact", ["offer_id", "site", "hardware", "firm", "watts", "pue", "open_to", "closed_to"])
def test_a_pool_that_does_not_say_what_it_is_cannot_be_read(fact: str):
    """Though it is sealed again: what every offer says of itself is neither left out nor left empty."""
    (pool,) = own().pools
    for offer in ({name: cell for name, cell in pool.offer.items() if name != fact}, {**pool.offer, fact: None}):
        lie = sealed(msgspec.structs.replace(own(), pools=[msgspec.structs.replace(pool, offer=offer)]))
        with pytest.raises(BadInput, match=f"offers lack {fact}"):
            check_extract(lie, prices=by_hand().prices)


def test_another_root_is_named():
    (fault,) = [check for check in check_extract(own(), root="00" * 32) if not check.holds]
    assert fault.finding == f"the extract is of the root {own().proof.merkle_root}, published is {'00' * 32}"


def test_a_better_response_that_was_to_be_had_is_named():
    """b3, refused at a spot price above its worth, is told of a cheaper one: it should have had 5 of them."""
    checks = check_extract(sealed(with_rate(own("b3"), "spot", 1_000_000)))
    assert failing(checks) == {"best response"}
    assert checks[-1].finding == f"the awards gain 0 micros, the best response at the published prices {5 * 485_148}"
    approximate = msgspec.structs.replace(with_rate(own("b3"), "spot", 1_000_000), approximate=True)
    assert failing(check_extract(sealed(approximate))) == set()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_byte_may_change(data: st.DataObject):
    """One byte of the file is another: it is no extract any more, or not as it was written, or the seal says so."""
    text = bytearray(extract_text(own()).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))
    text[place] = byte
    try:
        lie = read_extract(bytes(text), file="mine.json")
    except BadInput:
        return
    assert extract_text(lie).encode() != bytes(text) or "seal" in failing(check_extract(lie))


def test_rates_are_held_to_the_published_table():
    prices = by_hand().prices.with_columns(rate_micros=pl.col("rate_micros") + (pl.col("tier") == "spot").cast(pl.Int64))
    (fault,) = [check for check in check_extract(own(), prices=prices) if not check.holds]
    assert fault.finding == "pool o1, slot 0, spot is 1980198, published 1980199"
    assert price_rows(own()).height == 3
