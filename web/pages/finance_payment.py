"""What the payment processor says of an invoice: sent, paid, given back, disputed. And giving part of a payment back."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect, Template

from broker.app import Services
from broker.payments.decisions import PaymentState
from broker.services.finance_views import Done, RefundRequest
from contracts.terms.errors import BadInput
from web.formats import cents
from web.i18n import gettext, later
from web.pages.finance import DESK, AnyRequest, Period, origin
from web.pages.finance_words import typed, typed_cents
from web.pages.signing import NO_STORE, FormMarks, act_key, marks, page_caller

STATES = {
    "unsent": later("not sent"),
    "draft": later("being written"),
    "open": later("sent, not paid"),
    "paid": later("paid"),
    "uncollectible": later("given up as uncollectible"),
    "void": later("void"),
}


class RefundForm(msgspec.Struct, frozen=True, kw_only=True):
    """How much is given back, such as 12.50, with the form's marks."""

    amount: str = ""
    token: str = ""
    once: str = ""


@get("/finance/periods/{period:int}/invoices/{account_id:str}/payment", include_in_schema=False)
async def payment_page(period: Period, account_id: FromPath[str], *, request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What became of an invoice at the processor, asked for now. Raises NotSupported where there is none."""
    caller = await page_caller(request, services)
    invoice = await services.finance.issued_to(account_id, period, caller=caller)
    found = await services.treasury.payment(period, account_id, caller=caller)
    context = {
        "caller": caller,
        "invoice": invoice,
        "payment": found,
        "state": gettext(STATES[found.status]),
        "finding": payment_finding(found, currency=invoice.currency),
        "refundable": typed(found.refundable),
        "may_approve": "finance:approve" in caller.scopes,
        "asked_at": services.clock.now(),
        "marks": marks(request),
        "origin": origin(request),
    }
    return Template("finance_payment.html", context=context, headers=NO_STORE)


@post("/finance/periods/{period:int}/invoices/{account_id:str}/refunds", include_in_schema=False, status_code=303)
async def refund(
    period: Period,
    account_id: FromPath[str],
    data: Annotated[RefundForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
    *,
    request: AnyRequest,
    services: NamedDependency[Services],
) -> Redirect:
    """Give back part of what was paid, once a form. Raises BadInput for an amount that is none."""
    caller = await page_caller(request, services)
    amount = typed_cents(data.amount)
    if not amount:
        raise BadInput("a refund is of an amount", found=data.amount or "none", would_do="12.50")
    key = act_key(request, caller, sent=FormMarks(token=data.token, once=data.once), content=data.amount.encode())
    asked = RefundRequest(key=f"{caller.account_id}:{account_id}:{period}:{data.once[:40]}", account_id=account_id, cents=amount)
    await services.replies.once(lambda: services.treasury.refund(period, asked, caller=caller), Done, request=key)
    return Redirect(f"{DESK}/periods/{period}/invoices/{account_id}/payment", status_code=303)


def payment_finding(found: PaymentState, *, currency: str) -> str:
    """What the processor's figures mean, in one sentence."""
    if found.disputed:
        return gettext(
            "The buyer’s bank took %(amount)s %(currency)s back, and it is not decided.", amount=cents(found.disputed), currency=currency
        )
    if found.lost:
        return gettext("The buyer’s bank took %(amount)s %(currency)s back, and keeps it.", amount=cents(found.lost), currency=currency)
    if found.refunded:
        return gettext(
            "%(paid)s %(currency)s were paid, and %(back)s of them given back.",
            paid=cents(found.paid),
            back=cents(found.refunded),
            currency=currency,
        )
    said = {
        "unsent": later("No invoice of this statement is with the processor. Collecting the period sends it."),
        "paid": later("The buyer has paid %(paid)s %(currency)s."),
        "open": later("The buyer was asked for %(due)s %(currency)s, and has not paid it. Collecting the period tries again."),
    }.get(found.status, later("The invoice at the processor asks for nothing now."))
    return gettext(said, paid=cents(found.paid), due=cents(found.due), currency=currency)
