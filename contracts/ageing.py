"""Who owes what since when, and what is said to whom owes too long.

Payments and credits are counted against the oldest debts first. An age is whole days since a debt was booked; what a
buyer disputes is not dunned while the dispute is open.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

BANDS = ((0, 30), (31, 60), (61, 90), (91, None))
DAY = timedelta(days=1)


class ReceivableMove(msgspec.Struct, frozen=True, kw_only=True):
    """One posting to a buyer's receivable: above 0 it owes more, below 0 less."""

    account_id: str
    currency: str
    entry_id: str
    at: datetime
    micros: int


class OpenDebt(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of one debt after all that was paid."""

    account_id: str
    currency: str
    entry_id: str
    at: datetime
    micros: int
    days: int


class Ageing(msgspec.Struct, frozen=True, kw_only=True):
    """What one account owes in one currency, micros by age: `0–30`, `31–60`, `61–90`, `91–` days. Below 0 in all, it is in credit."""

    account_id: str
    currency: str
    micros: int
    bands: tuple[int, ...]
    oldest: OpenDebt | None


class DunningStep(msgspec.Struct, frozen=True):
    """What is done when the oldest debt is so old."""

    days: int
    words: str


STEPS = (
    DunningStep(7, "reminder"),
    DunningStep(21, "second reminder"),
    DunningStep(45, "final notice"),
    DunningStep(60, "no further orders"),
    DunningStep(180, "to be written off"),
)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One step of dunning for one account: `number` counts the steps from 1."""

    account_id: str
    currency: str
    entry_id: str
    number: int
    words: str
    micros: int
    days: int


def ageing(moves: Iterable[ReceivableMove], *, now: datetime) -> tuple[Ageing, ...]:
    """Balances by age, by account and currency; accounts that owe and are owed nothing are left out."""
    found = [_aged(key, rows, now=now) for key, rows in sorted(_by_party(moves).items())]
    return tuple(each for each in found if each.micros or each.oldest)


def open_debts(moves: Iterable[ReceivableMove], *, now: datetime) -> tuple[OpenDebt, ...]:
    """Every debt that payments have not reached in full, by account and currency, the oldest first."""
    return tuple(debt for _, rows in sorted(_by_party(moves).items()) for debt in _open(rows, now=now))


def _by_party(moves: Iterable[ReceivableMove]) -> dict[tuple[str, str], list[ReceivableMove]]:
    found: dict[tuple[str, str], list[ReceivableMove]] = {}
    for move in moves:
        found.setdefault((move.account_id, move.currency), []).append(move)
    return found


def _aged(key: tuple[str, str], moves: list[ReceivableMove], *, now: datetime) -> Ageing:
    open_debts = _open(moves, now=now)
    bands = tuple(
        sum(debt.micros for debt in open_debts if first <= debt.days and (last is None or debt.days <= last)) for first, last in BANDS
    )
    micros = sum(move.micros for move in moves)
    return Ageing(account_id=key[0], currency=key[1], micros=micros, bands=bands, oldest=open_debts[0] if open_debts else None)


def _open(moves: list[ReceivableMove], *, now: datetime) -> list[OpenDebt]:
    """Debts that payments have not reached, oldest first."""
    paid = -sum(move.micros for move in moves if move.micros < 0)
    found = []
    for move in sorted((move for move in moves if move.micros > 0), key=lambda each: (each.at, each.entry_id)):
        left = move.micros - min(paid, move.micros)
        paid -= move.micros - left
        if left:
            facts = {name: getattr(move, name) for name in ("account_id", "currency", "entry_id", "at")}
            found.append(OpenDebt(**facts, micros=left, days=max(0, (now - move.at) // DAY)))
    return found


def notices(aged: Iterable[Ageing], told: Mapping[tuple[str, str], int], *, disputed: Mapping[str, int]) -> tuple[Notice, ...]:
    """The next step for every account whose oldest debt is old enough; one step at a time.

    told      (account, entry) → how many steps its holder was told
    disputed  account → micros in open disputes, which nobody is dunned for
    """
    found = []
    for each in aged:
        debt = each.oldest
        if debt is None or each.micros - disputed.get(each.account_id, 0) <= 0:
            continue
        number = told.get((each.account_id, debt.entry_id), 0)
        if number < len(STEPS) and debt.days >= STEPS[number].days:
            step = STEPS[number]
            facts = {name: getattr(debt, name) for name in ("account_id", "currency", "entry_id", "days")}
            found.append(Notice(**facts, number=number + 1, words=step.words, micros=each.micros))
    return tuple(found)
