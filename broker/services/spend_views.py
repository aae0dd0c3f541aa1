"""What a buyer's account spends: month by month, this month to its end, and what other plans would have cost.

Money is integer micros of the account's currency, before tax.
"""

from datetime import datetime

import msgspec


class MonthSpend(msgspec.Struct, frozen=True, kw_only=True):
    """What one month comes to as known now; `closed` once it has been invoiced."""

    period: int
    month_start: datetime
    micros: int
    closed: bool


class SpendPart(msgspec.Struct, frozen=True, kw_only=True):
    """Part of what the present month comes to: usage of a class, or fee, take, trueup, credit; accelerator-seconds of usage."""

    kind: str
    hardware: str | None
    seconds: int
    micros: int


class PlanComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What the compared months would have cost on one plan; `saves_micros` against the account's own, negative when it costs more."""

    plan_id: str
    name: str
    kind: str
    own: bool
    months: list[int]
    total_micros: int
    saves_micros: int


class ProjectSpend(msgspec.Struct, frozen=True, kw_only=True):
    """A project's part of an account's spend: the same figures, which add up to the account's to the micro.

    seconds  accelerator-seconds its leases have delivered in the present month
    months   of the account's months, the latest last
    """

    project_id: str
    name: str
    archived: bool
    seconds: int
    spent_micros: int
    ahead_micros: int
    forecast_micros: int | None
    months: list[int]


class LeaseSpend(msgspec.Struct, frozen=True, kw_only=True):
    """What one lease, all its parts together, brings to a month.

    lease_id  null for what no lease brought, as the fee of a quiet month
    """

    lease_id: str | None
    hardware: str | None
    seconds: int
    micros: int


class ProjectSpendView(msgspec.Struct, frozen=True, kw_only=True):
    """A project's spend in one month, lease by lease, the dearest first; `micros` is what they add up to."""

    project_id: str
    name: str
    currency: str
    as_of: datetime
    period: int
    month_start: datetime
    month_end: datetime
    micros: int
    leases: list[LeaseSpend]


class SpendView(msgspec.Struct, frozen=True, kw_only=True):
    """An account's spend.

    spent_micros     the present month so far, on the account's plan
    ahead_micros     leases that are agreed and lie ahead in it, at the rates of their slots
    forecast_micros  the month at the pace so far, and at least what is spent and agreed where rates are paid; None in its first two days
    passed_percent   how much of the month has passed
    projects         the default one first, then by name: those that bought something, and those that may
    months           the latest last; `plans` compares the same months, the present one at its pace where it has one, the cheapest first
    """

    account_id: str
    currency: str
    as_of: datetime
    plan_id: str
    month_start: datetime
    month_end: datetime
    passed_percent: int
    spent_micros: int
    ahead_micros: int
    forecast_micros: int | None
    parts: list[SpendPart]
    months: list[MonthSpend]
    plans: list[PlanComparison]
    projects: list[ProjectSpend] = []
