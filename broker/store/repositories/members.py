"""Who belongs where, who is invited, and what was done about it."""

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from broker.store.repositories.people import person_of
from broker.store.rows import AccountRow, InvitationRow, MembershipRow, PersonActRow, PersonRow, ProviderRow
from contracts.people import BROKER_PARTY, PROVIDER_PARTY, Invitation, Membership, Person, PersonAct
from contracts.terms.accounts import Account
from contracts.terms.errors import NotFound

BROKER_NAME = "Gridfare"


class MemberRepository:
    """Memberships by party and person, invitations by digest."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_organisation(self, account: Account) -> None:
        """Open a buyer's account."""
        values = {name: getattr(account, name) for name in account.__struct_fields__}
        await self._session.execute(insert(AccountRow).values(values))

    async def party_name(self, party: str) -> str:
        """What a party is called. Raises NotFound."""
        if party == BROKER_PARTY:
            return BROKER_NAME
        if party.startswith(PROVIDER_PARTY):
            found: AccountRow | ProviderRow | None = await self._session.get(ProviderRow, party.removeprefix(PROVIDER_PARTY))
        else:
            found = await self._session.get(AccountRow, party)
        if found is None:
            raise NotFound(f"no party has the id {party}", party=party)
        return found.name

    async def put(self, membership: Membership) -> None:
        """Give a person a role with a party, in place of the one before."""
        values = {name: getattr(membership, name) for name in Membership.__struct_fields__}
        statement = insert(MembershipRow).values(values)
        key = [col(MembershipRow.party), col(MembershipRow.person_id)]
        await self._session.execute(statement.on_conflict_do_update(index_elements=key, set_={"role": membership.role}))

    async def remove(self, party: str, person_id: str) -> None:
        """Take a person's role with a party."""
        of = (col(MembershipRow.party) == party, col(MembershipRow.person_id) == person_id)
        await self._session.execute(delete(MembershipRow).where(*of))

    async def membership(self, party: str, person_id: str) -> Membership | None:
        """A person's role with a party."""
        of = (col(MembershipRow.party) == party, col(MembershipRow.person_id) == person_id)
        row = (await self._session.scalars(select(MembershipRow).where(*of))).first()
        return _membership(row) if row else None

    async def of_person(self, person_id: str) -> list[tuple[Membership, str]]:
        """Whom a person belongs to, with their names, the earliest first."""
        statement = select(MembershipRow).where(col(MembershipRow.person_id) == person_id)
        rows = (await self._session.scalars(statement.order_by(col(MembershipRow.since), col(MembershipRow.party)))).all()
        return [(_membership(row), await self.party_name(row.party)) for row in rows]

    async def of_party(self, party: str, *, locked: bool = False) -> list[tuple[Membership, Person]]:
        """Who belongs to a party, by name; locked, nobody else changes that until the transaction ends."""
        statement = (
            select(MembershipRow, PersonRow)
            .join(PersonRow, col(PersonRow.id) == col(MembershipRow.person_id))
            .where(col(MembershipRow.party) == party)
            .order_by(col(PersonRow.name), col(PersonRow.id))
        )
        found = await self._session.execute(statement.with_for_update(of=MembershipRow) if locked else statement)
        return [(_membership(membership), person_of(person)) for membership, person in found.all()]

    async def invite(self, invitation: Invitation, digest: bytes) -> None:
        """Keep an invitation by the digest of its link."""
        values = {name: getattr(invitation, name) for name in Invitation.__struct_fields__}
        await self._session.execute(insert(InvitationRow).values(digest=digest, **values))

    async def invitation(self, digest: bytes, *, locked: bool = False) -> Invitation | None:
        """The invitation a link is for."""
        statement = select(InvitationRow).where(col(InvitationRow.digest) == digest)
        row = (await self._session.scalars(statement.with_for_update() if locked else statement)).first()
        return _invitation(row) if row else None

    async def invitations(self, party: str) -> list[Invitation]:
        """A party's invitations, the latest first."""
        statement = select(InvitationRow).where(col(InvitationRow.party) == party)
        rows = await self._session.scalars(statement.order_by(col(InvitationRow.created_at).desc(), col(InvitationRow.id)))
        return [_invitation(row) for row in rows]

    async def replace_invitation(self, invitation: Invitation) -> None:
        """Write whether an invitation was taken or withdrawn."""
        changed = {"accepted_at": invitation.accepted_at, "withdrawn_at": invitation.withdrawn_at}
        await self._session.execute(update(InvitationRow).where(col(InvitationRow.id) == invitation.id).values(changed))

    async def keep_act(self, act: PersonAct) -> None:
        """Append to what was done."""
        await self._session.execute(insert(PersonActRow).values({name: getattr(act, name) for name in PersonAct.__struct_fields__}))

    async def acts(self, party: str, *, limit: int) -> list[PersonAct]:
        """What was done with a party, the latest first."""
        statement = select(PersonActRow).where(col(PersonActRow.party) == party)
        rows = await self._session.scalars(statement.order_by(col(PersonActRow.number).desc()).limit(limit))
        return [PersonAct(**{name: getattr(row, name) for name in PersonAct.__struct_fields__}) for row in rows]


def _membership(row: MembershipRow) -> Membership:
    return Membership(**{name: getattr(row, name) for name in Membership.__struct_fields__})


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(**{name: getattr(row, name) for name in Invitation.__struct_fields__})
