"""What the finance desk says: what a period waits for, its steps, who may take the next one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from broker.services.finance_views import ActView, PeriodView
from broker.services.views import Caller, StatementView
from contracts.ageing import OpenDebt
from contracts.terms.errors import BadInput
from web.formats import moment, person, word
from web.i18n import gettext, later, ngettext
from web.pages.life import Standing, Step

CLOSED = ("finalised", "exported")
STEPS = (
    (later("Frozen"), "frozen"),
    (later("Rated"), "rated"),
    (later("Reviewed"), "reviewed"),
    (later("Finalised"), "finalised"),
    (later("Exported"), "exported"),
)
MEANT = (
    later("what arrived by then counts"),
    later("settled, nothing billed yet"),
    later("by another person"),
    later("invoices and entries written"),
    later("given out"),
)
# Words the desk shows as they come: states of periods, payout runs, disputes and corrections, and acts.
VOCABULARY = (
    later("frozen"), later("rated"), later("returned"), later("reviewed"), later("finalised"), later("exported"), later("proposed"),
    later("approved"), later("rejected"), later("paid"), later("paying"), later("ended"), later("ready"), later("opened"),
    later("evidenced"), later("upheld"), later("dismissed"), later("posted"), later("previewed"), later("collected"), later("waits"),
)  # fmt: skip
FREEZABLE = later("somebody to freeze it")
SOMEBODY_ELSE = {
    "review": later("You rated it, so somebody else has to review it: two pairs of eyes."),
    "finalise": later("You rated it, so somebody else has to finalise it: two pairs of eyes."),
}
REACHED = {"open": 0, "frozen": 1, "returned": 1, "rated": 2, "reviewed": 3, "finalised": 4, "exported": 5}
FORMATS = (
    ("focus", "FOCUS", later("cost and usage for FinOps tools")),
    ("beancount", "Beancount", later("the books, for accountants")),
    ("hledger", "hledger", later("the same books, for hledger")),
    ("statements", "Statements", later("every invoice and payout advice, as text and PDF")),
    ("pain001", "pain.001", later("payments to providers, for the bank")),
    ("ubl", "UBL", later("e-invoices; parties need an address and a VAT number")),
    ("close", "Tables", later("the published tables, and those they can be settled from again")),
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
            return gettext("the end of its month, %(end)s", end=moment(period.month_end))
        case "open" if before is not None and before.state not in CLOSED:
            return gettext("period %(period)s, which is %(state)s: periods close in order", period=before.period, state=word(before.state))
        case "open":
            return gettext(FREEZABLE)
        case "frozen":
            return gettext("somebody to rate it")
        case "returned":
            return gettext("being rated again: %(who)s sent it back", who=person(done_by(period, "returned")))
        case "rated":
            return gettext("a review by somebody other than %(who)s", who=rater)
        case "reviewed":
            return gettext("somebody other than %(who)s to finalise it", who=rater)
        case _:
            return gettext("nothing")


def turn(period: PeriodView, caller: Caller, *, waiting: str) -> Turn | None:
    """What the reader may do next with a period; None once it is closed."""
    if period.state not in NEXT:
        return None
    act, scope = NEXT[period.state]
    if act == "freeze" and waiting != gettext(FREEZABLE):
        return Turn(act=act, obstacle=gettext("It waits for %(what)s.", what=waiting))
    if scope not in caller.scopes:
        return Turn(act=act, obstacle=gettext("Your key may look and not do this: it lacks the scope %(scope)s.", scope=scope))
    if act in ("review", "finalise") and done_by(period, "rated") == caller.account_id:
        return Turn(act=act, obstacle=gettext(SOMEBODY_ELSE[act]))
    return Turn(act=act)


def steps(period: PeriodView) -> list[Step]:
    """The five steps of a close: done by whom and when, next, or ahead."""
    reached = REACHED[period.state]
    found = []
    for number, ((name, act), meant) in enumerate(zip(STEPS, MEANT, strict=True)):
        standing: Standing = "done" if number < reached else "now" if number == reached else "ahead"
        did = latest(period.history, act)
        finding = f"{person(did.actor)}, {moment(did.at)}" if did and standing == "done" else gettext(meant)
        found.append(Step(name=gettext(name), standing=standing, finding=finding))
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
        return Collection(words=gettext("credit note") if invoice.payable_cents else gettext("nothing to pay"), open_micros=0)
    debt = debts.get(f"settle:{invoice.account_id}:{invoice.period}")
    if debt is None:
        return Collection(words=gettext("settled"), open_micros=0)
    whole = debt.micros == invoice.payable_cents * 10_000
    words = (
        ngettext("open, %(num)s day", "open, %(num)s days", num=debt.days)
        if whole
        else ngettext("open in part, %(num)s day", "open in part, %(num)s days", num=debt.days)
    )
    return Collection(words=words, open_micros=debt.micros)


def typed(amount: int) -> str:
    """An amount in cents as a person types it into a form.

    >>> typed(6_005)
    '60.05'
    """
    return f"{amount // 100}.{amount % 100:02d}"


def typed_cents(text: str) -> int:
    """Cents of an amount as a person types it, at most two decimals; 0 for none. Raises BadInput."""
    whole, _, part = text.strip().partition(".")
    if not text.strip():
        return 0
    if not (whole + part).isascii() or not whole.isdecimal() or len(part) > 2 or (part and not part.isdecimal()) or len(whole) > 12:
        raise BadInput("an amount is written in digits", found=text, would_do="12.50")
    return int(whole) * 100 + int(part.ljust(2, "0") or 0)
