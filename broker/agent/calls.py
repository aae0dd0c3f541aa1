"""Every call an agent makes, named after its operation in the API's description, and typed by the API's own structs."""

from collections.abc import Sequence

from broker.client.call import Call, pairs
from broker.services.access_views import Deliveries, Delivery, Progress
from broker.services.feed_views import FeedAnswer, FeedKey
from broker.services.leases import Failure
from broker.services.usage_views import UsageReceipt, UsageReport
from broker.services.views import LeaseView
from contracts.feed.messages import Envelope


def register_feed_key(public_key: str) -> Call[FeedKey]:
    """Open the feed; with the same key again it changes nothing."""
    body = FeedKey(public_key=public_key)
    return Call(operation="RegisterFeedKey", method="POST", path="/v1/feed/key", answer=FeedKey, body=body)


def send_feed(envelopes: Sequence[Envelope]) -> Call[FeedAnswer]:
    """Send announcements."""
    return Call(operation="SendFeed", method="POST", path="/v1/feed", answer=FeedAnswer, body=envelopes)


def list_deliveries(cursor: str | None = None) -> Call[Deliveries]:
    """What there is to deliver, and by which clock."""
    query = pairs(cursor=cursor, limit=500)
    return Call(operation="ListDeliveries", method="GET", path="/v1/deliveries", answer=Deliveries, query=query)


def tell_progress(lease_id: str, progress: Progress) -> Call[Delivery]:
    """How far a delivery is."""
    path, at = "/v1/deliveries/{lease_id}/progress", {"lease_id": lease_id}
    return Call(operation="TellProgress", method="POST", path=path, answer=Delivery, at=at, body=progress)


def fail_lease(lease_id: str, failure: Failure) -> Call[LeaseView]:
    """A lease cannot be delivered any more."""
    path, at = "/v1/leases/{lease_id}/fail", {"lease_id": lease_id}
    return Call(operation="FailLease", method="POST", path=path, answer=LeaseView, at=at, body=failure)


def report_usage(reports: Sequence[UsageReport]) -> Call[UsageReceipt]:
    """What was metered; the same record again is no news."""
    return Call(operation="ReportUsage", method="POST", path="/v1/usage", answer=UsageReceipt, body=reports)
