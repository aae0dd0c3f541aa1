"""What a buyer does about money: pay in advance, dispute a statement, meter for itself. And what the processor tells us."""

from typing import Annotated

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody

from broker.api.finance import PeriodNumber
from broker.api.orders import KEY
from broker.app import Services
from broker.services.disputes import DisputeRequest, DisputeView, Evidence
from broker.services.finance_views import Done, TopUpRequest, TopUpView
from broker.services.receivables import ReadingRequest
from broker.services.replies import RequestKey
from broker.services.views import Caller, Page

Signature = Annotated[str, HeaderParameter(name="Stripe-Signature", description="how Stripe signs its events")]


class PrepaidController(Controller):
    """Paying in advance."""

    path = "/v1/prepaid"
    tags = ("finance",)
    security = KEY

    @get("/", operation_id="GetPrepaid", summary="Your prepaid balance")
    async def balance(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> dict[str, int]:
        """What you have paid in advance and not spent, micros by currency. It pays your next statements."""
        return await services.receivables.prepaid(caller)

    @post("/checkouts", operation_id="TopUp", summary="Pay in advance")
    async def top_up(
        self,
        data: JSONBody[TopUpRequest],
        request: Request[object, Caller, object],  # type: ignore[type-var]
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> TopUpView:
        """The page on which to pay, in your account's currency. The balance rises when the payment has come."""
        home = f"{str(request.base_url).rstrip('/')}/statements"
        return await services.replies.once(lambda: services.treasury.top_up(data, caller, home=home), TopUpView, request=request_key)


@get(
    "/v1/statements/{period:int}/pdf",
    operation_id="GetStatementPdf",
    summary="One statement as PDF",
    tags=["finance"],
    security=KEY,
    media_type="application/pdf",
)
async def statement_pdf(period: PeriodNumber, services: NamedDependency[Services], *, caller: NamedDependency[Caller]) -> bytes:
    """Your statement of one closed month as it is printed: the same bytes every time."""
    return await services.treasury.paper(period, caller)


class DisputeController(Controller):
    """Disputes about the caller's statements."""

    path = "/v1/disputes"
    tags = ("finance",)
    security = KEY

    @get("/", operation_id="ListDisputes", summary="Disputes")
    async def disputes(self, services: NamedDependency[Services], caller: NamedDependency[Caller]) -> Page[DisputeView]:
        """Your disputes and what happened in each; all disputes, for the finance team."""
        return Page(items=await services.disputes.disputes(caller))

    @post("/periods/{period:int}", operation_id="OpenDispute", summary="Dispute a statement")
    async def open(
        self,
        period: PeriodNumber,
        data: JSONBody[DisputeRequest],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> DisputeView:
        """Dispute part of a statement within 30 days of its close. What is disputed is not dunned until it is decided."""
        return await services.replies.once(lambda: services.disputes.open(period, data, caller=caller), DisputeView, request=request_key)

    @post("/{dispute_id:str}/evidence", operation_id="AddEvidence", summary="Add evidence")
    async def support(
        self,
        dispute_id: FromPath[str],
        data: JSONBody[Evidence],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> DisputeView:
        """Say what shows it: words, usage records, the digest of a file."""
        return await services.replies.once(
            lambda: services.disputes.support(dispute_id, data, caller=caller), DisputeView, request=request_key
        )

    @post("/{dispute_id:str}/withdraw", operation_id="WithdrawDispute", summary="Withdraw a dispute", status_code=200)
    async def withdraw(
        self,
        dispute_id: FromPath[str],
        services: NamedDependency[Services],
        *,
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> DisputeView:
        """Let a dispute of yours go."""
        return await services.replies.once(lambda: services.disputes.withdraw(dispute_id, caller), DisputeView, request=request_key)


class ReadingController(Controller):
    """The buyer's own meter."""

    path = "/v1/readings"
    tags = ("usage",)
    security = KEY

    @post("/{lease_id:str}", operation_id="ReportReadings", summary="Report your own meter")
    async def read(
        self,
        lease_id: FromPath[str],
        data: JSONBody[list[ReadingRequest]],
        *,
        services: NamedDependency[Services],
        caller: NamedDependency[Caller],
        request_key: NamedDependency[RequestKey | None],
    ) -> Done:
        """What your own meter counted on a lease of yours. It changes no bill; finance is shown where it differs from the provider's."""
        new = await services.replies.once(lambda: services.meters.read(lease_id, data, caller=caller), int, request=request_key)
        return Done(new=new)


@post("/v1/webhooks/stripe", operation_id="TakeStripeEvent", summary="An event of Stripe's", tags=["webhooks"], status_code=200)
async def stripe_webhook(
    request: Request[object, object, object],  # type: ignore[type-var]
    services: NamedDependency[Services],
    *,
    signature: Signature,
) -> Done:
    """Book what a signed event is about. In any order and more than once: what is booked is looked up, once a movement."""
    return Done(new=await services.treasury.collection.on_event(await request.body(), signature))
