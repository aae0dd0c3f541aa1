"""Payout runs: what is proposed to be paid to each provider, and why some of it is not.

A run pays what the ledger owes at that moment, so that late corrections, credits and premiums are in it, and what a
provider owes is kept from what it earns next. Of each provider's due a part may be kept back for a time.

    due = owed + let go − kept back; paid are its whole cents, the rest stays owed
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from contracts.terms.money import BASIS_POINTS, MICROS_PER_CENT, half_up, micros_text
from contracts.terms.time import iso

CENTS_MAX = 99_999_999


class PayoutPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What every run keeps to.

    delay_days    how long a provider sells before it is first paid
    reserve_bps   kept back of what is owed, for `reserve_days`
    cents_min     what is less waits
    """

    delay_days: int = 14
    reserve_bps: int = 0
    reserve_days: int = 90
    cents_min: int = 100


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between the broker and one provider, in one currency.

    owed_micros      what the ledger owes it; below zero it owes us
    kept_micros      what runs keep back of it now; `kept_lately_micros` of that since less than the reserve's days
    joined_at        since when it sells; None where unknown, which counts as new
    affiliates       buyers of the same parent who paid it and whom nobody has looked at
    """

    provider_id: str
    country: str
    owed_micros: int
    kept_micros: int = 0
    kept_lately_micros: int = 0
    joined_at: datetime | None = None
    affiliates: tuple[str, ...] = ()


class PayoutLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does for one provider.

    standing         ready: `cents` are paid; carried: too little, or it owes us; blocked: somebody has to do something first
    reserve_micros   kept back by this run, less what it lets go
    """

    provider_id: str
    country: str
    owed_micros: int
    reserve_micros: int = 0
    cents: int = 0
    standing: Literal["ready", "carried", "blocked"]
    reason: str = ""


def propose(dues: Iterable[Due], policy: PayoutPolicy, *, now: datetime) -> tuple[PayoutLine, ...]:
    """A line for every provider with a balance, by provider."""
    return tuple(
        _line(due, policy, now=now) for due in sorted(dues, key=lambda each: each.provider_id) if due.owed_micros or due.kept_micros
    )


def _line(due: Due, policy: PayoutPolicy, *, now: datetime) -> PayoutLine:
    line = PayoutLine(provider_id=due.provider_id, country=due.country, owed_micros=due.owed_micros, standing="blocked")
    paid_from = due.joined_at + timedelta(days=policy.delay_days) if due.joined_at else None
    if due.affiliates:
        return msgspec.structs.replace(line, reason=f"of the same parent as {', '.join(due.affiliates)}, who paid it: to be reviewed")
    if paid_from is None and policy.delay_days:
        return msgspec.structs.replace(line, reason="nobody knows since when it sells here")
    if paid_from is not None and now < paid_from:
        return msgspec.structs.replace(line, reason=f"sells here for less than {policy.delay_days} days, paid from {iso(paid_from)}")
    let_go = max(0, due.kept_micros - due.kept_lately_micros)
    kept = half_up(max(0, due.owed_micros) * policy.reserve_bps, BASIS_POINTS)
    cents = (due.owed_micros + let_go - kept) // MICROS_PER_CENT
    if cents > CENTS_MAX:
        return msgspec.structs.replace(line, reason=f"{cents} cents are more than one transfer takes: by bank")
    if cents < max(1, policy.cents_min):
        owes = (
            f"owes {micros_text(-due.owed_micros)}, kept from what it earns next"
            if due.owed_micros < 0
            else "less than is worth a transfer"
        )
        return msgspec.structs.replace(line, standing="carried", reason=owes)
    return msgspec.structs.replace(line, standing="ready", cents=cents, reserve_micros=kept - let_go)
