"""People, the organisations they act for, and what each role may do there.

An organisation is a party of the market: a buyer's account, a provider grid, or the broker itself. A person belongs to any
number of them, with one role in each; what the role may do are scopes, the same that API keys carry, so that a page and a
program are refused by one rule. `members` is the scope of who lets people in; `keys` of who makes API keys.
"""

from datetime import datetime, timedelta

import msgspec

from contracts.terms.errors import BadInput

PROVIDER_PARTY, BROKER_PARTY = "provider:", "staff"
BUYER_ROLES: dict[str, tuple[str, ...]] = {
    "owner": ("bids:write", "budget:write", "keys", "leases:write", "members", "read"),
    "buyer": ("bids:write", "keys", "leases:write", "read"),
    "reader": ("read",),
}
PROVIDER_ROLES: dict[str, tuple[str, ...]] = {
    "owner": ("feed:write", "keys", "leases:write", "members", "provider:read", "usage:write"),
    "reader": ("provider:read",),
}
BROKER_ROLES: dict[str, tuple[str, ...]] = {
    "owner": ("finance:approve", "finance:read", "finance:write", "members", "operator"),
    "finance": ("finance:approve", "finance:read", "finance:write"),
    "operator": ("operator",),
}
# What people may do and programs may not.
PEOPLE_ONLY = frozenset({"keys", "members"})
EMAIL_MAX, NAME_MAX = 254, 80
SESSION_FOR = timedelta(days=7)
CODE_FOR = timedelta(minutes=10)
INVITATION_FOR = timedelta(days=7)
RESET_FOR = timedelta(hours=24)
SEEN_EVERY = timedelta(minutes=5)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person. `password` is what was sealed, None for who signs in elsewhere; `totp` the secret, in use once `totp_since` is set."""

    id: str
    email: str
    name: str
    created_at: datetime
    password: str | None = None
    totp: str | None = None
    totp_since: datetime | None = None
    totp_step: int = 0


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A person's role with a party."""

    party: str
    person_id: str
    role: str
    since: datetime


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser somebody signed in with. `proven` is false while the second factor is awaited; `party` is whom they act for there."""

    id: str
    person_id: str
    party: str
    proven: bool
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    agent: str
    ended_at: datetime | None = None


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """A role offered to whoever holds the link, until it expires, is taken or is withdrawn; `invited_by` is a name."""

    id: str
    party: str
    email: str
    role: str
    invited_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    withdrawn_at: datetime | None = None

    def open_at(self, now: datetime) -> bool:
        """Whether it may still be taken."""
        return self.accepted_at is None and self.withdrawn_at is None and now < self.expires_at


class PersonAct(msgspec.Struct, frozen=True, kw_only=True):
    """Something done about people: by whom, with which party, about whom or what."""

    at: datetime
    party: str
    actor: str
    act: str
    about: str
    note: str = ""


def roles_of(party: str) -> dict[str, tuple[str, ...]]:
    """The roles there are with a party, the most powerful first."""
    if party == BROKER_PARTY:
        return BROKER_ROLES
    return PROVIDER_ROLES if party.startswith(PROVIDER_PARTY) else BUYER_ROLES


def scopes_of(party: str, role: str) -> frozenset[str]:
    """What a role may do; nothing for a role the party does not have."""
    return frozenset(roles_of(party).get(role, ()))


def clean_email(text: str) -> str:
    """An address as it is kept, so that one person has one. Raises BadInput for what is none.

    >>> clean_email(" Ada@Example.ORG ")
    'ada@example.org'
    """
    folded = text.strip().casefold()
    local, at, host = folded.rpartition("@")
    plain = folded.isprintable() and not any(letter.isspace() for letter in folded)
    if not (at and local and "." in host.strip(".") and plain and len(folded) <= EMAIL_MAX):
        raise BadInput("that is not an email address", column="email", found=text[:EMAIL_MAX], would_do="name@example.org")
    return folded


def clean_name(text: str, *, of: str) -> str:
    """A person's or organisation's name with single spaces. Raises BadInput when empty or longer than 80 letters."""
    name = " ".join(text.split())
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise BadInput(f"a name has 1 to {NAME_MAX} letters", column=of, found=text[:NAME_MAX], would_do="Ada Lovelace")
    return name
