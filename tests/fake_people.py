"""People kept in dictionaries: what the services of people need of a store."""

import os
from typing import Any

import msgspec

from broker.services.keys import KeyService, KeyView, RequestLog
from broker.services.members import MemberService
from broker.services.signing_in import SignInService
from contracts.terms.errors import NotFound
from contracts.terms.ids import derived_id


def fake_people(clock, people: "FakePeople") -> dict[str, Any]:
    """The services of people on one store."""
    return {
        "members": MemberService(people, people, clock=clock, entropy=os.urandom),
        "keys": KeyService(people, RequestLog(), clock=clock, entropy=os.urandom),
        "signing_in": SignInService(people, people, clock=clock, entropy=os.urandom),
    }


class FakePeople:
    """People and members in one; parties are named after their ids."""

    def __init__(self) -> None:
        self.people: dict[Any, Any] = {}
        self.open: dict[Any, Any] = {}
        self.codes: dict[Any, Any] = {}
        self.links: dict[Any, Any] = {}
        self.failed: list[Any] = []
        self.made: dict[Any, Any] = {}
        self.came: list[Any] = []
        self.known: dict[Any, Any] = {}
        self.roles: dict[Any, Any] = {}
        self.invited: dict[Any, Any] = {}
        self.done: list[Any] = []
        self.accounts: dict[Any, Any] = {}

    async def add(self, person):
        if any(each.email == person.email for each in self.people.values()):
            return False
        self.people[person.id] = person
        return True

    async def person(self, person_id, *, locked=False):
        if person_id not in self.people:
            raise NotFound("nobody has this id")
        return self.people[person_id]

    async def by_email(self, email):
        return next((each for each in self.people.values() if each.email == email), None)

    async def replace(self, person):
        self.people[person.id] = person

    async def add_session(self, session, digest):
        self.open[digest] = session

    async def session(self, digest):
        return self.open.get(digest)

    async def sessions(self, person_id, *, now):
        mine = [s for s in self.open.values() if s.person_id == person_id and s.ended_at is None and s.proven and s.expires_at > now]
        return sorted(mine, key=lambda each: each.seen_at, reverse=True)

    async def replace_session(self, session):
        self.open = {digest: session if each.id == session.id else each for digest, each in self.open.items()}

    async def end_sessions(self, person_id, *, at, but=None):
        ended = [s for s in self.open.values() if s.person_id == person_id and s.ended_at is None and s.id != but]
        for each in ended:
            await self.replace_session(msgspec.structs.replace(each, ended_at=at))
        return len(ended)

    async def put_codes(self, person_id, digests):
        self.codes[person_id] = set(digests)

    async def use_code(self, person_id, digest, *, at):
        left = self.codes.get(person_id, set())
        fits = digest in left
        left.discard(digest)
        return fits

    async def codes_left(self, person_id):
        return len(self.codes.get(person_id, ()))

    async def add_password_link(self, person_id, digest, *, expires_at):
        self.links = {each: link for each, link in self.links.items() if link[0] != person_id} | {digest: (person_id, expires_at)}

    async def password_link(self, digest, *, now):
        person_id, expires_at = self.links.get(digest, (None, now))
        return person_id if expires_at > now else None

    async def drop_password_links(self, person_id):
        self.links = {each: link for each, link in self.links.items() if link[0] != person_id}

    async def failures(self, subject, *, since):
        return [at for each, at in self.failed if each == subject and at > since]

    async def fail(self, subject, *, at):
        self.failed.append((subject, at))

    async def forget_failures(self, *, before):
        self.failed = [each for each in self.failed if each[1] >= before]

    async def known_as(self, issuer, subject):
        return self.known.get((issuer, subject))

    async def know_as(self, issuer, subject, *, person_id):
        self.known.setdefault((issuer, subject), person_id)

    async def add_key(self, key):
        facts = {name: getattr(key, name) for name in ("name", "scopes", "made_by", "created_at")}
        view = KeyView(key_id=derived_id("key", key.digest.hex()), **facts)
        self.made.setdefault(view.key_id, (key.account_id, view))

    async def keys(self, account_id):
        return [view for owner, view in reversed(self.made.values()) if owner == account_id]

    async def revoke_key(self, account_id, key_id, *, at):
        owner, view = self.made.get(key_id, (None, None))
        if owner != account_id or view.revoked_at is not None:
            return False
        self.made[key_id] = (owner, msgspec.structs.replace(view, revoked_at=at))
        return True

    async def note_requests(self, asked):
        self.came += asked
        for each in asked:
            if each.key_id in self.made:
                owner, view = self.made[each.key_id]
                self.made[each.key_id] = (owner, msgspec.structs.replace(view, used_at=max(each.at, view.used_at or each.at)))

    async def requests(self, party, *, limit):
        return [each for each in reversed(self.came) if each.party == party][:limit]

    async def forget_requests(self, *, before):
        self.came = [each for each in self.came if each.at >= before]

    async def add_organisation(self, account):
        self.accounts[account.id] = account

    async def party_name(self, party):
        return self.accounts[party].name if party in self.accounts else party

    async def put(self, membership):
        self.roles[membership.party, membership.person_id] = membership

    async def remove(self, party, person_id):
        self.roles.pop((party, person_id), None)

    async def membership(self, party, person_id):
        return self.roles.get((party, person_id))

    async def of_person(self, person_id):
        return [(each, await self.party_name(each.party)) for each in self.roles.values() if each.person_id == person_id]

    async def of_party(self, party, *, locked=False):
        return [(each, self.people[each.person_id]) for each in self.roles.values() if each.party == party]

    async def invite(self, invitation, digest):
        self.invited[digest] = invitation

    async def invitation(self, digest, *, locked=False):
        return self.invited.get(digest)

    async def invitations(self, party):
        return [each for each in self.invited.values() if each.party == party]

    async def replace_invitation(self, invitation):
        self.invited = {digest: invitation if each.id == invitation.id else each for digest, each in self.invited.items()}

    async def keep_act(self, act):
        self.done.append(act)

    async def acts(self, party, *, limit):
        return [each for each in reversed(self.done) if each.party == party][:limit]
