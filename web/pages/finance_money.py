"""The rest of the finance desk: who owes since when, disputes and corrections, payouts, whether the books agree, who did what."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, PathParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.services.corrections import CorrectionView
from broker.services.disputes import Decision, DisputeView
from broker.services.finance_views import PayoutRunView, PeriodView
from contracts.ageing import BANDS, Notice
from contracts.terms.errors import BadInput, NotFound
from web.formats import money, month
from web.i18n import gettext, ngettext
from web.pages.finance import DESK, Answer, AnyRequest, SentForm, origin
from web.pages.finance_corrections import KINDS
from web.pages.finance_words import typed_cents
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

ENDED = ("rejected", "ended")
Number = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
Currency = Annotated[str, PathParameter(pattern="^[A-Z]{3}$")]


class DecisionForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a dispute ends: `credit` and `tax` are amounts such as 12.50, of an upheld one."""

    upheld: str = "no"
    note: str = ""
    credit: str = ""
    tax: str = ""
    token: str = ""
    once: str = ""


class ActRow(msgspec.Struct, frozen=True, kw_only=True):
    """One act of the trail: what was done to what, by whom."""

    at: datetime
    actor: str
    what: str
    act: str
    note: str
    link: str


@get("/finance/receivables", include_in_schema=False)
async def receivables_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What buyers owe by age, what they dispute, what was corrected."""
    caller = await page_caller(request, services)
    context = {
        "caller": caller,
        "ages": await services.receivables.ageing(caller),
        "bands": [gettext("over %(days)s", days=first - 1) if last is None else f"{first}–{last}" for first, last in BANDS],
        "disputes": (await services.disputes.disputes(caller))[::-1],
        "corrections": [(each, gettext(KINDS[type(each.correction)])) for each in (await services.corrections.corrections(caller))[::-1]],
        "may_write": "finance:write" in caller.scopes,
        "may_approve": "finance:approve" in caller.scopes,
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("finance_receivables.html", context=context, headers=NO_STORE)


@post("/finance/receivables/dunning", include_in_schema=False, status_code=200)
async def dun(data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Take the next step with everybody who owes too long; the notices to send are the answer."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    found = await services.replies.once(lambda: services.receivables.dun(caller), list[Notice], request=key)
    answer = Answer(
        title=gettext("Dunning"),
        finding=ngettext(
            "%(num)s notice is to be sent; each step is taken once.",
            "%(num)s notices are to be sent; each step is taken once.",
            num=len(found),
        )
        if found
        else gettext("Nobody owes long enough for another step."),
        headings=(gettext("Account"), gettext("Currency"), gettext("Step"), gettext("Days"), gettext("Owed")),
        rows=tuple((each.account_id, each.currency, each.words, str(each.days), money(each.micros)) for each in found),
        numbers=2,
        back=f"{DESK}/receivables",
        call=f"-X POST {origin(request)}/v1/finance/dunning",
    )
    return Template("finance_answer.html", context={"answer": answer, "caller": caller}, headers=NO_STORE)


@post("/finance/receivables/corrections/{entry_id:str}/{act:str}", include_in_schema=False, status_code=303)
async def decide_correction(
    entry_id: FromPath[str], act: FromPath[str], data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Let a correction count, or void it."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    known = {"approve": services.corrections.approve, "reject": services.corrections.reject}
    if act not in known:
        raise NotFound(f"a correction cannot be {act}; approve and reject are there", act=act)
    await services.replies.once(lambda: known[act](entry_id, caller), CorrectionView, request=key)
    return Redirect(f"{DESK}/receivables", status_code=303)


@post("/finance/receivables/disputes/{dispute_id:str}/decide", include_in_schema=False, status_code=303)
async def decide_dispute(
    dispute_id: FromPath[str],
    data: Annotated[DecisionForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Redirect:
    """Uphold or dismiss a dispute; upheld, a credit note is proposed. Raises BadInput for an amount that is none."""
    caller = await page_caller(request, services)
    if not data.note.strip():
        raise BadInput("a decision says why", found="no words", would_do="a note that the buyer will read")
    upheld = data.upheld == "yes"
    decision = Decision(upheld=upheld, note=data.note.strip(), cents=typed_cents(data.credit), tax_cents=typed_cents(data.tax))
    key = act_key(request, caller, sent=FormMarks(token=data.token, once=data.once), content=msgspec.json.encode(decision))
    await services.replies.once(lambda: services.disputes.decide(dispute_id, decision, caller=caller), DisputeView, request=key)
    return Redirect(f"{DESK}/receivables", status_code=303)


@get("/finance/payouts", include_in_schema=False)
async def payouts_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Every payout run, the latest first: who is paid what, who waits, and the next step."""
    caller = await page_caller(request, services)
    runs = await services.treasury.runs(caller)
    under_way = {run.currency: run.number for run in runs if run.state not in ENDED}
    context = {
        "caller": caller,
        "runs": [(run, _proposer(run) == caller.account_id) for run in reversed(runs)],
        "currencies": [(currency, under_way.get(currency)) for currency in sorted(await services.finance.trial_balance())],
        "may_write": "finance:write" in caller.scopes,
        "may_approve": "finance:approve" in caller.scopes,
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("finance_payouts.html", context=context, headers=NO_STORE)


@post("/finance/payouts/{currency:str}/propose", include_in_schema=False, status_code=303)
async def propose_run(currency: Currency, data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]) -> Redirect:
    """Propose a run of what is owed now."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    await services.replies.once(lambda: services.treasury.propose(currency, caller), PayoutRunView, request=key)
    return Redirect(f"{DESK}/payouts", status_code=303)


@post("/finance/payouts/{currency:str}/{number:int}/{act:str}", include_in_schema=False, status_code=303)
async def act_on_run(
    currency: Currency,
    number: Number,
    act: FromPath[str],
    data: SentForm,
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Redirect:
    """Approve, reject, pay or end a run."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    treasury = services.treasury
    known = {"approve": treasury.approve, "reject": treasury.reject, "pay": treasury.pay, "end": treasury.end}
    if act not in known:
        raise NotFound(f"a payout run cannot be asked to {act}; {', '.join(known)} are there", act=act)
    await services.replies.once(lambda: known[act](currency, number, caller=caller), PayoutRunView, request=key)
    return Redirect(f"{DESK}/payouts", status_code=303)


@get("/finance/books", include_in_schema=False)
async def books_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Every sum in the books that must agree with another, by how much it does not, and the trial balance."""
    caller = await page_caller(request, services)
    held = await services.treasury.held(caller)
    context = {
        "caller": caller,
        "books": await services.reconciliation.reconcile(held),
        "balance": sorted((await services.finance.trial_balance()).items()),
        "held": None if held is None else sorted(held.items()),
        "as_of": services.clock.now(),
        "origin": origin(request),
    }
    return Template("finance_books.html", context=context, headers=NO_STORE)


@get("/finance/trail", include_in_schema=False)
async def trail_page(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Who did what, the latest first."""
    caller = await page_caller(request, services)
    context = {"caller": caller, "acts": await _trail(request, services), "origin": origin(request)}
    return Template("finance_trail.html", context=context, headers=NO_STORE)


@get("/finance/trail/csv", include_in_schema=False)
async def trail_csv(request: AnyRequest, services: NamedDependency[Services]) -> Response[bytes]:
    """The same as a table to keep."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["at", "actor", "what", "act", "note"])
    for each in await _trail(request, services):
        writer.writerow([f"{each.at:%Y-%m-%dT%H:%M:%S.%fZ}", each.actor, each.what, each.act, each.note])
    headers = NO_STORE | {"Content-Disposition": 'attachment; filename="gridfare-acts.csv"'}
    return Response(out.getvalue().encode(), media_type="text/csv", headers=headers)


def trail(periods: Sequence[PeriodView], runs: Sequence[PayoutRunView], *, disputes: Sequence[DisputeView]) -> list[ActRow]:
    """Acts about periods, payout runs and disputes in one list, the latest first."""
    found = [
        ActRow(
            at=act.at,
            actor=act.actor,
            what=gettext("period %(period)s, %(month)s", period=each.period, month=month(each.month_start)),
            act=act.act,
            note=act.note,
            link=f"{DESK}/periods/{each.period}",
        )
        for each in periods
        for act in each.history
    ]
    found += [
        ActRow(
            at=act.at,
            actor=act.actor,
            what=gettext("payout run %(currency)s %(number)s", currency=run.currency, number=run.number),
            act=act.act,
            note=act.note,
            link=f"{DESK}/payouts",
        )
        for run in runs
        for act in run.history
    ]
    found += [
        ActRow(
            at=event.at,
            actor=event.actor,
            what=gettext("dispute %(dispute)s", dispute=each.dispute_id),
            act=event.act,
            note=event.words,
            link=f"{DESK}/receivables",
        )
        for each in disputes
        for event in each.events
    ]
    # Turned round after sorting: of acts at one moment those that came last are to stand first.
    return sorted(found, key=lambda each: each.at)[::-1]


async def _trail(request: AnyRequest, services: Services) -> list[ActRow]:
    caller = await page_caller(request, services)
    periods, runs = await services.treasury.periods(caller), await services.treasury.runs(caller)
    return trail(periods, runs, disputes=await services.disputes.disputes(caller))


def _proposer(run: PayoutRunView) -> str:
    return next((act.actor for act in run.history if act.act == "proposed"), "")
