"""A buyer's spend: this month to its end, the months before, and what other plans would have cost."""

import csv
import io
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.budgets import ALERT_PERCENTS, ALERTS_MAX, LIMIT_MAX, BudgetRequest, BudgetView
from broker.services.projects import SCOPE
from broker.services.spend_views import PlanComparison, ProjectSpend, SpendPart, SpendView
from contracts.terms.errors import BadInput
from contracts.terms.money import half_up
from web.formats import money, month
from web.i18n import found, gettext, later
from web.pages.finance import origin
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller
from web.pages.spend_project import project_words
from web.pages.statements import KINDS

AnyRequest = Request[object, object, object]  # type: ignore[type-var]
PLAN_KINDS = {
    "metered_cleared": later("pay what the gate said, hour by hour"),
    "metered_tiers": later("pay for the work by steps"),
    "flat_rate": later("a monthly fee, with fair use in it"),
    "committed": later("one price, and a least sum a month"),
    "grant": later("given, up to its PF-days"),
}


@get("/spend", include_in_schema=False)
async def spend_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What is spent and where the month is going; plans compared on the account's own months."""
    caller = await page_caller(request, services)
    spend = await services.spending.spend(caller)
    context = {
        "caller": caller,
        "spend": spend,
        "finding": finding(spend),
        "advice": advice(spend),
        "parts": [(part_words(part), part) for part in spend.parts if part.micros or part.seconds],
        "shares": (shares := project_shares(spend.projects, await services.budgets.budgets(caller))),
        "dearest": dearest(shares, spend),
        "kinds": PLAN_KINDS,
        "budget": await services.budgets.budget(caller),
        "may_set": SCOPE in caller.scopes,
        "marks": marks(request),
        "quiet": not any(each.micros for each in spend.months) and not spend.ahead_micros,
        "origin": origin(request),
    }
    return Template("spend.html", context=context, headers=NO_STORE)


class BudgetForm(FormMarks, frozen=True, kw_only=True):
    """A month's ceiling in whole currency, as a person types it; empty takes it away."""

    limit: str = ""
    alert: str = ""
    project: str = ""


@post("/spend/budget", include_in_schema=False, status_code=303)
async def set_budget(
    data: Annotated[BudgetForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    request: AnyRequest,
    *,
    services: NamedDependency[Services],
) -> Redirect:
    """Set the ceiling, once a form. Raises BadInput for what is no amount."""
    caller = await page_caller(request, services)
    sent = FormMarks(token=data.token, once=data.once)
    key = act_key(request, caller, sent=sent, content=f"{data.limit}\n{data.alert}\n{data.project}".encode())
    wanted = BudgetRequest(limit_micros=_micros(data.limit), alert_percents=_percents(data.alert), project=data.project or None)
    kept = await services.replies.once(lambda: services.budgets.put(wanted, caller), BudgetView, request=key)
    return Redirect(f"/spend/projects/{kept.project_id}#budget" if kept.project_id else "/spend#budget", status_code=303)


@get("/spend/csv", include_in_schema=False)
async def spend_csv(request: AnyRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The comparison for a spreadsheet: a row a plan and month, in micros."""
    spend = await services.spending.spend(await page_caller(request, services))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("plan_id", "month_start", "micros", "currency", "own"))
    for plan in spend.plans:
        for each, micros in zip(spend.months, plan.months, strict=True):
            rows.writerow((plan.plan_id, f"{each.month_start:%Y-%m-%d}", micros, spend.currency, str(plan.own).lower()))
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="gridfare-spend.csv"'}
    return Response(text.getvalue().encode(), media_type="text/csv", headers=headers)


class ProjectShare(msgspec.Struct, frozen=True, kw_only=True):
    """A project's row: its figures, its budget where it has one, and its bar in hundredths of the dearest project's."""

    name: str
    spend: ProjectSpend
    budget: BudgetView | None
    spent_part: int
    ahead_part: int


def project_shares(projects: Sequence[ProjectSpend], budgets: Sequence[BudgetView]) -> list[ProjectShare]:
    """The projects that bought something or may, the dearest first."""
    by_id = {each.project_id: each for each in budgets}
    most = max((max(0, each.spent_micros) + each.ahead_micros for each in projects), default=0) or 1
    shown = [each for each in projects if any(each.months) or each.ahead_micros or not each.archived]
    return [
        ProjectShare(
            name=project_words(each.project_id, each.name),
            spend=each,
            budget=by_id.get(each.project_id),
            spent_part=max(0, each.spent_micros) * 100 // most,
            ahead_part=each.ahead_micros * 100 // most,
        )
        for each in sorted(shown, key=lambda each: (-(each.spent_micros + each.ahead_micros), each.name))
    ]


def dearest(shares: Sequence[ProjectShare], spend: SpendView) -> str:
    """Which project the month goes to, in one line; nothing where none has spent."""
    whole = spend.spent_micros + spend.ahead_micros
    first = shares[0] if shares else None
    if first is None or whole <= 0:
        return gettext("Nothing is spent or agreed in this month yet.")
    part = half_up(100 * (first.spend.spent_micros + first.spend.ahead_micros), whole)
    return gettext("%(percent)s %% of what is spent and agreed is for %(project)s.", percent=part, project=first.name)


def finding(spend: SpendView) -> str:
    """Where the month is going, in one line."""
    facts = {"month": month(spend.month_start), "currency": spend.currency}
    if spend.forecast_micros is None:
        agreed = money(spend.spent_micros + spend.ahead_micros)
        return gettext("%(month)s has just begun: %(amount)s %(currency)s are spent or agreed", amount=agreed, **facts)
    return gettext("%(month)s is on its way to %(amount)s %(currency)s", amount=money(spend.forecast_micros), **facts)


def advice(spend: SpendView) -> str:
    """Whether another plan would have been cheaper on these months."""
    own = next(plan for plan in spend.plans if plan.own)
    cheapest = _cheapest(spend.plans)
    if len(spend.plans) == 1:
        return gettext("There is no other plan to compare with.")
    if cheapest.saves_micros <= 0:
        return gettext("Your plan, %(plan)s, is the cheapest for what you use.", plan=own.name)
    return gettext(
        "On %(plan)s the same months would have cost %(amount)s %(currency)s less than on yours.",
        plan=cheapest.name, amount=money(cheapest.saves_micros), currency=spend.currency,
    )  # fmt: skip


def part_words(part: SpendPart) -> str:
    """What a part of the month is for."""
    return part.hardware or found(KINDS.get(part.kind, part.kind))


def _cheapest(plans: list[PlanComparison]) -> PlanComparison:
    return max(plans, key=lambda plan: (plan.saves_micros, plan.own))


def _micros(text: str) -> int | None:
    """Whole currency to micros; None for nothing. Raises BadInput."""
    plain = text.replace(",", "").strip()
    if not plain:
        return None
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and 0 <= amount <= LIMIT_MAX // 10**6):
        raise BadInput(gettext("a budget is an amount of money, or nothing for none"), column="limit", found=text[:40], would_do="5000")
    return int(amount * 10**6)


def _percents(text: str) -> tuple[int, ...]:
    """Shares as a person types them, parted by commas; the usual ones for nothing. Raises BadInput."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > ALERTS_MAX or not all(word.isascii() and word.isdigit() and 1 <= int(word[:4]) <= 100 for word in words):
        raise BadInput(gettext("warn from 1 to 100 per cent on"), column="alert", found=text[:40], would_do="50, 80")
    return tuple(int(word) for word in words) or ALERT_PERCENTS
