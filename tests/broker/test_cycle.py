"""Load, clear, apply: once, fenced, and able to be played again."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import polars as pl
import pytest
from sqlalchemy import func
from sqlmodel import select

from broker.app import Market
from broker.cycle import clear_book
from broker.services.views import LeaseView
from broker.store.repositories.cycles import CycleRepository
from broker.store.rows import AwardRow, LeaseRow, LeaseSlotRow
from broker.store.unit_of_work import Sessions, unit_of_work
from contracts.terms.clearing import Check
from contracts.terms.errors import ClearingFailed
from tests.broker.small_market import GATE, START, USD, Tampering, caller, cycle_of, open_small_market, request

pytestmark = pytest.mark.anyio
A, B = caller("acct_a"), caller("acct_b")


async def submit(market: Market, **facts: object) -> str:
    async with market.services() as services:
        return (await services.orders.submit(request(**facts), A)).bid_id


async def count(market: Market, row: type) -> int:
    async with unit_of_work(market.sessions) as work:
        return int((await work.scalars(select(func.count()).select_from(row))).one())


async def test_a_gate_turns_a_bid_into_leases(sessions: Sessions):
    """8 wide, 16 hours at up to 3.00: two slots of the offer at 1.00, which sells all it has."""
    market, _ = await open_small_market(sessions)
    bid_id = await submit(market)
    report = await cycle_of(market).run(GATE)
    assert (report.bids, report.leases, report.certificate.gap) == (1, 1, 0.0)
    async with market.services() as services:
        bid = await services.orders.bid(bid_id, A)
        lease = (await services.leases.leases(A)).items[0]
    assert (bid.status, bid.hours_awarded, bid.paid_micros) == ("filled", 16.0, 16 * USD)
    assert bid.hold_micros == 16 * USD, "what was awarded is held instead of the worst case"
    assert [(slot.quantity, slot.rate_micros) for slot in lease.slots] == [(8, USD), (8, USD)]
    assert (lease.state, lease.provider, lease.site) == ("awarded", "prv_a", "de-1")


async def test_what_a_bid_won_is_shown_to_its_buyer_only(sessions: Sessions):
    """Eight wide on two offers of eight: 40 hours take all four slots of one and one of the other, two leases."""
    market, _ = await open_small_market(sessions)
    bid_id = await submit(market, width=16, hours=40.0)
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        won = await services.leases.of_bid(bid_id, A)
        first = await services.leases.leases(A, limit=1, newest_first=True)
        rest = await services.leases.leases(A, cursor=first.next_cursor, limit=1, newest_first=True)
        assert await services.leases.of_bid(bid_id, caller("acct_b")) == []
    assert sum(slot.quantity for lease in won for slot in lease.slots) == 40
    assert [lease.lease_id for lease in won] == sorted((lease.lease_id for lease in won), key=lambda id_: starts(won)[id_])
    assert [each.lease_id for each in (*first.items, *rest.items)] == sorted(starts(won), key=lambda id_: starts(won)[id_], reverse=True)


def starts(leases: list[LeaseView]) -> dict[str, tuple[datetime, str]]:
    """Where a lease stands in time: its start, then its id."""
    return {lease.lease_id: (lease.starts_at, lease.lease_id) for lease in leases}


async def test_running_a_gate_again_writes_nothing(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    await submit(market)
    first = await cycle_of(market).run(GATE)
    before = [await count(market, row) for row in (AwardRow, LeaseRow, LeaseSlotRow)]
    assert await cycle_of(market).run(GATE) == first
    assert [await count(market, row) for row in (AwardRow, LeaseRow, LeaseSlotRow)] == before


async def test_two_runs_of_a_gate_apply_once(sessions: Sessions):
    """Both load, both clear; the one whose token is no longer the latest drops its result."""
    market, _ = await open_small_market(sessions)
    await submit(market)
    results = await asyncio.gather(cycle_of(market).run(GATE), cycle_of(market).run(GATE), return_exceptions=True)
    kinds = sorted(type(result).__name__ for result in results)
    assert kinds in (["CycleReport", "CycleReport"], ["CycleReport", "StaleToken"])
    async with unit_of_work(sessions) as work:
        assert (await work.scalars(select(func.sum(AwardRow.quantity)))).one() == 16


async def test_a_failed_certificate_is_not_applied(sessions: Sessions):
    """The market keeps its last result, says why, and the next run may still succeed."""
    market, _ = await open_small_market(sessions)
    bid_id = await submit(market)

    def spoil(result: tuple[object, object]) -> object:
        return result[0], msgspec.structs.replace(result[1], checks=(Check(name="gap", holds=False, finding="the gap is 7"),))

    with pytest.raises(ClearingFailed, match="the gap is 7"):
        await cycle_of(market, Tampering(spoil)).run(GATE)
    assert await count(market, AwardRow) == 0
    async with unit_of_work(sessions) as work:
        assert [(cycle.status, cycle.number) for cycle in await CycleRepository(work).cycles()] == [("failed", 1)]
    async with market.services() as services:
        assert (await services.orders.bid(bid_id, A)).status == "open"
    assert (await cycle_of(market).run(GATE)).awards == 2


async def test_a_stored_cycle_replays_to_the_same_bytes(sessions: Sessions):
    market, _ = await open_small_market(sessions)
    await submit(market)
    await submit(market, width=4, hours=6.0, limit_spot_micros=None, limit_standard_micros=5 * USD)
    report = await cycle_of(market).run(GATE)
    async with unit_of_work(sessions) as work:
        repository = CycleRepository(work)
        data, stored = await repository.book(report.cycle.id), await repository.clearing(report.cycle)
    assert data is not None
    replayed, certificate = clear_book(data)
    assert certificate == report.certificate
    for name, frame in stored.tables().items():
        assert frame.equals(replayed.tables()[name]), name


async def test_what_a_gate_could_not_give_waits_for_the_next(sessions: Sessions):
    """40 hours for 8 wide over six hours: the first grid has four slots and gives 32; the next gate gives the rest.

    The offer at 1.00 is sold out to a worth of 1.50: 1.25 is the price of the 32, the 8 left may still cost 1.50.
    """
    market, clock = await open_small_market(sessions)
    bid_id = await submit(market, hours=40.0, window_end=START + timedelta(hours=6), limit_spot_micros=int(1.5 * USD))
    await cycle_of(market).run(GATE)
    async with market.services() as services:
        first = await services.orders.bid(bid_id, A)
    assert (first.status, first.hours_awarded, first.hold_micros) == ("open", 32.0, 40 * USD + 12 * USD)
    clock.advance(timedelta(hours=6))
    await cycle_of(market).run(GATE + timedelta(hours=4))
    async with market.services() as services:
        second = await services.orders.bid(bid_id, A)
    assert (second.status, second.hours_awarded) == ("filled", 40.0)


async def test_a_bid_is_never_wider_than_it_asked_over_two_gates(sessions: Sessions):
    """Rolling gates an hour apart over the same slots: what a lease already holds is taken off the width."""
    market, clock = await open_small_market(sessions)
    await submit(market, width=12, hours=44.0, limit_spot_micros=int(1.5 * USD))
    for hour in range(3):
        await cycle_of(market).run(GATE + timedelta(hours=hour))
        clock.advance(timedelta(hours=1))
    async with unit_of_work(sessions) as work:
        rows = [tuple(row) for row in await work.execute(select(LeaseSlotRow.slot_start, LeaseSlotRow.quantity))]
    held = pl.DataFrame(rows, schema=["start", "quantity"], orient="row").group_by("start").agg(pl.col("quantity").sum())
    assert held["quantity"].max() <= 8, "the offer at 1.00 has eight, and the other is too dear"


async def test_leases_in_force_are_not_sold_again(sessions: Sessions):
    """16 accelerators in all; A takes 8, B asks for 16 an hour later and gets the 8 left in each slot."""
    market, clock = await open_small_market(sessions)
    await submit(market, hours=32.0)
    await cycle_of(market).run(GATE)
    clock.advance(timedelta(hours=1))
    async with market.services() as services:
        await services.orders.submit(request(width=16, hours=64.0), B)
    report = await cycle_of(market).run(GATE + timedelta(hours=1))
    async with market.services() as services:
        leases = (await services.leases.leases(B)).items
    assert report.certificate.holds
    assert {slot.quantity for lease in leases for slot in lease.slots if slot.start < START + timedelta(hours=4)} == {8}


async def test_a_bid_whose_window_has_passed_ends_and_frees_its_credit(sessions: Sessions):
    market, clock = await open_small_market(sessions)
    bid_id = await submit(market, limit_spot_micros=USD // 2)
    await cycle_of(market).run(GATE)
    clock.advance(timedelta(hours=7))
    await cycle_of(market).run(GATE + timedelta(hours=6))
    async with market.services() as services:
        bid = await services.orders.bid(bid_id, A)
    assert (bid.status, bid.hold_micros, bid.reason) == ("expired", 0, "priced out")
