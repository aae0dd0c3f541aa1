"""What the services of people need of a store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from contracts.people import Invitation, Membership, Person, PersonAct, Session
from contracts.terms.accounts import Account


class People(Protocol):
    """People, their passwords and codes, and the browsers they signed in with."""

    async def add(self, person: Person) -> bool:
        """Keep a new person; False when the address is somebody's already."""
        ...

    async def person(self, person_id: str, *, locked: bool = False) -> Person:
        """One person. Raises NotFound."""
        ...

    async def by_email(self, email: str) -> Person | None:
        """Whose address this is."""
        ...

    async def replace(self, person: Person) -> None:
        """Write what may change of a person: all but id, address and beginning."""
        ...

    async def add_session(self, session: Session, digest: bytes) -> None:
        """Keep a new session by the digest of its token."""
        ...

    async def session(self, digest: bytes) -> Session | None:
        """The session a token opens, ended or not."""
        ...

    async def sessions(self, person_id: str, *, now: datetime) -> list[Session]:
        """A person's sessions that are still open, the one seen last first."""
        ...

    async def replace_session(self, session: Session) -> None:
        """Write what may change of a session: whom it acts for, whether it is proven, when it was seen and ended."""
        ...

    async def end_sessions(self, person_id: str, *, at: datetime, but: str | None = None) -> int:
        """End a person's sessions, all but one; how many there were."""
        ...

    async def put_codes(self, person_id: str, digests: Sequence[bytes]) -> None:
        """Give a person these recovery codes in place of those before."""
        ...

    async def use_code(self, person_id: str, digest: bytes, *, at: datetime) -> bool:
        """Use a recovery code up; False when the person has no such code left."""
        ...

    async def codes_left(self, person_id: str) -> int:
        """How many recovery codes a person has left."""
        ...

    async def add_password_link(self, person_id: str, digest: bytes, *, expires_at: datetime) -> None:
        """Keep a link that sets a new password, in place of those before."""
        ...

    async def password_link(self, digest: bytes, *, now: datetime) -> str | None:
        """Whose password a link sets, None when it is unknown, used or over; nobody else reads it until the transaction ends."""
        ...

    async def drop_password_links(self, person_id: str) -> None:
        """No link sets this person's password any more."""
        ...

    async def failures(self, subject: bytes, *, since: datetime) -> list[datetime]:
        """When sign-ins for a subject failed."""
        ...

    async def fail(self, subject: bytes, *, at: datetime) -> None:
        """Keep that a sign-in failed."""
        ...

    async def forget_failures(self, *, before: datetime) -> None:
        """Drop failures that no longer count."""
        ...

    async def known_as(self, issuer: str, subject: str) -> str | None:
        """Whom an identity provider means."""
        ...

    async def know_as(self, issuer: str, subject: str, *, person_id: str) -> None:
        """Keep whom an identity provider means."""
        ...


class Members(Protocol):
    """Who belongs where, who is invited, and what was done about it."""

    async def add_organisation(self, account: Account) -> None:
        """Open a buyer's account."""
        ...

    async def party_name(self, party: str) -> str:
        """What a party is called. Raises NotFound."""
        ...

    async def put(self, membership: Membership) -> None:
        """Give a person a role with a party, in place of the one before."""
        ...

    async def remove(self, party: str, person_id: str) -> None:
        """Take a person's role with a party."""
        ...

    async def membership(self, party: str, person_id: str) -> Membership | None:
        """A person's role with a party."""
        ...

    async def of_person(self, person_id: str) -> list[tuple[Membership, str]]:
        """Whom a person belongs to, with their names, the earliest first."""
        ...

    async def of_party(self, party: str, *, locked: bool = False) -> list[tuple[Membership, Person]]:
        """Who belongs to a party, by name; locked, nobody else changes that until the transaction ends."""
        ...

    async def invite(self, invitation: Invitation, digest: bytes) -> None:
        """Keep an invitation by the digest of its link."""
        ...

    async def invitation(self, digest: bytes, *, locked: bool = False) -> Invitation | None:
        """The invitation a link is for."""
        ...

    async def invitations(self, party: str) -> list[Invitation]:
        """A party's invitations, the latest first."""
        ...

    async def replace_invitation(self, invitation: Invitation) -> None:
        """Write whether an invitation was taken or withdrawn."""
        ...

    async def keep_act(self, act: PersonAct) -> None:
        """Append to what was done."""
        ...

    async def acts(self, party: str, *, limit: int) -> list[PersonAct]:
        """What was done with a party, the latest first."""
        ...
