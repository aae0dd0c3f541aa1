"""The life of a bid in five steps, from what is known of it: submitted, awarded, leased, delivered, settled."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from broker.services.views import BidView, LeaseView, StatementView
from contracts.terms.leases import IN_FORCE
from web.formats import hours, moment, money, month, quantity, word
from web.i18n import gettext, ngettext

Standing = Literal["done", "now", "ahead", "ended"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: done, happening now, still ahead, or never to come (`ended`); and what there is to say about it."""

    name: str
    standing: Standing
    finding: str


def life(bid: BidView, leases: Sequence[LeaseView], *, statements: Sequence[StatementView]) -> list[Step]:
    """The five steps. A step is done when nothing about it is left to come."""
    return [
        Step(name=gettext("Submitted"), standing="done", finding=moment(bid.entered_at)),
        _awarded(bid),
        _leased(bid, leases),
        _delivered(leases) if leases else Step(name=gettext("Delivered"), standing=_waits(bid), finding=gettext("when the slots come")),
        _settled(leases, statements=statements)
        if leases
        else Step(name=gettext("Settled"), standing=_waits(bid), finding=gettext("when its month is closed")),
    ]


def lease_life(lease: LeaseView, *, statements: Sequence[StatementView]) -> list[Step]:
    """The same steps for one lease, as it is now."""
    held = sum(slot.quantity * (slot.end - slot.start).total_seconds() for slot in lease.slots)
    return [
        Step(name=gettext("Submitted"), standing="done", finding=gettext("as its bid")),
        Step(name=gettext("Awarded"), standing="done", finding=gettext("%(hours)s accelerator-hours", hours=hours(round(held)))),
        Step(name=gettext("Leased"), standing="done", finding=gettext("at %(site)s", site=lease.site)),
        _delivered([lease]),
        _settled([lease], statements=statements),
    ]


def _awarded(bid: BidView) -> Step:
    amounts = {"got": quantity(bid.hours_awarded), "asked": quantity(bid.request.hours)}
    if bid.status == "open":
        return Step(
            name=gettext("Awarded"),
            standing="now",
            finding=gettext("%(got)s of %(asked)s accelerator-hours so far; the rest waits for the next gate", **amounts),
        )
    if bid.hours_awarded:
        return Step(
            name=gettext("Awarded"),
            standing="done",
            finding=gettext(
                "%(got)s of %(asked)s accelerator-hours, at %(paid)s %(currency)s",
                paid=money(bid.paid_micros),
                currency=bid.currency,
                **amounts,
            ),
        )
    return Step(name=gettext("Awarded"), standing="ended", finding=gettext("%(status)s: nothing was awarded", status=word(bid.status)))


def _leased(bid: BidView, leases: Sequence[LeaseView]) -> Step:
    if leases:
        sites = len({lease.site for lease in leases})
        finding = gettext(
            "%(leases)s at %(sites)s",
            leases=ngettext("%(num)s lease", "%(num)s leases", num=len(leases)),
            sites=ngettext("%(num)s site", "%(num)s sites", num=sites),
        )
        return Step(name=gettext("Leased"), standing="done", finding=finding)
    return Step(name=gettext("Leased"), standing=_waits(bid), finding=gettext("an award becomes a lease at once"))


def _delivered(leases: Sequence[LeaseView]) -> Step:
    delivered, failed = sum(lease.delivered_seconds for lease in leases), sum(lease.failed_seconds for lease in leases)
    finding = gettext("%(hours)s accelerator-hours", hours=hours(delivered))
    if failed:
        finding = gettext("%(hours)s accelerator-hours, %(failed)s failed", hours=hours(delivered), failed=hours(failed))
    if any(lease.state in IN_FORCE for lease in leases):
        begun = delivered or failed or any(lease.state == "active" for lease in leases)
        first = min(lease.starts_at for lease in leases)
        return Step(
            name=gettext("Delivered"),
            standing="now" if begun else "ahead",
            finding=finding if begun else gettext("from %(start)s", start=moment(first)),
        )
    return Step(name=gettext("Delivered"), standing="done", finding=finding)


def _settled(leases: Sequence[LeaseView], *, statements: Sequence[StatementView]) -> Step:
    last = max(lease.ends_at for lease in leases)
    closed = [statement for statement in statements if statement.month_end >= last]
    if closed:
        return Step(
            name=gettext("Settled"), standing="done", finding=gettext("on the statement of %(month)s", month=month(closed[0].month_start))
        )
    return Step(name=gettext("Settled"), standing="ahead", finding=gettext("when %(month)s is closed", month=month(last)))


def _waits(bid: BidView) -> Standing:
    """Whether a step without anything in it may still come."""
    return "ahead" if bid.status == "open" or bid.hours_awarded else "ended"
