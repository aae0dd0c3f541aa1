"""What services need of a store, as protocols; `broker/app.py` hands in the real ones.

Every port works inside the caller's transaction: it flushes and never commits. Lists have a stated order.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec
import polars as pl

from broker.services.usage_views import AsideRecord
from contracts.journal import JournalEntry
from contracts.terms.accounts import Account, Staff
from contracts.terms.bids import Bid
from contracts.terms.leases import ClosedBy, Lease, LeaseState


class BidOutcome(msgspec.Struct, frozen=True):
    """What clearings have given a bid so far: hours and micros added up, the reason of the latest."""

    hours: float
    paid_micros: int
    reason: str


class LeaseEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody closed a lease: the state it came to, when, whose doing it was, why.

    owed_from, owed  from when on slots were owed elsewhere, and what became of them; None where none were left
    """

    state: str
    at: datetime
    closed_by: str
    reason: str
    owed_from: datetime | None = None
    owed: str | None = None


class Accounts(Protocol):
    """Buyers' accounts and their keys."""

    async def account(self, account_id: str) -> Account:
        """One account. Raises NotFound."""
        ...

    async def lock(self, account_id: str) -> Account:
        """One account, locked until the transaction ends, so that two orders cannot spend the same credit."""
        ...

    async def by_key_digest(self, digest: bytes) -> tuple[Account, frozenset[str]] | None:
        """The holder of an API key that is not revoked, and the key's scopes."""
        ...

    async def staff_by_key_digest(self, digest: bytes) -> Staff | None:
        """Who of the finance team holds a key that is not revoked."""
        ...

    async def provider_by_key_digest(self, digest: bytes) -> tuple[str, str, frozenset[str]] | None:
        """Id and name of the provider that holds a key that is not revoked, and the key's scopes."""
        ...


class Bids(Protocol):
    """Accepted bids."""

    async def add(self, bid: Bid) -> None:
        """Keep a new bid."""
        ...

    async def bid(self, bid_id: str, *, locked: bool = False) -> Bid:
        """One bid. Raises NotFound."""
        ...

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Bid]:
        """An account's bids by id, or those entered last first; those after a given one."""
        ...

    async def replace(self, bid: Bid) -> None:
        """Write what may change of a bid: status and hours_left."""
        ...

    async def outcomes(self, bid_ids: list[str]) -> dict[str, BidOutcome]:
        """What clearings gave these bids: hours and paid added up, the latest reason."""
        ...


class Journal(Protocol):
    """The append-only journal."""

    async def add_many(self, entries: list[JournalEntry]) -> int:
        """Write entries, each once by its id; returns how many were new."""
        ...

    async def void(self, entry_ids: list[str]) -> int:
        """Void pending entries; returns how many moved."""
        ...

    async def pending(self, kind: str, subjects: Iterable[str]) -> list[JournalEntry]:
        """Pending entries of a kind about these subjects, by id."""
        ...

    async def owed_micros(self, account_id: str) -> int:
        """Posted receivable of an account."""
        ...

    async def held_micros(self, account_id: str) -> int:
        """What pending holds keep of an account's credit."""
        ...

    async def held_by_subject(self, subjects: list[str]) -> dict[str, int]:
        """Pending hold of each bid, micros."""
        ...

    async def trial_balance(self) -> dict[str, int]:
        """Sum of all posted postings by currency: zero, or the books are broken."""
        ...


class Leases(Protocol):
    """Leases, their slots and their moves."""

    async def lease(self, lease_id: str, *, locked: bool = False) -> Lease:
        """One lease. Raises NotFound."""
        ...

    async def of_account(self, account_id: str, *, after: str | None, limit: int, newest_first: bool = False) -> list[Lease]:
        """An account's leases by id, or those that start last first; those after a given one."""
        ...

    async def of_bid(self, bid_id: str) -> list[Lease]:
        """What a bid won, by start and id."""
        ...

    async def add_many(self, leases: list[Lease], *, at: datetime, reason: str) -> None:
        """Keep new leases and why they are there; those already there are left alone."""
        ...

    async def parts_of(self, lease_ids: list[str]) -> list[Lease]:
        """What goes on from these leases, elsewhere or longer, by start and id."""
        ...

    async def projects(self, bid_ids: list[str]) -> dict[str, str]:
        """What these bids, and so their leases, are for: bid → project."""
        ...

    async def ends(self, lease_ids: list[str]) -> dict[str, LeaseEnd]:
        """How leases were closed, where somebody closed them."""
        ...

    async def promised_tier(self, lease: Lease) -> str:
        """The tier its provider is bound by, whoever sold it on."""
        ...

    async def break_off(self, lease_id: str, at: datetime) -> None:
        """Drop the slots that begin at or after a moment, and keep them as what the holder is still owed."""
        ...

    async def move(self, lease_id: str, to: LeaseState, *, at: datetime, reason: str, closed_by: ClosedBy | None = None) -> None:
        """Move a lease and write the event. Raises WrongState."""
        ...

    async def give_up(self, lease_id: str, rest: Lease | None, *, at: datetime) -> None:
        """Move a lease to released, without the slots that have not begun; `rest` keeps them, for its holder to pay and to sell."""
        ...

    async def delivered(self, lease_ids: list[str]) -> dict[str, tuple[int, int]]:
        """Accelerator-seconds delivered and failed, by lease, from the latest revisions."""
        ...


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch of usage records came to.

    new        how many were not known
    conflicts  rows of the batch whose (usage_id, rev) is there with another content: its columns and `differs`, the names of those
               columns, joined by `;`
    """

    new: int
    conflicts: pl.DataFrame


class Usage(Protocol):
    """Usage records, every revision kept. Batches are frames: the columns of `USAGE` and `row`, their number in the batch."""

    async def leased(self, batch: pl.DataFrame, *, provider_id: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The leases a batch names (a provider's own, where one is named) and their slots in its time.

        Until the transaction ends, other batches about these providers' leases wait. Columns: lease_id, starts_at, ends_at
        and lease_id, slot_start, slot_end, quantity.
        """
        ...

    async def within(self, spans: pl.DataFrame) -> pl.DataFrame:
        """The records in force of some leases that lie wholly in a span: usage_id, rev, lease_id, start, accelerator_seconds.

        spans   lease_id, span_start, span_end
        """
        ...

    async def merge(self, batch: pl.DataFrame) -> Merged:
        """Keep the records of a batch that are new; of several copies of one the least content."""
        ...

    async def set_aside(self, batch: pl.DataFrame) -> None:
        """Keep records that are not counted, once each: the columns of `USAGE`, reason, reported_by."""
        ...

    async def aside(self, reported_by: str | None, *, after: int, limit: int) -> list[AsideRecord]:
        """What was set aside (of one reporter, or of all) after a number, in order of arrival."""
        ...
