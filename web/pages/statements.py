"""The invoices of the account whose key is signed in, as people and as spreadsheets like them."""

import csv
import io
from typing import Annotated

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Template

from broker.app import Services
from broker.services.views import StatementLine, StatementView
from contracts.terms.time import month_of
from web.i18n import gettext, later
from web.pages.signing import NO_STORE, page_caller

KINDS = {
    "fee": later("Monthly fee"),
    "take": later("Broker’s take"),
    "trueup": later("Commitment true-up"),
    "credit": later("Credit for what failed"),
}
AnyRequest = Request[object, object, object]  # type: ignore[type-var]
Period = Annotated[int, PathParameter(ge=1, le=2**31 - 1)]


@get("/statements", include_in_schema=False)
async def statement_list(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """The caller's statements, the latest first; before the first, when it will be written."""
    caller = await page_caller(request, services)
    statements = await services.finance.statements(caller)
    month = month_of(services.clock.now())
    context = {
        "caller": caller,
        "statements": statements[::-1],
        "month": month,
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("statements.html", context=context, headers=NO_STORE)


@get("/statements/{period:int}", include_in_schema=False)
async def statement_page(period: Period, request: AnyRequest, *, services: NamedDependency[Services]) -> Template:
    """One statement, line by line, ready to be printed."""
    caller = await page_caller(request, services)
    found = await services.finance.statement(period, caller)
    context = {
        "statement": found,
        "lines": [(line_words(line), line) for line in sorted(found.lines, key=lambda line: (-line.month, line.kind != "usage"))],
        "origin": str(request.base_url).rstrip("/"),
    }
    return Template("statement.html", context=context, headers=NO_STORE)


@get("/statements/{period:int}/csv", include_in_schema=False)
async def statement_csv(period: Period, request: AnyRequest, *, services: NamedDependency[Services]) -> Response[bytes]:
    """The lines in exact units: seconds, micros and cents; tax and the sum payable last."""
    found = await services.finance.statement(period, await page_caller(request, services))
    disposition = f'attachment; filename="gridfare-statement-{period}.csv"'
    return Response(statement_rows(found), media_type="text/csv", headers=NO_STORE | {"Content-Disposition": disposition})


@get("/statements/{period:int}/pdf", include_in_schema=False)
async def statement_paper(period: Period, request: AnyRequest, *, services: NamedDependency[Services]) -> Response[bytes]:
    """The statement as it is printed."""
    caller = await page_caller(request, services)
    disposition = f'attachment; filename="gridfare-statement-{period}.pdf"'
    headers = NO_STORE | {"Content-Disposition": disposition}
    return Response(await services.treasury.paper(period, caller), media_type="application/pdf", headers=headers)


def statement_rows(found: StatementView) -> bytes:
    """A statement as CSV: one row a line, then subtotal, tax and payable, so that the cents of the lines add up to the subtotal."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["period", "month", "kind", "hardware", "accelerator_seconds", "amount_micros", "amount_cents", "currency"])
    for line in found.lines:
        amounts = [line.quantity_seconds, line.amount_micros, line.amount_cents, found.currency]
        writer.writerow([found.period, line.month, line.kind, line.hardware, *amounts])
    for kind, micros, cents in (
        ("subtotal", found.subtotal_micros, found.subtotal_cents),
        ("tax", found.tax_micros, found.tax_cents),
        ("payable", found.total_micros, found.payable_cents),
    ):
        writer.writerow([found.period, None, kind, None, None, micros, cents, found.currency])
    return out.getvalue().encode()


def line_words(line: StatementLine) -> str:
    """What a line is for."""
    return gettext("%(hardware)s accelerators", hardware=line.hardware) if line.hardware else gettext(KINDS.get(line.kind, line.kind))
