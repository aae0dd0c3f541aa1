"""The tables of the store. Rows never leave `broker/store`; repositories turn them into terms.

Money is BIGINT micros, quantities are integers, times are TIMESTAMPTZ in UTC. Text ids are prefixed
(see `contracts.terms.ids`). Facts are never changed: offers are superseded, entries are voided or
reversed, usage is revised by a higher revision.
"""

from broker.store.rows.access import AccessRow
from broker.store.rows.budgets import BudgetRow
from broker.store.rows.controls import ActRow, CounterReadingRow
from broker.store.rows.facts import LatencyRow, TransferRow, ZoneHourRow
from broker.store.rows.feed import FeedEventRow, FeedOfferRow, FeedSessionRow
from broker.store.rows.leases import FailoverRow, LeaseEventRow, LeaseRow, LeaseSlotRow, ResaleRow, SaleRow, SetAsideRow, UsageRow
from broker.store.rows.ledger import CloseRow, InvoiceLineRow, InvoiceRow, JournalEntryRow, PayoutRow, PostingRow
from broker.store.rows.market import AwardRow, BidRow, CycleRow, OfferHourRow, OfferRow, OutcomeRow, PriceRow, ReceiptRow
from broker.store.rows.parties import AccountRow, ApiKeyRow, IdempotencyRow, PlanRow, ProviderKeyRow, ProviderRow, SellerRow, StaffRow
from broker.store.rows.people import (
    FailedSignInRow,
    InvitationRow,
    KnownElsewhereRow,
    MembershipRow,
    PasswordLinkRow,
    PersonActRow,
    PersonRow,
    RecoveryCodeRow,
    SessionRow,
)
from broker.store.rows.projects import ProjectMemberRow, ProjectRow
from broker.store.rows.quotes import QuoteRow
from broker.store.rows.requests import RequestRow
from broker.store.rows.webhooks import WebhookDeliveryRow, WebhookEndpointRow, WebhookMessageRow

__all__ = [
    "AccessRow",
    "AccountRow",
    "ActRow",
    "ApiKeyRow",
    "AwardRow",
    "BidRow",
    "BudgetRow",
    "CloseRow",
    "CounterReadingRow",
    "CycleRow",
    "FailedSignInRow",
    "FailoverRow",
    "FeedEventRow",
    "FeedOfferRow",
    "FeedSessionRow",
    "IdempotencyRow",
    "InvitationRow",
    "InvoiceLineRow",
    "InvoiceRow",
    "JournalEntryRow",
    "KnownElsewhereRow",
    "LatencyRow",
    "LeaseEventRow",
    "LeaseRow",
    "LeaseSlotRow",
    "MembershipRow",
    "OfferHourRow",
    "OfferRow",
    "OutcomeRow",
    "PasswordLinkRow",
    "PayoutRow",
    "PersonActRow",
    "PersonRow",
    "PlanRow",
    "PostingRow",
    "PriceRow",
    "ProjectMemberRow",
    "ProjectRow",
    "ProviderKeyRow",
    "ProviderRow",
    "QuoteRow",
    "ReceiptRow",
    "RecoveryCodeRow",
    "RequestRow",
    "ResaleRow",
    "SaleRow",
    "SellerRow",
    "SessionRow",
    "SetAsideRow",
    "StaffRow",
    "TransferRow",
    "UsageRow",
    "WebhookDeliveryRow",
    "WebhookEndpointRow",
    "WebhookMessageRow",
    "ZoneHourRow",
]
