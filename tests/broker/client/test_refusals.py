"""A refusal crosses the wire and is the same refusal."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.api.problems import problem, problem_body
from broker.client import Refused, Unintelligible
from broker.client.refusals import KNOWN, STANDARD, read_problem
from contracts.terms.errors import BadInput, MarketError, QuoteMoved

# Whole numbers as JSON has them between programs; what a fact is called is a name, and none of the five standard ones.
facts = st.dictionaries(
    st.sampled_from(["file", "row", "column", "found", "would_do", "quote_id", "rate_micros", "retry_after"]) | st.text("abc_", min_size=1),
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
).map(lambda found: {name: fact for name, fact in found.items() if name not in STANDARD | {"message", "self"}})


@given(st.sampled_from(sorted(KNOWN)), st.text(), facts)
def test_a_refusal_read_back_is_the_one_that_was_raised(code, message, facts):
    raised = KNOWN[code](message, **facts)
    told = problem(raised)
    read = read_problem(msgspec.json.encode(problem_body(told)), status=told.status)
    assert (type(read), str(read), read.facts) == (type(raised), str(raised), raised.facts)


def test_what_is_found_and_what_would_do_is_said_once():
    raised = BadInput("hours must be whole slots", found=1.5, would_do="a multiple of 1")
    read = read_problem(msgspec.json.encode(problem_body(problem(raised))), status=400)
    assert str(read) == "hours must be whole slots; found 1.5; a multiple of 1 would do"
    assert read.facts == {"found": 1.5, "would_do": "a multiple of 1"}


def test_every_refusal_of_the_tree_is_known():
    assert {"market_error", "bad_input", "quote_moved", "credit_exceeded", "too_busy"} <= set(KNOWN)
    assert KNOWN["quote_moved"] is QuoteMoved


def test_a_refusal_of_a_newer_broker_keeps_its_code_and_its_words():
    body = b'{"type":"/problems/out_of_helium","title":"Out of helium","status":409,"detail":"no helium is left","site":"fr-1"}'
    read = read_problem(body, status=409)
    assert (type(read), str(read)) == (Refused, "no helium is left")
    assert read.facts == {"problem": "out_of_helium", "status": 409, "site": "fr-1"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"type":"/problems/conflict"}', b'{"type":[],"detail":""}', b"\xff"])
def test_what_is_no_refusal_of_ours_is_said_to_be_none(body):
    read = read_problem(body, status=502)
    assert isinstance(read, Unintelligible)
    assert isinstance(read, MarketError)
    assert "502" in str(read)
