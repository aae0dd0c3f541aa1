"""Signing up, in and out, second factors, invitations and roles: the same story on the store and on dictionaries."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import shake_128
from itertools import count

import pyotp
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from broker.clock import SimulatedClock
from broker.services.members import MemberService
from broker.services.signing_in import WRONG, WRONG_CODE, NewPerson, SignInService, SignUpTerms, digest_of
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.members import MemberRepository
from broker.store.repositories.people import PeopleRepository
from broker.store.unit_of_work import WorkSession, unit_of_work
from contracts import credentials
from contracts.people import CODE_FOR, INVITATION_FOR, RESET_FOR, SESSION_FOR
from contracts.terms.errors import BadInput, Conflict, NotFound, NotPermitted, NotSignedIn
from tests.fake_people import FakePeople

pytestmark = pytest.mark.anyio
NOON = datetime(2027, 1, 4, 12, tzinfo=UTC)
PASSWORD = "a long walk by the sea"
ADA = NewPerson(email="Ada@Example.org", name="Ada Lovelace", password=PASSWORD, organisation="Analytical Engines", country="GB")
GRACE = NewPerson(email="grace@example.org", name="Grace Hopper", password=PASSWORD)


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(credentials, "SCRYPT_LOG_N", 4)
    monkeypatch.setattr(credentials, "SCRYPT_P", 1)


class Desk:
    """The services of people on a store, with a clock that is set and randomness that is not."""

    def __init__(self, people, members, *, now: datetime = NOON) -> None:
        self.clock = SimulatedClock(now)
        numbers = count()
        entropy = lambda size: shake_128(str(next(numbers)).encode()).digest(size)  # noqa: E731
        terms = SignUpTerms(credit_limit_micros=5)
        self.people = people
        self.signing_in = SignInService(people, members, clock=self.clock, entropy=entropy, terms=terms)
        self.members = MemberService(people, members, clock=self.clock, entropy=entropy)

    async def up(self, new: NewPerson) -> tuple[str, Caller]:
        entry = await self.signing_in.sign_up(new, agent="Firefox")
        assert entry.token is not None
        return entry.token, await self.signing_in.caller(entry.token)

    async def second_factor_on(self, caller: Caller) -> tuple[pyotp.TOTP, list[str]]:
        await self.signing_in.begin_second_factor(caller)
        totp = pyotp.TOTP((await self.signing_in.second_factor(caller)).secret)
        return totp, await self.signing_in.confirm_second_factor(caller, self.code(totp))

    def code(self, totp: pyotp.TOTP) -> str:
        return totp.at(self.clock.now())


@pytest.fixture(params=["dictionaries", "PostgreSQL"])
async def desk(request, session: WorkSession):
    if request.param == "dictionaries":
        fake = FakePeople()
        return Desk(fake, fake)
    await AccountRepository(session).add_plans({"metered": {"name": "Metered"}})
    return Desk(PeopleRepository(session), MemberRepository(session))


async def test_who_signs_up_owns_the_organisation(desk):
    _, ada = await desk.up(ADA)
    assert (ada.account_name, ada.provider_id) == ("Analytical Engines", None)
    assert {"bids:write", "members", "keys"} <= ada.scopes
    assert [(each.email, each.role, each.is_you) for each in await desk.members.members(ada)] == [("ada@example.org", "owner", True)]
    again = await desk.signing_in.sign_up(ADA, agent="")
    assert again.token is None
    assert "has a person already" in again.fault


@pytest.mark.parametrize(("field", "value"), [("password", "short"), ("email", "ada"), ("name", " "), ("organisation", " ")])
async def test_what_cannot_be_taken_names_its_field(desk, field, value):
    facts = {name: getattr(ADA, name) for name in ADA.__struct_fields__} | {field: value}
    with pytest.raises(BadInput) as refusal:
        await desk.signing_in.sign_up(NewPerson(**facts), agent="")
    assert refusal.value.facts["column"] == field


async def test_sign_in_knows_neither_wrong_password_nor_unknown_address(desk):
    await desk.up(ADA)
    assert (await desk.signing_in.sign_in("ada@example.org", "wrong", agent="")).fault == WRONG
    assert (await desk.signing_in.sign_in("eve@example.org", PASSWORD, agent="")).fault == WRONG
    entry = await desk.signing_in.sign_in(" ADA@example.org", PASSWORD, agent="Lynx")
    assert (await desk.signing_in.caller(entry.token)).account_name == "Analytical Engines"


@pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
async def test_the_tenth_failure_makes_everybody_wait(desk, email):
    await desk.up(ADA)
    for _ in range(10):
        assert (await desk.signing_in.sign_in(email, "wrong", agent="")).fault == WRONG
        desk.clock.advance(timedelta(seconds=30))
    held = await desk.signing_in.sign_in(email, PASSWORD, agent="")
    assert held.token is None
    assert "Too many tries" in held.fault
    desk.clock.advance(timedelta(minutes=15))
    assert (await desk.signing_in.sign_in(email, PASSWORD, agent="")).fault in (None, WRONG)


async def test_sessions_end_by_hand_by_time_and_with_the_password(desk):
    first, ada = await desk.up(ADA)
    second = (await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="Lynx\x07")).token
    assert {each.agent for each in await desk.signing_in.sessions(ada)} == {"Firefox", "Lynx"}
    assert await desk.signing_in.change_password(ada, before="wrong", after="another long walk", token=first) is not None
    assert await desk.signing_in.change_password(ada, before=PASSWORD, after="another long walk", token=first) is None
    await desk.signing_in.caller(first)
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(second)
    assert (await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="")).fault == WRONG
    third = (await desk.signing_in.sign_in("ada@example.org", "another long walk", agent="Lynx")).token
    (lynx,) = [each for each in await desk.signing_in.sessions(ada) if each.agent == "Lynx"]
    await desk.signing_in.end_session(lynx.id, ada)
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(third)
    desk.clock.advance(SESSION_FOR - timedelta(seconds=1))
    await desk.signing_in.caller(first)
    desk.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(first)


async def test_signing_out_ends_one_session_and_twice_is_nothing(desk):
    token, _ = await desk.up(ADA)
    await desk.signing_in.sign_out(token)
    await desk.signing_in.sign_out(token)
    await desk.signing_in.sign_out("gfs_nobody")
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(token)


async def test_a_second_factor_is_asked_for_and_its_code_opens_once(desk):
    token, ada = await desk.up(ADA)
    assert await desk.signing_in.confirm_second_factor(ada, "000000") == []
    totp, codes = await desk.second_factor_on(ada)
    assert (len(codes), (await desk.signing_in.second_factor(ada)).codes_left) == (8, 8)
    await desk.signing_in.caller(token)

    waiting = await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="")
    assert waiting.waits_for_code
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(waiting.token)
    assert (await desk.signing_in.give_code(waiting.token, desk.code(totp))).fault == WRONG_CODE, "the code that confirmed it was used up"
    desk.clock.advance(timedelta(seconds=30))
    proven = await desk.signing_in.give_code(waiting.token, desk.code(totp))
    assert (await desk.signing_in.caller(proven.token)).account_name == "Analytical Engines"
    assert proven.token != waiting.token
    with pytest.raises(NotSignedIn):
        await desk.signing_in.give_code(waiting.token, desk.code(totp))


async def test_a_recovery_code_opens_once_and_the_factor_goes_with_a_code(desk):
    _, ada = await desk.up(ADA)
    totp, codes = await desk.second_factor_on(ada)
    for taken in (True, False):
        waiting = await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="")
        entry = await desk.signing_in.give_code(waiting.token, codes[0].upper())
        assert (entry.fault is None) == taken
    assert (await desk.signing_in.second_factor(ada)).codes_left == 7
    assert not await desk.signing_in.end_second_factor(ada, "000000")
    desk.clock.advance(timedelta(seconds=30))
    assert await desk.signing_in.end_second_factor(ada, desk.code(totp))
    assert not (await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="")).waits_for_code
    assert [each.act for each in await desk.members.acts(ada)] == ["second factor off", "second factor on", "opened"]


async def test_codes_are_counted_and_a_waiting_sign_in_is_soon_over(desk):
    _, ada = await desk.up(ADA)
    totp, _ = await desk.second_factor_on(ada)
    waiting = (await desk.signing_in.sign_in("ada@example.org", PASSWORD, agent="")).token
    for _ in range(10):
        assert (await desk.signing_in.give_code(waiting, "000000")).fault == WRONG_CODE
    desk.clock.advance(timedelta(seconds=30))
    assert "Too many codes" in (await desk.signing_in.give_code(waiting, desk.code(totp))).fault
    desk.clock.advance(CODE_FOR)
    with pytest.raises(NotSignedIn):
        await desk.signing_in.give_code(waiting, desk.code(totp))


async def test_an_invitation_is_taken_once_by_who_holds_the_link(desk):
    _, ada = await desk.up(ADA)
    token = await desk.members.invite("Grace@example.org", "buyer", caller=ada)
    offered = await desk.members.invited(token)
    assert (offered.party_name, offered.role, offered.invited_by) == ("Analytical Engines", "buyer", "Ada Lovelace")
    session, nobody = await desk.up(GRACE)
    assert (nobody.account_id, nobody.scopes) == ("", frozenset())
    party = await desk.members.accept(token, nobody)
    grace = await desk.signing_in.caller(session)
    assert (grace.account_id, grace.account_name) == (party, "Analytical Engines")
    assert "bids:write" in grace.scopes
    assert "members" not in grace.scopes
    with pytest.raises(NotFound):
        await desk.members.accept(token, grace)
    with pytest.raises(NotPermitted):
        await desk.members.invite("eve@example.org", "reader", caller=grace)
    with pytest.raises(Conflict):
        await desk.members.invite("grace@example.org", "reader", caller=ada)
    assert [each.act for each in await desk.members.acts(ada)] == ["joined", "invited", "opened"]


async def test_invitations_end_and_the_latest_counts(desk):
    _, ada = await desk.up(ADA)
    first = await desk.members.invite("grace@example.org", "buyer", caller=ada)
    second = await desk.members.invite("grace@example.org", "reader", caller=ada)
    with pytest.raises(NotFound):
        await desk.members.invited(first)
    (open_one,) = await desk.members.invitations(ada)
    await desk.members.withdraw(open_one.id, ada)
    with pytest.raises(NotFound):
        await desk.members.invited(second)
    third = await desk.members.invite("grace@example.org", "reader", caller=ada)
    desk.clock.advance(INVITATION_FOR)
    with pytest.raises(NotFound):
        await desk.members.invited(third)
    with pytest.raises(BadInput):
        await desk.members.invite("grace@example.org", "finance", caller=ada)


async def test_there_is_always_an_owner(desk):
    _, ada = await desk.up(ADA)
    token = await desk.members.invite("grace@example.org", "owner", caller=ada)
    session, nobody = await desk.up(GRACE)
    for act in (desk.members.remove(ada.person_id, ada), desk.members.change_role(ada.person_id, "reader", caller=ada)):
        with pytest.raises(Conflict, match="keeps an owner"):
            await act
    await desk.members.accept(token, nobody)
    grace = await desk.signing_in.caller(session)
    await desk.members.change_role(ada.person_id, "reader", caller=grace)
    with pytest.raises(Conflict, match="keeps an owner"):
        await desk.members.remove(grace.person_id, grace)
    await desk.members.remove(ada.person_id, grace)
    assert [each.email for each in await desk.members.members(grace)] == ["grace@example.org"]


async def test_who_is_removed_acts_for_nobody_at_once(desk):
    _, ada = await desk.up(ADA)
    token = await desk.members.invite("grace@example.org", "buyer", caller=ada)
    session, nobody = await desk.up(GRACE)
    await desk.members.accept(token, nobody)
    grace = await desk.signing_in.caller(session)
    with pytest.raises(NotPermitted):
        await desk.members.remove(ada.person_id, grace)
    await desk.members.remove(grace.person_id, ada)
    after = await desk.signing_in.caller(session)
    assert (after.account_id, after.scopes) == ("", frozenset())


async def test_one_person_acts_for_several_organisations(desk):
    session, ada = await desk.up(ADA)
    other, grace = await desk.up(NewPerson(email="g@example.org", name="G", password=PASSWORD, organisation="Compilers", country="US"))
    await desk.members.accept(await desk.members.invite("ada@example.org", "reader", caller=grace), ada)
    await desk.signing_in.act_for(session, grace.account_id)
    there = await desk.signing_in.caller(session)
    assert (there.account_name, there.scopes) == ("Compilers", frozenset({"read"}))
    assert {name for _, name in await desk.members.organisations(there)} == {"Analytical Engines", "Compilers"}
    with pytest.raises(NotSignedIn):
        await desk.signing_in.act_for(other, ada.account_id)
    with pytest.raises(Conflict, match="other organisations"):
        await desk.members.password_link(ada.person_id, grace)


async def test_a_password_link_sets_a_password_once_and_ends_every_session(desk):
    _, ada = await desk.up(ADA)
    token = await desk.members.invite("grace@example.org", "buyer", caller=ada)
    session, nobody = await desk.up(GRACE)
    await desk.members.accept(token, nobody)
    first = await desk.members.password_link(nobody.person_id, ada)
    link = await desk.members.password_link(nobody.person_id, ada)
    assert (await desk.signing_in.set_password(first, "another long walk", agent="")).fault
    with pytest.raises(BadInput):
        await desk.signing_in.set_password(link, "short", agent="")
    entry = await desk.signing_in.set_password(link, "another long walk", agent="")
    await desk.signing_in.caller(entry.token)
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(session)
    assert (await desk.signing_in.set_password(link, "yet another long walk", agent="")).fault
    late = await desk.members.password_link(nobody.person_id, ada)
    desk.clock.advance(RESET_FOR)
    assert (await desk.signing_in.set_password(late, "yet another long walk", agent="")).fault


async def test_an_identity_provider_vouches_and_takes_nobody_over(desk):
    entry = await desk.signing_in.vouched("https://id.example", "42", email="ada@example.org", name="Ada", agent="")
    again = await desk.signing_in.vouched("https://id.example", "42", email="changed@example.org", name="Ada", agent="")
    first, second = [await desk.signing_in.caller(each.token) for each in (entry, again)]
    assert first.person_id == second.person_id
    other = await desk.signing_in.vouched("https://evil.example", "42", email="ada@example.org", name="Ada", agent="")
    assert other.token is None
    assert "connect" in other.fault
    assert (await desk.signing_in.sign_in("ada@example.org", "", agent="")).fault == WRONG


async def test_a_second_factor_is_asked_for_whichever_way_one_comes_in(desk):
    _, ada = await desk.up(ADA)
    await desk.signing_in.connect(ada, issuer="https://id.example", subject="42")
    assert not (await desk.signing_in.vouched("https://id.example", "42", email="ada@example.org", name="Ada", agent="")).waits_for_code
    totp, _ = await desk.second_factor_on(ada)
    entry = await desk.signing_in.vouched("https://id.example", "42", email="ada@example.org", name="Ada", agent="")
    assert entry.waits_for_code
    with pytest.raises(NotSignedIn):
        await desk.signing_in.caller(entry.token)
    desk.clock.advance(timedelta(seconds=30))
    proven = await desk.signing_in.give_code(entry.token, desk.code(totp))
    assert (await desk.signing_in.caller(proven.token)).person_id == ada.person_id


async def test_the_store_keeps_digests_and_acts_for_ever(session: WorkSession):
    desk = Desk(PeopleRepository(session), MemberRepository(session))
    await AccountRepository(session).add_plans({"metered": {"name": "Metered"}})
    token, ada = await desk.up(ADA)
    kept = (await session.execute(text("SELECT digest FROM person_sessions"))).scalar_one()
    assert bytes(kept) == digest_of(token)
    assert PASSWORD not in (await session.execute(text("SELECT password FROM people"))).scalar_one()
    account = await AccountRepository(session).account(ada.account_id)
    assert (account.country, account.credit_limit_micros, account.plan_id) == ("GB", 5, "metered")
    with pytest.raises(DBAPIError, match="are facts"):
        async with session.begin_nested():
            await session.execute(text("UPDATE person_acts SET actor = 'eve@example.org'"))


async def test_two_owners_who_leave_at_once_leave_one(sessions):
    """Both see another owner; the lock lets one go."""
    async with unit_of_work(sessions) as work:
        await AccountRepository(work).add_plans({"metered": {"name": "Metered"}})
        desk = Desk(PeopleRepository(work), MemberRepository(work))
        _, ada = await desk.up(ADA)
        token = await desk.members.invite("grace@example.org", "owner", caller=ada)
        session, nobody = await desk.up(GRACE)
        await desk.members.accept(token, nobody)
        grace = await desk.signing_in.caller(session)

    async def leave(caller: Caller) -> str:
        try:
            async with unit_of_work(sessions) as work:
                own = Desk(PeopleRepository(work), MemberRepository(work))
                await own.members.remove(caller.person_id, caller)
        except Conflict:
            return "stays"
        return "left"

    assert sorted(await asyncio.gather(leave(ada), leave(grace))) == ["left", "stays"]
