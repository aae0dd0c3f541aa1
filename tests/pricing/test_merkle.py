"""The tree over every bid's part: RFC 6962, by its own definition."""

import contextlib
import hashlib

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.terms.clearing import Clearing
from contracts.terms.orders import MarketBook
from pricing.canonical import write_book_tables, write_result_tables
from pricing.clearing import clear
from pricing.merkle import leaf_hash, leaf_texts, merkle_path, merkle_root, result_root, root_above
from tests.builders import a_bid, an_offer, book
from tests.strategies_market import market_books

some = settings(max_examples=40, deadline=None)
leaf_lists = st.lists(st.text(max_size=3).map(leaf_hash), min_size=1, max_size=40)


def tree_hash(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


@given(st.lists(st.text(max_size=3).map(leaf_hash), max_size=40))
def test_the_root_is_that_of_the_definition(leaves: list[bytes]):
    assert merkle_root(leaves) == tree_hash(leaves).hex()


def root_of(market: MarketBook, clearing: Clearing) -> str:
    return result_root({**write_book_tables(market), **write_result_tables(clearing)})


def test_known_roots():
    """Vectors of Certificate Transparency: the empty tree, one empty leaf, and the leaves ∅, 00, 10."""
    assert merkle_root([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle_root([leaf_hash("")]) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    three = [leaf_hash(text) for text in ("", "\x00", "\x10")]
    assert merkle_root(three) == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@given(leaf_lists, st.data())
def test_every_leaf_leads_to_the_root_and_no_other_does(leaves: list[bytes], data: st.DataObject):
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = merkle_path(leaves, index), merkle_root(leaves)
    assert root_above(leaves[index], index=index, count=len(leaves), path=path) == root
    assert root_above(leaf_hash("another"), index=index, count=len(leaves), path=path) != root
    assert len(path) <= max(0, len(leaves) - 1).bit_length()
    elsewhere = data.draw(st.integers(0, len(leaves) - 1))
    if leaves[elsewhere] != leaves[index]:
        with contextlib.suppress(ValueError):
            assert root_above(leaves[index], index=elsewhere, count=len(leaves), path=path) != root


@pytest.mark.parametrize(
    ("index", "path", "why"),
    [(3, ["00" * 32] * 2, "not among"), (0, ["00" * 32], "too short"), (0, ["00" * 32] * 3, "too long"), (0, ["00"] * 2, "not a SHA-256")],
)
def test_a_way_that_cannot_be_is_refused(index: int, path: list[str], why: str):
    with pytest.raises(ValueError, match=why):
        root_above(leaf_hash("a"), index=index, count=3, path=path)


def test_a_leaf_is_the_bid_its_outcome_and_its_awards():
    market = book(offers=[an_offer(quantity=2)], bids=[a_bid("b2", width=2, limit_spot_micros=2_000_000), a_bid("b10")])
    ids, texts = leaf_texts(market, clear(market))
    assert ids == ["b10", "b2"]
    own, outcome, award = texts[1].splitlines()
    assert own.startswith("b2,buyer,FR,FR,")
    assert outcome == 'b2,filled,2.0,2.0,3000000,0,0,0,""'
    assert award == "b2,o1,0,spot,2,1500000,3000000"


@some
@given(market_books())
def test_a_leaf_changes_with_any_part_of_its_bid_alone(market: MarketBook):
    clearing = clear(market)
    ids, before = leaf_texts(market, clearing)
    raised = clearing.outcomes.with_columns(fee_micros=pl.col("fee_micros") + (pl.col("bid_id") == ids[0]).cast(pl.Int64))
    other = msgspec.structs.replace(clearing, outcomes=raised)
    after = leaf_texts(market, other)[1]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False] + [True] * (len(ids) - 1)
    assert root_of(market, other) != root_of(market, clearing)


@some
@given(market_books())
def test_the_root_of_a_result_is_that_over_its_leaves(market: MarketBook):
    clearing = clear(market)
    texts = leaf_texts(market, clearing)[1]
    assert root_of(market, clearing) == merkle_root([leaf_hash(text) for text in texts])
    assert "".join(texts).count("\n") == market.bids.height + clearing.outcomes.height + clearing.awards.height


def test_a_line_end_in_a_name_moves_nothing_to_another_leaf():
    """A buyer called `two, on two lines`: the lines are then found one by one, and are the same for the others."""
    bids = [a_bid("b1", limit_spot_micros=1), a_bid("b2", limit_spot_micros=1), a_bid("b3", limit_spot_micros=1)]
    market = book(offers=[an_offer()], bids=bids)
    odd = msgspec.structs.replace(market, bids=market.bids.with_columns(buyer=pl.Series(["buyer", "on two\nlines", "buyer"])))
    clearing = clear(market)
    plain, broken = leaf_texts(market, clearing)[1], leaf_texts(odd, clearing)[1]
    assert [plain[0], plain[2]] == [broken[0], broken[2]]
    assert broken[1].startswith('b2,"on two\nlines",FR')
