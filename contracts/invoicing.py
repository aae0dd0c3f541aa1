"""The invoices of one account: what each period adds to what was billed before.

Period k bills, for every month so far, the price as known at k less the price as known at k − 1. Late usage,
corrections, voids and true-ups are then one rule, and what was billed for a month adds up to its last known price.
Cents, tax and payables are differences of cumulative roundings too, so that no fraction is ever lost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from contracts.rating import NOTHING, Earlier, MonthFacts, MonthPrice, Shares, rate_month
from contracts.terms.money import BASIS_POINTS, MICROS_PER_CENT, half_up
from contracts.terms.plans import Plan


class AccountTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has signed. tax_bps and take_bps are basis points."""

    account_id: str
    currency: str
    plan: Plan
    tax_bps: int
    take_bps: int


class Change(msgspec.Struct, frozen=True):
    """One figure of `MonthFacts` moving: which month, which measure, of which hardware or provider, by how much."""

    month: int
    measure: str
    of: str
    amount: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice: what a month's price of one kind changed by. A correction has month < period."""

    month: int
    kind: str
    hardware: str | None
    quantity_seconds: int | None
    amount_micros: int
    amount_cents: int = 0


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """One account in one period.

    *_micros, *_cents   what this period adds
    gross               by provider: cost of the period's own month
    adjustments         by provider: changed cost of earlier months
    credits             by provider: what failing costs it
    """

    terms: AccountTerms
    period: int
    lines: tuple[Line, ...]
    subtotal_micros: int
    tax_micros: int
    subtotal_cents: int
    payable_cents: int
    take_micros: int
    gross: Shares
    adjustments: Shares
    credits: Shares

    @property
    def cost_micros(self) -> int:
        """What the providers are due for it, before credits."""
        return sum(self.gross.values()) + sum(self.adjustments.values())

    @property
    def provider_dues(self) -> dict[str, int]:
        """By provider, in order of id: cost less credit. Zeros stay in."""
        parts = (self.gross, self.adjustments, {name: -amount for name, amount in self.credits.items()})
        return {name: sum(part.get(name, 0) for part in parts) for name in sorted({name for part in parts for name in part})}


class _Billed(msgspec.Struct, frozen=True, kw_only=True):
    """Cumulative totals of an account: exact, and rounded to cents once."""

    subtotal: int = 0
    tax: int = 0
    payable_cents: int = 0
    subtotal_cents: int = 0

    def after(self, amount: int, tax_bps: int) -> "_Billed":
        subtotal = self.subtotal + amount
        tax = half_up(subtotal * tax_bps, BASIS_POINTS)
        return _Billed(
            subtotal=subtotal,
            tax=tax,
            payable_cents=half_up(subtotal + tax, MICROS_PER_CENT),
            subtotal_cents=half_up(subtotal, MICROS_PER_CENT),
        )


def bill_account(terms: AccountTerms, changes: Mapping[int, Sequence[Change]], *, periods: int) -> Iterator[Bill]:
    """The bills of one account for periods 1…`periods`, in order.

    changes   by period: how the facts of its months move when that period's close knows more
    """
    known: dict[int, dict[str, dict[str, int]]] = {month: {} for month in range(1, periods + 1)}
    prices: list[MonthPrice] = []
    billed = _Billed()
    for period in range(1, periods + 1):
        moved = changes.get(period, ())
        _learn(known, moved)
        first = min([period, *(change.month for change in moved)])
        before = [*prices, NOTHING]
        prices = _rate(terms, [known[month] for month in range(1, period + 1)], unchanged=prices[: first - 1])
        after = range(first, period + 1)
        lines = [line for month in after for line in _lines(prices[month - 1], before[month - 1], month=month, moved=moved)]
        following = billed.after(sum(line.amount_micros for line in lines), terms.tax_bps)
        subtotal_cents = following.subtotal_cents - billed.subtotal_cents
        yield Bill(
            terms=terms,
            period=period,
            lines=_with_cents(lines, subtotal_cents),
            subtotal_micros=following.subtotal - billed.subtotal,
            tax_micros=following.tax - billed.tax,
            subtotal_cents=subtotal_cents,
            payable_cents=following.payable_cents - billed.payable_cents,
            take_micros=sum(line.amount_micros for line in lines if line.kind == "take"),
            gross=_sum([_difference(prices[period - 1].cost, before[period - 1].cost)]),
            adjustments=_sum(_difference(prices[month - 1].cost, before[month - 1].cost) for month in after if month < period),
            credits=_sum(_difference(prices[month - 1].credit, before[month - 1].credit) for month in after),
        )
        billed = following


def _learn(known: dict[int, dict[str, dict[str, int]]], moved: Iterable[Change]) -> None:
    for change in moved:
        figures = known[change.month].setdefault(change.measure, {})
        figures[change.of] = figures.get(change.of, 0) + change.amount


def _rate(terms: AccountTerms, months: Sequence[Mapping[str, Shares]], *, unchanged: Sequence[MonthPrice]) -> list[MonthPrice]:
    """The price of every month so far; `unchanged` are the first ones, which nothing new has touched."""
    prices: list[MonthPrice] = []
    earlier = Earlier()
    for index, figures in enumerate(months):
        facts = MonthFacts(**figures)
        price = unchanged[index] if index < len(unchanged) else rate_month(terms.plan, facts, earlier=earlier, take_bps=terms.take_bps)
        prices.append(price)
        earlier = earlier.followed_by(facts, price)
    return prices


def _lines(now: MonthPrice, before: MonthPrice, *, month: int, moved: Iterable[Change]) -> Iterator[Line]:
    """What a month's price moved by, one line a kind and hardware, lines of 0 left out; kinds in alphabetical order."""
    plain = (
        ("credit", sum(before.credit.values()) - sum(now.credit.values())),
        ("fee", now.fee_micros - before.fee_micros),
        ("take", now.take_micros - before.take_micros),
        ("trueup", now.trueup_micros - before.trueup_micros),
    )
    for kind, amount in plain:
        if amount:
            yield Line(month=month, kind=kind, hardware=None, quantity_seconds=None, amount_micros=amount)
    seconds = _sum({change.of: change.amount} for change in moved if change.month == month and change.measure == "seconds")
    for hardware, amount in _difference(now.usage, before.usage).items():
        if amount:
            yield Line(month=month, kind="usage", hardware=hardware, quantity_seconds=seconds.get(hardware, 0), amount_micros=amount)


def _with_cents(lines: Sequence[Line], subtotal_cents: int) -> tuple[Line, ...]:
    """The lines with their cents: rounded down, the cents left going to the largest remainders.

    Ties go by month, then kind, then hardware (none first): the order the lines come in.
    """
    floors = [divmod(line.amount_micros, MICROS_PER_CENT) for line in lines]
    left = subtotal_cents - sum(floor for floor, _ in floors)
    assert 0 <= left <= len(lines), "rounding a sum once is within a cent a line of rounding each line down"
    order = sorted(range(len(lines)), key=lambda i: (-floors[i][1], i))
    lucky = set(order[:left])
    return tuple(msgspec.structs.replace(line, amount_cents=floors[i][0] + (i in lucky)) for i, line in enumerate(lines))


def _difference(now: Shares, before: Shares) -> dict[str, int]:
    """now − before by id, in order of id."""
    return {name: now.get(name, 0) - before.get(name, 0) for name in sorted({*now, *before})}


def _sum(parts: Iterable[Shares]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            sums[name] = sums.get(name, 0) + amount
    return sums
