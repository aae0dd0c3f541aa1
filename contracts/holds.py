"""Holds: pending entries that keep an account's credit from being spent twice.

A bid holds its worst case before it enters the book; what it is awarded holds its cost until the month
is settled. Both are voided, never posted: the settlement posts what was really used.
"""

from datetime import datetime
from typing import Literal

import msgspec

from contracts.journal import JournalEntry, Posting
from contracts.terms.accounts import Account
from contracts.terms.ids import derived_id

HoldKind = Literal["bid_hold", "award_hold"]
REASONS: dict[HoldKind, str] = {"bid_hold": "worst case of an open bid", "award_hold": "cost of an award until its month is settled"}


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What one bid keeps of its account's credit.

    event          what made it: an entry id derives from kind, bid and event, so the same event holds once
    amount_micros  in the account's currency; nothing is written for 0
    """

    kind: HoldKind
    bid_id: str
    event: str
    amount_micros: int

    def entries(self, account: Account, at: datetime) -> list[JournalEntry]:
        """The pending entry, debit hold and credit commitment; none when nothing is held."""
        if self.amount_micros < 0:
            raise ValueError(f"bid {self.bid_id}: a hold may not be negative, was {self.amount_micros}")
        if self.amount_micros == 0:
            return []
        held = Posting(account="hold", party=account.id, amount_micros=self.amount_micros, currency=account.currency)
        promised = Posting(account="commitment", party=account.id, amount_micros=-self.amount_micros, currency=account.currency)
        return [
            JournalEntry(
                id=derived_id("ent", self.kind, self.bid_id, self.event),
                kind=self.kind,
                state="pending",
                at=at,
                subject=self.bid_id,
                reason=REASONS[self.kind],
                postings=(held, promised),
            )
        ]
