"""Keys and what came in under them, on the store."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.clock import SimulatedClock
from broker.services.accounts import AccountService
from broker.services.keys import KEPT_FOR, KEYS_MAX, PENDING_MAX, Asked, KeyService, RequestLog, key_id_of
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.keys import KeyRepository
from broker.store.unit_of_work import WorkSession
from contracts.people import BUYER_ROLES
from contracts.terms.errors import Conflict, NotFound, NotPermitted, NotSignedIn
from tests.broker.small_market import account

pytestmark = pytest.mark.anyio
NOON = datetime(2027, 1, 4, 12, tzinfo=UTC)
OWNER = Caller(account_id="acct_a", account_name="A", scopes=frozenset(BUYER_ROLES["owner"]), person_id="prs_a")
OTHER = Caller(account_id="acct_b", account_name="B", scopes=frozenset(BUYER_ROLES["owner"]), person_id="prs_b")


@pytest.fixture
async def desk(session: WorkSession) -> tuple[KeyService, SimulatedClock]:
    accounts = AccountRepository(session)
    await accounts.add_plans({"metered": {"name": "Metered"}})
    await accounts.add_accounts([account("acct_a", credit=1), account("acct_b", credit=1)])
    clock = SimulatedClock(NOON)
    numbers = iter(range(1000))
    return KeyService(KeyRepository(session), RequestLog(), clock=clock, entropy=lambda size: next(numbers).to_bytes(size, "big")), clock


async def test_a_key_signs_in_until_it_is_revoked(desk, session):
    keys, _ = desk
    key = await keys.make("nightly", ["read"], caller=OWNER, made_by="ada@example.org")
    signing = AccountService(AccountRepository(session))
    assert (await signing.authenticate(key)).scopes == {"read"}
    (view,) = await keys.keys(OWNER)
    assert (view.key_id, view.name, view.made_by, view.used_at) == (key_id_of(key), "nightly", "ada@example.org", None)
    with pytest.raises(NotFound):
        await keys.revoke(view.key_id, OTHER)
    await keys.revoke(view.key_id, OWNER)
    with pytest.raises(NotSignedIn):
        await signing.authenticate(key)
    with pytest.raises(NotPermitted):
        await keys.make("x", ["read"], caller=Caller(account_id="acct_a", account_name="A", scopes=frozenset({"read"})), made_by="")


async def test_there_is_an_end_to_keys_and_revoked_ones_do_not_count(desk):
    keys, _ = desk
    made = [await keys.make(f"key {number}", ["read"], caller=OWNER, made_by="") for number in range(KEYS_MAX)]
    with pytest.raises(Conflict):
        await keys.make("one more", ["read"], caller=OWNER, made_by="")
    await keys.revoke(key_id_of(made[0]), OWNER)
    await keys.make("one more", ["read"], caller=OWNER, made_by="")


async def test_what_came_in_is_kept_a_week_and_says_when_a_key_was_used(desk, session):
    keys, clock = desk
    key = await keys.make("nightly", ["read"], caller=OWNER, made_by="")
    for path in ("/v1/leases", "/v1/" + "x" * 500):
        keys.note(OWNER, key, asked=f"GET {path}", status=200, micros=1500)
        clock.advance(timedelta(minutes=1))
    latest, first = await keys.requests(OWNER, limit=10)
    assert (first.method, first.path, first.status, first.micros) == ("GET", "/v1/leases", 200, 1500)
    assert len(latest.path) == 200
    assert [each.used_at for each in await keys.keys(OWNER)] == [NOON + timedelta(minutes=1)]
    assert await keys.requests(OTHER, limit=10) == []
    clock.advance(KEPT_FOR)
    keys.note(OTHER, "another", asked="GET /v1/bids", status=404, micros=1)
    assert len(await keys.requests(OTHER, limit=10)) == 1
    assert await keys.requests(OWNER, limit=10) == []


async def test_a_flood_that_nobody_writes_down_drops_the_oldest():
    log = RequestLog()
    for number in range(PENDING_MAX + 5):
        log.note(Asked(party="a", key_id=None, at=NOON, method="GET", path=str(number), status=200, micros=1))
    taken = log.taken()
    assert (len(taken), taken[0].path, log.taken()) == (PENDING_MAX, "5", [])
