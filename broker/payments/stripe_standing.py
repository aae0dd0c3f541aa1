"""Where a statement stands at Stripe: read, never written, so that somebody may look as often as they like."""

import stripe

from broker.clock import Clock
from broker.payments.decisions import PaymentState
from broker.payments.sending import Sender
from broker.payments.stripe_shapes import Kept, StripeInvoice, StripePaid, StripeTakenBack, shaped

PAGE = 100
# The search lags by a minute; whoever was made known since is in the list.
LATEST_SECONDS = 600
GONE = {"failed", "canceled"}
DECIDED = {"won", "lost", "warning_closed", "prevented"}


class StandingReader:
    """Reads what became of an invoice and of the payments behind it."""

    def __init__(self, client: stripe.StripeClient, sender: Sender, *, clock: Clock) -> None:
        self._api = client.v1
        self._sender = sender
        self._clock = clock

    def payment(self, account_id: str, statement_id: str) -> PaymentState:
        """The state of a statement; `unsent` where the account, or an invoice for it, is not known. Raises ProcessorFailed."""
        found = self._sender.read(lambda: self._invoice(account_id, statement_id))
        if found is None:
            return PaymentState(status="unsent")
        refunds, disputes = self._sender.read(lambda: self._taken_back(found.id))
        return PaymentState(
            status=found.status,  # type: ignore[arg-type]
            invoice_id=found.id,
            due=found.amount_due,
            paid=found.amount_paid,
            refunded=sum(each.amount for each in refunds if each.status not in GONE),
            disputed=sum(each.amount for each in disputes if each.status not in DECIDED),
            lost=sum(each.amount for each in disputes if each.status == "lost"),
        )

    def _invoice(self, account_id: str, statement_id: str) -> StripeInvoice | None:
        customer = self._customer(account_id)
        if customer is None:
            return None
        invoices = self._api.invoices.list({"customer": customer, "limit": PAGE}).auto_paging_iter()
        return next((each for each in (shaped(one, StripeInvoice) for one in invoices) if each.told("statement_id") == statement_id), None)

    def _customer(self, account_id: str) -> str | None:
        quoted = account_id.replace("\\", "\\\\").replace("'", "\\'")
        found = list(self._api.customers.search({"query": f"metadata['account_id']:'{quoted}'"}).data)
        if not found:
            since = int(self._clock.now().timestamp()) - LATEST_SECONDS
            found = list(self._api.customers.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter())
        return min((each.id for each in found if shaped(each, Kept).told("account_id") == account_id), default=None)

    def _taken_back(self, invoice_id: str) -> tuple[list[StripeTakenBack], list[StripeTakenBack]]:
        """Refunds and disputes of an invoice's payments."""
        refunds: list[StripeTakenBack] = []
        disputes: list[StripeTakenBack] = []
        for each in self._api.invoice_payments.list({"invoice": invoice_id, "status": "paid", "limit": PAGE}).auto_paging_iter():
            intent = shaped(each, StripePaid).payment.get("payment_intent")
            if intent:
                back = self._api.refunds.list({"payment_intent": intent, "limit": PAGE}).auto_paging_iter()
                refunds += [shaped(one, StripeTakenBack) for one in back]
                taken = self._api.disputes.list({"payment_intent": intent, "limit": PAGE}).auto_paging_iter()
                disputes += [shaped(one, StripeTakenBack) for one in taken]
        return refunds, disputes
