"""From a quote to a lease: what it costs in words, and what taking it makes.

A quote that is taken makes a bid that is filled and a lease, so that everything after a clearing (holds, failover,
settlement) treats both alike. Their ids derive from the quote: taking it twice makes them once.
"""

from collections.abc import Mapping

from contracts.terms.bids import Bid
from contracts.terms.ids import derived_id
from contracts.terms.leases import Lease
from contracts.terms.money import half_up, micros_text
from contracts.terms.quotes import Quote, cost_micros
from contracts.terms.time import iso

PLACES = 4


def worst_case_line(quote: Quote) -> str:
    """The worst case in one line: rate, quantity, period, the most it can cost."""
    rate = micros_text(quote.rate_micros, places=PLACES)
    most = micros_text(quote.worst_case_micros, places=2)
    return (
        f"{quote.accelerators} {quote.hardware} ({quote.tier}) at {rate} {quote.currency} per accelerator-hour, "
        f"{iso(quote.starts_at)} to {iso(quote.ends_at)}: at most {most} {quote.currency}"
    )


def lease_of(quote: Quote) -> Lease:
    """The lease a quote becomes: the whole of it, at its rate."""
    return Lease(
        id=derived_id("lse", quote.id),
        cycle_id=None,
        bid_id=derived_id("bid", quote.id),
        account_id=quote.account_id,
        provider_id=quote.provider_id,
        offer_id=quote.offer_id,
        site=quote.site,
        hardware=quote.hardware,
        tier=quote.tier,
        state="awarded",
        slots=quote.slots,
        continues=quote.extends,
    )


def bid_of(quote: Quote) -> Bid:
    """The bid a taken quote stands for, filled: should its lease fail, the same wish is served again at no more than the same rate."""
    at_rate = max(1, cost_micros(quote.accelerators, quote.span, rate_micros=quote.rate_micros))
    all_in = half_up(quote.worst_case_micros * quote.rate_micros, at_rate)
    return Bid(
        id=derived_id("bid", quote.id),
        account_id=quote.account_id,
        entered_at=quote.created_at,
        request=quote.request.as_bid(quote.span, [quote.hardware], limit_micros=max(1, all_in)),
        hours_left=0.0,
        status="filled",
    )


def changed_facts(before: Mapping[str, object] | None, after: Mapping[str, object] | None) -> list[str]:
    """What differs between two versions of an offer, by name; an offer that is gone is `withdrawn`."""
    if before is None or after is None:
        return ["withdrawn"]
    return sorted(name for name in before if before[name] != after.get(name))
