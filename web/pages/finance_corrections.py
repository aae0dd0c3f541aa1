"""Corrections as the finance desk proposes them: from an invoice, or from the one line of it that was wrong."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from broker.app import Services
from broker.services.corrections import CorrectionView
from broker.services.views import StatementView
from contracts.events import Conversion, Correction, CreditNote, GrantTranche, SlaCredit, SlaCreditGiven, WriteOff
from contracts.terms.errors import BadInput, NotFound
from web.i18n import later
from web.pages.finance import DESK, AnyRequest, Period
from web.pages.finance_words import typed_cents
from web.pages.signing import FormMarks, act_key, page_caller

# With the invoice before it, a reason still fits its entry.
REASON_LETTERS_MAX = 150
KINDS: Mapping[type[Correction], str] = {
    WriteOff: later("write-off"),
    CreditNote: later("credit note"),
    SlaCredit: later("SLA credit"),
    SlaCreditGiven: later("SLA credit given"),
    GrantTranche: later("grant tranche"),
    Conversion: later("conversion"),
}


class CorrectionForm(msgspec.Struct, frozen=True, kw_only=True):
    """What is proposed about an invoice: `amount` (before tax, of a credit note) and `tax` such as 12.50, `line` its number or empty."""

    kind: Literal["credit_note", "write_off"] = "credit_note"
    amount: str = ""
    tax: str = ""
    reason: str = ""
    line: str = ""
    token: str = ""
    once: str = ""


@post("/finance/periods/{period:int}/invoices/{account_id:str}/corrections", include_in_schema=False, status_code=303)
async def propose_correction(
    period: Period,
    account_id: FromPath[str],
    data: Annotated[CorrectionForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Redirect:
    """Propose a credit note or a write-off, once a form; somebody else decides. Raises BadInput, NotFound for a line there is not."""
    caller = await page_caller(request, services)
    invoice = await services.finance.issued_to(account_id, period, caller=caller)
    sent = FormMarks(token=data.token, once=data.once)
    key = act_key(request, caller, sent=sent, content=msgspec.json.encode(msgspec.structs.replace(data, token="", once="")))
    proposed = correction_of(data, invoice, name=f"{caller.account_id}:{account_id}:{period}:{data.once[:40]}")
    await services.replies.once(lambda: services.corrections.propose(proposed, caller), CorrectionView, request=key)
    return Redirect(f"{DESK}/receivables#corrections", status_code=303)


def correction_of(form: CorrectionForm, invoice: StatementView, *, name: str) -> CreditNote | WriteOff:
    """The correction that a form proposes; its reason begins with the invoice and the line. Raises BadInput, NotFound."""
    cents, tax_cents, reason = typed_cents(form.amount), typed_cents(form.tax), " ".join(form.reason.split())
    if not cents:
        raise BadInput("a correction is of an amount", found=form.amount or "none", would_do="12.50")
    if not reason or len(reason) > REASON_LETTERS_MAX:
        raise BadInput("a correction says why", found=f"{len(reason)} letters", would_do=f"1 to {REASON_LETTERS_MAX} letters")
    about = {"key": name, "account_id": invoice.account_id, "currency": invoice.currency, "reason": f"{_about(form, invoice)}: {reason}"}
    if form.kind == "credit_note":
        return CreditNote(**about, cents=cents, tax_cents=tax_cents)
    if tax_cents:
        raise BadInput("a write-off is of what is owed, tax and all", found=form.tax, would_do="no tax beside it")
    return WriteOff(**about, cents=cents)


def _about(form: CorrectionForm, invoice: StatementView) -> str:
    """The invoice, and the line of it where one is meant, as the books say it."""
    if not form.line:
        return f"Period {invoice.period}"
    if not form.line.isascii() or not form.line.isdecimal() or not 1 <= int(form.line[:9]) <= len(invoice.lines):
        raise NotFound(f"account {invoice.account_id} has no line {form.line} in period {invoice.period}", account_id=invoice.account_id)
    return f"Period {invoice.period}, line {int(form.line[:9])}"
