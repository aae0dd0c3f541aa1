"""Ids derived from facts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.ids import BODY_LENGTH, derived_id, fresh_id

facts = st.lists(st.one_of(st.text(max_size=8), st.integers()), max_size=4)


@given(facts)
def test_the_same_facts_give_the_same_id(given_facts: list[str | int]):
    first = derived_id("awd", *given_facts)
    assert first == derived_id("awd", *given_facts)
    assert first.startswith("awd_")
    assert len(first) == len("awd_") + BODY_LENGTH


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_where_one_fact_ends_matters(head: str, tail: str):
    assert derived_id("ent", head, tail) != derived_id("ent", head + tail, "") or tail == ""


def test_an_unknown_prefix_and_too_little_entropy_are_refused():
    with pytest.raises(ValueError, match="prefix"):
        derived_id("xyz", 1)
    with pytest.raises(ValueError, match="16 random bytes"):
        fresh_id("bid", b"short")
