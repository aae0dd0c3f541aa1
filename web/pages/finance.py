"""The finance desk: periods, what each waits for, and the steps of a close, taken by two people."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, PathParameter
from litestar.response import Redirect, Template

from broker.app import Services
from broker.collecting import Collected
from broker.services.finance_views import FreezeRequest, PeriodView, PreviewView, ReviewRequest
from broker.services.views import Caller
from contracts.ageing import Ageing
from contracts.review import BillChange
from contracts.terms.errors import BadInput, NotFound
from contracts.terms.time import Period as TimeSpan
from web.formats import cents, moment, month
from web.i18n import gettext, later
from web.pages.finance_words import CLOSED, FORMATS, collection, steps, turn, waits
from web.pages.refusals import Desk
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

DESK = "/finance"


def _page_of(path: str) -> str:
    """The page of the desk that a form sent to a path stands on.

    >>> _page_of("/finance/periods/1/steps/rate"), _page_of("/finance/payouts/run_1/approve")
    ('/finance/periods/1', '/finance/payouts')
    """
    parts = path.split("/")
    return "/".join(parts[:4] if parts[2:3] == ["periods"] else parts[:3])


REFUSING = Desk(
    frame="finance_base.html",
    home=DESK,
    title=later("The finance desk"),
    purpose=later("Here the finance team closes months, collects, pays out and answers for every figure."),
    barred=later("The key you are signed in with is not one of theirs."),
    elsewhere="/statements",
    elsewhere_name=later("Your own statements"),
    back=_page_of,
)
METERS_SHOWN = 50
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Period = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]


class StepForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a form of the close sends: its marks, for a review what the reviewer says, for a freeze until when (UTC; empty is now)."""

    token: str = ""
    once: str = ""
    note: str = ""
    decision: Literal["accept", "return"] = "accept"
    closes_at: str = ""

    @property
    def marks(self) -> FormMarks:
        """The hidden fields."""
        return FormMarks(token=self.token, once=self.once)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an act came to, as a table: the last `numbers` columns are figures."""

    title: str
    finding: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int
    back: str
    call: str


SentForm = Annotated[StepForm, Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/finance", include_in_schema=False)
async def desk(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Every period, the latest first, and whether the books agree."""
    caller = await page_caller(request, services)
    periods, now = await services.treasury.periods(caller), services.clock.now()
    ages = await services.receivables.ageing(caller)
    disputes = await services.disputes.disputes(caller)
    runs = await services.treasury.runs(caller)
    context = {
        "caller": caller,
        "rows": [(each, waits(each, periods, now=now)) for each in reversed(periods)],
        "books": await services.reconciliation.reconcile(await services.treasury.held(caller)),
        "owed": _owed(ages),
        "disputes_open": sum(each.state in ("opened", "evidenced") for each in disputes),
        "runs_open": sum(each.state not in ("ended", "rejected") for each in runs),
        "now": now,
        "origin": origin(request),
    }
    return Template("finance.html", context=context, headers=NO_STORE)


@get("/finance/periods/{period:int}", include_in_schema=False)
async def period_page(period: Period, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """One period: its steps, the next of them, what to look at, its sums, its invoices and payouts, what was done."""
    caller = await page_caller(request, services)
    found, now = await services.treasury.period(period, caller), services.clock.now()
    waiting = waits(found, await services.treasury.periods(caller), now=now)
    debts = {debt.entry_id: debt for debt in await services.receivables.debts(caller)}
    context = {
        "caller": caller,
        "period": found,
        "waiting": waiting,
        "steps": steps(found),
        "turn": turn(found, caller, waiting=waiting),
        "meters": await services.meters.differences(TimeSpan(found.month_start, found.month_end), caller),
        "meters_shown": METERS_SHOWN,
        "closed": found.state in CLOSED,
        "now": now,
        "record": await services.treasury.record(period, caller),
        "invoices": [(each, collection(each, debts)) for each in await services.finance.issued(period, caller)],
        "advices": await services.finance.advices(period, caller),
        "formats": [(code, name, gettext(meaning)) for code, name, meaning in FORMATS],
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("finance_period.html", context=context, headers=NO_STORE)


@post("/finance/periods/{period:int}/preview", include_in_schema=False, status_code=200)
async def preview(period: Period, data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What the period would bill now, and what has moved since the preview before."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    found = await services.replies.once(lambda: services.treasury.preview(period, caller), PreviewView, request=key)
    totals = ", ".join(f"{cents(amount)} {currency}" for currency, amount in sorted(found.payable_cents.items())) or gettext("nothing")
    against = (
        gettext("This is the first preview.")
        if found.before is None
        else gettext("Changes are since the preview of %(time)s.", time=moment(found.before))
    )
    answer = Answer(
        title=gettext("Preview of %(month)s", month=month((await services.treasury.period(period, caller)).month_start)),
        finding=gettext(
            "With what is known now it would bill %(totals)s. %(against)s Figures outside their bounds: %(outliers)s. "
            "Nothing is decided by looking.",
            totals=totals,
            against=against,
            outliers=len(found.outliers),
        ),
        headings=(gettext("Account"), gettext("Currency"), gettext("Payable"), gettext("Moved")),
        rows=tuple((each.bill.account_id, each.bill.currency, cents(each.bill.payable_cents), _change(each)) for each in found.changes),
        numbers=2,
        back=f"{DESK}/periods/{period}",
        call=f"-X POST {origin(request)}/v1/finance/periods/{period}/preview",
    )
    return Template("finance_answer.html", context={"answer": answer, "caller": caller}, headers=NO_STORE)


@post("/finance/periods/{period:int}/collect", include_in_schema=False, status_code=200)
async def collect(period: Period, data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """Bring every statement to its buyer through the processor, and say what became of each."""
    caller = await page_caller(request, services)
    key = act_key(request, caller, sent=data.marks)
    found = await services.replies.once(lambda: services.treasury.collect(period, caller), list[Collected], request=key)
    refused = sum(bool(each.refusal) for each in found)
    answer = Answer(
        title=gettext("Collected, period %(period)s", period=period),
        finding=gettext(
            "%(count)s statements brought to their buyers; %(refused)s refused. What failed may be tried again.",
            count=len(found),
            refused=refused,
        ),
        headings=tuple(
            gettext(name)
            for name in (later("Statement"), later("State"), later("Refusal"), later("Payable"), later("Prepaid"), later("Paid"))
        ),
        rows=tuple(
            (each.statement_id, each.status, each.refusal, cents(each.payable_cents), cents(each.prepaid_cents), cents(each.paid_cents))
            for each in found
        ),
        numbers=3,
        back=f"{DESK}/periods/{period}",
        call=f"-X POST {origin(request)}/v1/finance/periods/{period}/collect",
    )
    return Template("finance_answer.html", context={"answer": answer, "caller": caller}, headers=NO_STORE)


@post("/finance/periods/{period:int}/steps/{act:str}", include_in_schema=False, status_code=303)
async def take_step(
    period: Period, act: FromPath[str], data: SentForm, *, request: AnyRequest, services: NamedDependency[Services]
) -> Redirect:
    """Take the next step of a close, once a form. Raises NotFound for a step there is not, and as the step does."""
    caller = await page_caller(request, services)
    content = f"{data.decision}\n{data.note}\n{data.closes_at}".encode()
    key = act_key(request, caller, sent=data.marks, content=content)
    step = _step(services, caller, act=act, form=data)
    await services.replies.once(lambda: step(period), PeriodView, request=key)
    return Redirect(f"{DESK}/periods/{period}", status_code=303)


def _step(services: Services, caller: Caller, *, act: str, form: StepForm) -> Callable[[int], Awaitable[PeriodView]]:
    treasury = services.treasury
    said = ReviewRequest(accept=form.decision == "accept", note=form.note.strip()[:4000])
    frozen = FreezeRequest(closes_at=_moment(form.closes_at.strip()))
    known: dict[str, Callable[[int], Awaitable[PeriodView]]] = {
        "freeze": lambda period: treasury.freeze(period, frozen, caller=caller),
        "rate": lambda period: treasury.rate(period, caller),
        "review": lambda period: treasury.review(period, said, caller=caller),
        "finalise": lambda period: treasury.finalise(period, caller),
    }
    if act not in known:
        raise NotFound(f"a close has no step called {act}; {', '.join(known)} are there", act=act)
    return known[act]


def _moment(text: str) -> datetime | None:
    """A moment as a date and time field sends it, in UTC; None for an empty field. Raises BadInput."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadInput("a moment is a date and a time, UTC", found=text, would_do="2027-02-01T06:00") from error


def _change(change: BillChange) -> str:
    return gettext("first seen") if change.before_cents is None else cents(change.change_cents)


def _owed(ages: Sequence[Ageing]) -> list[tuple[str, int]]:
    """What buyers owe together, micros by currency."""
    currencies = sorted({each.currency for each in ages})
    return [(currency, sum(each.micros for each in ages if each.currency == currency)) for currency in currencies]


def origin(request: AnyRequest) -> str:
    """Where this site is, for the calls that pages show."""
    return str(request.base_url).rstrip("/")
