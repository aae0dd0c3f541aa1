"""Invoices of a period as finance sees them: line by line, each line back to its usage records, and what is taken home."""

import csv
import io
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, PathParameter, QueryParameter
from litestar.response import Template

from broker.app import Services
from broker.services.views import StatementLine
from contracts.terms.errors import NotFound
from contracts.terms.money import MICROS_PER_CENT
from contracts.tracing import Trace, TracedRecord
from web.formats import cents, exact, hours, quantity
from web.i18n import gettext, later, ngettext
from web.pages.finance import AnyRequest, Period, origin
from web.pages.finance_words import collection, typed
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller
from web.pages.statements import line_words

RECORDS_SHOWN = 100
LineNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]
Lease = Annotated[str | None, QueryParameter(max_length=200)]
FIGURES = {
    "unit_price_micros": later("Unit price, micros a PF-day"),
    "fee_micros": later("Monthly fee, micros"),
    "fair_use_units": later("Fair use, units"),
    "commit_micros": later("Commitment, micros a month"),
    "grant_units": later("Grant, units"),
    "take_bps": later("Broker’s take, basis points"),
}


class ExportForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the export form sends: its marks and the format of the button that was pressed."""

    format: str
    token: str = ""
    once: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a trace must agree with: what the line says, what the records come to."""

    what: str
    line: str
    records: str
    holds: bool


@get("/finance/periods/{period:int}/invoices/{account_id:str}", include_in_schema=False)
async def invoice_page(period: Period, account_id: FromPath[str], *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """One invoice, every line of it a way to its records."""
    caller = await page_caller(request, services)
    invoice = await services.finance.issued_to(account_id, period, caller=caller)
    debts = {debt.entry_id: debt for debt in await services.receivables.debts(caller)}
    state = collection(invoice, debts)
    numbered = sorted(enumerate(invoice.lines, 1), key=lambda each: (-each[1].month, each[1].kind != "usage", each[0]))
    context = {
        "caller": caller,
        "invoice": invoice,
        "lines": [(number, line_words(line), line) for number, line in numbered],
        "state": state,
        "open_typed": typed(state.open_micros // MICROS_PER_CENT),
        "may_write": "finance:write" in caller.scopes,
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("finance_invoice.html", context=context, headers=NO_STORE)


@get("/finance/periods/{period:int}/invoices/{account_id:str}/pdf", include_in_schema=False)
async def invoice_paper(
    period: Period, account_id: FromPath[str], *, request: AnyRequest, services: NamedDependency[Services]
) -> Response[bytes]:
    """An account's invoice as it is printed."""
    caller = await page_caller(request, services)
    content = await services.treasury.issued_paper(period, account_id, caller=caller)
    return _download(content, name=f"gridfare-{account_id}-{period}.pdf", media_type="application/pdf")


@get("/finance/periods/{period:int}/payouts/{provider_id:str}/{currency:str}/pdf", include_in_schema=False)
async def advice_paper(
    period: Period, provider_id: FromPath[str], currency: FromPath[str], *, request: AnyRequest, services: NamedDependency[Services]
) -> Response[bytes]:
    """What a provider is owed for a period, as it is printed."""
    caller = await page_caller(request, services)
    content = await services.treasury.advice_paper(period, provider_id, currency=currency, caller=caller)
    return _download(content, name=f"gridfare-{provider_id}-{period}-{currency}.pdf", media_type="application/pdf")


@get("/finance/periods/{period:int}/invoices/{account_id:str}/lines/{line:int}", include_in_schema=False)
async def line_page(
    period: Period,
    account_id: FromPath[str],
    *,
    line: LineNumber,
    request: AnyRequest,
    services: NamedDependency[Services],
    lease: Lease = None,
) -> Template:
    """A line taken apart: the rule, the leases, the records; and that they come to the line again."""
    caller = await page_caller(request, services)
    invoice = await services.finance.issued_to(account_id, period, caller=caller)
    trace = await services.treasury.trace(period, account_id, line=line, caller=caller)
    billed = invoice.lines[line - 1]
    chosen = [each for each in trace.records if lease is None or each.lease_id == lease]
    if lease is not None and not chosen:
        raise NotFound(f"no record of the lease {lease} is behind this line", lease_id=lease)
    context = {
        "caller": caller,
        "invoice": invoice,
        "number": line,
        "what": line_words(billed),
        "line": billed,
        "trace": trace,
        "finding": trace_finding(trace, billed, currency=invoice.currency),
        "proofs": proofs(trace, billed),
        "rounded": cents(billed.amount_cents) != exact(billed.amount_micros),
        "figures": [(gettext(FIGURES[name]), figure) for name, figure in trace.figures.items()],
        "lease": lease,
        "may_write": "finance:write" in caller.scopes,
        "marks": marks(request),
        "records": chosen[:RECORDS_SHOWN],
        "more": max(0, len(chosen) - RECORDS_SHOWN),
        "address": request.url.path,
        "origin": origin(request),
    }
    return Template("finance_line.html", context=context, headers=NO_STORE)


@get("/finance/periods/{period:int}/invoices/{account_id:str}/lines/{line:int}/csv", include_in_schema=False)
async def line_csv(
    period: Period, account_id: FromPath[str], line: LineNumber, *, request: AnyRequest, services: NamedDependency[Services]
) -> Response[bytes]:
    """Every record behind a line, in exact units."""
    caller = await page_caller(request, services)
    trace = await services.treasury.trace(period, account_id, line=line, caller=caller)
    return _download(record_rows(trace), name=f"gridfare-{account_id}-{period}-line-{line}.csv", media_type="text/csv")


@post("/finance/periods/{period:int}/export", include_in_schema=False, status_code=200)
async def export_month(
    period: Period,
    data: Annotated[ExportForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Response[bytes]:
    """A closed month in one format, as a download. Doing it twice gives the same bytes and notes them once."""
    caller = await page_caller(request, services)
    act_key(request, caller, sent=FormMarks(token=data.token, once=data.once))
    given = await services.treasury.export(period, data.format, caller=caller)
    return _download(given.content, name=given.name, media_type=given.media_type)


def proofs(trace: Trace, billed: StatementLine) -> list[Proof]:
    """What must agree: the seconds of a usage line, and the amount of any."""
    found = [
        Proof(
            what=gettext("Amount, worked out again from the records"),
            line=exact(billed.amount_micros),
            records=exact(trace.amount_micros),
            holds=billed.amount_micros == trace.amount_micros,
        )
    ]
    if billed.quantity_seconds is not None:
        holds = billed.quantity_seconds == trace.seconds
        seconds = Proof(
            what=gettext("Accelerator-hours of the records"), line=hours(billed.quantity_seconds), records=hours(trace.seconds), holds=holds
        )
        found.insert(0, seconds)
    return found


def trace_finding(trace: Trace, billed: StatementLine, *, currency: str) -> str:
    """What a trace shows, in one sentence."""
    agrees = all(each.holds for each in proofs(trace, billed))
    amount = f"{exact(billed.amount_micros)} {currency}"
    if not trace.records:
        said = (
            later("No usage record is behind this line: %(rule)s. It comes to %(amount)s.")
            if agrees
            else later("No usage record is behind this line: %(rule)s. It comes to %(amount)s, and not again.")
        )
        return gettext(said, rule=trace.rule, amount=amount)
    count = quantity(len(trace.records))
    said = (
        later("%(records)s of %(leases)s, %(hours)s accelerator-hours in all, are behind %(amount)s, and come to it again.")
        if agrees
        else later(
            "%(records)s of %(leases)s, %(hours)s accelerator-hours in all, are behind %(amount)s, but do not come to it: the "
            "books and the records disagree."
        )
    )
    return gettext(
        said,
        records=ngettext("%(count)s usage record", "%(count)s usage records", num=len(trace.records), count=count),
        leases=ngettext("%(count)s lease", "%(count)s leases", num=len(trace.leases), count=quantity(len(trace.leases))),
        hours=hours(trace.seconds),
        amount=amount,
    )


def record_rows(trace: Trace) -> bytes:
    """The records as CSV: exact seconds, micros and UTC times."""
    rates = {lease.lease_id: lease for lease in trace.leases}
    names = TracedRecord.__struct_fields__
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "rate_micros", "provider_id", "hardware", "tier"])
    for record in trace.records:
        lease = rates[record.lease_id]
        cells = [getattr(record, name) for name in names]
        texts = [f"{cell:%Y-%m-%dT%H:%M:%S.%fZ}" if hasattr(cell, "isoformat") else cell for cell in cells]
        writer.writerow([*texts, lease.rate_micros, lease.provider_id, lease.hardware, lease.tier])
    return out.getvalue().encode()


def _download(content: bytes, *, name: str, media_type: str) -> Response[bytes]:
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
