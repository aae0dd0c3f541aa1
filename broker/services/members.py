"""Who belongs to an organisation, with what role, and who let them in.

An owner invites by a link, changes roles and takes them back, and makes a link by which a member sets a new password. There is
always an owner: the last one can neither leave nor become something less. Everything done is kept and never changed.
"""

from collections.abc import Callable

import msgspec

from broker.clock import Clock
from broker.services.accounts import require
from broker.services.people_ports import Members, People
from broker.services.signing_in import digest_of, party_of
from broker.services.views import Caller
from contracts.people import (
    INVITATION_FOR,
    RESET_FOR,
    Invitation,
    Membership,
    Person,
    PersonAct,
    clean_email,
    roles_of,
)
from contracts.terms.errors import BadInput, Conflict, NotFound, NotSignedIn
from contracts.terms.ids import fresh_id

OWNER = "owner"
LINK_BYTES = 24
ACTS_SHOWN = 200


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member: who, with what role, whether a second factor guards them, and whether that is the reader."""

    person_id: str
    name: str
    email: str
    role: str
    second_factor: bool
    is_you: bool


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation as whoever holds its link sees it."""

    invitation_id: str
    party_name: str
    email: str
    role: str
    invited_by: str


class MemberService:
    """What people do about each other."""

    def __init__(self, people: People, members: Members, *, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self._people = people
        self._members = members
        self._clock = clock
        self._entropy = entropy

    async def organisations(self, caller: Caller) -> list[tuple[Membership, str]]:
        """Whom the caller may act for, with their names."""
        return await self._members.of_person((await self._person(caller)).id)

    async def members(self, caller: Caller) -> list[MemberView]:
        """Who belongs to the organisation the caller acts for, by name."""
        await self._person(caller)
        return [
            MemberView(
                person_id=person.id,
                name=person.name,
                email=person.email,
                role=each.role,
                second_factor=person.totp_since is not None,
                is_you=person.id == caller.person_id,
            )
            for each, person in await self._members.of_party(party_of(caller))
        ]

    async def invitations(self, caller: Caller) -> list[Invitation]:
        """Invitations that may still be taken, the latest first."""
        await self._person(caller)
        now = self._clock.now()
        return [each for each in await self._members.invitations(party_of(caller)) if each.open_at(now)]

    async def acts(self, caller: Caller) -> list[PersonAct]:
        """What was done about the organisation's people, the latest first."""
        await self._person(caller)
        return await self._members.acts(party_of(caller), limit=ACTS_SHOWN)

    async def invite(self, email: str, role: str, *, caller: Caller) -> str:
        """Offer a role to whoever has the address; the token of the link, shown once. Raises BadInput, Conflict for a member."""
        person = await self._may(caller)
        return await self.invite_as(person, email, party=party_of(caller), role=role)

    async def invite_as(self, inviter: Person, email: str, *, party: str, role: str) -> str:
        """The same by whoever runs the market, for any party. Raises NotFound for a party there is not."""
        await self._members.party_name(party)
        self._known_role(party, role)
        address, now = clean_email(email), self._clock.now()
        if any(known.email == address for _, known in await self._members.of_party(party)):
            raise Conflict(f"{address} belongs to this organisation already; change the role instead", email=address)
        for before in await self._members.invitations(party):
            if before.email == address and before.open_at(now):
                await self._members.replace_invitation(msgspec.structs.replace(before, withdrawn_at=now))
        token = self._token()
        invitation = Invitation(
            id=fresh_id("ivt", self._entropy(16)),
            party=party,
            email=address,
            role=role,
            invited_by=inviter.name,
            created_at=now,
            expires_at=now + INVITATION_FOR,
        )
        await self._members.invite(invitation, digest_of(token))
        await self._note("invited", address, actor=inviter, party=party, note=role)
        return token

    async def invited(self, token: str) -> Invited:
        """What a link offers. Raises NotFound when it is unknown, taken, withdrawn or over."""
        return (await self._offered(token))[1]

    async def accept(self, token: str, caller: Caller) -> str:
        """Take the role a link offers; the party. The link alone counts: it may have been sent to another address of theirs."""
        person = await self._person(caller)
        invitation, _ = await self._offered(token, locked=True)
        known, now = await self._members.membership(invitation.party, person.id), self._clock.now()
        if known is not None:
            raise Conflict(f"you belong to this organisation already, as {known.role}", role=known.role)
        await self._members.replace_invitation(msgspec.structs.replace(invitation, accepted_at=now))
        await self._members.put(Membership(party=invitation.party, person_id=person.id, role=invitation.role, since=now))
        note = invitation.role if person.email == invitation.email else f"{invitation.role}, invited as {invitation.email}"
        await self._note("joined", person.email, actor=person, party=invitation.party, note=note)
        return invitation.party

    async def withdraw(self, invitation_id: str, caller: Caller) -> None:
        """Take an invitation back. Raises NotFound when it is not open."""
        person = await self._may(caller)
        for each in await self.invitations(caller):
            if each.id == invitation_id:
                await self._members.replace_invitation(msgspec.structs.replace(each, withdrawn_at=self._clock.now()))
                await self._note("withdrew an invitation", each.email, actor=person, party=each.party)
                return
        raise NotFound("no open invitation has this id", invitation_id=invitation_id)

    async def change_role(self, person_id: str, role: str, *, caller: Caller) -> None:
        """Give a member another role. Raises NotFound, BadInput, Conflict for the last owner."""
        actor, party = await self._may(caller), party_of(caller)
        self._known_role(party, role)
        membership, person = await self._member(party, person_id, keeps_owner=role == OWNER)
        await self._members.put(msgspec.structs.replace(membership, role=role))
        await self._note("changed a role", person.email, actor=actor, party=party, note=f"{membership.role} → {role}")

    async def remove(self, person_id: str, caller: Caller) -> None:
        """Take a member's role back; anybody may leave. Raises NotFound, Conflict for the last owner."""
        actor, party = await self._person(caller), party_of(caller)
        if person_id != actor.id:
            require(caller, "members")
        membership, person = await self._member(party, person_id, keeps_owner=False)
        await self._members.remove(party, person_id)
        await self._note("left" if person_id == actor.id else "removed", person.email, actor=actor, party=party, note=membership.role)

    async def password_link(self, person_id: str, caller: Caller) -> str:
        """The token of a link by which a member sets a new password, shown once; links before it open nothing. Raises NotFound.

        Only for members who belong nowhere else: an owner of one organisation may not let himself into another.
        """
        actor, party = await self._may(caller), party_of(caller)
        _, person = await self._member(party, person_id, keeps_owner=True)
        if len(await self._members.of_person(person_id)) > 1:
            raise Conflict("this person belongs to other organisations too; whoever runs the market can make the link", person_id=person_id)
        await self._note("made a password link", person.email, actor=actor, party=party)
        return await self.password_link_for(person)

    async def by_email(self, email: str) -> Person | None:
        """Whose address this is, for whoever runs the market."""
        return await self._people.by_email(email)

    async def password_link_for(self, person: Person) -> str:
        """The same by whoever runs the market, for anybody."""
        token = self._token()
        await self._people.add_password_link(person.id, digest_of(token), expires_at=self._clock.now() + RESET_FOR)
        return token

    async def _member(self, party: str, person_id: str, *, keeps_owner: bool) -> tuple[Membership, Person]:
        """A member, with the party's members locked. Raises NotFound, Conflict when no owner would be left."""
        belongs = await self._members.of_party(party, locked=True)
        found = next((each for each in belongs if each[1].id == person_id), None)
        if found is None:
            raise NotFound("nobody here has this id", person_id=person_id)
        if not keeps_owner and not any(each.role == OWNER for each, person in belongs if person.id != person_id):
            raise Conflict("an organisation keeps an owner; make somebody else one first", person_id=person_id)
        return found

    async def _offered(self, token: str, *, locked: bool = False) -> tuple[Invitation, Invited]:
        invitation = await self._members.invitation(digest_of(token), locked=locked)
        if invitation is None or not invitation.open_at(self._clock.now()):
            raise NotFound("this invitation was taken or withdrawn, or its week is over; ask for another")
        offered = Invited(
            invitation_id=invitation.id,
            party_name=await self._members.party_name(invitation.party),
            email=invitation.email,
            role=invitation.role,
            invited_by=invitation.invited_by,
        )
        return invitation, offered

    async def _may(self, caller: Caller) -> Person:
        require(caller, "members")
        return await self._person(caller)

    async def _person(self, caller: Caller) -> Person:
        if caller.person_id is None:
            raise NotSignedIn("an API key is nobody; sign in as a person to see this")
        return await self._people.person(caller.person_id)

    async def _note(self, act: str, about: str, *, actor: Person, party: str, note: str = "") -> None:
        await self._members.keep_act(PersonAct(at=self._clock.now(), party=party, actor=actor.email, act=act, about=about, note=note))

    def _known_role(self, party: str, role: str) -> None:
        if role not in roles_of(party):
            raise BadInput("there is no such role", column="role", found=role, would_do=" or ".join(roles_of(party)))

    def _token(self) -> str:
        return self._entropy(LINK_BYTES).hex()
