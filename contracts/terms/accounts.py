"""The parties: buyers' accounts, their projects, and provider grids."""

from datetime import datetime

import msgspec


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A buyer's account.

    country, parent_country  of the buyer and of its ultimate parent, ISO 3166-1 alpha-2
    tax_bps, take_bps        basis points on what is invoiced, and of the broker's take
    credit_limit_micros      the most it may owe and have on hold, in its currency
    parent                   name of the ultimate parent, the same for every firm of one house; None where unknown
    legal_name, address      as an e-invoice must name the firm; empty where nobody said
    vat_id                   its VAT id; empty where it has none
    opened_at                since when it buys here; None: from the beginning. No earlier close knows it
    """

    id: str
    name: str
    country: str
    parent_country: str
    plan_id: str
    currency: str
    tax_bps: int
    take_bps: int
    credit_limit_micros: int
    story: str = ""
    parent: str | None = None
    legal_name: str = ""
    address: str = ""
    vat_id: str = ""
    opened_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.credit_limit_micros < 0:
            raise ValueError(f"account {self.id}: credit_limit_micros may not be negative, was {self.credit_limit_micros}")


DEFAULT_PROJECT = "default"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """What an account buys for, so that its spend can be told apart. A bid, a quote and a lease belong to one.

    id           `default` of the one every account has: what is bought for nothing in particular
    name         unique in its account, whatever its capitals
    archived_at  since when nothing more is bought for it; what was bought stays its own
    members      ids of the people who may buy for it, beside owners; None: whoever may buy for the account
    """

    id: str
    account_id: str
    name: str
    created_at: datetime | None = None
    archived_at: datetime | None = None
    members: frozenset[str] | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider grid: who sells.

    parent     as of an account
    joined_at  since when it sells here; None where unknown
    """

    id: str
    name: str
    country: str
    kind: str
    website: str = ""
    source: str = ""
    parent: str | None = None
    joined_at: datetime | None = None


class Staff(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody of the broker's finance team; `scopes` say what may be done, never whether two acts may be one person's."""

    id: str
    name: str
    scopes: frozenset[str]
