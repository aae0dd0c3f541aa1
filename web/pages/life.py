"""The life of a bid in five steps, from what is known of it: submitted, awarded, leased, delivered, settled."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from broker.services.views import BidView, LeaseView, StatementView
from contracts.terms.leases import IN_FORCE
from web.formats import hours, moment, money, quantity

Standing = Literal["done", "now", "ahead", "ended"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: done, happening now, still ahead, or never to come (`ended`); and what there is to say about it."""

    name: str
    standing: Standing
    finding: str


def life(bid: BidView, leases: Sequence[LeaseView], *, statements: Sequence[StatementView]) -> list[Step]:
    """The five steps. A step is done when nothing about it is left to come."""
    return [
        Step(name="Submitted", standing="done", finding=moment(bid.entered_at)),
        _awarded(bid),
        _leased(bid, leases),
        _delivered(bid, leases),
        _settled(bid, leases, statements=statements),
    ]


def _awarded(bid: BidView) -> Step:
    got = f"{quantity(bid.hours_awarded)} of {quantity(bid.request.hours)} accelerator-hours"
    if bid.status == "open":
        return Step(name="Awarded", standing="now", finding=f"{got} so far; the rest waits for the next gate")
    if bid.hours_awarded:
        return Step(name="Awarded", standing="done", finding=f"{got}, at {money(bid.paid_micros)} {bid.currency}")
    return Step(name="Awarded", standing="ended", finding=f"{bid.status}: nothing was awarded")


def _leased(bid: BidView, leases: Sequence[LeaseView]) -> Step:
    if leases:
        sites = len({lease.site for lease in leases})
        finding = f"{len(leases)} {'lease' if len(leases) == 1 else 'leases'} at {sites} {'site' if sites == 1 else 'sites'}"
        return Step(name="Leased", standing="done", finding=finding)
    return Step(name="Leased", standing=_waits(bid), finding="an award becomes a lease at once")


def _delivered(bid: BidView, leases: Sequence[LeaseView]) -> Step:
    if not leases:
        return Step(name="Delivered", standing=_waits(bid), finding="when the slots come")
    delivered, failed = sum(lease.delivered_seconds for lease in leases), sum(lease.failed_seconds for lease in leases)
    finding = f"{hours(delivered)} accelerator-hours" + (f", {hours(failed)} failed" if failed else "")
    if any(lease.state in IN_FORCE for lease in leases):
        begun = delivered or failed or any(lease.state == "active" for lease in leases)
        first = min(lease.starts_at for lease in leases)
        return Step(name="Delivered", standing="now" if begun else "ahead", finding=finding if begun else f"from {moment(first)}")
    return Step(name="Delivered", standing="done", finding=finding)


def _settled(bid: BidView, leases: Sequence[LeaseView], *, statements: Sequence[StatementView]) -> Step:
    if not leases:
        return Step(name="Settled", standing=_waits(bid), finding="when its month is closed")
    last = max(lease.ends_at for lease in leases)
    closed = [statement for statement in statements if statement.month_end >= last]
    if closed:
        return Step(name="Settled", standing="done", finding=f"on the statement of {closed[0].month_start:%B %Y}")
    return Step(name="Settled", standing="ahead", finding=f"when {last:%B %Y} is closed")


def _waits(bid: BidView) -> Standing:
    """Whether a step without anything in it may still come."""
    return "ahead" if bid.status == "open" or bid.hours_awarded else "ended"
