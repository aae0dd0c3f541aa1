"""What becomes of grant tranches: used month by month, then expired; in PF-days, beside what the months cost.

A month's units are taken from the tranches that are valid in it, those that end first first, of equals the least id. What is
left of a tranche when its last month is closed expires. Both are cumulative, as known at a close: a later record of an earlier
month moves what was used and what expired alike, and a close posts what they come to less what earlier closes have posted.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Literal

import msgspec
import polars as pl

from contracts.acts import Act, state
from contracts.events import PF_DAYS, Correction, GrantTranche
from contracts.journal import JournalEntry, Posting
from contracts.month_facts import numbered_leases
from contracts.settlement_book import SettlementBook
from contracts.terms.bids import Bid
from contracts.terms.errors import GrantExceeded
from contracts.terms.hardware import TFLOP_SECONDS_PER_PF_DAY
from contracts.terms.ids import derived_id
from contracts.terms.leases import Lease
from contracts.terms.money import MICROS, half_up, micros_text
from contracts.terms.time import Period, iso

HoldKind = Literal["grant_bid_hold", "grant_award_hold"]
HELD_FOR: dict[HoldKind, str] = {
    "grant_bid_hold": "computing an open bid may take",
    "grant_award_hold": "computing of an award until its month is settled",
}
REASONS = {"grant_used": "used by its project", "grant_expired": "not used while it was valid"}


class Tranche(msgspec.Struct, frozen=True, kw_only=True):
    """Computing given to an account for whole months; `id` is that of the entry that gave it."""

    id: str
    account_id: str
    pledged_by: str
    micro_pf_days: int
    valid: Period


class MonthUnits(msgspec.Struct, frozen=True):
    """What an account used in a month, TFLOP·s."""

    month: Period
    units: int


class TrancheStanding(msgspec.Struct, frozen=True):
    """What has become of a tranche, micro-PF-days; together at most what it was given with."""

    used: int = 0
    expired: int = 0


def approved_tranches(histories: Mapping[str, Sequence[Act]]) -> list[Tranche]:
    """The tranches among corrections (entry id → its acts) that somebody has approved, by id."""
    found = []
    for entry_id, history in sorted(histories.items()):
        if state(history) == "approved":
            given = msgspec.convert(history[0].facts, Correction)
            if isinstance(given, GrantTranche):
                found.append(tranche_of(entry_id, given))
    return found


def tranche_of(entry_id: str, given: GrantTranche) -> Tranche:
    """The tranche that an entry has given."""
    return Tranche(
        id=entry_id,
        account_id=given.account_id,
        pledged_by=given.pledged_by,
        micro_pf_days=given.micro_pf_days,
        valid=Period(given.valid_from.astimezone(UTC), given.valid_until.astimezone(UTC)),
    )


def units_by_month(changes: pl.DataFrame, book: SettlementBook) -> list[MonthUnits]:
    """The units of every month of a book, failed ones left out, from the changes that reading its usage found."""
    rows = changes.filter(~pl.col("failed")).join(numbered_leases(book).select("lease", "tflops"), on="lease")
    units = rows.group_by("month").agg((pl.col("seconds").cast(pl.Int128) * pl.col("tflops")).sum().alias("units"))
    known = dict(units.iter_rows())
    months = book.periods.sort("period").select("period", "month_start", "month_end")
    return [MonthUnits(Period(start, end), int(known.get(number, 0))) for number, start, end in months.iter_rows()]


def standings(tranches: Iterable[Tranche], months: Sequence[MonthUnits]) -> dict[str, TrancheStanding]:
    """What has become of one account's tranches when these months, in order, are closed: by tranche id.

    Exact in units: rounded once, on all that was used of a tranche.
    """
    order = sorted(tranches, key=lambda each: (each.valid.end, each.id))
    left = {each.id: each.micro_pf_days * TFLOP_SECONDS_PER_PF_DAY for each in order}  # millionths of TFLOP·s
    whole = dict(left)
    for each in months:
        wanted = each.units * MICROS
        for tranche in order:
            if tranche.valid.start <= each.month.start and each.month.end <= tranche.valid.end:
                taken = min(wanted, left[tranche.id])
                left[tranche.id] -= taken
                wanted -= taken
    found = {}
    for tranche in order:
        used = half_up(whole[tranche.id] - left[tranche.id], TFLOP_SECONDS_PER_PF_DAY)
        over = bool(months) and tranche.valid.end <= months[-1].month.end
        found[tranche.id] = TrancheStanding(used, tranche.micro_pf_days - used if over else 0)
    return found


class TrancheHold(msgspec.Struct, frozen=True, kw_only=True):
    """Computing that an order of a project keeps of its tranches, until what it really used is posted at the close.

    kind           what keeps it: a bid at its worst case, or what it was awarded
    event          what made it: an entry id derives from kind, bid and event, so the same event holds once
    micro_pf_days  nothing is written for 0
    span           the time it may be used in: only tranches valid for all of it can be kept
    """

    kind: HoldKind
    account_id: str
    bid_id: str
    event: str
    micro_pf_days: int
    span: Period

    def allotted(self, tranches: Iterable[Tranche], left: Mapping[str, int]) -> dict[str, int]:
        """How much of which tranche it keeps: of those that end first first, of equals the least id, as they are used.

        left   tranche → what it has left after use, expiry and other holds
        Raises GrantExceeded where together they have not so much.
        """
        wanted = self.micro_pf_days
        found: dict[str, int] = {}
        for tranche in sorted(tranches, key=lambda each: (each.valid.end, each.id)):
            if tranche.valid.start <= self.span.start and self.span.end <= tranche.valid.end:
                part = min(wanted, max(0, left.get(tranche.id, 0)))
                wanted -= part
                found |= {tranche.id: part} if part else {}
        if wanted:
            there = self.micro_pf_days - wanted
            raise GrantExceeded(
                f"this can take {_pf_days(self.micro_pf_days)} PF-days, the project's tranches have {_pf_days(there)} left "
                f"from {iso(self.span.start)} to {iso(self.span.end)}; lower hours, or narrow the window",
                micro_pf_days=self.micro_pf_days,
                available_micro_pf_days=there,
            )
        return found

    def entry(self, allotted: Mapping[str, int], *, at: datetime) -> JournalEntry | None:
        """The pending entry, tranche by tranche; None where nothing is kept."""
        if not allotted:
            return None
        whole = Posting(account="tranche", party=self.account_id, amount_micros=sum(allotted.values()), currency=PF_DAYS)
        parts = (
            Posting(account="commitment", party=tranche_id, amount_micros=-part, currency=PF_DAYS)
            for tranche_id, part in sorted(allotted.items())
        )
        return JournalEntry(
            id=derived_id("ent", self.kind, self.bid_id, self.event),
            kind=self.kind,
            state="pending",
            at=at,
            subject=self.bid_id,
            reason=HELD_FOR[self.kind],
            postings=(whole, *parts),
        )


def micro_pf_days(accelerator_seconds: int, tflops: int) -> int:
    """Computing of so many seconds, rounded up: what is kept is never less than what is used."""
    return -(-accelerator_seconds * tflops * MICROS // TFLOP_SECONDS_PER_PF_DAY)


def worst_case(bid: Bid, tflops: Mapping[str, int]) -> int:
    """The most computing that what is left of a bid can take: all its hours on the fastest of its classes, micro-PF-days."""
    fastest = max((tflops.get(name, 0) for name in bid.request.hardware), default=0)
    return micro_pf_days(math.ceil(Fraction(str(bid.hours_left)) * 3600), fastest)


def computing_of(lease: Lease, tflops: Mapping[str, int]) -> int:
    """What a lease takes when it is delivered whole, micro-PF-days."""
    seconds = sum(slot.quantity * ((slot.end - slot.start) // timedelta(seconds=1)) for slot in lease.slots)
    return micro_pf_days(seconds, tflops.get(lease.hardware, 0))


def _pf_days(micros: int) -> str:
    return micros_text(micros, places=3)


def tranche_entries(
    tranche: Tranche, standing: TrancheStanding, *, posted: Mapping[str, int], period: int, at: datetime
) -> list[JournalEntry]:
    """What a close posts about a tranche: an entry for what was used, one for what expired, none for nothing.

    posted   kind of entry → micro-PF-days that earlier closes have posted
    """
    entries = []
    for kind, micros in (("grant_used", standing.used), ("grant_expired", standing.expired)):
        moved = micros - posted.get(kind, 0)
        if moved:
            entries.append(
                JournalEntry(
                    id=derived_id("ent", kind, tranche.id, period),
                    kind=kind,
                    state="posted",
                    at=at,
                    reason=REASONS[kind],
                    postings=(
                        Posting(account="tranche", party=tranche.account_id, amount_micros=moved, currency=PF_DAYS),
                        Posting(account="pledged", party=tranche.pledged_by, amount_micros=-moved, currency=PF_DAYS),
                    ),
                    subject=tranche.id,
                )
            )
    return entries
