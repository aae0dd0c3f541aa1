"""How a person comes in: a password and, where they asked for it, a second factor; or an identity provider's word.

A try that fails is an answer, not a refusal: a refusal would undo the transaction, and with it the count of failed tries. The
answer is the same whether nobody has the address or the password is wrong, and takes the same time (OWASP authentication
cheat sheet). What a browser keeps is a random token; the store keeps its digest.
"""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

import msgspec

from broker.clock import Clock
from broker.services.people_ports import Members, People
from broker.services.views import Caller
from contracts.credentials import opens, recovery_codes, recovery_digest, sealed, totp_secret, totp_step, wait_until, weakness
from contracts.people import (
    BROKER_PARTY,
    CODE_FOR,
    PROVIDER_PARTY,
    SEEN_EVERY,
    SESSION_FOR,
    Membership,
    Person,
    PersonAct,
    Session,
    clean_email,
    clean_name,
    scopes_of,
)
from contracts.terms.accounts import Account
from contracts.terms.errors import BadInput, Conflict, NotSignedIn
from contracts.terms.ids import fresh_id
from contracts.terms.time import iso

SESSION_TOKEN = "gfs_"
WRONG = "No person has this address and password."
WRONG_CODE = "That is not the code of this minute, nor a recovery code you have left."
NOBODY = ""
AGENT_LETTERS = 120
FAILURES_KEPT = timedelta(days=1)


class NewPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs up; `organisation` and `country` (ISO 3166-1 alpha-2) open an account, both empty for who was invited."""

    email: str
    name: str
    password: str
    organisation: str = ""
    country: str = ""


class SignUpTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an organisation that signs itself up begins with: plan, currency and credit. It pays ahead until it is given more."""

    plan_id: str = "metered"
    currency: str = "USD"
    take_bps: int = 0
    credit_limit_micros: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """How a try went: a token for the browser, and whether it still waits for a second factor; or why not, as a sentence."""

    token: str | None = None
    waits_for_code: bool = False
    fault: str | None = None


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a second factor is in use since when, the secret while it is being set up, and how many recovery codes are left."""

    since: datetime | None
    secret: str | None
    codes_left: int


class SignInService:
    """Opens and ends sessions, and changes what opens them."""

    def __init__(
        self, people: People, members: Members, *, clock: Clock, entropy: Callable[[int], bytes], terms: SignUpTerms | None = None
    ) -> None:
        self._people = people
        self._members = members
        self._clock = clock
        self._entropy = entropy
        self._terms = terms or SignUpTerms()

    async def sign_up(self, new: NewPerson, *, agent: str) -> Entry:
        """Make a person and, when one is named, their organisation, and sign them in. Raises BadInput naming the field."""
        email, name = clean_email(new.email), clean_name(new.name, of="name")
        organisation = clean_name(new.organisation, of="organisation") if new.organisation or new.country else None
        person = await self._made(email, name, password=new.password)
        if not await self._people.add(person):
            return Entry(fault="This address has a person already: sign in, or ask an owner of your organisation for a new password.")
        party = await self._open_account(organisation, new.country, owner=person) if organisation else NOBODY
        return Entry(token=await self._open(person, party=party, proven=True, agent=agent))

    async def sign_in(self, email: str, password: str, *, agent: str) -> Entry:
        """Try a password. The tenth failure within a quarter of an hour has everybody with that address wait."""
        now, folded = self._clock.now(), email.strip().casefold()
        subject = hashlib.sha256(folded.encode()).digest()
        if until := wait_until(await self._people.failures(subject, since=now - FAILURES_KEPT), now=now):
            return Entry(fault=f"Too many tries have failed for this address; the next is welcome at {iso(until)}.")
        person = await self._people.by_email(folded)
        kept = person.password if person and person.password else await asyncio.to_thread(_nobody)
        right = await asyncio.to_thread(opens, password, kept)
        if person is None or person.password is None or not right:
            await self._people.fail(subject, at=now)
            await self._people.forget_failures(before=now - FAILURES_KEPT)
            return Entry(fault=WRONG)
        return await self._begun(person, agent=agent)

    async def vouched(self, issuer: str, subject: str, *, email: str, name: str, agent: str) -> Entry:
        """Sign in whom an identity provider vouches for, with an address it has verified; a new person where there is none.

        Somebody who has that address here already is not taken over by an issuer's word: they sign in and connect it.
        """
        known = await self._people.known_as(issuer, subject)
        if known is None:
            person = Person(
                id=fresh_id("prs", self._entropy(16)),
                email=clean_email(email),
                name=clean_name(name, of="name"),
                created_at=self._clock.now(),
            )
            if not await self._people.add(person):
                return Entry(fault="This address has a person already: sign in with the password, then connect this sign-in on your page.")
            await self._people.know_as(issuer, subject, person_id=person.id)
        else:
            person = await self._people.person(known)
        return await self._begun(person, agent=agent)

    async def connect(self, caller: Caller, *, issuer: str, subject: str) -> None:
        """Let an identity provider's word sign the caller in from now on. Raises Conflict when it means somebody else."""
        person = await self.person(caller)
        if await self._people.known_as(issuer, subject) not in (None, person.id):
            raise Conflict("that sign-in is somebody else's here already", issuer=issuer)
        await self._people.know_as(issuer, subject, person_id=person.id)
        await self._note(caller, "connected a sign-in")

    async def give_code(self, token: str, code: str) -> Entry:
        """Prove a waiting session by six digits or a recovery code. Raises NotSignedIn when the session waits no longer."""
        now, session = self._clock.now(), await self._session(token)
        if session.proven:
            return Entry(token=token)
        person = await self._people.person(session.person_id, locked=True)
        subject = hashlib.sha256(person.id.encode()).digest()
        if until := wait_until(await self._people.failures(subject, since=now - FAILURES_KEPT), now=now):
            return Entry(token=token, waits_for_code=True, fault=f"Too many codes were wrong; the next is welcome at {iso(until)}.")
        step = totp_step(person.totp or "", code, now=now, after=person.totp_step)
        if step is not None:
            await self._people.replace(msgspec.structs.replace(person, totp_step=step))
        elif not await self._people.use_code(person.id, recovery_digest(code), at=now):
            await self._people.fail(subject, at=now)
            return Entry(token=token, waits_for_code=True, fault=WRONG_CODE)
        # A fresh token: whoever saw the one before the proof has nothing.
        await self._people.replace_session(msgspec.structs.replace(session, ended_at=now))
        return Entry(token=await self._open(person, party=session.party, proven=True, agent=session.agent))

    async def caller(self, token: str) -> Caller:
        """Whom a session acts for. Raises NotSignedIn when it is over, waits for a code, or its person no longer belongs there."""
        session = await self._session(token)
        if not session.proven:
            raise NotSignedIn("this sign-in still waits for its code")
        membership = await self._members.membership(session.party, session.person_id)
        if membership is None:
            session = msgspec.structs.replace(session, party=await self._first_party(await self._people.person(session.person_id)))
            await self._people.replace_session(session)
            membership = await self._members.membership(session.party, session.person_id)
        now = self._clock.now()
        if now - session.seen_at > SEEN_EVERY:
            await self._people.replace_session(msgspec.structs.replace(session, seen_at=now))
        person = await self._people.person(session.person_id)
        return await self._caller(person, membership)

    async def act_for(self, token: str, party: str) -> None:
        """Have a session act for another party its person belongs to. Raises NotSignedIn when they do not."""
        session = await self._session(token)
        if await self._members.membership(party, session.person_id) is None:
            raise NotSignedIn("you do not belong to that organisation")
        await self._people.replace_session(msgspec.structs.replace(session, party=party))

    async def sign_out(self, token: str) -> None:
        """End a session; nothing happens to one that is over."""
        session = await self._people.session(digest_of(token))
        if session is not None and session.ended_at is None:
            await self._people.replace_session(msgspec.structs.replace(session, ended_at=self._clock.now()))

    async def person(self, caller: Caller) -> Person:
        """The person behind a caller. Raises NotSignedIn for a key."""
        if caller.person_id is None:
            raise NotSignedIn("an API key is nobody; sign in as a person to see this")
        return await self._people.person(caller.person_id)

    async def sessions(self, caller: Caller) -> list[Session]:
        """Where the caller is signed in, the browser seen last first."""
        return await self._people.sessions((await self.person(caller)).id, now=self._clock.now())

    async def is_here(self, token: str, session_id: str) -> bool:
        """Whether a session is the one this token opens."""
        session = await self._people.session(digest_of(token))
        return session is not None and session.id == session_id

    async def end_session(self, session_id: str, caller: Caller) -> None:
        """End one of the caller's own sessions, wherever it is; nothing happens to somebody else's."""
        for session in await self.sessions(caller):
            if session.id == session_id:
                await self._people.replace_session(msgspec.structs.replace(session, ended_at=self._clock.now()))

    async def change_password(self, caller: Caller, *, before: str, after: str, token: str) -> str | None:
        """Take a new password, and end every other session. Why not, as a sentence, when the old one is wrong. Raises BadInput."""
        person = await self.person(caller)
        if person.password is not None and not await asyncio.to_thread(opens, before, person.password):
            return "That is not your password as it is now."
        await self._set_password(person, after)
        session = await self._session(token)
        await self._people.end_sessions(person.id, at=self._clock.now(), but=session.id)
        return None

    async def set_password(self, link: str, password: str, *, agent: str) -> Entry:
        """Use a link to set a password, end every session, and begin one. A link that is over is an answer. Raises BadInput."""
        person_id = await self._people.password_link(digest_of(link), now=self._clock.now())
        if person_id is None:
            return Entry(fault="This link was used, or its day is over; ask for another.")
        person = await self._people.person(person_id, locked=True)
        await self._set_password(person, password)
        await self._people.drop_password_links(person.id)
        await self._people.end_sessions(person.id, at=self._clock.now())
        return await self._begun(person, agent=agent)

    async def second_factor(self, caller: Caller) -> SecondFactor:
        """How the caller's second factor stands."""
        person = await self.person(caller)
        return SecondFactor(
            since=person.totp_since,
            secret=None if person.totp_since else person.totp,
            codes_left=await self._people.codes_left(person.id) if person.totp_since else 0,
        )

    async def begin_second_factor(self, caller: Caller) -> None:
        """Make a secret for an authenticator; it is in use once a code of it was given. Nothing changes while one is in use."""
        person = await self.person(caller)
        if person.totp_since is None:
            await self._people.replace(msgspec.structs.replace(person, totp=totp_secret(self._entropy(20)), totp_step=0))

    async def confirm_second_factor(self, caller: Caller, code: str) -> list[str]:
        """Put the secret in use: the recovery codes, to be shown once; none for a wrong code."""
        person, now = await self.person(caller), self._clock.now()
        step = totp_step(person.totp, code, now=now, after=person.totp_step) if person.totp and not person.totp_since else None
        if step is None:
            return []
        await self._people.replace(msgspec.structs.replace(person, totp_since=now, totp_step=step))
        codes = recovery_codes(self._entropy(56))
        await self._people.put_codes(person.id, [recovery_digest(each) for each in codes])
        await self._note(caller, "second factor on")
        return codes

    async def end_second_factor(self, caller: Caller, code: str) -> bool:
        """Take the second factor away, proven by a code of it; False for a wrong one."""
        person, now = await self.person(caller), self._clock.now()
        if person.totp is None or totp_step(person.totp, code, now=now, after=person.totp_step) is None:
            return False
        await self._people.replace(msgspec.structs.replace(person, totp=None, totp_since=None, totp_step=0))
        await self._people.put_codes(person.id, [])
        await self._note(caller, "second factor off")
        return True

    async def _begun(self, person: Person, *, agent: str) -> Entry:
        """A session of somebody who has proven one thing; whichever it was, a second factor that is on is asked for as well."""
        waits = person.totp_since is not None
        token = await self._open(person, party=await self._first_party(person), proven=not waits, agent=agent)
        return Entry(token=token, waits_for_code=waits)

    async def _made(self, email: str, name: str, *, password: str) -> Person:
        sealed_now = await self._sealed(password, email=email, name=name)
        return Person(id=fresh_id("prs", self._entropy(16)), email=email, name=name, created_at=self._clock.now(), password=sealed_now)

    async def _sealed(self, password: str, *, email: str, name: str) -> str:
        if why := weakness(password, email=email, name=name):
            raise BadInput(f"the password {why}", column="password", would_do="a sentence only you would say")
        return await asyncio.to_thread(sealed, password, self._entropy(16))

    async def _set_password(self, person: Person, password: str) -> None:
        kept = await self._sealed(password, email=person.email, name=person.name)
        await self._people.replace(msgspec.structs.replace(person, password=kept))

    async def _open_account(self, name: str, country: str, *, owner: Person) -> str:
        terms, now = self._terms, self._clock.now()
        account = Account(
            id=fresh_id("acct", self._entropy(16)),
            name=name,
            country=country,
            parent_country=country,
            plan_id=terms.plan_id,
            currency=terms.currency,
            tax_bps=0,
            take_bps=terms.take_bps,
            credit_limit_micros=terms.credit_limit_micros,
            legal_name=name,
            opened_at=now,
        )
        await self._members.add_organisation(account)
        await self._members.put(Membership(party=account.id, person_id=owner.id, role="owner", since=now))
        await self._members.keep_act(PersonAct(at=now, party=account.id, actor=owner.email, act="opened", about=name))
        return account.id

    async def _open(self, person: Person, *, party: str, proven: bool, agent: str) -> str:
        token, now = SESSION_TOKEN + self._entropy(24).hex(), self._clock.now()
        session = Session(
            id=fresh_id("ses", self._entropy(16)),
            person_id=person.id,
            party=party,
            proven=proven,
            created_at=now,
            seen_at=now,
            expires_at=now + (SESSION_FOR if proven else CODE_FOR),
            agent="".join(letter for letter in agent if letter.isprintable())[:AGENT_LETTERS],
        )
        await self._people.add_session(session, digest_of(token))
        return token

    async def _session(self, token: str) -> Session:
        session = await self._people.session(digest_of(token))
        if session is None or session.ended_at is not None or self._clock.now() >= session.expires_at:
            raise NotSignedIn("this sign-in is over; sign in again")
        return session

    async def _first_party(self, person: Person) -> str:
        belongs = await self._members.of_person(person.id)
        return belongs[0][0].party if belongs else NOBODY

    async def _caller(self, person: Person, membership: Membership | None) -> Caller:
        if membership is None:
            return Caller(account_id=NOBODY, account_name=person.name, scopes=frozenset(), person_id=person.id)
        party = membership.party
        scopes = scopes_of(party, membership.role)
        if party == BROKER_PARTY:
            return Caller(account_id=f"{BROKER_PARTY}:{person.id}", account_name=person.name, scopes=scopes, person_id=person.id)
        name = await self._members.party_name(party)
        grid = party.removeprefix(PROVIDER_PARTY) if party.startswith(PROVIDER_PARTY) else None
        return Caller(account_id=party, account_name=name, scopes=scopes, provider_id=grid, person_id=person.id)

    async def _note(self, caller: Caller, act: str) -> None:
        person = await self.person(caller)
        await self._members.keep_act(
            PersonAct(at=self._clock.now(), party=party_of(caller), actor=person.email, act=act, about=person.email)
        )


def party_of(caller: Caller) -> str:
    """The party a caller acts for: people of the broker's act under their own names, all for one party."""
    return BROKER_PARTY if caller.account_id.startswith(f"{BROKER_PARTY}:") else caller.account_id


def digest_of(token: str) -> bytes:
    """What the store keeps of a session's token or a link's: they carry 192 random bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


@cache
def _nobody() -> str:
    """A sealed password nobody has, so that an unknown address costs what a wrong password costs."""
    return sealed("nobody has this password", b"\0" * 16)
