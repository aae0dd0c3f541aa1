"""Which act may follow which, and which two one person may not do both."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import acts
from contracts.acts import CORRECTION, DISPUTE, PAYOUT_RUN, PERIOD, Act, By, Procedure, latest, state
from contracts.terms.errors import NotPermitted, WrongState

NOW = datetime(2027, 2, 1, tzinfo=UTC)
PROCEDURES = [each for each in vars(acts).values() if isinstance(each, Procedure)]


def walked(procedure: Procedure, *steps: tuple[str, str]) -> list[Act]:
    history: list[Act] = []
    for act, actor in steps:
        history.append(procedure.next("1", history, act=act, by=By(actor, NOW)))
    return history


def test_a_period_goes_from_frozen_to_exported_by_two_people():
    history = walked(
        PERIOD, ("frozen", "ada"), ("rated", "ada"), ("reviewed", "grace"), ("finalised", "grace"), ("exported", "ada"), ("exported", "ada")
    )
    assert [each.sequence for each in history] == [1, 2, 3, 4, 5, 6]
    assert state(history) == "exported"


@pytest.mark.parametrize("act", ["reviewed", "finalised"])
def test_who_rates_neither_reviews_nor_finalises(act):
    history = walked(PERIOD, ("frozen", "ada"), ("rated", "ada"), *([("reviewed", "grace")] if act == "finalised" else []))
    with pytest.raises(NotPermitted, match="another person would do"):
        PERIOD.check(history, act, actor="ada")
    PERIOD.check(history, act, actor="grace")


def test_it_is_who_rated_last_that_counts():
    """Ada rates, Grace sends it back and rates herself: now Ada may review and finalise, and Grace may not."""
    history = walked(PERIOD, ("frozen", "ada"), ("rated", "ada"), ("returned", "grace"), ("rated", "grace"), ("reviewed", "ada"))
    PERIOD.check(history, "finalised", actor="ada")
    with pytest.raises(NotPermitted):
        PERIOD.check(history, "finalised", actor="grace")


@pytest.mark.parametrize("procedure", [PAYOUT_RUN, CORRECTION], ids=lambda each: each.kind)
def test_who_proposes_does_not_approve(procedure):
    history = walked(procedure, ("proposed", "ada"))
    with pytest.raises(NotPermitted):
        procedure.check(history, "approved", actor="ada")
    procedure.check(history, "rejected", actor="ada")
    procedure.check(history, "approved", actor="grace")


def test_a_dispute_is_not_decided_by_who_opened_it():
    history = walked(DISPUTE, ("opened", "acct_a"), ("evidenced", "acct_a"))
    for act in ("upheld", "dismissed"):
        with pytest.raises(NotPermitted):
            DISPUTE.check(history, act, actor="acct_a")
    DISPUTE.check(history, "withdrawn", actor="acct_a")


@pytest.mark.parametrize(
    ("procedure", "steps", "act"),
    [
        (PERIOD, [], "rated"),
        (PERIOD, ["frozen"], "reviewed"),
        (PERIOD, ["frozen", "rated"], "finalised"),
        (PERIOD, ["frozen", "rated", "reviewed", "finalised"], "rated"),
        (PERIOD, ["frozen", "rated", "reviewed", "finalised"], "returned"),
        (PERIOD, ["frozen"], "frozen"),
        (PAYOUT_RUN, ["proposed"], "paid"),
        (PAYOUT_RUN, ["proposed", "approved", "ended"], "paid"),
        (PAYOUT_RUN, ["proposed", "rejected"], "approved"),
        (CORRECTION, ["proposed", "approved"], "rejected"),
        (DISPUTE, ["opened", "upheld"], "dismissed"),
    ],
)
def test_no_act_comes_out_of_turn(procedure, steps, act):
    history = walked(procedure, *((step, f"person {number}") for number, step in enumerate(steps)))
    with pytest.raises(WrongState, match="possible"):
        procedure.check(history, act, actor="somebody else")


@given(st.sampled_from(PROCEDURES), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["ada", "grace"])), max_size=12))
def test_whatever_is_tried_no_two_acts_kept_apart_are_of_one_person(procedure, tries):
    """Of every act that got through, the latest of those it is kept apart from was somebody else's."""
    history: list[Act] = []
    names = list(procedure.follows)
    for choice, actor in tries:
        act = names[choice % len(names)]
        try:
            done = procedure.next("1", history, act=act, by=By(actor, NOW))
        except (NotPermitted, WrongState):
            continue
        for earlier in procedure.apart.get(act, ()):
            before = latest(history, earlier)
            assert before is None or before.actor != actor
        history.append(done)
    assert [each.sequence for each in history] == list(range(1, len(history) + 1))


def test_facts_are_plain_and_come_back_as_they_were():
    class Facts(msgspec.Struct, frozen=True):
        closes_at: datetime
        notes: list[str] = []

    told = Facts(closes_at=NOW, notes=["late"])
    act = PERIOD.next("1", [], act="frozen", by=By("ada", NOW), facts=told)
    assert act.facts == {"closes_at": "2027-02-01T00:00:00Z", "notes": ["late"]}
    assert act.told(Facts) == told
