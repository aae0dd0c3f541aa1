"""Every call a buyer makes, named after its operation in the API's description, and typed by the API's own structs.

market.send(calls.request_quote(QuoteRequest(accelerators=8, hours=4, hardware=["H100-SXM"])))  -> QuoteView
market.every(calls.list_leases())                                                            -> one LeaseView after another
"""

from collections.abc import Sequence
from datetime import datetime

from broker.client.call import Call, pairs, pairs_of
from broker.services.access_views import AccessView
from broker.services.budgets import BudgetRequest, BudgetView
from broker.services.disputes import DisputeRequest, DisputeView, Evidence
from broker.services.explanations import BidExplanation
from broker.services.finance_views import Done, TopUpRequest, TopUpView
from broker.services.indication import Indication
from broker.services.market import PriceFilter
from broker.services.market_views import (
    CertificateView,
    Curve,
    CycleView,
    MarketNow,
    OfferQuery,
    OfferSearch,
    PriceView,
    RegionPrice,
    SlotPrice,
)
from broker.services.price_history import PriceHistory
from broker.services.projects import ProjectMembers, ProjectRequest, ProjectView
from broker.services.quotes import QuoteView
from broker.services.receivables import ReadingRequest
from broker.services.search_views import BookSearch, SearchQuery
from broker.services.spend_views import ProjectSpendView, SpendView
from broker.services.views import BidView, LeaseView, Page, StatementView
from broker.services.webhooks import EndpointRequest, EndpointView, MessageView
from contracts.resale import ResaleRequest
from contracts.terms.bids import BidRequest
from contracts.terms.quotes import Extension, QuoteRequest, Tier

# What anyone may read.


def search_book(query: SearchQuery) -> Call[BookSearch]:
    """Offers of the live book that meet every demand, by all-in cost a reference hour, and why the others do not."""
    return Call(operation="SearchBook", method="GET", path="/v1/search", answer=BookSearch, query=pairs_of(query))


def search_offers(query: OfferQuery) -> Call[OfferSearch]:
    """The same over the offers of the store, without the live states."""
    return Call(operation="SearchOffers", method="GET", path="/v1/offers", answer=OfferSearch, query=pairs_of(query))


def get_market_now() -> Call[MarketNow]:
    """The price of every class and tier at the last gate, and when the next one closes."""
    return Call(operation="GetMarketNow", method="GET", path="/v1/market/now", answer=MarketNow)


def get_indication() -> Call[Indication]:
    """What the next gate would clear at if it closed now: prices nobody is bound by."""
    return Call(operation="GetIndication", method="GET", path="/v1/market/indication", answer=Indication)


def get_curve(hardware: str, slot: datetime | None = None) -> Call[Curve]:
    """Supply and demand of one class in one slot of the last cycle."""
    return Call(operation="GetCurve", method="GET", path="/v1/market/curve", answer=Curve, query=pairs(hardware=hardware, slot=slot))


def list_regions(hardware: str, tier: Tier | None = None) -> Call[Page[RegionPrice]]:
    """The price of one class by country, cheapest first."""
    query = pairs(hardware=hardware, tier=tier)
    return Call(operation="ListRegions", method="GET", path="/v1/market/regions", answer=Page[RegionPrice], query=query)


def list_slots(hardware: str) -> Call[Page[SlotPrice]]:
    """The price of one class by slot and tier."""
    return Call(operation="ListSlots", method="GET", path="/v1/market/slots", answer=Page[SlotPrice], query=pairs(hardware=hardware))


def list_prices(chosen: PriceFilter) -> Call[Page[PriceView]]:
    """Published prices by pool, slot and tier."""
    return Call(operation="ListPrices", method="GET", path="/v1/market/prices", answer=Page[PriceView], query=pairs_of(chosen))


def get_price_history(hardware: str | None = None, *, offer_id: str | None = None, hours: int | None = None) -> Call[PriceHistory]:
    """What was asked for a class, or for one offer, each hour up to now, and what was paid."""
    query = pairs(hardware=hardware, offer_id=offer_id, hours=hours)
    return Call(operation="GetPriceHistory", method="GET", path="/v1/prices/history", answer=PriceHistory, query=query)


def list_cycles(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[CycleView]]:
    """Cycles, newest first."""
    query = pairs(cursor=cursor, limit=limit)
    return Call(operation="ListCycles", method="GET", path="/v1/market/cycles", answer=Page[CycleView], query=query)


def get_certificate(number: int) -> Call[CertificateView]:
    """The proof of one cycle."""
    path = "/v1/market/cycles/{number}/certificate"
    return Call(operation="GetCertificate", method="GET", path=path, answer=CertificateView, at={"number": number})


# Quotes and bids.


def request_quote(request: QuoteRequest) -> Call[QuoteView]:
    """A firm rate, held for minutes."""
    return Call(operation="RequestQuote", method="POST", path="/v1/quotes", answer=QuoteView, body=request)


def list_quotes(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[QuoteView]]:
    """Your quotes by id."""
    return Call(operation="ListQuotes", method="GET", path="/v1/quotes", answer=Page[QuoteView], query=pairs(cursor=cursor, limit=limit))


def get_quote(quote_id: str) -> Call[QuoteView]:
    """One of your quotes."""
    return Call(operation="GetQuote", method="GET", path="/v1/quotes/{quote_id}", answer=QuoteView, at={"quote_id": quote_id})


def accept_quote(quote_id: str) -> Call[LeaseView]:
    """Take a quote: its lease. Raises QuoteMoved where what it rested on has changed."""
    return Call(operation="AcceptQuote", method="POST", path="/v1/quotes/{quote_id}/accept", answer=LeaseView, at={"quote_id": quote_id})


def withdraw_quote(quote_id: str) -> Call[QuoteView]:
    """Leave a quote: what it held is free."""
    path = "/v1/quotes/{quote_id}/withdraw"
    return Call(operation="WithdrawQuote", method="POST", path=path, answer=QuoteView, at={"quote_id": quote_id})


def submit_bid(request: BidRequest) -> Call[BidView]:
    """Enter a flexible bid for the next gate; its worst case is held against the account's credit."""
    return Call(operation="SubmitBid", method="POST", path="/v1/bids", answer=BidView, body=request)


def list_bids(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[BidView]]:
    """Your bids by id."""
    return Call(operation="ListBids", method="GET", path="/v1/bids", answer=Page[BidView], query=pairs(cursor=cursor, limit=limit))


def get_bid(bid_id: str) -> Call[BidView]:
    """One of your bids: what it was awarded, and why not more."""
    return Call(operation="GetBid", method="GET", path="/v1/bids/{bid_id}", answer=BidView, at={"bid_id": bid_id})


def explain_bid(bid_id: str) -> Call[BidExplanation]:
    """What each clause of a bid removed at its last gate, and what giving way would have found."""
    return Call(operation="ExplainBid", method="GET", path="/v1/bids/{bid_id}/explanation", answer=BidExplanation, at={"bid_id": bid_id})


def withdraw_bid(bid_id: str) -> Call[BidView]:
    """Take a bid out of the book; what it was awarded stays awarded."""
    return Call(operation="WithdrawBid", method="POST", path="/v1/bids/{bid_id}/withdraw", answer=BidView, at={"bid_id": bid_id})


# Leases.


def list_leases(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[LeaseView]]:
    """Your leases by id."""
    return Call(operation="ListLeases", method="GET", path="/v1/leases", answer=Page[LeaseView], query=pairs(cursor=cursor, limit=limit))


def get_lease(lease_id: str) -> Call[LeaseView]:
    """One of your leases, its slots and what it delivered."""
    return Call(operation="GetLease", method="GET", path="/v1/leases/{lease_id}", answer=LeaseView, at={"lease_id": lease_id})


def get_lease_access(lease_id: str) -> Call[AccessView]:
    """Where a lease is reached and the token that is let in there, for as long as it lives."""
    path, at = "/v1/leases/{lease_id}/access", {"lease_id": lease_id}
    return Call(operation="GetLeaseAccess", method="GET", path=path, answer=AccessView, at=at)


def extend_lease(lease_id: str, hours: float) -> Call[QuoteView]:
    """A quote for more hours of a lease; taken, it is the same lease, longer."""
    path, at = "/v1/leases/{lease_id}/extend", {"lease_id": lease_id}
    return Call(operation="ExtendLease", method="POST", path=path, answer=QuoteView, at=at, body=Extension(hours=hours))


def release_lease(lease_id: str) -> Call[LeaseView]:
    """Give up the slots that have not begun; the slot under way is paid."""
    return Call(operation="ReleaseLease", method="POST", path="/v1/leases/{lease_id}/release", answer=LeaseView, at={"lease_id": lease_id})


def resell_lease(lease_id: str, request: ResaleRequest) -> Call[LeaseView]:
    """Offer slots that have not begun to whoever pays at least a rate; you go on paying your own."""
    path, at = "/v1/leases/{lease_id}/resell", {"lease_id": lease_id}
    return Call(operation="ResellLease", method="POST", path=path, answer=LeaseView, at=at, body=request)


def withdraw_resale(lease_id: str) -> Call[LeaseView]:
    """Take back what of it has not been sold."""
    path, at = "/v1/leases/{lease_id}/resell/withdraw", {"lease_id": lease_id}
    return Call(operation="WithdrawResale", method="POST", path=path, answer=LeaseView, at=at)


def report_readings(lease_id: str, readings: Sequence[ReadingRequest]) -> Call[Done]:
    """What your own meter counted on a lease; it changes no bill."""
    path, at = "/v1/readings/{lease_id}", {"lease_id": lease_id}
    return Call(operation="ReportReadings", method="POST", path=path, answer=Done, at=at, body=readings)


# Statements and money.


def list_statements() -> Call[Page[StatementView]]:
    """Your statements by period."""
    return Call(operation="ListStatements", method="GET", path="/v1/statements", answer=Page[StatementView])


def get_spend() -> Call[SpendView]:
    """What you spend, where this month is going, and what other plans would have cost."""
    return Call(operation="GetSpend", method="GET", path="/v1/spend", answer=SpendView)


def get_project_spend(project: str, *, period: int | None = None) -> Call[ProjectSpendView]:
    """What a project spends in a month (the present one unless said), lease by lease."""
    path, at, query = "/v1/spend/projects/{project}", {"project": project}, pairs(period=period)
    return Call(operation="GetProjectSpend", method="GET", path=path, answer=ProjectSpendView, at=at, query=query)


def get_budget(project: str | None = None) -> Call[BudgetView]:
    """The most you (or one of your projects) may agree to in a month, and how this month stands against it."""
    return Call(operation="GetBudget", method="GET", path="/v1/budget", answer=BudgetView, query=pairs(project=project))


def set_budget(request: BudgetRequest) -> Call[BudgetView]:
    """Set that ceiling, or take it away."""
    return Call(operation="SetBudget", method="POST", path="/v1/budget", answer=BudgetView, body=request)


def list_projects() -> Call[Page[ProjectView]]:
    """What you buy for, archived projects too."""
    return Call(operation="ListProjects", method="GET", path="/v1/projects", answer=Page[ProjectView])


def add_project(request: ProjectRequest) -> Call[ProjectView]:
    """Make a project, to be named by bids and quotes."""
    return Call(operation="AddProject", method="POST", path="/v1/projects", answer=ProjectView, body=request)


def get_project(project: str) -> Call[ProjectView]:
    """One project, by id or name."""
    return Call(operation="GetProject", method="GET", path="/v1/projects/{project}", answer=ProjectView, at={"project": project})


def rename_project(project: str, request: ProjectRequest) -> Call[ProjectView]:
    """Call a project something else."""
    path, at = "/v1/projects/{project}/rename", {"project": project}
    return Call(operation="RenameProject", method="POST", path=path, answer=ProjectView, at=at, body=request)


def archive_project(project: str) -> Call[ProjectView]:
    """Buy nothing more for a project."""
    path, at = "/v1/projects/{project}/archive", {"project": project}
    return Call(operation="ArchiveProject", method="POST", path=path, answer=ProjectView, at=at)


def restore_project(project: str) -> Call[ProjectView]:
    """Buy for an archived project again."""
    path, at = "/v1/projects/{project}/restore", {"project": project}
    return Call(operation="RestoreProject", method="POST", path=path, answer=ProjectView, at=at)


def set_project_members(project: str, request: ProjectMembers) -> Call[ProjectView]:
    """Say who may buy for a project beside owners."""
    path, at = "/v1/projects/{project}/members", {"project": project}
    return Call(operation="SetProjectMembers", method="POST", path=path, answer=ProjectView, at=at, body=request)


def get_statement(period: int) -> Call[StatementView]:
    """Your statement of one closed month, line by line."""
    return Call(operation="GetStatement", method="GET", path="/v1/statements/{period}", answer=StatementView, at={"period": period})


def get_statement_pdf(period: int) -> Call[bytes]:
    """The same as it is printed."""
    return Call(operation="GetStatementPdf", method="GET", path="/v1/statements/{period}/pdf", answer=bytes, at={"period": period})


def get_prepaid() -> Call[dict[str, int]]:
    """What you have paid in advance and not spent, micros by currency."""
    return Call(operation="GetPrepaid", method="GET", path="/v1/prepaid", answer=dict[str, int])


def top_up(request: TopUpRequest) -> Call[TopUpView]:
    """The page on which to pay in advance."""
    return Call(operation="TopUp", method="POST", path="/v1/prepaid/checkouts", answer=TopUpView, body=request)


def list_disputes() -> Call[Page[DisputeView]]:
    """Your disputes, and what happened in each."""
    return Call(operation="ListDisputes", method="GET", path="/v1/disputes", answer=Page[DisputeView])


def open_dispute(period: int, request: DisputeRequest) -> Call[DisputeView]:
    """Dispute part of a statement."""
    path, at = "/v1/disputes/periods/{period}", {"period": period}
    return Call(operation="OpenDispute", method="POST", path=path, answer=DisputeView, at=at, body=request)


def add_evidence(dispute_id: str, evidence: Evidence) -> Call[DisputeView]:
    """Say what shows it."""
    path, at = "/v1/disputes/{dispute_id}/evidence", {"dispute_id": dispute_id}
    return Call(operation="AddEvidence", method="POST", path=path, answer=DisputeView, at=at, body=evidence)


def withdraw_dispute(dispute_id: str) -> Call[DisputeView]:
    """Let a dispute go."""
    path = "/v1/disputes/{dispute_id}/withdraw"
    return Call(operation="WithdrawDispute", method="POST", path=path, answer=DisputeView, at={"dispute_id": dispute_id})


# Being told.


def add_webhook_endpoint(request: EndpointRequest) -> Call[EndpointView]:
    """Register an address; the answer holds the secret that signs what is sent there, once."""
    return Call(operation="AddWebhookEndpoint", method="POST", path="/v1/webhook-endpoints", answer=EndpointView, body=request)


def list_webhook_endpoints() -> Call[Page[EndpointView]]:
    """Your endpoints, closed ones too."""
    return Call(operation="ListWebhookEndpoints", method="GET", path="/v1/webhook-endpoints", answer=Page[EndpointView])


def rotate_webhook_secret(endpoint_id: str) -> Call[EndpointView]:
    """A new secret; for a day the one before signs beside it."""
    path, at = "/v1/webhook-endpoints/{endpoint_id}/rotate", {"endpoint_id": endpoint_id}
    return Call(operation="RotateWebhookSecret", method="POST", path=path, answer=EndpointView, at=at)


def close_webhook_endpoint(endpoint_id: str) -> Call[EndpointView]:
    """Be told no more there."""
    path, at = "/v1/webhook-endpoints/{endpoint_id}/close", {"endpoint_id": endpoint_id}
    return Call(operation="CloseWebhookEndpoint", method="POST", path=path, answer=EndpointView, at=at)


def list_webhook_messages(*, cursor: str | None = None, limit: int | None = None) -> Call[Page[MessageView]]:
    """What you were told, the oldest first."""
    query = pairs(cursor=cursor, limit=limit)
    return Call(operation="ListWebhookMessages", method="GET", path="/v1/webhook-messages", answer=Page[MessageView], query=query)


def replay_webhook_message(message_id: str) -> Call[MessageView]:
    """Have a message sent again, under its id."""
    path, at = "/v1/webhook-messages/{message_id}/replay", {"message_id": message_id}
    return Call(operation="ReplayWebhookMessage", method="POST", path=path, answer=MessageView, at=at)
