"""Corrections, disputes, dunning, meters and reconciliation on real books."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from broker.app import Market
from broker.services.accounts import key_digest
from broker.services.disputes import Decision, DisputeRequest, Evidence
from broker.services.receivables import ReadingRequest
from broker.services.views import Caller
from broker.store.repositories.accounts import AccountRepository
from broker.store.repositories.reconciling import CHECKS
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.events import CreditNote, WriteOff
from contracts.terms.errors import BadInput, KeyReused, NotFound, NotPermitted, WindowClosed, WrongState
from tests.broker.paid_market import balances, close, over_http, paid_market
from tests.broker.small_market import START, USD, caller, pass_time
from tests.broker.test_closing import FAITHFUL, MONTH, delivered_market

pytestmark = pytest.mark.anyio
SCOPES = ["finance:read", "finance:write", "finance:approve"]
A, B = caller("acct_a"), caller("acct_b")
ADA, GRACE = (Caller(account_id=f"staff:{name}", account_name=name, scopes=frozenset(SCOPES)) for name in ("ada", "grace"))
HOUR = timedelta(hours=1)


async def closed_market(sessions: Sessions) -> Market:
    market, _ = await paid_market(sessions)
    await close(market)
    return market


async def test_a_correction_counts_when_another_has_approved_it(sessions: Sessions):
    market = await closed_market(sessions)
    off = WriteOff(key="w1", account_id="acct_a", currency="USD", cents=500, reason="insolvent")
    for _ in range(2):
        async with market.services() as services:
            proposed = await services.corrections.propose(off, ADA)
    assert (await balances(market))["receivable"] == 1_923 * 10_000
    with pytest.raises(NotPermitted):
        async with market.services() as services:
            await services.corrections.approve(proposed.entry_id, ADA)
    for _ in range(2):
        async with market.services() as services:
            approved = await services.corrections.approve(proposed.entry_id, GRACE)
    assert (approved.state, approved.proposed_by, approved.decided_by) == ("approved", "staff:ada", "staff:grace")
    assert (await balances(market))["receivable"] == 1_423 * 10_000
    assert (await balances(market))["write_offs"] == 500 * 10_000
    with pytest.raises(WrongState):
        async with market.services() as services:
            await services.corrections.reject(proposed.entry_id, GRACE)


async def test_a_key_means_one_correction(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        await services.corrections.propose(WriteOff(key="k", account_id="acct_a", currency="USD", cents=5, reason="x"), ADA)
    with pytest.raises(KeyReused):
        async with market.services() as services:
            await services.corrections.propose(WriteOff(key="k", account_id="acct_a", currency="USD", cents=6, reason="x"), ADA)


async def test_a_rejected_correction_never_counts(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        found = await services.corrections.propose(CreditNote(key="c", account_id="acct_a", currency="USD", cents=5, reason="x"), ADA)
        assert (await services.corrections.reject(found.entry_id, GRACE)).state == "rejected"
    assert "goodwill" not in await balances(market)


async def test_corrections_need_the_scopes(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        for act in (
            services.corrections.propose(WriteOff(key="k", account_id="a", currency="USD", cents=5, reason="x"), A),
            services.corrections.approve("ent_x", A),
            services.corrections.corrections(A),
            services.receivables.ageing(A),
            services.receivables.dun(A),
        ):
            with pytest.raises(NotPermitted, match="lacks the scope"):
                await act


async def test_a_dispute_runs_from_its_opening_to_a_credit_note(sessions: Sessions):
    """8.00 of 19.23 disputed; upheld with 6.72 before tax and 1.28 of it, proposed by Ada, so that Grace must approve."""
    market = await closed_market(sessions)
    async with market.services() as services:
        opened = await services.disputes.open(1, DisputeRequest(cents=800, reason="an hour was missing"), caller=A)
        again = await services.disputes.open(1, DisputeRequest(cents=700, reason="the same"), caller=A)
        assert (opened.dispute_id, again.cents) == ("acct_a:1:1", 800)
        assert await services.disputes.disputed_micros() == {"acct_a": 8 * USD}
        await services.disputes.support(opened.dispute_id, Evidence(words="our meter", usage_ids=("use_1",), digest="0" * 64), caller=A)
        assert await services.disputes.disputes(B) == []
        assert len(await services.disputes.disputes(ADA)) == 1
        decided = await services.disputes.decide(
            opened.dispute_id, Decision(upheld=True, note="the hour failed", cents=672, tax_cents=128), caller=ADA
        )
    assert [each.act for each in decided.events] == ["opened", "evidenced", "upheld"]
    async with market.services() as services:
        (note,) = await services.corrections.corrections(GRACE)
        with pytest.raises(NotPermitted):
            await services.corrections.approve(note.entry_id, ADA)
        await services.corrections.approve(note.entry_id, GRACE)
        assert await services.disputes.disputed_micros() == {}
    assert (await balances(market))["receivable"] == (1_923 - 800) * 10_000
    assert (await balances(market))["goodwill"] == 672 * 10_000


async def test_a_dispute_has_a_window_a_limit_and_an_owner(sessions: Sessions):
    market = await closed_market(sessions)
    async with market.services() as services:
        with pytest.raises(BadInput, match="at most 1923"):
            await services.disputes.open(1, DisputeRequest(cents=1_924, reason="all"), caller=A)
        with pytest.raises(NotFound):
            await services.disputes.open(1, DisputeRequest(cents=1, reason="not mine"), caller=B)
        mine = await services.disputes.open(1, DisputeRequest(cents=1, reason="a cent"), caller=A)
        for act in (
            services.disputes.withdraw(mine.dispute_id, B),
            services.disputes.support(mine.dispute_id, Evidence(words="x"), caller=B),
        ):
            with pytest.raises(NotFound):
                await act
        with pytest.raises(NotPermitted):
            await services.disputes.decide(mine.dispute_id, Decision(upheld=False, note="no"), caller=A)
        with pytest.raises(BadInput, match="what is given back"):
            await services.disputes.decide(mine.dispute_id, Decision(upheld=True, note="yes"), caller=ADA)
        assert (await services.disputes.withdraw(mine.dispute_id, A)).state == "withdrawn"
    pass_time(market, timedelta(days=30))
    with pytest.raises(WindowClosed, match="30 days"):
        async with market.services() as services:
            await services.disputes.open(1, DisputeRequest(cents=1, reason="late"), caller=A)


async def test_who_owes_too_long_is_told_step_by_step_but_not_about_a_dispute(sessions: Sessions):
    market = await closed_market(sessions)
    heard = []
    for day in range(24):
        async with market.services() as services:
            heard += [(day, each.words, each.micros) for each in await services.receivables.dun(ADA)]
            heard += [(day, each.words, each.micros) for each in await services.receivables.dun(GRACE)]
            if day == 10:
                await services.disputes.open(1, DisputeRequest(cents=1_923, reason="all of it"), caller=A)
        pass_time(market, timedelta(days=1))
    assert heard == [(7, "reminder", 19_230_000)], "the second would come on day 21, and is disputed"
    async with market.services() as services:
        await services.disputes.withdraw("acct_a:1:1", A)
        assert [each.words for each in await services.receivables.dun(ADA)] == ["second reminder"]
        (owes,) = await services.receivables.ageing(ADA)
    assert owes.bands == (19_230_000, 0, 0, 0)


async def test_a_buyers_meter_stands_beside_the_providers(sessions: Sessions):
    """8 accelerators for two hours: the buyer agrees on the first, and saw half of the second."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    async with market.services() as services:
        lease = (await services.leases.leases(A)).items[0].lease_id
        begins = (await services.leases.leases(A)).items[0].starts_at
        first = ReadingRequest(start=begins, end=begins + HOUR, accelerator_seconds=8 * 3600)
        second = ReadingRequest(start=begins + HOUR, end=begins + 2 * HOUR, accelerator_seconds=4 * 3600)
        assert await services.meters.read(lease, [first, second], caller=A) == 2
        assert await services.meters.read(lease, [second], caller=A) == 0
        with pytest.raises(NotFound):
            await services.meters.read(lease, [first], caller=B)
        with pytest.raises(BadInput, match="not in the future"):
            await services.meters.read(lease, [ReadingRequest(start=START, end=START + 900 * HOUR, accelerator_seconds=1)], caller=A)
        (found,) = await services.meters.differences(MONTH, ADA)
    assert (found.seconds, found.pair.provider_id, found.pair.start) == (4 * 3600, "prv_a", begins + HOUR)
    with pytest.raises(KeyReused):
        async with market.services() as services:
            await services.meters.read(lease, [ReadingRequest(start=begins, end=begins + HOUR, accelerator_seconds=1)], caller=A)


ANOTHER = """
    WITH another AS (INSERT INTO journal_entries VALUES ('ent_2', '{kind}', 'posted', now(), 'cyc_1', '', 2) RETURNING id)
    INSERT INTO postings SELECT id, 0, 'provider_payable', 'prv_a', 'USD', -7 FROM another"""
PLANTED = {
    "providers are due what buyers are billed less fees and what plans keep, micros": """
        UPDATE invoices SET take_micros = take_micros + 1""",
    "premium shares make nothing, micros": ANOTHER.format(kind="premium_share"),
    "uplift booked is at most what clearings gave, micros": ANOTHER.format(kind="uplift"),
    "trial balance per currency, micros": "INSERT INTO postings VALUES ('ent_1', 1, 'cash', '', 'USD', 7)",
    "entries sum to zero and are whole, entries": "INSERT INTO postings VALUES ('ent_1', 1, 'cash', '', 'USD', 7)",
    "receivables of settlements are the invoices, micros": "UPDATE invoices SET payable_cents = payable_cents + 1",
    "provider payables of settlements are the payouts due, micros": "UPDATE payouts SET net_micros = net_micros - 1",
    "tax of settlements is that of the invoices, micros": "UPDATE invoices SET tax_micros = tax_micros + 1",
    "invoice lines add up to the invoices, micros": "UPDATE invoice_lines SET amount_micros = amount_micros + 1 WHERE line = 0",
    "prepaid balances are not overspent, micros": "INSERT INTO postings VALUES ('ent_1', 1, 'prepaid', 'acct_a', 'USD', 7)",
    "grant tranches are not overdrawn, millionths of a PF-day": "INSERT INTO postings VALUES ('ent_1', 1, 'tranche', 'acct_a', 'PFD', 7)",
    "payout lines paid are booked, micros": """
        INSERT INTO acts VALUES ('payout run', 'USD:1', 1, 'paid', 'ada', now(), '{"provider_id": "prv_a", "cents": 7}')""",
    "close records prove themselves and those before, records": """
        UPDATE closes SET record = jsonb_set(record, '{as_of}', '2')""",
}


@pytest.mark.parametrize("name", PLANTED)
async def test_every_sum_that_must_agree_is_seen_to_bite(sessions: Sessions, name):
    """A fault is planted behind the database's guards: the check of that name, and it at least, differs."""
    market = await closed_market(sessions)
    async with market.services() as services:
        assert (await services.reconciliation.reconcile()).holds
    async with unit_of_work(sessions) as work:
        await work.execute(text("SET LOCAL session_replication_role = replica"))
        await work.execute(text("INSERT INTO journal_entries VALUES ('ent_1', 'x', 'posted', now(), '', '', 2)"))
        await work.execute(text("INSERT INTO postings VALUES ('ent_1', 0, 'rounding', '', 'USD', -1)"))
        await work.execute(text(PLANTED[name]))
    async with market.services() as services:
        found = await services.reconciliation.reconcile()
    assert not found.holds
    assert name in [each.name for each in found.checks if each.difference]


def test_no_check_is_without_its_fault():
    assert set(CHECKS) < set(PLANTED)


async def test_finance_is_done_over_http_by_two_people_with_keys(sessions: Sessions):
    """Freeze and rate with Ada's key, review and finalise with Grace's; a buyer's key opens none of it."""
    market, _, _ = await delivered_market(sessions, FAITHFUL)
    pass_time(market, HOUR)
    async with unit_of_work(sessions) as work:
        accounts = AccountRepository(work)
        for name in ("ada", "grace"):
            await accounts.add_staff(name, key_digest(name), name=name, scopes=SCOPES, at=market.clock.now())
        await accounts.add_key("acct_a", key_digest("buyer"), scopes=["read"], at=market.clock.now())
    async with over_http(market) as client:

        async def post(step: str, who: str, **body: object):
            headers = {"Authorization": f"Bearer {who}", "Idempotency-Key": f"{step}-{who}"}
            return await client.post(f"/v1/finance/periods/1/{step}", json=body, headers=headers)

        assert (await post("preview", "buyer")).status_code == 403
        preview = (await post("preview", "ada")).json()
        assert preview["payable_cents"] == {"USD": 1923}
        for step, who in (("freeze", "ada"), ("rate", "ada"), ("review", "grace"), ("finalise", "grace")):
            for _ in range(2):
                answer = await post(step, who)
                assert answer.status_code == 200, answer.text
            if step == "rate":
                assert (await post("review", "ada")).json()["type"] == "/problems/not_permitted"
        assert [each["actor"] for each in answer.json()["history"]] == ["staff:ada", "staff:ada", "staff:grace", "staff:grace"]
        signed = {"Authorization": "Bearer ada"}
        assert (await client.get("/v1/finance/reconciliation", headers=signed)).json()["holds"] is True
        assert (await client.get("/v1/finance/receivables", headers=signed)).json()["items"][0]["micros"] == 19_230_000
        assert 'gridfare_trial_balance_micros{currency="USD"} 0' in (await client.get("/metrics")).text
