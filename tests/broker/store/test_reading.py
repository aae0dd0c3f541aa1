"""The reading side of the store against the same questions answered by Polars."""

from datetime import timedelta

import msgspec
import polars as pl
import pytest
from sqlalchemy import event, insert

from broker.services.market import PriceFilter
from broker.services.market_watch import Signs
from broker.services.replies import RequestKey
from broker.store.books import encode_book
from broker.store.repositories.market import MarketRepository
from broker.store.repositories.offers import OfferSearchRepository
from broker.store.repositories.replies import ReplyRepository
from broker.store.rows import AccountRow, CycleRow, FeedSessionRow, LatencyRow, OfferRow, PlanRow, PriceRow, ProviderRow, TransferRow
from broker.store.unit_of_work import WorkSession
from broker.world import catalogue
from contracts.terms.errors import NotFound
from tests.fake_market import DAY, GATE, NOW, FakeMarketReader, FakeOfferReader, certificate, cleared, priced, totals

pytestmark = pytest.mark.anyio


@pytest.fixture
async def market(session: WorkSession) -> WorkSession:
    """Cycle 2 of the shipped world as rows; cycle 3 opened and not applied."""
    book, _ = cleared(2)
    session.add_all(
        ProviderRow(id=row["provider"], name=row["name"], country="US", kind=row["kind"], source="list price, 20 July 2026")
        for row in catalogue.providers().iter_rows(named=True)
    )
    session.add(PlanRow(id="metered", name="metered", terms={}))
    facts = {"cycle_id": "cyc_2", "number": 2, "gate_at": GATE, "start": DAY, "slots": 24, "slot_seconds": 3600, "token": 1}
    applied = {**facts, "id": facts.pop("cycle_id"), "status": "applied", "applied_at": GATE + timedelta(seconds=3)}
    session.add(CycleRow(**applied, certificate=msgspec.to_builtins(certificate()), book=encode_book(book)))
    session.add(CycleRow(**{**facts, "id": "cyc_3", "number": 3, "status": "failed", "gate_at": GATE + timedelta(hours=1)}))
    await session.flush()
    columns = [name for name in OfferRow.model_fields if name in book.offers.columns]
    for row in book.offers.iter_rows(named=True):
        kept = {name: row[name] for name in columns}
        session.add(OfferRow(id=row["offer_id"], version=2, observed_at=NOW - timedelta(minutes=7), **kept))
    first = book.offers.row(0, named=True)
    old = {name: first[name] for name in columns} | {"rate_micros": 1}
    session.add(OfferRow(id=first["offer_id"], version=1, observed_at=NOW - timedelta(days=1), superseded_at=NOW, **old))
    await session.flush()
    names = [name for name in PriceRow.model_fields if name != "cycle_id"]
    await session.execute(insert(PriceRow), [{"cycle_id": "cyc_2", **row} for row in priced(2).select(names).iter_rows(named=True)])
    return session


@pytest.mark.parametrize(
    ("by", "hardware"),
    [
        (("hardware", "tier"), None),
        (("country",), "H100-SXM"),
        (("tier", "slot_start"), "A100-80"),
        (("slot_start",), "L4"),
    ],
)
async def test_prices_add_up_in_sql_as_they_do_in_polars(market, by, hardware):
    prices = priced(2) if hardware is None else priced(2).filter(pl.col("hardware") == hardware)
    found = await MarketRepository(market).totals("cyc_2", by, hardware=hardware)
    key = [name for name in ("hardware", "tier", "country", "slot_start") if name in by]
    assert sorted(found, key=lambda total: [str(getattr(total, name)) for name in key]) == totals(prices, by)


async def test_what_a_pool_offers_is_counted_once_however_many_tiers_it_sells(market):
    """Sold and left together are what was offered, for a class with three tiers in every slot."""
    (total,) = [each for each in await MarketRepository(market).totals("cyc_2", ("country",), hardware="H100-SXM") if each.country == "FI"]
    mine = priced(2).filter(pl.col("hardware") == "H100-SXM", pl.col("country") == "FI")
    assert total.offered == mine.unique(["pool", "slot_start"])["offered"].sum()


async def test_only_applied_cycles_give_prices(market):
    repository = MarketRepository(market)
    assert [cycle.number for cycle in await repository.cycles()] == [3, 2]
    assert [cycle.number for cycle in await repository.cycles(applied_only=True)] == [2]
    assert [cycle.number for cycle in await repository.cycles(before=3)] == [2]
    cycle = await repository.cycle(2)
    assert (cycle.gap, cycle.certified, cycle.end) == (0.0, True, DAY + timedelta(hours=24))
    with pytest.raises(NotFound):
        await repository.cycle(9)


async def test_what_tells_of_a_change_is_one_question(market):
    """Cycle 2 is applied, 3 failed; while a fourth is cleared the gate has closed."""
    connection = await market.connection()
    statements: list[str] = []
    event.listen(connection.sync_connection, "before_cursor_execute", lambda *said: statements.append(said[2]))
    signs = await MarketRepository(market).signs()
    assert (signs, len(statements)) == (Signs(cycle=2, gate_at=GATE, clearing=False, revision=0), 1)
    facts = {"gate_at": GATE + timedelta(hours=2), "start": DAY, "slots": 24, "slot_seconds": 3600, "token": 1}
    market.add(CycleRow(id="cyc_4", number=4, status="clearing", **facts))
    market.add(FeedSessionRow(provider_id="prv_nebius", revision=7, state=b"{}", trust="verified"))
    await market.flush()
    assert await MarketRepository(market).signs() == Signs(cycle=2, gate_at=GATE, clearing=True, revision=7)


async def test_a_page_of_prices_begins_after_the_one_before(market):
    repository, fake = MarketRepository(market), FakeMarketReader()
    cycle = await repository.cycle(2)
    chosen = PriceFilter(hardware="L4", tier="spot", limit=7)
    first = await repository.prices(cycle, chosen, after=None)
    last = first[-1]
    second = await repository.prices(cycle, chosen, after=(last.pool, last.slot_start.isoformat(), last.tier))
    every = await fake.prices(await fake.cycle(2), msgspec.structs.replace(chosen, limit=14), after=None)
    assert first + second == every


async def test_the_book_and_the_certificate_come_back_as_they_were(market):
    repository = MarketRepository(market)
    book = await repository.book("cyc_2")
    assert book is not None
    assert book.rules == cleared(2)[0].rules
    assert book.offers.equals(cleared(2)[0].offers)
    assert await repository.certificate("cyc_2") == certificate()
    assert await repository.certificate("cyc_3") is None


async def test_a_search_reads_current_offers_and_last_prices(market):
    repository, fake = OfferSearchRepository(market), FakeOfferReader()
    assert await repository.current() == sorted(await fake.current(), key=lambda offer: offer.offer_id)
    exact = await repository.last_rates("spot")
    rounded_down = await fake.last_rates("spot")
    assert {key: rate - rounded_down[key] for key, rate in exact.items()}.keys() == rounded_down.keys()
    assert all(rate - rounded_down[key] in (0, 1) for key, rate in exact.items())


async def test_latency_and_transfer_are_read_by_place_and_country(session):
    session.add_all([LatencyRow(place="paris", site="a", rtt_ms=4.0), LatencyRow(place="oslo", site="a", rtt_ms=30.0)])
    session.add_all([TransferRow(from_country="FR", to_country="DE", micros_per_tb=20_000_000, gbps=10.0)])
    await session.flush()
    repository = OfferSearchRepository(session)
    assert await repository.latencies("paris") == {"a": 4.0}
    assert {to: rate.micros_per_tb for to, rate in (await repository.transfers("FR")).items()} == {"DE": 20_000_000}


async def test_a_reply_is_kept_under_its_key_once(session):
    session.add(PlanRow(id="p", name="p", terms={}))
    await session.flush()
    session.add(
        AccountRow(
            id="acct_1",
            name="a",
            country="FR",
            parent_country="FR",
            plan_id="p",
            currency="USD",
            tax_bps=0,
            take_bps=0,
            credit_limit_micros=0,
        )
    )
    await session.flush()
    repository, key = ReplyRepository(session), RequestKey(account_id="acct_1", key="k", digest=b"d")
    assert await repository.reserve(key, NOW) is None
    await repository.keep(key, b"{}")
    reply = await repository.reserve(key, NOW)
    assert reply is not None
    assert (reply.digest, reply.body) == (b"d", b"{}")
