"""A lease offered on by its holder: what may be, who owes what, and what a close makes of it.

    provider ──old rate──▶ holder ──price it fetches──▶ buyer

The holder stays liable: it is billed its own rate for every second its buyer is given, as if it had used them, and the provider is
due just that. What the buyer pays is the holder's. So a second that was sold on is settled twice, once on each lease, at each
one's rate, and was delivered once. In settlement the holder sells as a party of its own, `resale:{account_id}`, and the close
turns what that party is due into prepaid balance, which pays the holder's next statement.

A lease that is released is offered on in the same way, at what its provider asks, until its slots begin.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
import polars as pl

from contracts.journal import JournalEntry, Posting
from contracts.ledger_tables import USAGE
from contracts.terms.errors import NotPermitted, WrongState
from contracts.terms.ids import derived_id
from contracts.terms.leases import IN_FORCE, Lease, LeaseSlot, LeaseState

RESELLER = "resale:"
MARK = "~"
AGAIN = "~resold"
RESALABLE_PLAN = "metered_cleared"
ResaleState = Literal["open", "withdrawn", "ended"]
# A clearing that has read its book sells what its holder gives up meanwhile all the same.
SELLING: tuple[LeaseState, ...] = (*IN_FORCE, "released")


class ResaleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a lease its holder would part with, and at what rate.

    rate_micros    the least it takes per accelerator-hour
    accelerators   at most so many in each slot; absent: all
    start, end     only slots that lie within; absent: every slot that has not begun
    """

    rate_micros: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    accelerators: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    start: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    end: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def admits(self, slot: LeaseSlot) -> bool:
        """Whether a slot lies within what is offered."""
        return (self.start is None or self.start <= slot.start) and (self.end is None or slot.end <= self.end)


class Resale(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of a holder's: part of one lease, on the offer it runs on.

    id        that of the offer others see: the lease's offer, a tilde and a number
    offer_id  the offer the lease runs on
    slots     what is still offered, each with the least rate it goes for
    released  whether the lease was given up: such an offer is not withdrawn
    """

    id: str
    lease_id: str
    offer_id: str
    slots: tuple[LeaseSlot, ...]
    released: bool = False
    state: ResaleState = "open"

    def may_sell(self, state: LeaseState) -> bool:
        """Whether its lease, in this state, is still its holder's to part with."""
        return state == "released" if self.released else state in IN_FORCE


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """One slot that changed hands.

    lease_id      the buyer's; of_lease_id the holder's
    rate_micros   what the holder goes on paying, per accelerator-hour
    """

    lease_id: str
    slot_start: datetime
    resale_id: str
    of_lease_id: str
    quantity: int
    rate_micros: int


def check_resalable(lease: Lease, *, plan_kind: str) -> None:
    """Whether a holder may offer a lease on.

    Raises NotPermitted for a plan that does not pay by the rate (a grant, a fee, a commitment), WrongState for a lease that has ended.
    """
    if plan_kind != RESALABLE_PLAN:
        raise NotPermitted(
            f"only what is paid by its rate may be resold; the account's plan is {plan_kind}", lease_id=lease.id, plan=plan_kind
        )
    if lease.state not in IN_FORCE:
        raise WrongState(f"a lease that is {lease.state} cannot be resold", lease_id=lease.id, state=lease.state)


def offered_slots(lease: Lease, request: ResaleRequest, *, now: datetime) -> tuple[LeaseSlot, ...]:
    """The slots a request offers: those of the lease that have not begun, at most as wide as was said, at its rate; maybe none."""
    most = request.accelerators or max(1, lease.accelerators)
    return tuple(
        msgspec.structs.replace(slot, quantity=min(most, slot.quantity), rate_micros=request.rate_micros)
        for slot in lease.slots
        if slot.start >= now and slot.quantity and request.admits(slot)
    )


def given_up(lease: Lease, *, now: datetime) -> Lease | None:
    """What a released lease leaves its holder to pay and to sell: the slots that have not begun; None where none is ahead."""
    rest = tuple(slot for slot in lease.slots if slot.start >= now and slot.quantity)
    if not rest:
        return None
    return msgspec.structs.replace(
        lease, id=derived_id("lse", lease.id, "given up"), state="released", slots=rest, continues=lease.continues or lease.id
    )


def handed_over(held: Iterable[LeaseSlot], bought: Iterable[LeaseSlot]) -> tuple[LeaseSlot, ...] | None:
    """A holder's slots once a buyer has its own out of them; None where the holder has not so many."""
    wanted = {slot.start: slot.quantity for slot in bought}
    left = tuple(msgspec.structs.replace(slot, quantity=slot.quantity - wanted.pop(slot.start, 0)) for slot in held)
    return None if any(wanted.values()) or any(slot.quantity < 0 for slot in left) else left


def still_offered(resale: Resale, bought: Iterable[LeaseSlot]) -> Resale:
    """A resale once a buyer has its own out of it."""
    gone = {slot.start: slot.quantity for slot in bought}
    return msgspec.structs.replace(
        resale,
        slots=tuple(msgspec.structs.replace(slot, quantity=max(0, slot.quantity - gone.get(slot.start, 0))) for slot in resale.slots),
    )


def sales_of(lease: Lease, resale: Resale, *, held: Iterable[LeaseSlot]) -> list[Sale]:
    """Slot by slot what a buyer's lease took over; `held` are the holder's slots, whose rates it goes on paying."""
    rates = {slot.start: slot.rate_micros for slot in held}
    return [
        Sale(
            lease_id=lease.id,
            slot_start=slot.start,
            resale_id=resale.id,
            of_lease_id=resale.lease_id,
            quantity=slot.quantity,
            rate_micros=rates[slot.start],
        )
        for slot in lease.slots
        if slot.quantity
    ]


def with_resold(usage: pl.DataFrame, sales: pl.DataFrame) -> pl.DataFrame:
    """Usage and, for each record of a lease bought from a holder, the same seconds once more on the holder's lease, and on its seller's.

    usage   rows of `USAGE`, by the ids leases are known under
    sales   lease_id, of_lease_id: buyer's lease and the lease it was bought of

    A revision that moves a record to another lease takes the holder's seconds away with it.
    """
    rows, step = [usage.select(list(USAGE.schema))], usage
    holders = dict(sales.select("lease_id", "of_lease_id").iter_rows())
    while holders and not (step := _once_more(step, holders)).is_empty():
        rows.append(step)
    return pl.concat(rows)


def _once_more(usage: pl.DataFrame, holders: Mapping[str, str]) -> pl.DataFrame:
    """The records of bought leases, and those that were at some revision, on the leases they were bought of."""
    of = pl.col("lease_id").replace_strict(holders, default=None, return_dtype=pl.String())
    known = usage.with_columns(of_lease=of)
    ids = known.filter(pl.col("of_lease").is_not_null()).group_by("usage_id").agg(pl.col("of_lease").min().alias("first_lease"))
    again = known.join(ids, on="usage_id").with_columns(
        usage_id=pl.col("usage_id") + AGAIN,
        lease_id=pl.coalesce("of_lease", "first_lease"),
        accelerator_seconds=pl.when(pl.col("of_lease").is_null()).then(0).otherwise("accelerator_seconds"),
    )
    return again.select(list(USAGE.schema))


def with_sold(slots: pl.DataFrame, sales: pl.DataFrame) -> pl.DataFrame:
    """The slots leases are settled by: what their holders sold is still theirs to pay, also where the slot itself was dropped since.

    slots   lease_id, slot_start, rate_micros, quantity
    sales   of_lease_id, slot_start, rate_micros, quantity of what changed hands
    """
    theirs = sales.select(pl.col("of_lease_id").alias("lease_id"), "slot_start", "rate_micros", "quantity")
    both = pl.concat([slots.select(theirs.columns), theirs])
    return both.group_by("lease_id", "slot_start").agg(pl.col("rate_micros").first(), pl.col("quantity").sum())


def sold_by_holders(leases: pl.DataFrame, sales: pl.DataFrame) -> pl.DataFrame:
    """The settlement's leases, those bought from a holder sold by it: `leases` are named `{lease_id}@{n}`.

    sales   lease_id, and account_id of the holder
    """
    holders = {lease_id: reseller(account_id) for lease_id, account_id in sales.select("lease_id", "account_id").iter_rows()}
    known = pl.col("lease_id").str.replace(r"@[0-9]+$", "")
    seller = known.replace_strict(holders, default=None, return_dtype=pl.String()) if holders else pl.lit(None, pl.String())
    return leases.with_columns(provider_id=pl.coalesce(seller, "provider_id"))


def bought_of(sold: pl.DataFrame, sales: pl.DataFrame) -> list[str]:
    """The leases that some sales made, and those that were bought of them again, in order."""
    buyers: dict[str, set[str]] = {}
    for lease_id, of_lease_id in sales.select("lease_id", "of_lease_id").iter_rows():
        buyers.setdefault(of_lease_id, set()).add(lease_id)
    found: set[str] = set()
    ahead = set(sold["lease_id"].to_list())
    while ahead:
        found |= ahead
        ahead = {buyer for lease_id in ahead for buyer in buyers.get(lease_id, ())} - found
    return sorted(found)


def reseller(account_id: str) -> str:
    """The party a holder sells as."""
    return f"{RESELLER}{account_id}"


def proceeds_entries(payouts: pl.DataFrame, *, period: int, at: datetime) -> list[JournalEntry]:
    """What resales of a period brought their holders, turned into prepaid balance; corrections of earlier months turn it back.

    payouts   rows of the settlement's table: what each party is due
    """
    own = payouts.filter(pl.col("period") == period, pl.col("provider_id").str.starts_with(RESELLER), pl.col("net_micros") != 0).sort(
        "provider_id", "currency"
    )
    entries = []
    for party, currency, net in own.select("provider_id", "currency", "net_micros").iter_rows():
        account_id = party.removeprefix(RESELLER)
        entries.append(
            JournalEntry(
                id=derived_id("ent", "resale", account_id, currency, period),
                kind="resale",
                state="posted",
                at=at,
                reason="what resold leases have fetched",
                postings=(
                    Posting(account="provider_payable", party=party, amount_micros=net, currency=currency),
                    Posting(account="prepaid", party=account_id, amount_micros=-net, currency=currency),
                ),
                subject=account_id,
            )
        )
    return entries
