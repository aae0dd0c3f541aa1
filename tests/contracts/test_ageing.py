"""Who owes since when: payments go to the oldest debt first, and every step of dunning comes once."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.ageing import STEPS, Ageing, ReceivableMove, ageing, notices

NOW = datetime(2027, 6, 1, tzinfo=UTC)
USD = 1_000_000


def move(micros: int, days: int, *, entry: str = "", account: str = "a") -> ReceivableMove:
    at = NOW - timedelta(days=days)
    return ReceivableMove(account_id=account, currency="USD", entry_id=entry or f"e{days:04d}", at=at, micros=micros)


def one(*moves: ReceivableMove) -> Ageing:
    (found,) = ageing(moves, now=NOW)
    return found


def test_debts_lie_in_bands_by_their_age():
    """10 today, 20 of 30 days, 30 of 31, 40 of 90, 50 of 91 days."""
    found = one(move(10, 0), move(20, 30), move(30, 31), move(40, 90), move(50, 91))
    assert (found.bands, found.micros) == ((30, 30, 40, 50), 150)
    assert (found.oldest.days, found.oldest.micros) == (91, 50)


def test_a_payment_goes_to_the_oldest_debt_first():
    """100 of 95 days and 100 of 40: 130 paid leave 70 of the younger."""
    found = one(move(100, 95), move(100, 40), move(-130, 1))
    assert (found.bands, found.oldest.entry_id) == ((0, 70, 0, 0), "e0040")


def test_who_paid_too_much_is_in_credit_and_who_paid_all_is_not_there():
    assert one(move(100, 5), move(-150, 1)).micros == -50
    assert ageing([move(100, 5), move(-100, 1)], now=NOW) == ()


@given(st.lists(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 200), st.sampled_from("ab")), max_size=30))
def test_bands_add_up_to_what_is_owed(rows):
    moves = [move(micros, days, entry=f"e{number}", account=account) for number, (micros, days, account) in enumerate(rows)]
    for found in ageing(moves, now=NOW):
        assert sum(found.bands) == max(0, found.micros)
        assert found.micros == sum(each.micros for each in moves if each.account_id == found.account_id)


def test_every_step_of_dunning_comes_once_in_order_when_its_day_has_come():
    told: dict[tuple[str, str], int] = {}
    heard = []
    for day in range(200):
        aged = ageing([move(50 * USD, day, entry="settle:a:1")], now=NOW)
        for notice in notices(aged, told, disputed={}):
            told[notice.account_id, notice.entry_id] = notice.number
            heard.append((day, notice.words))
    assert heard == [(step.days, step.words) for step in STEPS]


def test_what_is_disputed_is_not_dunned():
    aged = ageing([move(50 * USD, 30)], now=NOW)
    assert not notices(aged, {}, disputed={"a": 50 * USD})
    assert len(notices(aged, {}, disputed={"a": 49 * USD})) == 1
