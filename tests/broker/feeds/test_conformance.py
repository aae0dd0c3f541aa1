"""The kit passes our two sides, and finds every fault that was planted."""

from pathlib import Path

import pytest

from broker.commands import conformance
from broker.feeds.protocol.card import CLAUSES, report_card
from broker.feeds.protocol.stage import Sides
from tests.broker.feeds.planted import FAULTY_BROKERS, FAULTY_PROVIDERS, BooksAnyVersion
from tests.broker.terminal import run


def test_our_two_sides_keep_every_clause(capsys):
    done = run(capsys, "conformance")
    assert done.code == 0
    assert f"All {len(CLAUSES)} clauses are kept." in done.out
    assert "BROKEN" not in done.out


@pytest.mark.parametrize(("faulty", "clause"), FAULTY_BROKERS.items(), ids=lambda item: getattr(item, "__name__", item))
def test_a_faulty_broker_is_found(faulty, clause: str):
    marks = {mark.name: mark for mark in report_card(Sides(broker=faulty))}
    assert marks[clause].found
    assert not marks[clause].found.startswith("it broke"), "found by accident, not by looking"


@pytest.mark.parametrize(("faulty", "clause"), FAULTY_PROVIDERS.items(), ids=lambda item: getattr(item, "__name__", item))
def test_a_faulty_provider_is_found(faulty, clause: str):
    marks = {mark.name: mark for mark in report_card(Sides(provider=faulty))}
    assert marks[clause].found
    assert not marks[clause].found.startswith("it broke"), "found by accident, not by looking"


def test_the_card_that_is_kept_is_of_today(capsys, tmp_path):
    run(capsys, "conformance", "--out", str(tmp_path / "card.md"))
    kept = Path(__file__).resolve().parents[3] / "infra" / "docs" / "feed-card.md"
    assert kept.read_text() == (tmp_path / "card.md").read_text(), "make it anew: gridfare conformance --out infra/docs/feed-card.md"


def test_one_side_at_a_time_and_with_its_keys(capsys):
    assert "one side at a time" in run(capsys, "conformance", "--broker", "http://127.0.0.1:1", "--provider").err
    assert "--signing-key" in run(capsys, "conformance", "--broker", "http://127.0.0.1:1").err


def test_a_broken_clause_is_said_and_ends_with_3(capsys, monkeypatch):
    monkeypatch.setattr(conformance, "Sides", lambda: Sides(broker=BooksAnyVersion))
    done = run(capsys, "conformance")
    assert done.code == 3
    assert "a version that is over was booked" in done.out


def test_a_side_that_falls_over_breaks_the_clause_and_not_the_kit():
    def nobody() -> None:
        raise ConnectionRefusedError("nobody there")

    marks = [mark for mark in report_card(Sides(broker=nobody)) if mark.part == "broker"]
    assert all(mark.found == "it broke: ConnectionRefusedError: nobody there" for mark in marks)
