"""The state machine of leases."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.terms.errors import WrongState
from contracts.terms.leases import IN_FORCE, MOVES, Lease, LeaseSlot, LeaseState, move

START = datetime(2027, 1, 1, tzinfo=UTC)
states = st.sampled_from(get_args(LeaseState))


@given(states, states)
def test_a_lease_moves_only_where_the_machine_allows(state: LeaseState, to: LeaseState):
    if to in MOVES[state]:
        assert move("lse_1", state, to=to) == to
    else:
        with pytest.raises(WrongState, match=f"is {state} cannot become {to}"):
            move("lse_1", state, to=to)


@given(st.lists(states, max_size=12))
def test_every_lease_ends_within_three_moves(wishes: list[LeaseState]):
    state: LeaseState = "awarded"
    moves = 0
    for wish in wishes:
        if wish in MOVES[state]:
            state, moves = wish, moves + 1
    assert moves <= 3
    assert (state in IN_FORCE) == bool(MOVES[state])


def test_slots_must_be_in_order_and_apart():
    hour = timedelta(hours=1)
    slots = tuple(LeaseSlot(start=START + n * hour, end=START + (n + 2) * hour, quantity=1, rate_micros=1) for n in range(2))
    facts = dict.fromkeys(("id", "cycle_id", "bid_id", "account_id", "provider_id", "offer_id", "site", "hardware", "tier"), "x")
    with pytest.raises(ValueError, match="in order and apart"):
        Lease(**facts, state="awarded", slots=slots)
    with pytest.raises(ValueError, match="at least one slot"):
        Lease(**facts, state="awarded", slots=())
