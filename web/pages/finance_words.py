"""What the finance desk says: what a period waits for, its steps, who may take the next one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from broker.services.finance_views import ActView, PeriodView
from broker.services.views import Caller, StatementView
from contracts.ageing import OpenDebt
from web.formats import moment, person
from web.pages.life import Standing, Step

CLOSED = ("finalised", "exported")
STEPS = (("Frozen", "frozen"), ("Rated", "rated"), ("Reviewed", "reviewed"), ("Finalised", "finalised"), ("Exported", "exported"))
MEANT = ("what arrived by then counts", "settled, nothing billed yet", "by another person", "invoices and entries written", "given out")
REACHED = {"open": 0, "frozen": 1, "returned": 1, "rated": 2, "reviewed": 3, "finalised": 4, "exported": 5}
FORMATS = (
    ("focus", "FOCUS", "cost and usage for FinOps tools"),
    ("beancount", "Beancount", "the books, for accountants"),
    ("hledger", "hledger", "the same books, for hledger"),
    ("statements", "Statements", "every invoice and payout advice, as text and PDF"),
    ("pain001", "pain.001", "payments to providers, for the bank"),
    ("ubl", "UBL", "e-invoices; parties need an address and a VAT number"),
    ("close", "Tables", "the published tables, and those they can be settled from again"),
)
NEXT: dict[str, tuple[Literal["freeze", "rate", "review", "finalise"], str]] = {
    "open": ("freeze", "finance:write"),
    "frozen": ("rate", "finance:write"),
    "returned": ("rate", "finance:write"),
    "rated": ("review", "finance:approve"),
    "reviewed": ("finalise", "finance:approve"),
}


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The step a period can take now; `obstacle` says why not by this reader, or not yet."""

    act: str
    obstacle: str = ""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an invoice: `open_micros` are still owed."""

    words: str
    open_micros: int


def waits(period: PeriodView, periods: Sequence[PeriodView], *, now: datetime) -> str:
    """What a period waits for, in words."""
    before = next((each for each in periods if each.period == period.period - 1), None)
    rater = person(done_by(period, "rated"))
    match period.state:
        case "open" if now < period.month_end:
            return f"the end of its month, {moment(period.month_end)}"
        case "open" if before is not None and before.state not in CLOSED:
            return f"period {before.period}, which is {before.state}: periods close in order"
        case "open":
            return "somebody to freeze it"
        case "frozen":
            return "somebody to rate it"
        case "returned":
            return f"being rated again: {person(done_by(period, 'returned'))} sent it back"
        case "rated":
            return f"a review by somebody other than {rater}"
        case "reviewed":
            return f"somebody other than {rater} to finalise it"
        case _:
            return "nothing"


def turn(period: PeriodView, caller: Caller, *, waiting: str) -> Turn | None:
    """What the reader may do next with a period; None once it is closed."""
    if period.state not in NEXT:
        return None
    act, scope = NEXT[period.state]
    if act == "freeze" and waiting != "somebody to freeze it":
        return Turn(act=act, obstacle=f"It waits for {waiting}.")
    if scope not in caller.scopes:
        return Turn(act=act, obstacle=f"Your key may look and not do this: it lacks the scope {scope}.")
    if act in ("review", "finalise") and done_by(period, "rated") == caller.account_id:
        return Turn(act=act, obstacle=f"You rated it, so somebody else has to {act} it: two pairs of eyes.")
    return Turn(act=act)


def steps(period: PeriodView) -> list[Step]:
    """The five steps of a close: done by whom and when, next, or ahead."""
    reached = REACHED[period.state]
    found = []
    for number, ((name, act), meant) in enumerate(zip(STEPS, MEANT, strict=True)):
        standing: Standing = "done" if number < reached else "now" if number == reached else "ahead"
        did = latest(period.history, act)
        finding = f"{person(did.actor)}, {moment(did.at)}" if did and standing == "done" else meant
        found.append(Step(name=name, standing=standing, finding=finding))
    return found


def done_by(period: PeriodView, act: str) -> str:
    """Who did an act last; empty for nobody."""
    did = latest(period.history, act)
    return did.actor if did else ""


def latest(history: Sequence[ActView], act: str) -> ActView | None:
    """The last act of a name."""
    return next((each for each in reversed(history) if each.act == act), None)


def collection(invoice: StatementView, debts: dict[str, OpenDebt]) -> Collection:
    """What became of an invoice, from what the ledger says is still open of it."""
    if invoice.payable_cents <= 0:
        return Collection(words="credit note" if invoice.payable_cents else "nothing to pay", open_micros=0)
    debt = debts.get(f"settle:{invoice.account_id}:{invoice.period}")
    if debt is None:
        return Collection(words="settled", open_micros=0)
    part = "" if debt.micros == invoice.payable_cents * 10_000 else " in part"
    return Collection(words=f"open{part}, {debt.days} {'day' if debt.days == 1 else 'days'}", open_micros=debt.micros)
